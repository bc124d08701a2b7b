"""The same sweep on a local Ray, whose processes are killed meanwhile: the same records, none lost, none doubled."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from guard.replay.stopping import Stop
from guard.sweep.verifying import verify_sweep
from tests.sweep.conftest import MakeOrder, archive, record_counts

pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("default")]

KILLS = 4


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """A Ray of two cores on loopback."""
    if find_spec("ray") is None:
        pytest.skip("ray is not installed: pip install 'frguard[ray]'")
    from guard.sweep.ray import connected

    with connected(workers=2):
        yield


def workers() -> list[int]:
    """Processes of Ray that work on a task of ours, or wait for one: Ray names them so."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                line = (folder / "cmdline").read_bytes()
            except OSError:
                continue
            if line.startswith(b"ray::") and b"_take" in line:
                found.append(int(folder.name))
    return found


def test_the_same_records_as_here(cluster: None, tmp_path: Path, make_order: MakeOrder):
    from guard.sweep.ray import sweep

    archive(tmp_path / "in", 5)
    (tmp_path / "in/broken.mp4").write_bytes(b"")
    told: list[tuple[Path, float]] = []
    found = sweep([tmp_path / "in"], make_order(), progress=lambda path, part: told.append((path, part)))
    assert found.files == {"found": 6, "broken": 1, "units": 5, "made": 5}
    assert "empty" in found.broken[0][1]
    assert len(told) == 6
    assert sorted(record_counts(tmp_path / "out").values()) == [6, 7, 8, 9, 10]
    again = sweep([tmp_path / "in"], make_order())
    assert again.files == {"found": 6, "broken": 1, "units": 5, "made": 0}


@contextmanager
def killing(out: Path, most: int) -> Iterator[list[int]]:
    """Inside, processes that have a unit in the making are killed, now and then, up to `most`; gives whom it killed."""
    chance, killed, over = random.Random(4), [], threading.Event()

    def kill() -> None:
        while len(killed) < most and not over.is_set():
            working = workers() if any((out / "parts").glob("*/decisions.db")) else []
            if working:
                victim = chance.choice(working)
                os.kill(victim, signal.SIGKILL)
                killed.append(victim)
            time.sleep(0.3 + chance.random())

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        yield killed
    finally:
        over.set()
        killer.join()


def test_workers_killed_in_mid_run_lose_and_double_nothing(cluster: None, tmp_path: Path, make_order: MakeOrder):
    from guard.sweep.ray import sweep

    archive(tmp_path / "in", 10, frames=300)
    with killing(tmp_path / "out", 4) as killed:
        found = sweep([tmp_path / "in"], make_order())
    assert len(killed) >= 2
    assert found.files == {"found": 10, "broken": 0, "units": 10, "made": 10}
    assert sorted(record_counts(tmp_path / "out").values()) == list(range(300, 310))
    checked = verify_sweep(tmp_path / "out")
    assert (checked.problems, checked.units) == ([], 10)


def test_a_file_of_which_every_process_dies_counts_as_broken(cluster: None, tmp_path: Path, make_order: MakeOrder):
    from guard.sweep.ray import sweep

    archive(tmp_path / "in", 1, frames=4000)
    with killing(tmp_path / "out", 100) as killed:
        found = sweep([tmp_path / "in"], make_order())
    assert len(killed) == 4
    assert found.files == {"found": 1, "broken": 1, "units": 0, "made": 0}
    assert "died 4 times" in found.broken[0][1]


def test_asked_to_stop_it_stops(cluster: None, tmp_path: Path, make_order: MakeOrder):
    from guard.sweep.ray import sweep

    archive(tmp_path / "in", 8, frames=100)
    stop = Stop()

    def after_the_first(path: Path, part: float) -> None:
        stop.asked = True

    found = sweep([tmp_path / "in"], make_order(), progress=after_the_first, stop=stop)
    assert found.interrupted
    assert 0 < found.files["units"] < 8
    assert sweep([tmp_path / "in"], make_order()).files["units"] == 8


def test_what_comes_back_is_one_small_row_a_file(cluster: None, tmp_path: Path, make_order: MakeOrder):
    from guard.sweep import ray as module

    archive(tmp_path / "in", 3)
    rows: list[int] = []
    real = module._outcome

    def weighed(path: Path, said: str) -> Any:
        rows.append(len(said))
        return real(path, said)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_outcome", weighed)
        module.sweep([tmp_path / "in"], make_order())
    assert len(rows) == 3
    assert max(rows) < 1000
