"""A rule in plain words: who, what, where, when, unless, read from the Cedar policy itself.

Nothing here is written by hand per rule: the words follow the policy's own JSON form (Cedar's "EST"), so that
what a compliance officer reads is what the engine evaluates. What has no words of its own is printed as it
stands, never left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from guard.facts import format_instant
from guard.policy.tree import conjuncts, dates, literals, path

__all__ = ["Phrases", "phrases", "words_of"]

_WORDS: Final[Mapping[str, str]] = {
    "us_police": "US state or local police",
    "us_federal_le": "US federal law enforcement",
    "nonus_police": "police outside the US",
    "public_nonle": "public bodies other than police",
    "intl_org": "international organisations",
    "private": "private companies",
    "individual": "individuals",
    "azure_openai": "Azure OpenAI",
    "microsoft_ai": "other Microsoft AI services",
    "azure_face": "Azure Face",
    "rekognition_compare": "Rekognition face comparison",
    "rekognition_other": "other Rekognition features",
    "openai": "OpenAI",
    "axon_body": "Axon body cameras",
    "ibm": "IBM",
    "google": "Google",
    "anthropic": "Anthropic",
    "vlm_identify": "ask a model who it is",
    "vlm_describe": "describe",
    "body_worn": "body-worn camera",
    "vehicle": "vehicle camera",
    "handheld": "handheld camera",
    "drone": "drone camera",
    "fixed": "fixed camera",
    "file": "upload of unknown camera",
    "wild": "uncontrolled",
    "accommodation": "place of public accommodation",
    "dmv_mugshot": "driver licences or mugshots",
    "near_real_time": "near real time",
    "real_time": "real time",
    "post_event": "after the event",
}
_EVERY_ACTION: Final = "every action"
_NEUTRAL: Final = {
    "operator.type": ("who", "run by {}"),
    "operator.by_or_for": ("who", "by or for {}"),
    "operator.acts_for": ("who", "on behalf of {}"),
    "operator.within": ("who", "operators from {}"),
    "service": ("what", "on {}"),
    "traits": ("what", "traits: {}"),
    "gallery.kind": ("what", "gallery: {}"),
    "gallery.provenance": ("what", "gallery is {}"),
    "searched_by": ("what", "searched by {}"),
    "output": ("what", "match used as {}"),
    "place.within": ("where", "{}"),
    "place.control": ("where", "{} place"),
    "place.access": ("where", "access: {}"),
    "mount": ("where", "{}"),
    "timing": ("when", "{}"),
    "purpose": ("when", "purpose: {}"),
    "subject.consent": ("unless", "consent"),
}
_COLUMNS: Final = ("who", "what", "where", "when", "unless")
_CONSENT: Final = ("none", "informed", "explicit", "written_release")
_YES_NO: Final[Mapping[str, tuple[str, str, str]]] = {
    "subject.minor": ("who", "minors", "adults"),
    "subject.targeted": ("what", "one specific person is sought", "anyone who passes is searched"),
    "subject.cooperates": ("what", "the person takes an active part", "the person takes no active part"),
    "subject.apprehended": ("what", "the person is under arrest", "the person is not under arrest"),
    "unsolicited": ("what", "the result was not asked for", "the result was asked for"),
    "initial_identification": ("what", "first identification of a suspect", "not a first identification of a suspect"),
    "names_stripped": ("what", "names are removed from the answer", "names are left in the answer"),
    "offence.annex_ii": ("when", "offence of Annex II", "offence not of Annex II"),
    "offence.listed": ("when", "offence on the law's list", "offence not on the law's list"),
    "offence.serious": ("when", "serious offence", "offence not serious"),
}


@dataclass(frozen=True)
class Phrases:
    """One policy in words. Every column is a tuple of phrases that hold together; `unless` lifts, each on its
    own."""

    who: tuple[str, ...]
    what: tuple[str, ...]
    where: tuple[str, ...]
    when: tuple[str, ...]
    unless: tuple[str, ...]


def words_of(value: str) -> str:
    """The everyday words for a value of the vocabulary: ``us_police`` is ``US state or local police``."""
    return _WORDS.get(value, value.replace("_", " "))


def phrases(policy: Mapping[str, Any]) -> Phrases:
    """Puts one policy (its JSON form, as `cedarpy.policies_to_json_str` gives it) into words. A permit says so."""
    permits = policy["effect"] == "permit"
    found: dict[str, list[str]] = {column: [] for column in _COLUMNS}
    found["what"].append(f"{'PERMITS ' if permits else ''}{_actions(policy['action'])}")
    for condition in policy["conditions"]:
        if condition["kind"] == "unless":
            found["unless"].append(_exception(condition["body"]))
            continue
        for atom in conjuncts(condition["body"]):
            column, text = _demand(atom)
            found[column].append(text)
    found["who"] = found["who"] or ["anybody"]
    found["where"] = found["where"] or ["anywhere"]
    found["when"] = found["when"] or ["at any time"]
    if permits:
        found["unless"] = found["unless"] or ["nothing stands against it but a rule that forbids"]
    return Phrases(**{column: tuple(found[column]) for column in _COLUMNS})


def _actions(scope: Mapping[str, Any]) -> str:
    if scope["op"] == "All":
        return _EVERY_ACTION
    named = scope.get("entities") or [scope["entity"]]
    return _listed([words_of(action["id"]) for action in named])


def _demand(atom: Mapping[str, Any]) -> tuple[str, str]:
    """The column and the words of a condition that must hold for the rule to speak."""
    operator, operands = next(iter(atom.items()))
    if operator == "!":
        return "unless", _exception(operands["arg"])
    if operator == "||":
        sides = [_demand(side) for side in (operands["left"], operands["right"])]
        column = sides[0][0] if sides[0][0] == sides[1][0] else "when"
        return column, f"{sides[0][1]}, or {sides[1][1]}"
    if operator in ("contains", "containsAny"):
        name = path(operands["left"])
        if name is not None:
            return _membership(name, literals(operands["right"]))
    if operator == "containsAll" and (name := path(operands["right"])) is not None:
        return _certain(name, literals(operands["left"]))
    if operator in (">=", ">", "<", "<=", "=="):
        return _comparison(operator, operands)
    return "when", _as_it_stands(atom)


def _membership(name: str, values: Sequence[Any]) -> tuple[str, str]:
    if name in _YES_NO and len(values) == 1:
        column, yes, no = _YES_NO[name]
        return column, yes if values[0] is True else no
    if name == "held":
        return "when", f"while this is on file: {_listed([_record(value) for value in values])}"
    if name == "spent":
        return "when", f"{_listed([_record(value) for value in values])} refused or too late"
    if name == "subject.consent":
        enough = next((level for level in _CONSENT if level not in values), None)
        if enough is None:
            return "when", "whatever the consent"
        return "unless", f"consent ({words_of(enough)}{'' if enough == _CONSENT[-1] else ' or better'})"
    column, pattern = _NEUTRAL.get(name, ("when", name + ": {}"))
    return column, pattern.format(_listed([words_of(str(value)) for value in values]))


def _certain(name: str, values: Sequence[Any]) -> tuple[str, str]:
    """What a permit demands of a fact: it is one of these for certain."""
    if name == "subject.consent":
        return "when", f"consent: {_listed([words_of(value) for value in values])}"
    column, text = _membership(name, values)
    return column, f"certainly {text}"


def _possible(name: str, values: Sequence[Any]) -> str:
    """What stands against a permit: the fact could be one of these."""
    if name == "subject.consent":
        return f"the consent could be {_listed([words_of(value) for value in values])}"
    return f"it could be: {_membership(name, values)[1]}"


def _comparison(operator: str, operands: Mapping[str, Any]) -> tuple[str, str]:
    name = path(operands["left"])
    instants, numbers = dates(operands["right"]), literals(operands["right"])
    if name in ("at.to", "at.from") and instants:
        day = format_instant(instants[0]).removesuffix("T00:00:00Z")
        return "when", f"from {day} on" if operator in (">=", ">") else f"before {day}"
    than = "below" if operator == "<" else operator
    if name is not None and name.startswith("threshold_ppm") and numbers:
        return "what", f"match threshold {than} {float(numbers[0]) / 1e6:.0%}"
    if name is not None and name.startswith("offence.max_years") and numbers:
        return "when", f"offence with a maximum {than} {numbers[0]} years"
    return "when", _as_it_stands({operator: operands})


def _exception(body: Mapping[str, Any]) -> str:
    """The words of what silences the rule."""
    operator, operands = next(iter(body.items()))
    if operator in ("&&", "||"):
        joined = " and " if operator == "&&" else " or "
        return joined.join(_exception(side) for side in (operands["left"], operands["right"]))
    if operator in ("contains", "containsAny") and path(operands["left"]) in ("held", "spent"):
        return _listed([_record(value) for value in literals(operands["right"])])
    if operator in ("contains", "containsAny") and (name := path(operands["left"])) is not None:
        return _possible(name, literals(operands["right"]))
    if operator == "containsAll":
        name = path(operands["right"])
        if name == "subject.consent":
            return f"consent: {_listed([words_of(value) for value in literals(operands['left'])])}"
        if name is not None:
            return _membership(name, literals(operands["left"]))[1].removeprefix("purpose: ")
    return _as_it_stands(body)


def _record(token: str) -> str:
    kind, _, narrowed = token.partition(":")
    return words_of(kind) + (f" ({words_of(narrowed)})" if narrowed else "")


def _listed(items: Sequence[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} or {items[-1]}"


def _as_it_stands(node: Mapping[str, Any]) -> str:
    return " ".join(str(dict(node)).split())
