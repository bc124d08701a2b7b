"""A reload puts a whole new policy in force or none, and no call is released under a policy that is no more."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import guard
from guard.cli.reloading import reload_on_hangup
from guard.testing import MemoryLedger
from tests.conftest import OFFICE

RULE = """@id("HOUSE.{name}")
@title("t")
@cite("c")
@sure("text")
@reviewed("{day}")
forbid (principal, action == Action::"{action}", resource);
"""
LOOSE = RULE.format(name="scrape", action="scrape", day="2026-11-01")
STRICT = LOOSE + RULE.format(name="identify", action="identify", day="2026-11-01")


class OnRelease(MemoryLedger):
    """Does something the moment a release is on its way to the disk."""

    def __init__(self) -> None:
        super().__init__()
        self.then: list[Callable[[], object]] = []

    def record(self, entry):
        super().record(entry)
        if entry.released and self.then:
            self.then.pop(0)()


class Counting(MemoryLedger):
    """One entry an id, safe for many threads and quick for many entries."""

    def __init__(self) -> None:
        super().__init__()
        self.by_id: dict[str, object] = {}

    def record(self, entry):
        time.sleep(0.001 if entry.released else 0)  # long enough for a reload to come in between
        self.by_id[entry.id] = entry


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    path = tmp_path / "house.cedar"
    path.write_text(LOOSE)
    return path


@pytest.fixture
def office(make_guard, pack) -> Callable[..., guard.Guard]:
    return lambda **options: make_guard('[policy]\npacks = ["house.cedar"]\n' + OFFICE, **options)


def call_of(g: guard.Guard, reached: list[object]) -> Callable[[object], object]:
    return g.source().protect(reached.append, action="identify", service="my-matcher")


def test_a_reload_puts_the_new_rules_in_force(office, pack):
    g, reached = office(), []
    before, call = g.policy_digest, call_of(g, reached)
    call(1)
    pack.write_text(STRICT)
    call(2)
    after = g.reload()
    assert after == g.policy_digest == g.engine.digest != before
    with pytest.raises(guard.Denied) as denied:
        call(3)
    assert [reason.rule for reason in denied.value.decision.reasons] == ["HOUSE.identify"]
    assert denied.value.decision.policy_digest == after
    pack.write_text(LOOSE)
    assert g.reload() == before
    call(4)
    assert reached == [1, 2, 4]
    assert set(g.ledger.policies) == {before, after}


def test_the_settings_are_reloaded_and_the_sources_stay(office, pack, tmp_path):
    g, reached = office(), []
    cam, call = g.source(), call_of(g, reached)
    path = tmp_path / "guard.toml"
    path.write_text(path.read_text().replace("[policy]", '[policy]\nextra = "deny-by-default"').replace('"SG"', '"FR"'))
    digest = g.reload()
    assert g.source() is cam
    assert cam.facts.known("place.country") == {"SG"}
    with pytest.raises(guard.Denied, match=r"GUARD\.default"):
        call(1)
    assert g.ledger.policies[digest] == {"packs": ["house"], "base": "shipped", "extra": "deny-by-default"}


@pytest.mark.parametrize(
    ("file", "text", "error"),
    [
        ("house.cedar", "forbid (", guard.PolicyError),
        ("house.cedar", "", guard.PolicyError),
        ("house.cedar", LOOSE.replace("forbid", "permit"), guard.PolicyError),
        ("house.cedar", None, guard.PolicyError),
        ("guard.toml", "[policy", guard.ConfigError),
        ("guard.toml", '[policy]\nbase = "ours"\n' + OFFICE, guard.ConfigError),
        ("guard.toml", '[policy]\npacks = ["hause.cedar"]\n' + OFFICE, guard.PolicyError),
        ("guard.toml", None, guard.ConfigError),
    ],
)
def test_a_broken_set_keeps_the_last_good_one_and_says_so(office, pack, tmp_path, caplog, file, text, error):
    g, reached = office(), []
    digest, engine, call = g.policy_digest, g.engine, call_of(g, reached)
    if text is None:
        (tmp_path / file).unlink()
    else:
        (tmp_path / file).write_text(text)
    with pytest.raises(error):
        g.reload()
    assert (g.policy_digest, g.engine) == (digest, engine)
    assert any("stays in force" in record.getMessage() for record in caplog.records)
    call(1)
    assert reached == [1]


def test_the_same_set_again_changes_nothing(office):
    g = office()
    engine = g.engine
    assert g.reload() == g.policy_digest
    assert g.engine is engine


def test_rules_reviewed_later_move_what_is_known_to_be_past(office, pack):
    g = office(clock=lambda: 1_793_491_200 * 10**9)  # 1 November 2026
    assert g.clock.now()[1] == "system"
    pack.write_text(STRICT.replace("2026-11-01", "2026-11-20"))
    g.reload()
    assert g.clock.now()[1] == "disbelieved"


@pytest.mark.parametrize("later", [False, True])
def test_a_decision_in_flight_is_made_again_under_the_new_rules(office, pack, later):
    ledger, reached = OnRelease(), []
    g = office(ledger=ledger)
    before = g.policy_digest

    async def search(probe: object) -> None:
        reached.append(probe)

    call = g.source().protect(search if later else reached.append, action="identify", service="my-matcher")

    def stricter() -> None:
        pack.write_text(STRICT)
        g.reload()

    ledger.then = [stricter]
    with pytest.raises(guard.Denied) as denied:
        asyncio.run(call(1)) if later else call(1)
    assert reached == []
    assert ledger.verdicts() == ["deny"]
    (entry,) = ledger.entries
    assert entry.decision.policy_digest == denied.value.decision.policy_digest == g.policy_digest != before


def test_a_decision_in_flight_that_the_new_rules_allow_is_released_under_them(office, pack):
    ledger, reached = OnRelease(), []
    g = office(ledger=ledger)

    def other() -> None:
        pack.write_text(LOOSE + RULE.format(name="track", action="track", day="2026-11-01"))
        g.reload()

    ledger.then = [other]
    call_of(g, reached)(1)
    assert reached == [1]
    assert [entry.decision.policy_digest for entry in ledger.entries] == [g.policy_digest]


def test_a_policy_that_changes_for_ever_refuses_the_call(office, pack):
    ledger, reached = OnRelease(), []
    g = office(ledger=ledger)

    def another(number: int) -> None:
        pack.write_text(LOOSE + RULE.format(name=f"track{number}", action="track", day="2026-11-01"))
        g.reload()

    ledger.then = [lambda n=n: another(n) for n in range(40)]
    with pytest.raises(guard.GuardFault, match="reloaded again and again"):
        call_of(g, reached)(1)
    assert reached == []
    assert ledger.verdicts() == ["fault"]


def test_threads_that_call_during_many_reloads(office, pack):
    """No call is released under rules that forbid it, none after those rules came into force, and none is lost."""
    ledger = Counting()
    g = office(ledger=ledger)
    loose = g.policy_digest
    reached: list[tuple[int, int]] = []
    serial, refused = [], []
    stop = threading.Event()

    def search(probe: tuple[int, int]) -> None:
        reached.append(probe)

    call = g.source().protect(search, action="identify", service="my-matcher")

    def caller(number: int) -> None:
        tried = 0
        while not stop.is_set():
            tried += 1
            try:
                call((number, tried))
            except guard.Denied as denied:
                refused.append(denied.decision)
            except guard.GuardFault as fault:
                refused.append(fault.decision)
            time.sleep(0.0005)
        serial.append(tried)

    threads = [threading.Thread(target=caller, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for turn in range(50):
        pack.write_text(STRICT if turn % 2 == 0 else LOOSE)
        g.reload()
    pack.write_text(STRICT)
    g.reload()
    stop.set()
    for thread in threads:
        thread.join()
    strict = g.policy_digest
    entries = list(ledger.by_id.values())
    released = [entry for entry in entries if entry.verdict == "allow"]
    assert {entry.decision.policy_digest for entry in released} == {loose}
    assert {d.policy_digest for d in refused if d.fault is None} == {strict}
    assert len(entries) == sum(serial) == len(reached) + len(refused)
    assert len(released) == len(reached) == len(set(reached)) > 0
    with pytest.raises(guard.Denied):
        call((8, 0))


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no SIGHUP")
def test_a_hangup_reloads_and_says_what_came_of_it(office, pack, capsys):
    g = office()
    first = g.policy_digest
    before = signal.getsignal(signal.SIGHUP)

    def said(part: str) -> str:
        text = ""
        for _ in range(500):
            text += capsys.readouterr().err
            if part in text:
                return text
            time.sleep(0.01)
        raise AssertionError(f"{part!r} was not said but {text!r}")

    with reload_on_hangup(g):
        os.kill(os.getpid(), signal.SIGHUP)
        said(f"policy {first[:16]} is in force, as before")
        pack.write_text("forbid (")
        os.kill(os.getpid(), signal.SIGHUP)
        assert "does not parse" in said(f"policy {first[:16]} stays in force")
        g.ledger.describe = None
        pack.write_text(STRICT)
        os.kill(os.getpid(), signal.SIGHUP)
        assert "TypeError" in said("stays in force")
        del g.ledger.describe
        os.kill(os.getpid(), signal.SIGHUP)
        said("is in force")
        assert g.policy_digest != first
    assert signal.getsignal(signal.SIGHUP) is before


def test_elsewhere_than_in_the_main_thread_no_signal_is_taken(office):
    g, before = office(), signal.getsignal(signal.SIGHUP)

    def elsewhere() -> None:
        with reload_on_hangup(g):
            found.append(signal.getsignal(signal.SIGHUP))

    found: list[object] = []
    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert found == [before]
