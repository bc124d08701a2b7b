"""Archives made on the spot, and sweeps of them in this very process: only the pool's own tests start others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from guard.config import load_config
from guard.ledger import read
from guard.sweep import Order, Summary, sweep
from guard.sweep.order import order_of
from guard.sweep.task import Outcome, Task
from guard.sweep.unit import Worker
from tests.conftest import OFFICE
from tests.conftest import POLICE as _POLICE
from tests.replay.conftest import write_clip

__all__ = ["OFFICE", "POLICE", "archive", "ledgers", "record_counts"]

POLICE = '[policy]\npacks = ["microsoft_azure_openai_2024"]\n' + _POLICE
"""One pack: every order and every worker loads it."""

MakeOrder = Callable[..., Order]
Sweep = Callable[..., Summary]


def archive(folder: Path, clips: int, *, frames: int = 6, size: tuple[int, int] = (160, 120)) -> list[Path]:
    """A folder of clips of different content: `frames`, `frames` + 1, ... of them."""
    folder.mkdir(parents=True, exist_ok=True)
    return [write_clip(folder / f"clip-{number:03}.mp4", frames=frames + number, size=size) for number in range(clips)]


def ledgers(out: Path) -> list[Path]:
    """The ledgers of all units that count."""
    return sorted(out.glob("units/*/*/decisions.db"))


def record_counts(out: Path) -> dict[str, int]:
    """How many calls are recorded, by the unit that they are recorded in."""
    return {ledger.parent.name: sum(record["count"] for record in read(ledger)) for ledger in ledgers(out)}


def in_process(tasks: Iterator[Task], order: Order, *, stop: Any, progress: Any) -> Iterator[Outcome]:
    """Takes every task here: what the pool does, without its processes."""
    worker = Worker(order)
    for task in tasks:
        yield worker.take(task.path, task.known, progress=None, stop=stop)


@pytest.fixture
def make_order(tmp_path: Path) -> MakeOrder:
    """An order from TOML text into `tmp_path / "out"`; `identify` at Azure OpenAI unless told otherwise."""

    def make(text: str = POLICE, **options: Any) -> Order:
        path = tmp_path / "guard.toml"
        path.write_text(text)
        options.setdefault("services", ("azure_openai",))
        return order_of(load_config(path), options.pop("out", tmp_path / "out"), **options)

    return make


@pytest.fixture
def swept(make_order: MakeOrder) -> Sweep:
    """Sweeps paths in this process; options go to the order."""

    def go(*paths: Path, text: str = POLICE, **options: Any) -> Summary:
        return sweep(paths, make_order(text, **options), execute=in_process)

    return go
