"""A coroutine that the facts alone refuse is refused where it runs; what waits is judged in another thread."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import guard
from guard.facts import Verdict
from guard.gate import Call
from guard.ledger import Entry, Ledger
from guard.ledger import writing as ledger_writing
from guard.source import Source
from guard.testing import MemoryLedger
from tests.conftest import OFFICE, POLICE, SCENE

SHADOW = '[policy]\nmode = "shadow"\n'


class Witnessed(MemoryLedger):
    """Keeps which thread handed over each record."""

    is_behind = False

    def __init__(self) -> None:
        super().__init__()
        self.threads: list[int] = []

    def record(self, entry: Entry) -> None:
        self.threads.append(threading.get_ident())
        super().record(entry)


def judged_here(make_guard: Any, text: str, *, service: str, action: str | None, behind: bool = False) -> list[bool]:
    """Whether each of three calls in a row was judged in the thread of the event loop."""
    ledger = Witnessed()
    ledger.is_behind = behind
    cam = make_guard(text, ledger=ledger).source()

    @cam.protect(service=service, action=action)
    async def ask(frame: Any) -> str:
        return "asked"

    async def three() -> list[bool]:
        here = threading.get_ident()
        with cam.frame(SCENE):
            for _ in range(3):
                try:
                    await ask(SCENE)
                except (guard.Denied, guard.GuardFault):
                    continue
        return [thread == here for thread in ledger.threads]

    return asyncio.run(three())


def test_what_the_facts_refuse_waits_for_nothing_once_the_verdicts_are_compiled(make_guard):
    assert judged_here(make_guard, POLICE, service="azure_openai", action="identify") == [False, True, True]


@pytest.mark.parametrize(
    ("text", "service", "action"),
    [
        (OFFICE, "my-matcher", "identify"),
        (SHADOW + POLICE, "azure_openai", "identify"),
        (POLICE, "openai", None),
    ],
    ids=["a release waits for the disk", "so does shadow mode", "pixels wait for the detector"],
)
def test_what_waits_is_judged_in_another_thread(make_guard, text: str, service: str, action: str | None):
    judged = judged_here(make_guard, text, service=service, action=action)
    assert judged
    assert not any(judged)


def test_a_denial_whose_record_would_wait_is_judged_in_another_thread(make_guard):
    judged = judged_here(make_guard, POLICE, service="azure_openai", action="identify", behind=True)
    assert judged == [False, False, False]


def test_a_hint_that_fails_lets_nothing_through(make_guard, monkeypatch: pytest.MonkeyPatch):
    reached = []
    cam = make_guard(POLICE).source()

    @cam.protect(service="azure_openai", action="identify")
    async def ask(frame: Any) -> None:
        reached.append(frame)

    def broken(*_: Any) -> Any:
        raise RuntimeError("broken")

    monkeypatch.setattr(Source, "ready_column", broken)
    with pytest.raises(guard.GuardFault):
        asyncio.run(ask(SCENE))
    assert reached == []


def test_a_hint_that_is_wrong_lets_nothing_through(make_guard, monkeypatch: pytest.MonkeyPatch):
    """It only says in which thread the call is judged."""
    monkeypatch.setattr(Call, "is_foregone", lambda self: True)
    assert judged_here(make_guard, POLICE, service="azure_openai", action="identify") == [True, True, True]
    reached = []
    door = make_guard(OFFICE, name="office.toml").source()

    @door.protect(service="my-matcher", action="identify")
    async def ask(frame: Any) -> None:
        reached.append(frame)

    asyncio.run(ask(SCENE))
    assert len(reached) == 1


def test_a_denial_that_hinges_on_faces_is_not_foregone(make_guard, monkeypatch: pytest.MonkeyPatch):
    hinging = SimpleNamespace(hinges_on_faces=True, ruling=lambda faces: SimpleNamespace(verdict=Verdict.DENY))
    monkeypatch.setattr(Source, "ready_column", lambda *_: hinging)
    call = Call(make_guard(POLICE).source(), ("identify",), "azure_openai", (SCENE,), {})
    assert not call.is_foregone()
    hinging.hinges_on_faces = False
    assert call.is_foregone()


def test_a_ledger_is_behind_where_its_queue_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with Ledger(tmp_path / "d.db") as ledger:
        assert not ledger.is_behind
        monkeypatch.setattr(ledger_writing, "_QUEUE_LIMIT", 0)
        assert ledger.is_behind
