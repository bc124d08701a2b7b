"""What was seen widens the facts: a deny stays a deny, a call judged on the narrower facts is judged again."""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import guard
from guard.context import Context, Finding
from guard.context.seal import CAPTURE_FACTS
from guard.facts import ACTIONS, SERVICES, VOCABULARY, Facts, Verdict
from guard.policy import Engine
from guard.testing import FakeClock, MemoryLedger
from tests.conftest import OFFICE, POLICE

BUDGET = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
SEVERITY = [Verdict.ALLOW, Verdict.REDACT, Verdict.DENY]
NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
NOW_NS = int(NOW.timestamp()) * 10**9
SEEN: dict[str, list[Any]] = {
    "capture.mount": ["body_worn", "vehicle", "handheld", "drone", "fixed"],
    "place.country": ["US", "FR", "GB", "CA", "SG"],
    "place.subdivision": ["US-OR", "US-ME", "US-IL", "GB-ENG", "CA-ON"],
}
PLACES = [
    {},
    {"place.country": "US"},
    {"place.subdivision": "US-CA"},
    {"place.country": "US", "place.subdivision": "US-CA", "place.locality": "Oakland"},
    {"place.country": "US", "place.subdivision": "US-ME", "place.locality": "Portland"},
    {"place.country": "FR"},
    {"place.country": "GB", "place.subdivision": "GB-SCT"},
    {"place.country": "SG"},
]
RECORDS = [
    {"type": "limited_access_approval", "covers": {"capture.mount": "fixed"}},
    {"type": "national_law", "covers": {"place.country": "FR"}},
    {"type": "court_order"},
    {"type": "human_review", "count": 2},
    {"type": "legal_mandate", "covers": {"use.timing": "post_event", "place.subdivision": "US-ME"}},
]


def seen(facts: Facts, name: str, *values: Any) -> Finding:
    return Finding.compared(facts, name, values, 0.9, "measured")


@st.composite
def declared(draw: st.DrawFn) -> Facts:
    names = sorted(set(VOCABULARY) - {"use.traits"})
    known: dict[str, Any] = {name: draw(st.sampled_from([None, *VOCABULARY[name]])) for name in names}
    known = {name: value for name, value in known.items() if value is not None} | draw(st.sampled_from(PLACES))
    known["use.traits"] = frozenset()
    dates = {"issued": "2026-01-01T00:00:00Z", "expires": "2027-01-01T00:00:00Z"}
    records = draw(st.lists(st.sampled_from(RECORDS), max_size=3, unique_by=str))
    evidence = Facts.parse({"evidence": [{**dates, **record} for record in records]}).evidence
    return Facts().replacing(known).replacing(evidence=evidence)


@st.composite
def observed(draw: st.DrawFn) -> list[tuple[str, tuple[Any, ...]]]:
    names = draw(st.lists(st.sampled_from(sorted(SEEN)), min_size=1, max_size=4))
    several = {name: st.lists(st.sampled_from(SEEN[name]), min_size=1, max_size=4, unique=True) for name in SEEN}
    return [(name, tuple(draw(several[name]))) for name in names]


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine.load()


@BUDGET
@given(
    facts=declared(),
    found=observed(),
    call=st.tuples(st.sampled_from(ACTIONS), st.sampled_from(SERVICES)),
    live=st.booleans(),
    together=st.booleans(),
)
def test_nothing_that_is_seen_turns_a_deny_into_an_allow(engine, facts, found, call, live, together):
    context = Context("cam", facts, live=live)
    findings = [seen(facts, name, *values) for name, values in found]
    if together:
        context.saw(*findings)
    else:
        for finding in findings:
            context.saw(finding)
    effective = context.facts(None, (NOW_NS, "system"))
    for faces in (0, 3):
        before = engine.column(facts, *call, NOW).ruling(faces)
        after = engine.column(effective, *call, NOW).ruling(faces)
        assert SEVERITY.index(after.verdict) >= SEVERITY.index(before.verdict)


@BUDGET
@given(
    facts=declared(),
    other=declared(),
    call=st.tuples(st.sampled_from(ACTIONS), st.sampled_from(SERVICES)),
    what=st.sampled_from(["doubt", "bind", "attest"]),
)
def test_no_seal_and_no_passport_turns_a_deny_into_an_allow(engine, facts, other, call, what):
    context = Context("cam", facts)
    if what == "doubt":
        context.doubt(CAPTURE_FACTS, "a seal that does not hold")
    elif what == "bind":
        context.bind(other, CAPTURE_FACTS)
    else:
        context.attest((0, 0), "no passport")
    effective = context.facts(None, (NOW_NS, "system"))
    for faces in (0, 3):
        before = engine.column(facts, *call, NOW).ruling(faces)
        after = engine.column(effective, *call, NOW).ruling(faces)
        assert SEVERITY.index(after.verdict) >= SEVERITY.index(before.verdict)


@BUDGET
@given(facts=declared(), found=observed())
def test_what_was_declared_stays_possible(facts, found):
    context = Context("cam", facts)
    for name, values in found:
        context.saw(seen(facts, name, *values))
    assert context.declared == facts
    for name in SEEN:
        before, after = facts.known(name), context.effective.known(name)
        assert after is None or (before or set()) <= after


def test_a_contradicted_mount_is_the_union_of_declared_and_seen():
    facts = Facts.parse({"capture": {"mount": "fixed"}})
    context = Context("cam", facts)
    assert context.saw(seen(facts, "capture.mount", "body_worn", "vehicle"))
    assert context.effective.known("capture.mount") == {"fixed", "body_worn", "vehicle"}
    assert context.contradictions == ("capture.mount: declared fixed, seen body_worn or vehicle (measured)",)


def test_an_unknown_fact_stays_unknown():
    context = Context("cam", Facts())
    assert not context.saw(seen(Facts(), "capture.mount", "body_worn"))
    assert context.effective.known("capture.mount") is None
    assert context.findings["capture.mount"].verdict == "cannot-tell"


def test_a_contradiction_stays_whatever_is_seen_later():
    facts = Facts.parse({"capture": {"mount": "fixed"}})
    context = Context("cam", facts)
    context.saw(seen(facts, "capture.mount", "drone"))
    assert not context.saw(seen(facts, "capture.mount", "fixed"))
    assert not context.saw(seen(facts, "capture.mount", "drone"))
    assert context.findings["capture.mount"].verdict == "contradicted"
    assert context.saw(seen(facts, "capture.mount", "vehicle"))
    assert context.effective.known("capture.mount") == {"fixed", "drone", "vehicle"}


def test_another_place_is_judged_under_both_and_of_the_locality_nothing_is_known():
    facts = Facts.parse({"place": {"country": "US", "subdivision": "US-CA", "locality": "Oakland"}})
    context = Context("cam", facts)
    context.saw(seen(facts, "place.country", "CA"), seen(facts, "place.subdivision", "CA-ON"))
    assert context.effective.known("place.country") == {"US", "CA"}
    assert context.effective.known("place.subdivision") == {"US-CA", "CA-ON"}
    assert context.effective.known("place.locality") is None


def test_another_country_whose_part_is_not_seen_could_be_any_part_of_it():
    facts = Facts.parse({"place": {"subdivision": "US-CA"}})
    context = Context("cam", facts)
    context.saw(seen(facts, "place.country", "GB"))
    assert context.effective.known("place.country") == {"US", "GB"}
    assert context.effective.known("place.subdivision") == {"US-CA", "GB-ENG", "GB-NIR", "GB-SCT", "GB-WLS"}


# ---- timing

POST = Facts.parse({"use": {"timing": "post_event"}})
AT_ONCE = {"post_event", "real_time", "near_real_time"}


def ago(seconds: float) -> int:
    return NOW_NS - int(seconds * 1e9)


@pytest.mark.parametrize(
    ("age_s", "at_once"), [(0, True), (599, True), (600, True), (601, False), (-5, True), (1e7, False)]
)
def test_a_picture_taken_within_the_limit_is_used_in_real_time_or_nearly(age_s, at_once):
    facts = Context("cam", POST).facts(ago(age_s), (NOW_NS, "system"))
    assert facts.known("use.timing") == (AT_ONCE if at_once else {"post_event"})


def test_the_limit_is_that_of_the_file():
    assert Context("cam", POST, 60).facts(ago(61), (NOW_NS, "system")) is POST
    assert Context("cam", POST, 60).facts(ago(59), (NOW_NS, "system")).known("use.timing") == AT_ONCE


def test_a_camera_is_live_whatever_its_time_stamps_say():
    for captured in (None, ago(1e7)):
        assert Context("cam", POST, live=True).facts(captured, (NOW_NS, "system")).known("use.timing") == AT_ONCE


def test_where_the_clock_is_not_believed_a_time_of_capture_excludes_nothing():
    assert Context("cam", POST).facts(ago(1e7), (NOW_NS, "disbelieved")).known("use.timing") == AT_ONCE


def test_the_declared_time_of_capture_counts_where_the_frame_has_none():
    facts = Facts.parse({"use": {"timing": "post_event"}, "capture": {"at": "2026-06-01T11:55:00Z"}})
    assert Context("cam", facts).facts(None, (NOW_NS, "system")).known("use.timing") == AT_ONCE
    assert Context("cam", facts).facts(ago(7200), (NOW_NS, "system")).known("use.timing") == {"post_event"}


def test_the_same_facts_are_the_same_object():
    context = Context("cam", POST)
    assert context.facts(ago(1), (NOW_NS, "system")) is context.facts(ago(2), (NOW_NS, "system"))
    assert context.facts(None, (NOW_NS, "system")) is POST


LATER = POLICE.replace('timing = "real_time"', 'timing = "post_event"')


def test_a_live_feed_declared_post_event_is_judged_as_live(make_guard, picture):
    now = datetime(2029, 8, 1, 12, tzinfo=UTC)
    g = make_guard(LATER, clock=FakeClock(int(now.timestamp()) * 10**9))
    call = g.source().protect(lambda image: None, action="identify", service="other")
    for age, expected in ((timedelta(days=9), {"post_event"}), (timedelta(seconds=5), AT_ONCE)):
        with g.source().frame(picture, at=now - age) as frame, suppress(guard.Denied):
            call(picture)
        assert frame.decisions[-1].facts.known("use.timing") == expected
    assert g.source().facts.known("use.timing") == {"post_event"}


def test_the_limit_is_read_from_the_file(make_guard):
    assert make_guard(LATER).source().context.near_real_time_ns == 600 * 10**9
    assert make_guard("[policy]\nnear_real_time_s = 5\n" + LATER).source().context.near_real_time_ns == 5 * 10**9
    with pytest.raises(guard.ConfigError, match=r"policy\.near_real_time_s"):
        make_guard("[policy]\nnear_real_time_s = -1\n" + LATER)


# ---- at run time

MOBILE_FORBIDDEN = """@id("HOUSE.mobile")
@title("t")
@cite("c")
@sure("text")
@reviewed("2026-01-01")
forbid (principal, action == Action::"identify", resource)
when { resource.mount.contains(Mount::"body_worn") };
"""
DOOR = '[policy]\npacks = ["house.cedar"]\n' + OFFICE


@pytest.fixture
def make_door(make_guard, tmp_path):
    (tmp_path / "house.cedar").write_text(MOBILE_FORBIDDEN)
    return lambda **options: make_guard(DOOR, **options)


class OnRelease(MemoryLedger):
    """Does something the moment a release is on its way to the disk."""

    then: Any = None

    def record(self, entry):
        super().record(entry)
        if entry.released and self.then:
            self.then()


def test_a_contradiction_denies_the_next_call_and_says_why(make_door, picture):
    g, reached = make_door(), []
    cam = g.source()
    call = cam.protect(reached.append, action="identify", service="azure_face")
    with cam.frame(picture):
        call(picture)
        cam.context.saw(seen(cam.facts, "capture.mount", "body_worn", "handheld"))
        with pytest.raises(guard.GuardError) as refused:
            call(picture)
        assert cam.authorize("identify", "azure_face").verdict is guard.Verdict.DENY
    decision = refused.value.decision
    assert len(reached) == 1
    assert decision.facts.to_json()["capture"]["mount"] == {"any_of": ["body_worn", "handheld", "fixed"]}
    assert decision.contradicted == ("capture.mount: declared fixed, seen body_worn or handheld (measured)",)
    assert decision.to_json()["contradicted"] == list(decision.contradicted)
    assert g.ledger.entries[-1].decision is decision


def test_a_call_whose_source_is_contradicted_before_its_release_is_judged_again(make_door, picture):
    ledger, reached = OnRelease(), []
    g = make_door(ledger=ledger)
    cam = g.source()
    ledger.then = lambda: cam.context.saw(seen(cam.facts, "capture.mount", "body_worn"))
    with pytest.raises(guard.GuardError) as refused:
        cam.protect(reached.append, action="identify", service="azure_face")(1)
    assert reached == []
    assert refused.value.decision.facts.known("capture.mount") == {"fixed", "body_worn"}
    assert g.ledger.verdicts() == ["deny"]


def test_nothing_is_said_of_contradictions_where_there_are_none(make_guard):
    decision = make_guard(OFFICE).source().decide("identify", "self_hosted", at=NOW)
    assert decision.contradicted == ()
    assert "contradicted" not in decision.to_json()


def test_looking_up_the_facts_costs_next_to_nothing():
    context = Context("cam", POST)
    start = time.perf_counter()
    for _ in range(1000):
        context.facts(None, (NOW_NS, "system"))
    looked_up = time.perf_counter() - start
    start = time.perf_counter()
    for _ in range(1000):
        POST.union("use.timing", ("real_time",))
    made = time.perf_counter() - start
    assert looked_up < made
