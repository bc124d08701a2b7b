"""Answers in words, as typed at a prompt or given by a flag, and what becomes of them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from guard.errors import ConfigError
from guard.facts import ATTRIBUTES, VOCABULARY, Facts
from guard.facts.attributes import NUMBERS, Value, check

__all__ = ["FLAGS", "QUESTIONS", "as_groups", "flag_of", "one_of", "read_answer", "read_fact"]

UNKNOWN: Final = "unknown"

FLAGS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "operator.type": "--operator",
        "operator.acts_for": "--acts-for",
        "place.country": "--country",
        "place.subdivision": "--subdivision",
        "place.locality": "--locality",
        "place.control": "--control",
        "place.access": "--access",
        "capture.mount": "--mount",
        "use.timing": "--timing",
        "use.purpose": "--purpose",
    }
)
"""The facts with a flag of their own; the others go by ``--fact NAME=VALUE``."""

QUESTIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "operator.type": "Who runs the pipeline?",
        "operator.acts_for": "For whom? (self: for nobody else)",
        "operator.country": "In which country is the operator at home?",
        "place.country": "In which country is the camera used? (ISO 3166, such as FR)",
        "place.subdivision": "In which state or province? (ISO 3166-2, such as US-CA)",
        "place.locality": "In which city or county?",
        "place.control": "Is the scene controlled, or people in the wild?",
        "place.access": "Who can go there?",
        "capture.mount": "How is the camera mounted?",
        "use.timing": "When are faces compared?",
        "use.purpose": "What for?",
        "use.offence.max_years": "The maximum sentence of the offence, in years?",
        "use.offence.annex_ii": "Is the offence one of Annex II of the AI Act?",
        "use.offence.listed": "Is the offence on the closed list of the law of the place?",
        "use.offence.serious": "Is the offence serious?",
        "use.output": "What is a match used for?",
        "use.threshold": "From which score on, 0 to 1, is it a match?",
        "use.traits": "Which traits does the call infer, or select people by? (none: none at all)",
        "use.searched_by": "Who runs the comparison?",
        "use.unsolicited": "Does the result arrive without being asked for?",
        "use.initial_identification": "Is it the first identification of a possible suspect from verifiable facts?",
        "use.names_stripped": "Are names removed from the model's answer?",
        "gallery.kind": "Whose faces are in the reference database?",
        "gallery.provenance": "Where do these faces come from?",
        "subject.consent": "What has every person enrolled or compared agreed to?",
        "subject.minor": "Could a minor be among them?",
        "subject.targeted": "Is one specific person sought, and not anyone who passes?",
        "subject.cooperates": "Does the person take an active part?",
        "subject.apprehended": "Is the person under arrest?",
    }
)
"""What is asked about each fact on which a rule can hinge."""

_YES_NO: Final = MappingProxyType({"yes": True, "y": True, "true": True, "no": False, "n": False, "false": False})
_NONE: Final = ("none", "[]")


def flag_of(name: str) -> str:
    """How the fact is given on the command line."""
    return FLAGS.get(name, f"--fact {name}=...")


def read_fact(text: str) -> tuple[str, str]:
    """The name and the answer of ``NAME=VALUE``. Raises `ConfigError`."""
    name, equals, value = text.partition("=")
    if not equals or name not in QUESTIONS:
        near = difflib.get_close_matches(name, QUESTIONS, n=1)
        mend = f"did you mean {near[0]}=...?" if near else "write --fact subject.consent=explicit"
        raise ConfigError(f"{text!r} states no fact", where="--fact", mend=mend)
    return name, value


def read_answer(
    name: str, text: str, facts: Facts, *, where: str = "", options: Sequence[Value] = ()
) -> tuple[Value, ...] | None:
    """The values that an answer names, None where it says that they are not known.

    Several values stand between commas; a number counts through `options`, from 1. What one writes about a place is
    held against what `facts` say of it. Raises `ConfigError` that says what was probably meant.
    """
    where = where or name
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts or [part.lower() for part in parts] in ([UNKNOWN], ["?"]):
        return None
    if name == "use.traits" and len(parts) == 1 and parts[0].lower() in _NONE:
        values: tuple[Value, ...] = ()
    else:
        values = tuple(dict.fromkeys(_value(name, part, facts, where, options) for part in parts))
    try:
        Facts.parse(as_groups(facts.replacing({name: frozenset(values)})))
    except ConfigError as error:
        raise ConfigError(error.what, where=where, mend=error.mend) from None
    return values


def one_of(text: str, allowed: Sequence[str], *, where: str) -> list[str]:
    """The words of a list between commas, each one of `allowed` or its number from 1. Raises `ConfigError`."""
    found = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        word = allowed[int(part) - 1] if part.isdecimal() and 0 < int(part) <= len(allowed) else part
        if word not in allowed:
            near = difflib.get_close_matches(part.lower().replace("-", "_").replace(" ", "_"), allowed, n=1)
            mend = f"did you mean {near[0]!r}?" if near else f"one of {', '.join(allowed)}"
            raise ConfigError(f"{part!r} is not known here", where=where, mend=mend)
        found.append(word)
    return list(dict.fromkeys(found))


def as_groups(facts: Facts) -> dict[str, Any]:
    """The nested groups of a source file that say what is known, and nothing of what is not."""
    groups: dict[str, Any] = {}
    for name in ATTRIBUTES:
        found = facts.known(name)
        if found is None or (name in _OF_NO_OFFENCE and facts.has_no_offence):
            continue
        *above, last = name.split(".")
        table = groups
        for key in above:
            table = table.setdefault(key, {})
        values = _in_order(name, found)
        table[last] = values if name == "use.traits" else values[0] if len(values) == 1 else {"any_of": values}
    return groups


_OF_NO_OFFENCE: Final = frozenset(name for name in ATTRIBUTES if name.startswith("use.offence."))


def _in_order(name: str, found: Iterable[Value]) -> list[Value]:
    order = VOCABULARY.get(name)
    return [value for value in order if value in found] if order else sorted(found, key=str)


def _value(name: str, text: str, facts: Facts, where: str, options: Sequence[Value]) -> Value:
    if text.isdecimal() and 0 < int(text) <= len(options):
        return options[int(text) - 1]
    if name in NUMBERS:
        try:
            return check(name, float(text), where)
        except ValueError:
            raise ConfigError(f"{text!r} is no number", where=where, mend="write one, such as 0.99") from None
    if text.lower() in _YES_NO and True in VOCABULARY.get(name, ()):
        return _YES_NO[text.lower()]
    if name in ("place.country", "operator.country", "place.subdivision"):
        text = text.upper()
        countries = facts.known("place.country")
        if name == "place.subdivision" and "-" not in text and countries is not None and len(countries) == 1:
            text = f"{next(iter(countries))}-{text}"
    elif name in VOCABULARY and text.lower().replace("-", "_").replace(" ", "_") in VOCABULARY[name]:
        text = text.lower().replace("-", "_").replace(" ", "_")
    return check(name, text, where)
