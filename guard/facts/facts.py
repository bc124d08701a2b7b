"""The facts of a request: for each, the set of all that it could be.

A known fact is a set of one; an unknown one stands for every value that it could have; a contradicted one is
the union of what was declared and what was seen. Facts are immutable and never hold an empty set, since an
empty set could be nothing and would read as permission.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cached_property
from types import MappingProxyType
from typing import Any, Final, TypeVar

from guard.errors import ConfigError
from guard.facts import places
from guard.facts.attributes import ATTRIBUTES, INSTANTS, NUMBERS, OFFENCE_PARTS, Value, check
from guard.facts.evidence import Evidence
from guard.facts.instants import format_instant
from guard.facts.vocabulary import VOCABULARY

__all__ = ["Facts"]

_OPEN: Final = INSTANTS | NUMBERS | {"place.subdivision", "place.locality", "use.offence.name"}
_NO_OFFENCE: Final[Mapping[str, Value]] = MappingProxyType(
    {
        "use.offence.max_years": 0.0,
        "use.offence.annex_ii": False,
        "use.offence.listed": False,
        "use.offence.serious": False,
    }
)
_OFFENCE: Final = frozenset(f"use.offence.{part}" for part in OFFENCE_PARTS)
_Number = TypeVar("_Number", float, datetime)


class Facts:
    """What is known of a source and its use, `action`, `service` and `faces` left aside.

    Made by `Facts.parse`; with no argument, everything is unknown. Two facts are equal where they say the
    same; `digest` names them without their instants (`capture.at`, `use.at`), which change with every frame.
    """

    __slots__ = ("__dict__", "_known", "evidence")

    evidence: tuple[Evidence, ...]
    _known: Mapping[str, frozenset[Value]]

    def __init__(self, known: Mapping[str, frozenset[Value]] | None = None, evidence: Iterable[Evidence] = ()) -> None:
        """`known` pairs dotted names with the sets of what they could be; a name left out is unknown.

        Raises `ConfigError` for a name that is no fact, a value that it cannot have, and an empty set.
        """
        checked = {name: _checked(name, values) for name, values in (known or {}).items()}
        object.__setattr__(self, "_known", MappingProxyType(checked))
        object.__setattr__(self, "evidence", tuple(evidence))

    @classmethod
    def parse(cls, groups: Mapping[str, Any], *, where: str = "") -> Facts:
        """Read the groups of a source or a case: operator, place, capture, use, gallery, subject, evidence.

        Absent, None and ``"unknown"`` are unknown; ``{"any_of": [...]}`` is several. Raises `ConfigError`
        that names `where` and the key, and suggests what was probably meant.
        """
        from guard.facts.parsing import parse_facts  # the reader knows the records, not the other way round

        return parse_facts(groups, where)

    def known(self, name: str) -> frozenset[Value] | None:
        """What the fact could be as far as it was declared or seen; None = unknown. `KeyError` if it is no
        fact.

        An offence that is absent under a known purpose other than criminal investigation is none, not
        unknown.
        """
        found = self._known.get(name)
        if found is None:
            if name in _NO_OFFENCE and self.has_no_offence:
                return frozenset({_NO_OFFENCE[name]})
            if name not in ATTRIBUTES:
                raise KeyError(name)
        return found

    def could_be(self, name: str) -> frozenset[Value]:
        """Every value that the fact could have: a closed vocabulary, booleans, country codes.

        `ValueError` for an unknown fact whose values cannot be listed (localities, instants, numbers): ask
        `known`.
        """
        found = self.known(name)
        if found is not None:
            return found
        if name in _OPEN:
            raise ValueError(f"the values of {name} cannot be listed")
        if name == "place.country":
            subdivisions = self._known.get("place.subdivision")
            if subdivisions is not None:
                return frozenset(places.country_of(str(code)) for code in subdivisions)
            return places.COUNTRIES
        if name == "operator.country":
            return places.COUNTRIES
        return frozenset(VOCABULARY[name])

    def agrees(self, name: str, allowed: frozenset[Value]) -> bool | None:
        """Whether the fact lies within `allowed`: True or False where that is certain, None where it could be
        either."""
        found = self.known(name)
        if found is None:
            return None
        if name == "place.locality":
            found = frozenset(places.locality_key(str(value)) for value in found)
            allowed = frozenset(places.locality_key(str(value)) for value in allowed)
        if found <= allowed:
            return True
        return None if found & allowed else False

    @cached_property
    def has_no_offence(self) -> bool:
        """Whether an absent offence means none: the purpose is known and is not a criminal investigation."""
        purposes = self._known.get("use.purpose")
        return (
            purposes is not None
            and "criminal_investigation" not in purposes
            and not any(name in self._known for name in _OFFENCE)
        )

    def replacing(self, changes: Mapping[str, Any] | None = None, /, **named: Any) -> Facts:
        """A copy with some facts replaced: a value, a set of several, or None for unknown.

        Dotted names go in the mapping: ``facts.replacing({"use.at": now})``; ``evidence=`` takes records.
        """
        known = dict(self._known)
        evidence = self.evidence
        for name, value in {**(changes or {}), **named}.items():
            if name == "evidence":
                evidence = tuple(value)
            elif value is None:
                _checked(name, None)
                known.pop(name, None)
            else:
                several = isinstance(value, frozenset | set | list | tuple)
                known[name] = _checked(name, value if several else (value,))
        copy = object.__new__(Facts)
        object.__setattr__(copy, "_known", MappingProxyType(known))
        object.__setattr__(copy, "evidence", evidence)
        return copy

    def union(self, name: str, values: Iterable[Value]) -> Facts:
        """A copy in which the fact could also be `values`: what was declared, and what was seen.

        An unknown fact stays unknown, since it could be anything already.
        """
        found = self.known(name)
        return self if found is None else self.replacing({name: found | frozenset(values)})

    def interval(self, name: str, lowest: _Number, highest: _Number) -> tuple[_Number, _Number]:
        """The smallest and the largest value that an instant or a number could have."""
        found: Any = self.known(name)
        return (lowest, highest) if found is None else (min(found), max(found))

    def to_json(self) -> dict[str, Any]:
        """Nested groups as in a source file: a known fact is its value, an unknown one None, several
        ``any_of``."""
        groups: dict[str, Any] = {}
        for name in ATTRIBUTES:
            group, *inner = name.split(".")
            at = groups.setdefault(group, {})
            for step in inner[:-1]:
                at = at.setdefault(step, {})
            at[inner[-1]] = self._json_value(name)
        if all(value is None for value in groups["use"]["offence"].values()):
            groups["use"]["offence"] = None
        groups["evidence"] = [record.to_json() for record in self.evidence]
        return groups

    @cached_property
    def digest(self) -> str:
        """SHA-256 in hex of what is known, instants of capture and use left out."""
        facts = {name: self._json_value(name) for name in self._known if name not in INSTANTS}
        text = json.dumps(
            [facts, [record.to_json() for record in self.evidence]], sort_keys=True, separators=(",", ":")
        )
        return hashlib.sha256(text.encode()).hexdigest()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Facts):
            return NotImplemented
        return dict(self._known) == dict(other._known) and self.evidence == other.evidence

    def __hash__(self) -> int:
        return hash(self.digest)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"facts are immutable: make a copy with replacing({{{name!r}: ...}})")

    def __delattr__(self, name: str) -> None:
        raise AttributeError("facts are immutable")

    def __repr__(self) -> str:
        known = ", ".join(f"{n}={self._json_value(n)!r}" for n in ATTRIBUTES if n in self._known)
        return f"Facts({known}, evidence={len(self.evidence)})"

    def __reduce__(self) -> tuple[Any, ...]:
        return (Facts, (dict(self._known), self.evidence))

    def _json_value(self, name: str) -> Any:
        found = self._known.get(name)
        if found is None:
            return None
        order = VOCABULARY.get(name)
        ordered = [v for v in order if v in found] if order else sorted(found, key=lambda v: (str(type(v)), v))
        plain = [format_instant(value) if isinstance(value, datetime) else value for value in ordered]
        if name == "use.traits":
            return plain
        return plain[0] if len(plain) == 1 else {"any_of": plain}


def _checked(name: str, values: Iterable[Any] | None) -> frozenset[Value]:
    if name not in ATTRIBUTES:
        raise ConfigError(f"{name!r} is no fact", where="facts", mend="see the vocabulary")
    found = frozenset(check(name, value, name) for value in values or ())
    if values is not None and not found and name != "use.traits":
        raise ConfigError("an empty set of possibilities says nothing", where=name, mend="leave it out")
    return found
