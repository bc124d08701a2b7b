"""The engine beside a second opinion: `reference.py`, which shares nothing with it but the rules and the vocabulary.

All shipped packs, random facts, records and calls, half of them aimed at some rule; times of use lie around the dates
of rules and records. Cases that run in CI (``GUARD_EXAMPLES=10`` makes it ten times as many, with other seeds):

- 1,200 known worlds: verdict, rules and fault are equal.
- 600 requests with one to four unknown facts, among them the service, the faces and the time of use, and with facts
  that could be one of several: the engine is never laxer than all completions of the request together. With one
  unknown fact of a closed vocabulary it is as exact as with none.
- 3,000 records, each alone, for known worlds and with a fact unknown that it is limited to: the same tokens are held,
  the same are spent.
- 50 calls that are not denied, each with every attribute of the vocabulary, the service, the faces and the evidence
  made unknown in turn (1,750 cases): no verdict moves towards allow.

Where the engine is stricter than the completions, it is so by design: while the time of use is unknown no record counts
and a day lies "after the start and before the end" of everything; a rule that asks twice about facts that hang together
(the operator's type is part of "by or for") is answered as if they did not. Of 12,800 such requests five were stricter,
all with an unknown time of use. The counts of each run are printed at its end.
"""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guard.errors import ConfigError
from guard.facts import ACTIONS, ATTRIBUTES, SERVICES, VLM_SERVICES, VOCABULARY, Facts, judge
from guard.facts.vocabulary import EVIDENCE_TYPES, GROUNDS
from guard.policy import Column, Engine
from tests.policy.reference import (
    FACTS,
    PLACE,
    SEVERITY,
    File,
    Opinion,
    Reference,
    Request,
    Rule,
    certain,
    several,
    shipped,
    with_offence,
)

TIMES = int(os.environ.get("GUARD_EXAMPLES", "1"))
CALLS = 4  # per set of facts: the columns that an engine keeps are asked again
CONCRETE, PARTIAL = 300 * CALLS, 150 * CALLS
EVIDENCE = 3000
FORGOTTEN = 50  # for each attribute


def examples(number: int) -> settings:
    return settings(
        max_examples=number * TIMES,
        deadline=None,
        derandomize=TIMES == 1,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


TICK = timedelta(microseconds=1)
DAY = timedelta(days=1)
STEPS = [timedelta(), TICK, -TICK, timedelta(milliseconds=1), -timedelta(milliseconds=1), DAY, -DAY]
OFFSETS = [step + shift * DAY for shift in (0, 1, 2, -1, -2, -30, -400) for step in (timedelta(), TICK, -TICK)]
LIFETIMES = [TICK, DAY, 2 * DAY, 60 * DAY, 5000 * DAY]
PLACES: list[dict[str, Any]] = [
    *({"place.country": "US", "place.subdivision": code, "place.locality": town} for code, town in (
        ("US-OR", "Portland"), ("US-ME", "Portland"), ("US-CA", "San Francisco"), ("US-CA", "City of Oakland"),
        ("US-CA", "Davis"), ("US-WA", "King County"), ("US-WA", "Seattle"), ("US-MA", "Boston"), ("US-IL", "Chicago"),
        ("US-TX", "Austin"), ("US-NY", "New York"), ("US-MN", "Minneapolis"), ("US-LA", "New Orleans"),
        ("US-VT", "Burlington"), ("US-UT", "Provo"), ("US-MD", "Baltimore"), ("US-VA", "Norfolk"), ("US-CO", "Denver"),
        ("US-NH", "Nashua"), ("US-MT", "Helena"), ("US-KY", "Louisville"), ("US-WI", "Madison"),
        ("US-AL", "Mobile"), ("US-NJ", "Newark"), ("US-PA", "Pittsburgh"), ("US-FL", "Tampa"),
    )),
    *({"place.country": c, "place.subdivision": f"{c}-{s}", "place.locality": "Wherever"} for c, s in (
        ("GB", "ENG"), ("GB", "WLS"), ("GB", "SCT"), ("CA", "QC"), ("CA", "ON"), ("AU", "NSW"), ("AU", "VIC"),
    )),
    *({"place.country": c} for c in ("FR", "DE", "EU-X", "EU-Y", "RE", "PR", "BR", "SG", "JP")),
]  # fmt: skip
BASE: dict[str, Any] = {
    "operator.type": "private",
    "operator.acts_for": "self",
    "operator.country": "SG",
    "place.control": "controlled",
    "place.access": "workplace",
    "capture.mount": "fixed",
    "capture.at": "2026-01-01T00:00:00Z",
    "use.timing": "post_event",
    "use.purpose": "access_control",
    "use.output": "lead_only",
    "use.threshold": 0.99,
    "use.traits": [],
    "use.searched_by": "operator",
    "use.unsolicited": False,
    "use.initial_identification": False,
    "use.names_stripped": False,
    "gallery.kind": "employees",
    "gallery.provenance": "consented",
    "subject.consent": "written_release",
    "subject.minor": False,
    "subject.targeted": True,
    "subject.cooperates": True,
    "subject.apprehended": False,
}
SUSPECT = {"use.purpose": "criminal_investigation", "use.offence.name": "robbery", "use.offence.max_years": 10}
SUSPECT |= {f"use.offence.{part}": True for part in ("annex_ii", "listed", "serious")}
STARTS: list[dict[str, Any]] = [
    {},
    {"operator.type": "nonus_police", "gallery.kind": "suspects", "subject.cooperates": False, **SUSPECT},
    {"operator.type": "us_police", "capture.mount": "body_worn", "place.control": "wild", "use.timing": "real_time"},
    {"operator.type": "us_police", "gallery.kind": "dmv_mugshot", "use.output": "lead_only", **SUSPECT},
    {"operator.type": "public_nonle", "use.purpose": "civil_admin", "place.access": "public"},
    {"operator.type": "individual", "use.purpose": "device_auth", "gallery.kind": "owner"},
    {"operator.type": "private", "operator.acts_for": "nonus_police", "use.purpose": "missing_person"},
    {"use.purpose": "dataset_labelling", "use.names_stripped": True},
]
CLOSED = sorted(set(VOCABULARY) - {"use.traits"})
OFFENCE = [name for name in ATTRIBUTES if name.startswith("use.offence.")]
FORGETTABLE = [*ATTRIBUTES, "service", "faces", "evidence"]
HIDEABLE = [name for name in ATTRIBUTES if name != "capture.at"] + ["service", "faces"]
DELAYED = ("prior_authorisation", "urgency_request", "urgency_undertaking", "notice_posted") * 6
EXACT = {name for name in CLOSED if not name.startswith("operator.")} | {"service", "faces"}
COVERABLE = [name for name in ATTRIBUTES if name not in ("capture.at", "use.at")] + ["action", "service"]
REFERENCE = Reference(shipped())
PAPER = [rule for rule in REFERENCE.rules if "held" in rule.reads or "spent" in rule.reads]
DATES = [date for date in REFERENCE.dates() if 2000 < date.year < 2100]
SEEN: Counter[str] = Counter()
FIRED: set[str] = set()


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine.load(("all",))


@pytest.fixture(scope="module", autouse=True)
def told(request: pytest.FixtureRequest) -> Iterator[None]:
    """Prints how many cases were judged, and how they fell."""
    yield
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print("\nsecond opinion:", ", ".join(f"{name} {count}" for name, count in sorted(SEEN.items())), end="")
        rules = {rule.id for rule in REFERENCE.rules}
        print(f"; {len(FIRED & rules)} of {len(rules)} rules forbade something; {REFERENCE.tried} worlds tried")


# What is asked --------------------------------------------------------------------------------------------------------


def value(rng: random.Random, name: str) -> Any:
    """A random known value of a fact."""
    if name == "use.traits":
        return rng.sample(VOCABULARY[name], rng.choice([0, 0, 1, 2]))
    if name == "use.threshold":
        return rng.choice([0.5, 0.899999, 0.9, 0.95, 0.99, 0.989999, 1.0])
    if name == "use.offence.max_years":
        return rng.choice([0, 1, 3, 4, 5, 10])
    if name == "operator.country":
        return rng.choice(["US", "FR", "SG", "GB", "EU-Y", "CA"])
    if name == "use.offence.name":
        return rng.choice(["robbery", "fraud"])
    return rng.choice(VOCABULARY[name])


def world(rng: random.Random) -> dict[str, Any]:
    """A world of which everything is known. Half of them are ordinary, with a few facts changed."""
    if rng.random() < 0.2:
        facts = {name: value(rng, name) for name in (*CLOSED, "use.traits", "use.threshold", *OFFENCE)}
        facts |= {"operator.country": value(rng, "operator.country")}
    else:
        facts = BASE | rng.choice(STARTS)
        for name in rng.sample([*CLOSED, "use.traits", "use.threshold", "operator.country"], rng.randrange(6)):
            facts[name] = value(rng, name)
    if facts["use.purpose"] != "criminal_investigation" and rng.random() < 0.8:
        return {name: v for name, v in facts.items() if name not in OFFENCE} | rng.choice(PLACES)
    return facts | {name: value(rng, name) for name in OFFENCE if name not in facts} | rng.choice(PLACES)


def record(rng: random.Random, kind: str, facts: dict[str, Any], at: datetime) -> dict[str, Any]:
    """A record, in date or nearly; now and then refused, undated, contradictory, or limited to other facts."""
    found: dict[str, Any] = {"type": kind, "issued": at + rng.choice(OFFSETS)}
    if rng.random() < 0.9:
        found["expires"] = found["issued"] + rng.choice(LIFETIMES)
    return found | details(rng, kind, facts) | delay(rng, found, at)


def details(rng: random.Random, kind: str, facts: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if kind == "human_review":
        found["count"] = rng.choice([0, 1, 2, 2, 3])
    if kind == "pia":
        found["reviewed"] = rng.choice([True, True, False])
    if kind in GROUNDS and rng.random() < 0.9:
        found["ground"] = rng.choice(GROUNDS[kind])
    if rng.random() < 0.1:
        found["refused"] = True
    if rng.random() < 0.25:
        found["covers"] = {name: limit(rng, name, facts) for name in rng.sample(COVERABLE, 2)}
    return found


def limit(rng: random.Random, name: str, facts: dict[str, Any]) -> Any:
    """What a record may be limited to: mostly what is the case, alone or among others."""
    if name in ("action", "service"):
        return rng.sample(ACTIONS if name == "action" else SERVICES, 6)
    own = facts.get(name)
    if own is not None and rng.random() < 0.8:
        return own if name == "use.traits" and own else ["race"] if name == "use.traits" else own
    place = rng.choice(PLACES[:10])
    if name in place:
        return place[name]
    return ["race", "gender"] if name == "use.traits" else "DE" if name == "place.country" else value(rng, name)


def delay(rng: random.Random, found: dict[str, Any], at: datetime) -> dict[str, Any]:
    """Sometimes the delay is stated: beside the date, instead of it, or against it."""
    hours = (found["issued"] - at) / timedelta(hours=1)
    if hours <= 0 or rng.random() < 0.7:
        return {}
    stated = [{"delay_hours": hours}, {"delay_hours": round(hours, 2) or 0.01, "issued": None}, {"delay_hours": 7.5}]
    return rng.choices(stated, (3, 5, 1))[0]


def everything_on_file(at: datetime) -> list[dict[str, Any]]:
    """Every type of evidence, long in date, each with its strongest detail."""
    dates = {"issued": at - 400 * DAY, "expires": at + 400 * DAY}
    found = [{"type": kind, **dates} for kind in EVIDENCE_TYPES if kind not in GROUNDS]
    found += [{"type": kind, "ground": ground, **dates} for kind, grounds in GROUNDS.items() for ground in grounds]
    extra = {"human_review": {"count": 2}, "pia": {"reviewed": True}, "urgency_undertaking": {"issued": at}}
    return [{**one, **extra.get(one["type"], {})} for one in found]


def records(rng: random.Random, facts: dict[str, Any], at: datetime, kinds: set[str]) -> list[dict[str, Any]]:
    """Any records; or all that there are, those of some kinds doubtful, so that the call hangs on them."""
    if kinds:
        sound = [one for one in everything_on_file(at) if one["type"] not in kinds]
        return sound + [record(rng, kind, facts, at) for kind in sorted(kinds) for _ in range(rng.choice([0, 1, 1, 2]))]
    found = [record(rng, rng.choice(EVIDENCE_TYPES), facts, at) for _ in range(rng.choice([0, 0, 1, 3, 6]))]
    return found + (everything_on_file(at) if rng.random() < 0.5 else [])


def moment(rng: random.Random) -> datetime:
    if rng.random() < 0.5:
        return rng.choice(DATES) + rng.choice(STEPS)
    return datetime(rng.randrange(2015, 2031), rng.randrange(1, 13), 1, 12, 30, 15, 123456, tzinfo=UTC)


def aimed(rng: random.Random, rule: Rule) -> tuple[dict[str, Any], str, str]:
    """Facts, an action and a service that nearly make this rule forbid: each drawn from what the rule names."""
    facts: dict[str, Any] = {}
    service = rng.choice(SERVICES)
    for path, sets in rule.literals.items():
        named = sorted(set().union(*sets), key=str)
        if path == "service":
            service = rng.choice(named)
        elif path == "place.within":
            facts |= somewhere(rng.choice(named))
        elif path == "traits":
            facts["use.traits"] = rng.sample(named, min(len(named), rng.choice([0, 1, 2])))
        else:
            name = rng.choice(FACTS.get(path, (path,)))
            if name in VOCABULARY:  # what a rule names may be its exception
                facts[name] = rng.choice(named) if rng.random() < 0.7 else value(rng, name)
            elif name == "use.offence.max_years":
                facts[name] = rng.choice(named) + rng.choice([-1, 0])
            elif name == "use.threshold":
                facts[name] = (rng.choice(named) + rng.choice([-1, 0])) / 1_000_000
    return facts, rng.choice(sorted(rule.actions)), service


def starts(rule: Rule) -> list[datetime]:
    """Times of use around the dates that the rule names."""
    named = [date for end in ("at.from", "at.to") for dates in rule.literals.get(end, ()) for date in dates]
    return [date + step for date in named for step in (*STEPS, 200 * DAY)]


def somewhere(token: str) -> dict[str, Any]:
    """A place within this token."""
    part, _, town = token.partition("/")
    if "-" in part and part not in ("EU-X", "EU-Y"):
        return {"place.country": part[:2], "place.subdivision": part, "place.locality": town.title() or "Wherever"}
    return {"place.country": "DE" if part == "EU" else part}


def requests(rng: random.Random) -> list[Request]:
    """Some calls on one known world, at one time of use or at several close to one another."""
    facts, at = world(rng), moment(rng)
    kinds: set[str] = set()
    call = [rng.choice(ACTIONS), rng.choice(SERVICES)]
    if rng.random() < 0.7:
        rule = rng.choice(PAPER if rng.random() < 0.5 else REFERENCE.rules)
        solo = Reference([rule])
        for _ in range(rng.choice([1, 30])):  # aim once, or until it would forbid if nothing were on file
            at = rng.choice([at, *starts(rule)])
            near, *call = aimed(rng, rule)
            kept = {name: v for name, v in facts.items() if name not in PLACE or "place.country" not in near}
            if solo.judge(Request(kept | near, (), call[0], call[1], at, 1)).verdict == "deny":
                break
        facts = kept | near
        tokens = [token for path in ("held", "spent") for some in rule.literals.get(path, ()) for token in sorted(some)]
        kinds = {token.partition(":")[0] for token in rng.sample(tokens, min(len(tokens), rng.choice([0, 1, 1, 3])))}
    if facts["use.purpose"] == "criminal_investigation":
        facts = {name: value(rng, name) for name in OFFENCE} | facts
    paper = tuple({k: v for k, v in one.items() if v is not None} for one in records(rng, facts, at, kinds))
    found = []
    for number in range(CALLS):
        action, service = call if number < 2 else (rng.choice(ACTIONS), rng.choice([call[1], rng.choice(SERVICES)]))
        if service in VLM_SERVICES and rng.random() < 0.1:
            action = None
        when = at if number < 2 or rng.random() < 0.5 else at + rng.choice(OFFSETS)
        found.append(Request(facts, paper, action, service, when, rng.choice([0, 1, 5, None])))
    return found


def forgetting(request: Request, names: Iterable[str]) -> Request:
    """The request with these unknown. Evidence that is unknown is none, but for what was refused: that permits nothing
    and is never forgotten."""
    facts = {name: said for name, said in request.facts.items() if name not in names}
    return Request(
        facts,
        tuple(r for r in request.records if "evidence" not in names or r.get("refused")),
        request.action,
        None if "service" in names else request.service,
        None if "use.at" in names else request.at,
        None if "faces" in names else request.faces,
    )


def doubting(rng: random.Random, request: Request, name: str) -> Request:
    """The request with one fact contradicted: it could be one of several."""
    several = sorted({request.facts[name], *rng.sample(VOCABULARY[name], 2)}, key=str)
    return replace(request, facts={**request.facts, name: {"any_of": several}})


def parsed(request: Request) -> Facts:
    """The same facts and records, as the product reads them."""
    groups: dict[str, Any] = {}
    for name, said in request.facts.items():
        *path, last = name.split(".")
        table = groups
        for step in path:
            table = table.setdefault(step, {})
        table[last] = said
    return Facts.parse({**groups, "evidence": list(request.records)})


def column(engine: Engine, request: Request) -> Column:
    return engine.column(parsed(request), request.action, request.service, request.at)


def severity(verdict: str) -> int:
    return SEVERITY.index(verdict)


def show(request: Request, opinion: Opinion, got: Any) -> str:
    return f"{request}\nreference: {opinion}\nengine: {got.verdict} {[r.rule for r in got.reasons]} {got.fault}"


# What is promised -----------------------------------------------------------------------------------------------------


@examples(CONCRETE // CALLS)
@given(seed=st.integers(0, 2**64))
def test_on_known_worlds_the_engine_and_the_second_opinion_are_one(engine: Engine, seed: int) -> None:
    together = requests(random.Random(seed))
    facts = parsed(together[0])
    for request in together:
        opinion = REFERENCE.judge(request)
        ruling = engine.column(facts, request.action, request.service, request.at).ruling(request.faces)
        FIRED.update(opinion.rules)
        SEEN[f"concrete {opinion.verdict}{' (fault)' * opinion.fault}"] += 1
        assert ruling.verdict == opinion.verdict, show(request, opinion, ruling)
        assert {reason.rule for reason in ruling.reasons} == opinion.rules, show(request, opinion, ruling)
        assert (ruling.fault is not None) is opinion.fault, show(request, opinion, ruling)


@examples(PARTIAL // CALLS)
@given(seed=st.integers(0, 2**64))
def test_on_partial_facts_the_engine_is_never_laxer_than_their_completions(engine: Engine, seed: int) -> None:
    rng = random.Random(seed)
    for whole in requests(rng):
        names = rng.sample(HIDEABLE, rng.choice([1, 1, 2, 3, 4]))
        request = forgetting(whole, names)
        if len(names) > 1 and rng.random() < 0.3:
            request = doubting(rng, request, rng.choice([n for n in CLOSED if n in request.facts]))
        opinion = REFERENCE.judge(request)
        ruling = column(engine, request).ruling(request.faces)
        stricter = severity(ruling.verdict) - severity(opinion.verdict)
        SEEN[f"partial {opinion.verdict}"] += 1
        SEEN["partial, engine stricter"] += stricter > 0
        assert stricter >= 0, show(request, opinion, ruling)
        if not opinion.fault and ruling.verdict == opinion.verdict:
            assert opinion.rules <= {reason.rule for reason in ruling.reasons}, show(request, opinion, ruling)
        if len(names) == 1 and names[0] in EXACT:
            SEEN["partial, exact"] += 1
            assert stricter == 0, show(request, opinion, ruling)


@examples(EVIDENCE // 10)
@given(seed=st.integers(0, 2**64))
def test_records_are_held_and_spent_alike(seed: int) -> None:
    """The same records, judged by both, for a known world and for one with an unknown fact."""
    rng = random.Random(seed)
    facts, at = world(rng), moment(rng)
    some = [record(rng, rng.choice([*EVIDENCE_TYPES, *DELAYED]), facts, at) for _ in range(10)]
    for one in some:
        one = {name: said for name, said in one.items() if said is not None}
        unknown = rng.choice([None, *one.get("covers", ())])
        request = Request(facts, (one,), rng.choice(ACTIONS), rng.choice(SERVICES), at, None)
        request = forgetting(request, [unknown]) if unknown != "action" else request
        try:
            theirs = judge(parsed(request), request.action, request.service, at)
        except ConfigError:
            theirs = None
        ours = file_of(request)
        SEEN["evidence"] += 1
        SEEN["evidence held"] += bool(ours and ours[0])
        SEEN["evidence spent"] += bool(ours and ours[1])
        assert (theirs and (theirs.held, theirs.spent)) == ours, (request, theirs)


def file_of(request: Request) -> tuple[set[str], set[str]] | None:
    """What the one record of the request gives and spends; None where it contradicts the time of use."""
    file = File(request.records)
    facts = {**with_offence(request.facts), "action": request.action, "service": request.service}
    if request.at is None or not file.allows(request.at):
        return None
    ((held, spent),), (covers,) = file.at(request.at), file.covers
    counts = all(certain(name, allowed, facts) for name, allowed in covers.items())
    could = all(facts.get(name) is None or certain(name, allowed, facts) for name, allowed in covers.items())
    return held if counts else set(), spent if could else set()


@pytest.fixture(scope="module")
def free(engine: Engine) -> list[tuple[Request, str]]:
    """Requests that are not denied, so that their verdicts could move, with those verdicts."""
    rng = random.Random(0 if TIMES == 1 else None)
    found: list[tuple[Request, str]] = []
    while len(found) < FORGOTTEN * TIMES:
        for request in requests(rng):
            verdict = column(engine, request).ruling(request.faces).verdict
            if verdict != "deny":
                found.append((request, verdict))
    return found[: FORGOTTEN * TIMES]


@pytest.mark.parametrize("name", FORGETTABLE)
def test_unknown_never_flips_a_verdict_to_allow(engine: Engine, free: list[tuple[Request, str]], name: str) -> None:
    """Every attribute of the vocabulary in turn becomes unknown."""
    for request, before in free:
        less = forgetting(request, [name])
        after = column(engine, less).ruling(less.faces).verdict
        SEEN["forgotten"] += 1
        SEEN["forgotten, now stricter"] += after != before
        assert severity(after) >= severity(before), f"{name}: {before} -> {after}\n{less}"


def test_an_unknown_time_never_mends_what_is_a_fault_at_a_known_one(engine: Engine) -> None:
    """A record that contradicts the clock stays a refusal where the clock is not believed."""
    rng = random.Random(0 if TIMES == 1 else None)
    faults = 0
    while faults < 20 * TIMES:
        for request in requests(rng):
            if column(engine, request).ruling(request.faces).fault is not None:
                faults += 1
                ruling = column(engine, forgetting(request, ["use.at"])).ruling(None)
                assert ruling.verdict == "deny", request
                assert ruling.fault is not None, request


def told_apart(engine: Engine, number: int) -> list[str]:
    """Everything that the engine says to a fixed list of requests."""
    found = []
    for seed in range(number):
        for request in requests(random.Random(seed)):
            held = column(engine, request)
            ruling = held.ruling(request.faces)
            found.append(f"{ruling.verdict} {[r.rule for r in ruling.reasons]} {ruling.fault} {held.valid_until}")
    return found


def test_answers_depend_on_the_question_alone(engine: Engine) -> None:
    """Not on what was asked before, nor on who asks at the same time."""
    asked = [request for seed in range(25) for request in requests(random.Random(seed))]

    def answer(judge: Engine, request: Request) -> tuple[Any, ...]:
        held = column(judge, request)
        ruling = held.ruling(request.faces)
        return ruling.verdict, ruling.reasons, ruling.fault, held.valid_from, held.valid_until

    first = [answer(engine, request) for request in asked]
    backwards = Engine.load(("all",))
    assert [answer(backwards, request) for request in reversed(asked)][::-1] == first
    shared = Engine.load(("all",))
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda request: answer(shared, request), asked)) == first


def test_answers_do_not_depend_on_the_order_of_hashes(engine: Engine) -> None:
    script = (
        "import hashlib\nfrom guard.policy import Engine\nfrom tests.policy.test_second_opinion import told_apart\n"
        "print(hashlib.sha256('\\n'.join(told_apart(Engine.load(('all',)), 10)).encode()).hexdigest())"
    )
    here = hashlib.sha256("\n".join(told_apart(engine, 10)).encode()).hexdigest()
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == here


def test_the_second_opinion_tells_verdicts_apart() -> None:
    """It is no echo: the same request falls differently with the facts that the rules ask for."""
    at = datetime(2026, 6, 1, tzinfo=UTC)
    facts = {**BASE, "place.country": "SG", "operator.type": "us_police"}
    denied = REFERENCE.judge(Request(facts, (), "identify", "azure_face", at, 1))
    assert denied.verdict == "deny"
    assert "MS-FACE.us-police" in denied.rules
    paper = ({"type": "limited_access_approval", "issued": at - DAY, "expires": at + DAY},)
    private = {**facts, "operator.type": "private"}
    assert REFERENCE.judge(Request(private, (), "verify", "azure_face", at, 1)).rules == {"MS-FACE.limited"}
    assert REFERENCE.judge(Request(private, paper, "verify", "azure_face", at, 1)).verdict == "allow"
    assert several({"any_of": [1, 2]}) == [1, 2]
