"""Whatever is found of a source, in whatever order, from wherever: no verdict becomes laxer, at no step."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from itertools import cycle
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import guard
from guard.context import Context, Finding
from guard.context.seal import CAPTURE_FACTS
from guard.facts import ACTIONS, ATTRIBUTES, SERVICES, VOCABULARY, Facts, Verdict, places
from guard.policy import Engine
from tests.conftest import OFFICE
from tests.context.test_standing import NOW, NOW_NS, SEVERITY, declared

BUDGET = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
PARTS = sorted(part for parts in places.SUBDIVISIONS.values() for part in parts)
VALUES: dict[str, list[Any]] = {
    "capture.mount": sorted(VOCABULARY["capture.mount"]),
    "use.timing": sorted(VOCABULARY["use.timing"]),
    "place.country": ["AU", "CA", "DE", "FR", "GB", "SG", "US"],
    "place.subdivision": PARTS,
    "capture.at": [NOW - timedelta(days=400), NOW - timedelta(seconds=30), NOW + timedelta(days=1)],
    "camera.size": ["1920x1080"],
    "feed": ["frozen"],
}
TRUSTS = ["system", "disbelieved"]
INSTANTS = [None, NOW_NS, NOW_NS - 30 * 10**9, NOW_NS - 10**16]


@st.composite
def stated(draw: st.DrawFn) -> Facts:
    """Facts that may be several, with a time of capture."""
    facts = draw(declared())
    at = draw(st.sampled_from([None, *VALUES["capture.at"]]))
    facts = facts.replacing({"capture.at": None if at is None else frozenset({at})})
    for name in draw(st.lists(st.sampled_from(["capture.mount", "use.timing"]), max_size=2, unique=True)):
        if facts.known(name) is not None:
            facts = facts.union(name, draw(st.lists(st.sampled_from(VALUES[name]), min_size=1, max_size=2)))
    return facts


@st.composite
def findings(draw: st.DrawFn) -> tuple[str, tuple[tuple[str, tuple[Any, ...]], ...]]:
    names = draw(st.lists(st.sampled_from(sorted(VALUES)), min_size=1, max_size=3, unique=True))
    several = [(name, st.lists(st.sampled_from(VALUES[name]), max_size=3, unique=True)) for name in names]
    return "saw", tuple((name, tuple(draw(values))) for name, values in several)


STEPS = st.one_of(
    findings(),
    st.tuples(st.just("bind"), stated()),
    st.tuples(st.sampled_from(["doubt", "live", "passport", "no passport"]), st.none()),
)


def apply(context: Context, step: tuple[str, Any]) -> None:
    what, given = step
    match what:
        case "saw":
            context.saw(*[row(context, name, values) for name, values in given])
        case "bind":
            context.bind(given, CAPTURE_FACTS)
        case "doubt":
            context.doubt(CAPTURE_FACTS, "a seal that does not hold")
        case "live":
            context.goes_live()
        case "passport":
            if context.unattested is None:
                context.attest((0, 2**63 - 1), None)
        case "no passport":
            context.attest((0, 0), "no passport")


def row(context: Context, name: str, values: tuple[Any, ...]) -> Finding:
    """As `guard.context.statements` makes it: where the declared side is one of several, both count."""
    if name not in ATTRIBUTES:
        return Finding(name, None, values, "contradicted" if values else "agrees", 1.0, "measured")
    row = Finding.compared(context.declared, name, values, 0.9, "measured")
    if row.name.startswith("place.") and row.verdict == "agrees" and len(row.seen) > 1:
        return Finding(row.name, row.declared, row.seen, "cannot-tell", row.confidence, row.evidence)
    return row


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine.load()


@BUDGET
@given(
    facts=stated(),
    steps=st.lists(STEPS, min_size=1, max_size=5),
    call=st.tuples(st.sampled_from(ACTIONS), st.sampled_from(SERVICES)),
    captured=st.sampled_from(INSTANTS),
    trust=st.sampled_from(TRUSTS),
)
def test_no_verdict_becomes_laxer_at_any_step(engine, facts, steps, call, captured, trust):
    context = Context("cam", facts)
    at = None if trust == "disbelieved" else NOW
    held = [context.facts(captured, (NOW_NS, trust))]
    for step in steps:
        apply(context, step)
        held.append(context.facts(captured, (NOW_NS, trust)))
    for faces in (0, 3, None):
        severities = [SEVERITY.index(engine.column(each, *call, at).ruling(faces).verdict) for each in held]
        assert severities == sorted(severities)


@BUDGET
@given(facts=stated(), steps=st.lists(STEPS, min_size=1, max_size=8))
def test_what_was_possible_stays_possible_and_what_was_contradicted_stays_said(facts, steps):
    context = Context("cam", facts)
    for step in steps:
        before, said = context.facts(None, (NOW_NS, "system")), context.contradictions
        apply(context, step)
        after = context.facts(None, (NOW_NS, "system"))
        assert before.could_be("place.country") <= after.could_be("place.country")
        for name in ("capture.mount", "capture.at", "use.timing", "place.subdivision", "place.locality"):
            was, now = before.known(name), after.known(name)
            assert now is None or (was is not None and was <= now)
        assert {line.partition(":")[0] for line in said} <= {line.partition(":")[0] for line in context.contradictions}


# ---- what the properties found


def test_a_country_seen_besides_stays_possible_whatever_a_seal_leaves_out():
    facts = Facts.parse({"place": {"subdivision": "US-CA"}})
    context = Context("cam", facts)
    context.saw(Finding.compared(facts, "place.country", ("DE",), 0.9, "measured"))
    context.bind(facts, CAPTURE_FACTS)
    assert context.effective.could_be("place.country") == {"US", "DE"}


def test_a_time_of_capture_that_came_into_doubt_may_be_now():
    recent = {"use": {"timing": "post_event"}, "capture": {"at": "2026-06-01T11:59:00Z"}}
    old = {"use": {"timing": "post_event"}, "capture": {"at": "2025-06-01T11:59:00Z"}}
    for said, unsure in ((recent, "doubt"), (old, "doubt"), (recent, "bind"), (old, "bind")):
        context = Context("cam", Facts.parse(said))
        apply(context, (unsure, Facts()))
        assert context.facts(None, (NOW_NS, "system")).known("use.timing") >= {"real_time", "near_real_time"}
        assert context.facts(NOW_NS - 10**16, (NOW_NS, "system")).known("use.timing") == {"post_event"}


def test_the_sides_of_a_border_say_nothing_where_no_place_is_declared():
    facts = Facts()
    context = Context("cam", facts)
    assert not context.saw(Finding.compared(facts, "place.country", ("CA", "US"), 0.9, "measured"))
    assert context.effective == facts
    assert context.contradictions == ()


def test_a_contradiction_is_said_for_ever_and_with_all_that_was_seen():
    facts = Facts.parse({"capture": {"mount": "fixed"}, "place": {"country": "US"}})
    context = Context("cam", facts)

    def saw(name: str, *values: str) -> None:
        context.saw(row(context, name, values))

    saw("place.country", "US", "CA")
    saw("place.country", "US")
    saw("place.country")
    saw("capture.mount", "drone")
    saw("capture.mount", "vehicle", "drone")
    saw("capture.mount", "fixed")
    context.attest((0, 0), "no passport")
    assert [line.partition(" (")[0] for line in context.contradictions] == [
        "nothing that it declares counts: no passport",
        "place.country: declared US, seen US or CA",
        "capture.mount: declared fixed, seen drone or vehicle",
    ]
    assert context.effective.known("place.country") == {"US", "CA"}


# ---- at once


MOBILE_FORBIDDEN = """@id("HOUSE.mobile")
@title("t")
@cite("c")
@sure("text")
@reviewed("2026-01-01")
forbid (principal, action == Action::"identify", resource)
when { resource.mount.contains(Mount::"body_worn") };
"""
ANOTHER_RULE = MOBILE_FORBIDDEN.replace("mobile", "drone").replace("body_worn", "drone")


def wait_until(holds: Callable[[], bool]) -> None:
    for _ in range(3000):
        if holds():
            return
        time.sleep(0.01)
    raise AssertionError("it took too long")


def test_two_threads_that_contradict_at_once_are_both_heard():
    facts = Facts.parse({"capture": {"mount": "fixed"}, "use": {"timing": "post_event"}})
    rounds = 100
    contexts = [Context("cam", facts) for _ in range(rounds)]
    start = threading.Barrier(4)

    def contradict(name: str, value: str) -> None:
        start.wait(10)
        for context in contexts:
            context.saw(Finding.compared(facts, name, (value,), 0.9, "measured"))

    def bind() -> None:
        start.wait(10)
        for context in contexts:
            context.bind(Facts.parse({"capture": {"mount": "handheld"}}), ["capture.mount"])

    threads = [
        threading.Thread(target=contradict, args=("capture.mount", "drone")),
        threading.Thread(target=contradict, args=("capture.mount", "vehicle")),
        threading.Thread(target=contradict, args=("use.timing", "real_time")),
        threading.Thread(target=bind),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    for context in contexts:
        assert context.effective.known("capture.mount") == {"fixed", "drone", "vehicle", "handheld"}
        assert context.effective.known("use.timing") == {"post_event", "real_time"}
        assert set(context.findings["capture.mount"].seen) == {"drone", "vehicle"}


def test_a_contradiction_during_reloads_stops_every_call_that_begins_afterwards(make_guard, tmp_path, picture):
    rules = tmp_path / "house.cedar"
    rules.write_text(MOBILE_FORBIDDEN)
    g = make_guard('[policy]\npacks = ["house.cedar"]\n' + OFFICE)
    cam, stop, reached = g.source(), threading.Event(), []
    began: threading.local = threading.local()
    call = cam.protect(lambda image: reached.append(began.ns), action="identify", service="my-matcher")

    def reload() -> None:
        for text in cycle([MOBILE_FORBIDDEN + ANOTHER_RULE, MOBILE_FORBIDDEN]):
            if stop.is_set():
                return
            rules.write_text(text)
            g.reload()

    def use() -> None:
        while not stop.is_set():
            began.ns = time.perf_counter_ns()
            with cam.frame(picture), suppress(guard.GuardError):
                call(picture)

    threads = [threading.Thread(target=each) for each in (reload, use, use)]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: len(reached) >= 5)
        cam.context.saw(Finding.compared(cam.facts, "capture.mount", ("body_worn",), 0.9, "measured"))
        said_ns = time.perf_counter_ns()
        judged = len(g.ledger.entries)
        wait_until(lambda: len(g.ledger.entries) >= judged + 20)
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)
    assert [ns for ns in reached if ns > said_ns] == []
    assert g.ledger.entries[-1].decision.verdict is Verdict.DENY
