"""Runs: equal denials are one record, nothing that differs is hidden in one, and no count is ever lost or doubled."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import guard
import guard.ledger.writing as writing
from guard.ledger import Entry, Ledger, read, summary
from guard.ledger.verifying import verify
from tests.ledger.test_ledger import entry


def varied(number: int, verdict: str = "deny", again: bool = False, **changes: Any) -> Entry:
    """An entry in which the named parts of the decision, or of the entry, are others."""
    made = entry(number, verdict, again=again)
    for name in ("judged_under", "judged_facts", "judged_actions", "redactable", "clock", "at_ns", "captured_ns"):
        if name in changes:
            setattr(made, name, changes.pop(name))
    made.decision = msgspec.structs.replace(made.decision, **changes)
    return made


def test_equal_denials_are_one_record_that_counts_them(tmp_path: Path):
    path = tmp_path / "d.db"
    with Ledger(path) as ledger:
        for number in range(10):
            ledger.record(varied(number, faces=1 + number % 3, latency_us=float(number), captured_ns=number * 10**9))
    (record,) = read(path)
    assert (record["id"], record["last_id"], record["count"]) == ("id-0", "id-9", 10)
    assert (record["frame"], record["last_frame"]) == (0, 9)
    assert (record["faces"], record["faces_most"]) == (1, 3)
    assert (record["captured_at"], record["last_captured_at"]) == (
        "1970-01-01T00:00:00.000000Z",
        "1970-01-01T00:00:09.000000Z",
    )
    assert (record["latency_us_sum"], record["latency_us_max"], record["latency_us"]) == (45.0, 9.0, 4.5)
    assert summary(path) == {"total": 10, "allow": 0, "redact": 0, "deny": 10, "fault": 0, "unenforced": 0}


FACTS = guard.Facts.parse({"capture": {"mount": "fixed"}, "evidence": []})
OTHER_RULE = (guard.Reason(rule="R.2", pack="p", title="t", cite="c", sure="text"),)


def test_a_denial_that_was_not_enforced_is_no_run(tmp_path: Path):
    """In shadow mode the call was made, so its record was on disk before it, and is its own."""
    path = tmp_path / "d.db"
    with Ledger(path) as ledger:
        for number in range(3):
            ledger.record(varied(number, enforced=False))
    assert [(record["count"], record["enforced"], record["verdict"]) for record in read(path)] == [
        (1, False, "deny")
    ] * 3
    assert summary(path)["unenforced"] == 3
    assert verify(path).verified


def test_a_release_in_shadow_mode_that_is_judged_again_is_one_record(tmp_path: Path):
    path = tmp_path / "d.db"
    with Ledger(path) as ledger:
        ledger.record(varied(1, enforced=False))
        ledger.record(varied(1, again=True))
        ledger.record(varied(2, enforced=False))
        ledger.record(varied(2, enforced=False, again=True))
    assert [(record["frame"], record["enforced"]) for record in read(path)] == [(1, True), (2, False)]
    assert verify(path).verified


@pytest.mark.parametrize(
    "difference",
    [
        {"source": "other"},
        {"action": "verify"},
        {"action": None},
        {"service": "openai"},
        {"fault": "broken"},
        {"reasons": OTHER_RULE},
        {"reasons": ()},
        {"policy_digest": "p2"},
        {"facts": FACTS},
        {"faces": None},
        {"faces": 0},
        {"judged_under": ["cam", "other"]},
        {"clock": "disbelieved"},
        {"redactable": False},
        {"judged_actions": ["identify", "verify"]},
        {"judged_facts": [FACTS]},
    ],
    ids=str,
)
def test_whatever_differs_is_a_record_of_its_own(tmp_path: Path, difference: dict[str, Any]):
    path = tmp_path / "d.db"
    with Ledger(path) as ledger:
        for number in range(6):
            ledger.record(varied(number, **(difference if number in (2, 3) else {})))
    records = sorted(read(path), key=lambda record: record["frame"])
    kinds = {"source", "action", "service"} & difference.keys()
    assert [(record["frame"], record["count"]) for record in records] == (
        [(0, 4), (2, 2)] if kinds else [(0, 2), (2, 2), (4, 2)]
    )


def test_a_release_ends_the_run_of_its_kind_and_stands_behind_it(tmp_path: Path):
    path = tmp_path / "d.db"
    with Ledger(path) as ledger:
        ledger.record(varied(1))
        ledger.record(varied(2))
        ledger.record(varied(3, "allow"))
        ledger.record(varied(4))
    assert [(record["id"], record["verdict"], record["count"]) for record in read(path)] == [
        ("id-1", "deny", 2),
        ("id-3", "allow", 1),
        ("id-4", "deny", 1),
    ]


def test_a_run_becomes_a_leaf_after_a_minute_at_most(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("guard.ledger.drafts.RUN_SECONDS", 0.0)
    path = tmp_path / "d.db"
    with Ledger(path) as ledger:
        for number in range(3):
            ledger.record(varied(number))
            ledger.flush()
            assert [record["seq"] is not None for record in read(path)] == [True] * (number + 1)


def test_an_open_run_is_on_disk_and_counted(tmp_path: Path):
    path = tmp_path / "d.db"
    with Ledger(path) as ledger:
        for number in range(5):
            ledger.record(varied(number))
            ledger.flush()
            (record,) = read(path)
            assert (record["seq"], record["count"]) == (None, number + 1)
            assert summary(path)["total"] == number + 1


def test_a_clock_that_steps_back_is_recorded_as_it_was(tmp_path: Path):
    path = tmp_path / "d.db"
    with Ledger(path) as ledger:
        ledger.record(varied(1, clock="disbelieved", at_ns=2_000_000_000))
        ledger.record(varied(2, clock="disbelieved", at_ns=1_000_000_000))
    (record,) = read(path)
    assert (record["at"][17:19], record["until"][17:19], record["count"]) == ("02", "01", 2)
    assert verify(path).verified


VARIANTS: list[dict[str, Any]] = [
    {},
    {"faces": 0},
    {"source": "other"},
    {"fault": "broken"},
    {"clock": "disbelieved"},
    {"verdict": "allow"},
]
step = st.one_of(
    st.tuples(st.just("call"), st.integers(0, len(VARIANTS) - 1)),
    st.sampled_from([("flush", 0), ("taken over", 0), ("fails", 0), ("again", 0)]),
)


@given(steps=st.lists(step, max_size=40))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_call_is_counted_in_exactly_one_record(tmp_path_factory, steps: list[tuple[str, int]]):
    """Promise 4 over random histories: flushes, other processes that take over what is pending, failing commits."""
    path = tmp_path_factory.mktemp("run") / "d.db"
    expected: Counter[tuple[str, str | None, bool]] = Counter()
    released: list[int] = []
    with Ledger(path) as ledger, pytest.MonkeyPatch.context() as patch:
        for number, (kind, which) in enumerate(steps):
            if kind == "call":
                variant = dict(VARIANTS[which])
                verdict = variant.pop("verdict", "deny")
                made = varied(number, verdict, **variant)
                ledger.record(made)
                expected[verdict, made.decision.source, made.fault is not None] += 1
                if verdict == "allow":
                    released.append(number)
            elif kind == "flush":
                ledger.flush()
            elif kind == "taken over":
                with patch.context() as elsewhere:
                    elsewhere.setattr(writing, "_open_ledgers", set())
                    Ledger(path).close()
            elif kind == "again" and released:
                ledger.record(varied(released.pop(), "deny", again=True))
                expected["allow", "cam", False] -= 1
                expected["deny", "cam", False] += 1
            elif kind == "fails":
                with patch.context() as disk:
                    disk.setattr("guard.ledger.store.Store.commit", _fails)
                    with pytest.raises(guard.LedgerError):
                        ledger.record(varied(number, "allow"))
                expected["deny", "cam", True] += 1
    counted: Counter[tuple[str, str | None, bool]] = Counter()
    for record in read(path):
        counted[record["verdict"], record["source"], record["fault"] is not None] += record["count"]
    assert counted == +expected
    assert summary(path)["total"] == expected.total()
    found = verify(path)
    assert found.problems == []
    assert found.calls == expected.total()


def _fails(self: object) -> None:
    raise OSError("disk full")
