"""A second opinion: the rules judged once more, slowly and plainly.

It shares nothing with the engine but the rule files and the vocabulary. It reads the rules' parsed form, judges them on
one completely known world by ordinary two-valued logic, and takes a request with unknown facts for what it is: the set
of its completions. The request is denied if one of its completions is.

A request is plain data: facts by dotted name as a file would state them (a value, ``{"any_of": [...]}``, or absent for
unknown), records of evidence as mappings with aware datetimes, and the call. A rule reads only some facts, so the
completions are made rule by rule, over the facts that the rule reads; two values that stand in the same places of the
rule are told apart by nothing in it, so one of them is tried.

Readings that the vocabulary leaves to the reader, and how they are read here:

- A record without an end is not known to be in date, so it does not count; a request or an undertaking, which are
  judged by their delay, need none.
- A record that has ended is neither held nor spent.
- `issued` that follows from `delay_hours` and the time of use is known.
- A record that covers an unknown fact does not count in any completion, since the vocabulary says so (a country that is
  not stated is unknown to it, whatever the subdivision says); a refused one is spent in the completions that it covers.
- A time of use that contradicts a record is a fault, and a fault denies. At nearly every time a record that states both
  `issued` and `delay_hours` is contradicted, so where the time is unknown such a record is a fault.
- An offence that is absent is none where the purpose is known not to be a criminal investigation.
- A Member State counts as ``EU-Y`` too, a territory as the whole that it is part of.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import chain, combinations, product
from pathlib import Path
from typing import Any

import cedarpy

from guard.facts.vocabulary import ACTIONS, SERVICES, VOCABULARY

POLICY = Path(__file__).parents[2] / "guard" / "policy"
HOUR = timedelta(hours=1)
MILLISECOND = timedelta(milliseconds=1)
HAND_WRITTEN = timedelta(hours=0.01)
FIRST, LAST = datetime(1000, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)
SEVERITY = ("allow", "redact", "deny")
# fmt: off
MEMBERS = {
    "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU",
    "IE", "IT", "LT", "LU", "LV", "MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK",
}
# fmt: on
PARTS = {
    **dict.fromkeys(("GF", "GP", "MF", "MQ", "RE", "YT"), ("FR", "EU", "EU-Y")),
    "AX": ("FI", "EU", "EU-Y"),
    **{code: ("US", f"US-{code}") for code in ("AS", "GU", "MP", "PR", "UM", "VI")},
}
PLACE = ("place.country", "place.subdivision", "place.locality")
OUTSIDE = "outside "
OFFENCE = {"max_years": 0, "annex_ii": False, "listed": False, "serious": False}

Facts = Mapping[str, Any]
Covers = dict[str, set[Any]]
Record = Mapping[str, Any]
World = dict[str, Any]


@dataclass(frozen=True)
class Request:
    """`service`, `at`, `faces` None = unknown. `action` None = a call that does not say what it does."""

    facts: Facts
    records: tuple[Record, ...]
    action: str | None
    service: str | None
    at: datetime | None
    faces: int | None


@dataclass(frozen=True)
class Opinion:
    """`rules` are those that forbid in some completion; for ``redact``, those that would forbid naming people."""

    verdict: str
    rules: frozenset[str]
    fault: bool = False


# The rules ------------------------------------------------------------------------------------------------------------


@dataclass
class Rule:
    """One policy. `reads` are the paths that it reads; `literals` are, for every path, the sets of literals compared
    with it; `beyond` are the places outside of which it asks for."""

    id: str
    actions: frozenset[str]
    conditions: list[tuple[bool, Callable[[World], Any]]]
    reads: set[str] = field(default_factory=set)
    literals: dict[str, list[frozenset[Any]]] = field(default_factory=dict)
    beyond: dict[str, set[str]] = field(default_factory=dict)

    def forbids(self, world: World) -> bool:
        return all(holds(world) is wanted for wanted, holds in self.conditions)


def shipped() -> list[Rule]:
    """Every rule of the base and of the packs on the shelf."""
    return [rule for path in (POLICY / "base.cedar", *sorted((POLICY / "packs").rglob("*.cedar"))) for rule in of(path)]


def of(path: Path) -> list[Rule]:
    """The forbidding rules of one file. Only the base may permit, and it permits everything."""
    tree = json.loads(cedarpy.policies_to_json_str(path.read_text(encoding="utf-8")))
    rules = []
    for policy in tree["staticPolicies"].values():
        if policy["effect"] == "permit":
            assert path.name == "base.cedar"
            assert not policy["conditions"]
            continue
        scope = policy["action"]
        named = scope.get("entities") or [scope[key] for key in ("entity",) if key in scope]
        assert (scope["op"] == "All") is (not named)
        annotations = policy["annotations"]
        rule = Rule(
            annotations.get("rule", annotations["id"].partition("/")[0]),
            frozenset(action["id"] for action in named) or frozenset(ACTIONS),
            [],
        )
        rule.conditions = [(c["kind"] == "when", meaning(c["body"], rule)) for c in policy["conditions"]]
        rules.append(rule)
    return rules


def meaning(node: dict[str, Any], rule: Rule) -> Callable[[World], Any]:
    """The expression as a function of a world. Notes on the way what the rule reads."""
    ((operator, operand),) = node.items()
    if operator == "Value":
        value = literal(node)
        return lambda world: value
    if operator == "Set":
        values = frozenset(literal(item) for item in operand)
        return lambda world: values
    if operator == "datetime":
        moment = datetime.fromisoformat(literal(operand[0]).replace("Z", "+00:00"))
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return lambda world: moment
    if operator == ".":
        path = dotted(node)
        rule.reads.add(path)
        read = ATTRIBUTES[path]
        if path not in ("place.within", "operator.within"):
            return read
        beyond = rule.beyond.setdefault(path, set())
        return lambda world: read(world) | {OUTSIDE + token for token in beyond - read(world)}
    if operator == "!":
        inner = meaning(operand["arg"], rule)
        return lambda world: not inner(world)
    if operator == "isEmpty":
        inner = meaning(operand["arg"], rule)
        return lambda world: len(inner(world)) == 0
    left, right = meaning(operand["left"], rule), meaning(operand["right"], rule)
    note(rule, operator, operand["left"], right)
    note(rule, operator, operand["right"], left)
    if operator == "&&":
        return lambda world: left(world) and right(world)
    if operator == "||":
        return lambda world: left(world) or right(world)
    if operator == "contains":
        return lambda world: right(world) in left(world)
    if operator == "containsAny":
        return lambda world: not left(world).isdisjoint(right(world))
    if operator == "containsAll":
        return lambda world: left(world) >= right(world)
    if operator == "<":
        return lambda world: left(world) < right(world)
    if operator == "<=":
        return lambda world: left(world) <= right(world)
    if operator == ">":
        return lambda world: left(world) > right(world)
    if operator == ">=":
        return lambda world: left(world) >= right(world)
    raise ValueError(f"the second opinion knows no operator {operator!r}")


def literal(node: dict[str, Any]) -> Any:
    value: Any = node["Value"]
    value = value["__entity"]["id"] if isinstance(value, dict) else value
    return spelt_token(value) if isinstance(value, str) else value


def dotted(node: dict[str, Any]) -> str:
    inner = node["."]["left"]
    return node["."]["attr"] if inner == {"Var": "resource"} else f"{dotted(inner)}.{node['.']['attr']}"


def note(rule: Rule, operator: str, side: dict[str, Any], other: Callable[[World], Any]) -> None:
    """`side` is compared with what is in the rule itself: remember with what, so that both answers can be tried."""
    if "." not in side or operator in ("&&", "||"):
        return
    against = other({})  # a literal needs no world
    against = against if isinstance(against, frozenset) else frozenset({against})
    path = dotted(side).removesuffix(".min").removesuffix(".max")
    if path in rule.beyond:
        rule.beyond[path] |= {token.removeprefix(OUTSIDE) for token in against if token.startswith(OUTSIDE)}
        against = frozenset(token.removeprefix(OUTSIDE) for token in against)
    known = rule.literals.setdefault(path, [])
    if operator == "containsAll":
        known += [frozenset({value}) for value in against]
    known.append(against)


# What a rule sees of a known world ------------------------------------------------------------------------------------


def single(name: str) -> Callable[[World], frozenset[Any]]:
    return lambda world: frozenset({world[name]})


def number(name: str, unit: int) -> Callable[[World], Fraction]:
    return lambda world: Fraction(str(world[name])) * unit


def whom(world: World) -> str:
    return str(world["operator.type" if world["operator.acts_for"] == "self" else "operator.acts_for"])


ATTRIBUTES: dict[str, Callable[[World], Any]] = {
    "operator.type": single("operator.type"),
    "operator.acts_for": lambda world: frozenset({whom(world)}),
    "operator.by_or_for": lambda world: frozenset({world["operator.type"], whom(world)}),
    "operator.within": lambda world: countries(world["operator.country"]),
    "place.within": lambda world: tokens(*world["place"]),
    "place.control": single("place.control"),
    "place.access": single("place.access"),
    "mount": single("capture.mount"),
    "at.from": lambda world: world["use.at"],
    "at.to": lambda world: world["use.at"],
    **{name: single(f"use.{name}") for name in ("timing", "purpose", "output", "searched_by", "unsolicited")},
    **{name: single(f"use.{name}") for name in ("initial_identification", "names_stripped")},
    "traits": lambda world: world["use.traits"],
    **{f"offence.{name}": single(f"use.offence.{name}") for name in ("annex_ii", "listed", "serious")},
    **{f"offence.max_years.{end}": number("use.offence.max_years", 1) for end in ("min", "max")},
    **{f"threshold_ppm.{end}": number("use.threshold", 1_000_000) for end in ("min", "max")},
    **{name: single(name) for name in ("gallery.kind", "gallery.provenance")},
    **{f"subject.{n}": single(f"subject.{n}") for n in ("consent", "minor", "targeted", "cooperates", "apprehended")},
    "service": single("service"),
    "held": lambda world: world["held"],
    "spent": lambda world: world["spent"],
}

FACTS: dict[str, tuple[str, ...]] = {
    "operator.acts_for": ("operator.type", "operator.acts_for"),
    "operator.by_or_for": ("operator.type", "operator.acts_for"),
    "operator.within": ("operator.country",),
    "place.within": ("place",),
    "mount": ("capture.mount",),
    **dict.fromkeys(("at.from", "at.to", "held", "spent"), ("use.at",)),
    **{f"offence.max_years.{end}": ("use.offence.max_years",) for end in ("min", "max")},
    **{f"threshold_ppm.{end}": ("use.threshold",) for end in ("min", "max")},
    **{name: (f"use.{name}",) for name in ("timing", "purpose", "output", "searched_by", "unsolicited", "traits")},
    **{name: (f"use.{name}",) for name in ("initial_identification", "names_stripped")},
    **{f"offence.{name}": (f"use.offence.{name}",) for name in ("annex_ii", "listed", "serious")},
}
"""The facts behind an attribute, where they are called otherwise."""


def countries(code: str) -> frozenset[str]:
    """The tokens of a country: itself and what it is part of."""
    if code in ("EU-X", "EU-Y"):
        return frozenset({code, "EU"})
    return frozenset({code, *(("EU", "EU-Y") if code in MEMBERS else ()), *PARTS.get(code, ())})


def tokens(country: str, subdivision: str, locality: str) -> frozenset[str]:
    """The tokens of a place; an empty part is one that no rule names. Localities are compared as `spelt`."""
    own = countries(country)
    if not subdivision:
        return own
    return own | {subdivision, f"{subdivision}/{spelt(locality)}"}


def spelt(name: str) -> str:
    """Case, accents, full stops and "City of" make no other place of it."""
    plain = "".join(c for c in unicodedata.normalize("NFD", name) if not unicodedata.combining(c)).lower()
    words = plain.replace(".", " ").split()
    if words[:2] == ["city", "of"]:
        words = words[2:]
    return " ".join("saint" if word == "st" else word for word in words)


def spelt_token(token: str) -> str:
    subdivision, slash, locality = token.partition("/")
    return f"{subdivision}/{spelt(locality)}" if slash else token


# Evidence -------------------------------------------------------------------------------------------------------------


class Contradiction(Exception):
    """A record says of the time of use what is not so."""


def standing(record: Record, at: datetime) -> tuple[set[str], set[str]]:
    """The tokens that a record gives when it is held, and those that are spent, for a use that begins at `at`."""
    kind, issued, expires = record["type"], record.get("issued"), record.get("expires")
    delay = record.get("delay_hours")
    if issued is None and delay is not None:
        issued = at + delay * HOUR
    elif issued is not None and delay is not None and abs((issued - at) - delay * HOUR) > HAND_WRITTEN:
        raise Contradiction
    if expires is not None and at >= expires:
        return set(), set()
    every = {
        "prior_authorisation": {kind, f"{kind}:48h"},
        "urgency_undertaking": {f"{kind}:24h", f"{kind}:48h"},
        "human_review": {f"{kind}:1", f"{kind}:2"},
        "pia": {kind, f"{kind}:reviewed"},
        "notice_posted": {kind, f"{kind}:30d"},
        "exigency_record": {kind, *(f"{kind}:{ground}" for ground in GROUNDS["exigency_record"])},
        "grounds_record": {kind, *(f"{kind}:{ground}" for ground in GROUNDS["grounds_record"])},
    }.get(kind, {kind})
    if record.get("refused"):
        return set(), every
    if issued is None:
        return set(), set()
    late = max(issued - at, (delay or 0) * HOUR)
    if kind == "urgency_request":
        return (every, set()) if late <= 24 * HOUR else (set(), every)
    if kind == "prior_authorisation" and late > 0 * HOUR:
        if late > 48 * HOUR:
            return set(), every
        return (set() if expires is None else {f"{kind}:48h"}), {kind}
    if late > 0 * HOUR:
        return set(), set()
    if kind == "urgency_undertaking":
        return {f"{kind}:{hours}h" for hours in (24, 48) if at - issued < hours * HOUR}, set()
    if expires is None:
        return set(), set()
    if kind == "human_review":
        return {f"{kind}:{people}" for people in (1, 2) if (record.get("count") or 0) >= people}, set()
    held = {kind}
    if kind == "prior_authorisation":
        held = every
    if kind == "pia" and record.get("reviewed"):
        held = every
    if kind == "notice_posted" and at - issued >= timedelta(days=30):
        held = every
    if record.get("ground") is not None:
        held.add(f"{kind}:{record['ground']}")
    return held, set()


GROUNDS = {
    "exigency_record": ("imminent_harm", "escape_or_loss_of_evidence", "terror_risk", "public_safety_threat"),
    "grounds_record": ("reasonable_suspicion", "leads", "probable_cause"),
}


def covered(record: Record) -> Covers:
    limits = record.get("covers", {})
    return {name: set(value) if isinstance(value, list | tuple) else {value} for name, value in limits.items()}


class File:
    """The records of one request. `covers` are the limits of each, `limits` all values that some record is limited
    to."""

    def __init__(self, records: Sequence[Record]) -> None:
        self.records = records
        self.covers = [covered(record) for record in records]
        self.limits = {n: set().union(*(c.get(n, ()) for c in self.covers)) for c in self.covers for n in c}
        self.standing: dict[datetime, list[tuple[set[str], set[str]]]] = {}

    def at(self, moment: datetime) -> list[tuple[set[str], set[str]]]:
        """What each record gives and spends for a use at this time."""
        if moment not in self.standing:
            self.standing[moment] = [standing(record, moment) for record in self.records]
        return self.standing[moment]

    def allows(self, moment: datetime | None) -> bool:
        """Whether no record contradicts this time of use; None = unknown."""
        if moment is None:
            return not any({"issued", "delay_hours"} <= record.keys() for record in self.records)
        try:
            self.at(moment)
        except Contradiction:
            return False
        return True

    def moments(self) -> list[datetime]:
        """Times of use around which some record begins or ceases to count, and which none contradicts."""
        found = {end for record in self.records for end in ends(record)}
        return [moment for moment in found | {end - MILLISECOND for end in found} if self.allows(moment)]


# Requests -------------------------------------------------------------------------------------------------------------


class Reference:
    """The rules, and their opinion of requests. `tried` counts the worlds that were looked at."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.rules = list(rules)
        self.tried = 0

    def dates(self) -> list[datetime]:
        """Every instant at which some rule starts or ends."""
        found = {
            date for rule in self.rules for end in ("at.from", "at.to") for date in chain(*rule.literals.get(end, ()))
        }
        return sorted(found)

    def judge(self, request: Request) -> Opinion:
        """The verdict of the vocabulary: the strictest over all completions of the request."""
        facts = dict(request.facts)
        action = request.action
        if action is None:
            action, facts["use.names_stripped"] = "vlm_describe", False
        file = File(request.records)
        if not file.allows(request.at):
            return Opinion("deny", frozenset(), fault=True)
        denying = self.denying(facts, request, action, file)
        if denying:
            return Opinion("deny", denying)
        names_people = False in possible(facts, "use.names_stripped") and request.faces != 0
        if action == "vlm_describe" and names_people:
            naming = self.denying({**facts, "use.names_stripped": False}, request, "vlm_identify", file)
            if naming:
                return Opinion("redact", naming)
        return Opinion("allow", frozenset())

    def denying(self, facts: Facts, request: Request, action: str, file: File) -> frozenset[str]:
        """The rules that forbid the action in some completion."""
        facts = {**with_offence(facts), "action": action, "service": request.service}
        counting = [all(certain(name, values, facts) for name, values in covers.items()) for covers in file.covers]
        found = set()
        for rule in self.rules:
            if action in rule.actions and rule.id not in found:
                for world in self.completions(rule, facts, request.at, file):
                    self.tried += 1
                    if "held" in rule.reads:
                        gives = zip(file.at(world["use.at"]), counting, strict=True)
                        world["held"] = set().union(*(held for (held, _), counts in gives if counts))
                    if "spent" in rule.reads:
                        sides = zip(file.at(world["use.at"]), file.covers, strict=True)
                        world["spent"] = set().union(*(gone for (_, gone), c in sides if agrees(c, world, facts)))
                    if rule.forbids(world):
                        found.add(rule.id)
                        break
        return frozenset(found)

    def completions(self, rule: Rule, facts: Facts, at: datetime | None, file: File) -> Iterator[World]:
        """The worlds that the request could be, as far as the rule can tell them apart."""
        reads = {name for path in rule.reads for name in FACTS.get(path, (path,))}
        if "spent" in rule.reads:
            reads |= {"place" if name in PLACE else name for name in file.limits} - {"action"}
        choices: dict[str, list[Any]] = {}
        for name in sorted(reads):
            if name == "place":
                choices[name] = list(places(rule, facts, file))
            elif name == "use.at":
                choices[name] = [at] if at is not None else moments(rule, file)
            elif name == "use.traits":
                choices[name] = traits(rule, facts, file)
            elif facts.get(name) is not None:
                choices[name] = several(facts[name])
            elif name in ("use.threshold", "use.offence.max_years"):
                choices[name] = numbers(rule, name)
            elif name == "operator.country":
                named = set(chain(*rule.literals.get("operator.within", ())))
                choices[name] = candidates(named | file.limits.get(name, set()))
            elif name == "use.offence.name":
                choices[name] = ["an offence that nobody names", *file.limits.get(name, ())]
            else:
                choices[name] = values(rule, name, file)
        for chosen in product(*choices.values()):
            yield dict(zip(choices, chosen, strict=True))


def values(rule: Rule, name: str, file: File) -> list[Any]:
    """The values of a closed vocabulary; of what is told apart by nothing, one."""
    sets: list[Iterable[Any]] = [covers[name] for covers in file.covers if name in covers]
    for path, literals in rule.literals.items():
        if name in FACTS.get(path, (path,)):
            sets += literals
    vocabulary = SERVICES if name == "service" else VOCABULARY[name]
    return list({(value == "self", *(value in some for some in sets)): value for value in vocabulary}.values())


def traits(rule: Rule, facts: Facts, file: File) -> list[frozenset[str]]:
    """Sets of traits: every set of those that are told apart."""
    if facts.get("use.traits") is not None:
        return [frozenset(facts["use.traits"])]
    kinds = values(rule, "use.traits", file)
    assert len(kinds) <= 10
    return [frozenset(some) for size in range(len(kinds) + 1) for some in combinations(kinds, size)]


def numbers(rule: Rule, name: str) -> list[Fraction]:
    """The numbers that the rule names, their neighbours, and the ends."""
    path, unit, top = ("threshold_ppm", 1_000_000, 1) if name == "use.threshold" else ("offence.max_years", 1, 1000)
    limits = [Fraction(limit, unit) for limit in chain(*rule.literals.get(path, ()))]
    near = {limit + step for limit in limits for step in (-Fraction(1, unit), 0, Fraction(1, unit))}
    return sorted(value for value in near | {Fraction(0), Fraction(top)} if 0 <= value <= top)


def moments(rule: Rule, file: File) -> list[datetime]:
    """Times of use that the rule or a record tells apart."""
    named = {date for end in ("at.from", "at.to") for date in chain(*rule.literals.get(end, ()))}
    found = {FIRST, LAST} | named | {date - MILLISECOND for date in named}
    return sorted({moment for moment in found if file.allows(moment)}.union(file.moments()))


def places(rule: Rule, facts: Facts, file: File) -> Iterator[tuple[str, str, str]]:
    """Country, subdivision, locality. "" is a part that nothing names."""
    named = set(chain(*rule.literals.get("place.within", ())))
    country, subdivision, locality = (facts.get(name) and several(facts[name]) for name in PLACE)
    nations, codes, towns = (file.limits.get(name, set()) for name in PLACE)
    codes = codes | {token.partition("/")[0] for token in named if "-" in token} - {"EU-X", "EU-Y"}
    if country:
        nations = set(country)
    elif subdivision:
        nations = {code[:2] for code in subdivision}
    else:
        nations = set(candidates({token.partition("/")[0] for token in named} | codes | nations))
    for nation in sorted(nations):
        known = [code for code in subdivision or () if code.startswith(f"{nation}-")]
        for code in known or ["", *sorted(code for code in codes if code.startswith(f"{nation}-"))]:
            here = {token.partition("/")[2] for token in named if code and token.startswith(f"{code}/")}
            for town in locality or ["", *sorted(here | towns)]:
                yield nation, code, town


def candidates(named: set[str]) -> list[str]:
    """The countries that these tokens tell apart: those named, one of each kind that is meant, and one that is not."""
    found = {token[:2] if "-" in token and token[:2] != "EU" else token for token in named} - {"EU"}
    if {"EU", "EU-X", "EU-Y"} & named:
        found |= {"EU-X", "EU-Y", "CY"}
    return ["ZZ", *sorted(found), *(["PR"] if "US" in found else []), *(["RE"] if "FR" in found else [])]


def several(said: Any) -> list[Any]:
    """What a stated fact could be."""
    return list(said["any_of"]) if isinstance(said, Mapping) else [said]


def possible(facts: Facts, name: str) -> list[Any]:
    return list(VOCABULARY[name]) if facts.get(name) is None else several(facts[name])


def with_offence(facts: Facts) -> dict[str, Any]:
    """No offence where none is stated and the purpose is known and is no criminal investigation."""
    found = dict(facts)
    stated = any(found.get(name) is not None for name in found if name.startswith("use.offence."))
    purpose = found.get("use.purpose")
    if purpose is not None and "criminal_investigation" not in several(purpose) and not stated:
        found |= {f"use.offence.{part}": value for part, value in OFFENCE.items()}
    return found


def certain(name: str, allowed: set[Any], facts: Facts) -> bool:
    """Whether a fact that a record covers is known and agrees."""
    said = facts.get(name)
    if name == "use.traits":
        return said is not None and allowed.issuperset(said)
    return said is not None and all(same(name, value, allowed) for value in several(said))


def agrees(covers: Covers, world: World, facts: Facts) -> bool:
    """Whether all facts that a record covers agree with the world."""
    for name, allowed in covers.items():
        if name in PLACE:
            value = world["place"][PLACE.index(name)]
        else:
            value = facts["action"] if name == "action" else world[name]
        if not (allowed.issuperset(value) if name == "use.traits" else same(name, value, allowed)):
            return False
    return True


def same(name: str, value: Any, values: set[Any]) -> bool:
    if name == "place.locality":
        return spelt(value) in {spelt(other) for other in values}
    return value in values


def ends(record: Record) -> Iterator[datetime]:
    """Instants around which a record may begin or cease to count."""
    issued = record.get("issued")
    if issued is not None:
        hours = (0, -24, -48, 24, 48, 30 * 24, -(record.get("delay_hours") or 0))
        yield from (issued + hour * HOUR for hour in hours)
    if record.get("expires") is not None:
        yield record["expires"]
