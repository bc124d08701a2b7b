"""What a pack must not say, checked without running it.

The validator rejects misspelt attributes, actions and values. It does not see what `check` finds: duplicate
ids, a `permit`, a form of expression that the engine does not read, a rule that ignorance could silence, one
that can never match, and places that are nowhere. `LINTS` lists the checks; each takes a pack and yields
findings.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cedarpy

from guard.errors import PolicyError
from guard.facts import ACTIONS, EVIDENCE_TOKENS, VOCABULARY
from guard.facts.places import COUNTRIES, is_token
from guard.policy.monotone import complaints
from guard.policy.packs import BASE, SHELF, Pack, Policy, parse
from guard.policy.schema import enums, schema
from guard.policy.tree import FACTS_OF, OUTSIDE, conjuncts, literals, path, walk

__all__ = ["LINTS", "Finding", "check", "findings"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One complaint. An ``error`` keeps the pack from being loaded; a ``warning`` does not."""

    file: str
    rule: str
    what: str
    mend: str
    level: str = "error"

    def __str__(self) -> str:
        return f"{self.file}: {f'{self.rule}: ' if self.rule else ''}{self.what}; {self.mend}"


def check(paths: Iterable[Path | str], *, permits: bool = False) -> list[Finding]:
    """Every finding in these files, what does not parse or validate included, in the order of the files.

    `permits`: they are for a deployment whose base is its own, so packs off the shelf may permit.
    """
    found: list[Finding] = []
    packs: list[Pack] = []
    for file in map(Path, paths):
        try:
            pack = parse(file)
        except PolicyError as error:
            found.append(Finding(error.where or str(file), "", error.what, error.mend or ""))
            continue
        packs.append(pack)
        found += findings(pack, permits=permits)
    return found + list(_duplicates(packs))


def findings(pack: Pack, *, permits: bool = False) -> list[Finding]:
    """Every finding in one pack; see `check`."""
    result = cedarpy.validate_policies(pack.text, schema())
    order = [policy.id for policy in pack.policies]
    found = [
        Finding(
            pack.path.name,
            _named(error.policy_id, order),
            _what(error.error, error.policy_id),
            _mend(error.error),
        )
        for error in result.errors
    ]
    if not result.validation_passed and not found:
        found.append(Finding(pack.path.name, "", "the pack does not validate", "see the schema"))
    for lint in LINTS:
        found += lint(pack)
    if not permits or pack.path.resolve().is_relative_to(SHELF.resolve()):
        found += _permits(pack)
    return found


def _what(error: str, policy_id: str) -> str:
    """The validator's own words, without the number that it gave the policy: the finding names the rule."""
    text = " ".join(error.split())
    for lead in (f"for policy `{policy_id}`: ", f"for policy `{policy_id}`, "):
        text = text.removeprefix(lead)
    return text


def _mend(error: str) -> str:
    """The nearest word of the vocabulary to the one that the validator does not know."""
    value = re.search(r"`(?P<kind>\w+)::\"(?P<word>[^\"]*)\"`", error)
    if value is not None:
        known = enums().get(value["kind"], ACTIONS if value["kind"] == "Action" else ())
        near = difflib.get_close_matches(value["word"], known, n=1)
        return f'did you mean {value["kind"]}::"{near[0]}"?' if near else f"known are {', '.join(known) or 'none'}"
    attribute = re.search(r"attribute `(?P<word>[\w.]+)`", error)
    if attribute is not None:
        near = difflib.get_close_matches(attribute["word"].rpartition(".")[2], _ATTRIBUTES, n=1)
        return f"did you mean {near[0]}?" if near else f"the facts are {', '.join(sorted(FACTS_OF))}"
    return "see guard/policy/guard.cedarschema"


_ATTRIBUTES: Final = sorted({part for name in FACTS_OF for part in name.split(".")})


def _named(policy_id: str, order: list[str]) -> str:
    """``policy3`` -> the id of the fourth policy in the file."""
    number = policy_id.removeprefix("policy")
    return order[int(number)] if number.isdigit() and int(number) < len(order) else policy_id


def _duplicates(packs: list[Pack]) -> Iterator[Finding]:
    seen: dict[str, Pack] = {}
    for pack in packs:
        for policy in pack.policies:
            first = seen.setdefault(policy.id, pack)
            if first is not pack:
                yield _finding(pack, policy, f"{first.name} holds a rule of this id", "give it another id")


def _permits(pack: Pack) -> Iterator[Finding]:
    for policy in pack.policies:
        if policy.effect != "forbid":
            yield _finding(
                pack,
                policy,
                "a pack may not permit",
                'write what is forbidden, or set [policy] base = "own" and mean it',
            )


def _twins(pack: Pack) -> Iterator[Finding]:
    seen: set[str] = set()
    for policy in pack.policies:
        if policy.id in seen:
            yield _finding(pack, policy, "the pack holds this id twice", "give it another id")
        seen.add(policy.id)


def _reserved(pack: Pack) -> Iterator[Finding]:
    for policy in pack.policies:
        if policy.rule.startswith("GUARD.") and pack.path != BASE:
            yield _finding(pack, policy, "ids that begin with GUARD are the base's", "give it another id")


def _scope(pack: Pack) -> Iterator[Finding]:
    for policy in pack.policies:
        if policy.source["principal"]["op"] != "All" and policy.effect == "forbid":
            yield _finding(pack, policy, "the scope names a principal", "write `principal` alone")
        if policy.source["resource"]["op"] not in ("All", "is"):
            yield _finding(pack, policy, "the scope names a resource", "write `resource` alone")
        if not policy.actions:
            yield _finding(pack, policy, "the scope lists no action, so it never matches", "name the actions")


def _forms(pack: Pack) -> Iterator[Finding]:
    for policy in pack.policies:
        for what, mend in complaints(policy.source["conditions"], policy.effect):
            yield _finding(pack, policy, what, mend)


def _places(pack: Pack) -> Iterator[Finding]:
    for policy in pack.policies:
        for token in sorted(policy.asked.places):
            if not is_token(str(token)):
                yield _finding(
                    pack, policy, f"{token!r} is no place of the gazetteer", "write US, EU, US-OR or US-OR/Portland"
                )
        for token in sorted(_countries(policy) - COUNTRIES - {"EU"}):
            yield _finding(pack, policy, f"an operator has a country only, not {token!r}", "name the country")


def _tokens(pack: Pack) -> Iterator[Finding]:
    for policy in pack.policies:
        for token in sorted((policy.asked.held | policy.asked.spent) - EVIDENCE_TOKENS):
            yield _finding(pack, policy, f"{token!r} is no evidence", "see the schema")


def _never(pack: Pack) -> Iterator[Finding]:
    """Rules that match nothing: an interval that ends before it starts, or a fact that would need two
    values."""
    for policy in pack.policies:
        start, end = policy.asked.effective
        if start is not None and end is not None and end <= start:
            yield _finding(pack, policy, "it ends before it starts, so it never matches", "check the dates")
        for name in policy.asked.paths & _SINGLE:
            needed = [s for s in _asked_of(policy, name) if s is not None]
            if needed and not frozenset.intersection(*needed):
                yield _finding(pack, policy, f"no value of {name} meets all it asks, so it never matches", "split it")
            elif len(needed) > 1 and policy.effect == "forbid":
                yield _finding(
                    pack,
                    policy,
                    f"it asks of {name} twice; a fact that could be several things would meet both by different ones",
                    "ask once, or split the rule",
                    "warning",
                )
        if any(part == {"Value": False} for part in _parts(policy)):
            yield _finding(pack, policy, "its condition is false, so it never matches", "mend or remove it")


_SINGLE: Final = frozenset(
    name for name, facts in FACTS_OF.items() if len(facts) == 1 and facts[0] in VOCABULARY and name != "traits"
)
"""Attributes of which a known request has exactly one value."""


def _parts(policy: Policy) -> list[Any]:
    return [part for c in policy.source["conditions"] if c["kind"] == "when" for part in conjuncts(c["body"])]


def _asked_of(policy: Policy, name: str) -> Iterator[frozenset[Any] | None]:
    """For every part of the condition that asks of `name`: the values with which it could hold."""
    for part in _parts(policy):
        yield _values(part, name, positive=True)
    for condition in policy.source["conditions"]:
        if condition["kind"] == "unless":
            yield _values(condition["body"], name, positive=False)


def _values(node: Any, name: str, positive: bool) -> frozenset[Any] | None:
    while "!" in node:
        node, positive = node["!"]["arg"], not positive
    everything = frozenset(VOCABULARY[FACTS_OF[name][0]])
    for operator in ("contains", "containsAny"):
        if positive and operator in node and path(node[operator]["left"]) == name:
            return frozenset(literals(node[operator]["right"]))
    if not positive and "containsAll" in node and path(node["containsAll"]["right"]) == name:
        return everything - frozenset(literals(node["containsAll"]["left"]))
    return None


def _countries(policy: Policy) -> frozenset[str]:
    """The tokens that the policy asks of the operator's country."""
    nodes = [node for condition in policy.source["conditions"] for node in walk(condition["body"])]
    return frozenset(
        str(token).removeprefix(OUTSIDE)
        for node in nodes
        for operator in ("contains", "containsAny")
        if operator in node and path(node[operator]["left"]) == "operator.within"
        for token in literals(node[operator]["right"])
    )


def _finding(pack: Pack, policy: Policy, what: str, mend: str, level: str = "error") -> Finding:
    return Finding(pack.path.name, policy.id, what, mend, level)


LINTS: Final[tuple[Callable[[Pack], Iterable[Finding]], ...]] = (
    _twins,
    _reserved,
    _scope,
    _forms,
    _places,
    _tokens,
    _never,
)
"""The checks of a single pack. Another one is another function in this list."""
