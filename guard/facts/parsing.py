"""Reading facts and evidence from the nested groups of a source file or a case.

Every complaint names the file and the key and says how to mend it. What is absent, null or ``"unknown"`` is
unknown; a key that we do not know is an error, since a misspelt fact would otherwise be an unknown one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from guard.errors import ConfigError
from guard.facts import places
from guard.facts.attributes import ATTRIBUTES, Value, check, misspelt_locality, suggestion
from guard.facts.evidence import Evidence
from guard.facts.facts import Facts
from guard.facts.instants import parse_instant
from guard.facts.vocabulary import ACTIONS, EVIDENCE_TYPES, GROUNDS, SERVICES

__all__ = ["parse_evidence", "parse_facts"]

_GROUPS: Final = tuple(dict.fromkeys(name.partition(".")[0] for name in ATTRIBUTES))
_RECORD_KEYS: Final = (
    *("type", "issued", "expires", "covers", "count", "note"),
    *("delay_hours", "refused", "reviewed", "ground"),
)
_UNCOVERABLE: Final = ("use.at", "capture.at")


def parse_facts(groups: Mapping[str, Any], where: str = "") -> Facts:
    """`Facts` from nested groups. Raises `ConfigError`."""
    _only(groups, (*_GROUPS, "evidence"), where)
    known: dict[str, frozenset[Value]] = {}
    for name, (raw, at) in _flatten(groups, where).items():
        values = _values(name, raw, at)
        if values is not None:
            known[name] = values
    _place_agrees(known, where)
    records = groups.get("evidence")
    if records is None or records == "unknown":
        records = []
    if not isinstance(records, list | tuple):
        raise ConfigError("evidence is no list", where=_join(where, "evidence"), mend="write evidence = [...]")
    evidence = [parse_evidence(raw, _join(where, f"evidence[{i}]")) for i, raw in enumerate(records)]
    return Facts(known, evidence)


def parse_evidence(raw: Any, where: str = "evidence") -> Evidence:
    """One record. Raises `ConfigError` for an unknown type, key or value and for an end before the start."""
    if not isinstance(raw, Mapping):
        raise ConfigError(f"{raw!r} is no record", where=where, mend="write { type = ..., issued = ..., ... }")
    _only(raw, _RECORD_KEYS, where)
    said = {key: value for key, value in raw.items() if value is not None and value != "unknown"}
    kind = said.get("type")
    if not isinstance(kind, str) or kind not in EVIDENCE_TYPES:
        mend = suggestion(kind, EVIDENCE_TYPES) or f"one of {', '.join(EVIDENCE_TYPES)}"
        raise ConfigError(f"{kind!r} is no type of evidence", where=_join(where, "type"), mend=mend)
    issued, expires = (
        parse_instant(said[key], where=_join(where, key)) if key in said else None for key in ("issued", "expires")
    )
    if issued is not None and expires is not None and expires <= issued:
        raise ConfigError("the record ends before it begins", where=_join(where, "expires"), mend="check the dates")
    return Evidence(
        type=kind,
        issued=issued,
        expires=expires,
        covers=_covers(said.get("covers", {}), _join(where, "covers")),
        count=_count(said.get("count"), _join(where, "count")),
        note=_note(said.get("note"), _join(where, "note")),
        delay_hours=_hours(said.get("delay_hours"), _join(where, "delay_hours")),
        refused=_flag(said.get("refused"), _join(where, "refused")) is True,
        reviewed=_flag(said.get("reviewed"), _join(where, "reviewed")),
        ground=_ground(kind, said.get("ground"), _join(where, "ground")),
    )


def _flatten(groups: Mapping[str, Any], where: str, names: tuple[str, ...] = ATTRIBUTES) -> dict[str, tuple[Any, str]]:
    """Dotted name -> (raw value, where it stands), for every fact that is mentioned."""
    found: dict[str, tuple[Any, str]] = {}

    def visit(prefix: str, value: Any) -> None:
        at = _join(where, prefix)
        if prefix in names:
            found[prefix] = (value, at)
            return
        if value is None or value == "unknown":
            return
        keys = tuple(dict.fromkeys(n[len(prefix) + 1 :].partition(".")[0] for n in names if n.startswith(prefix + ".")))
        if not isinstance(value, Mapping):
            raise ConfigError(f"{value!r} is no table", where=at, mend=f"its keys are {', '.join(keys)}")
        _only(value, keys, at)
        for key, inner in value.items():
            visit(f"{prefix}.{key}", inner)

    for group in _GROUPS:
        visit(group, groups.get(group))
    return found


def _values(name: str, raw: Any, where: str) -> frozenset[Value] | None:
    if raw is None or raw == "unknown":
        return None
    if isinstance(raw, Mapping):
        _only(raw, ("any_of",), where)
        several = raw.get("any_of")
        if not isinstance(several, list | tuple) or not several:
            raise ConfigError("`any_of` lists no value", where=where, mend='leave it out, or write "unknown"')
        return frozenset(check(name, value, where) for value in several)
    if name == "use.traits":
        if not isinstance(raw, list | tuple):
            raise ConfigError(f"{raw!r} is no list", where=where, mend="write traits = [...]; [] is none")
        return frozenset(check(name, value, where) for value in raw)
    return frozenset({check(name, raw, where)})


def _place_agrees(known: Mapping[str, frozenset[Value]], where: str) -> None:
    """A subdivision lies in its country, and a locality is spelt as the rules spell it."""
    countries, subdivisions = known.get("place.country"), known.get("place.subdivision")
    possible = set(places.GAZETTEER)
    if subdivisions is not None:
        possible &= {str(code) for code in subdivisions}
        for code in subdivisions if countries is not None else ():
            if places.country_of(str(code)) not in countries:  # type: ignore[operator]  # not None, one line up
                raise ConfigError(
                    f"{code} does not lie in {', '.join(map(str, countries or ()))}",
                    where=_join(where, "place.subdivision"),
                    mend="correct the country or the subdivision",
                )
    elif countries is not None:
        possible = {code for code in possible if places.country_of(code) in countries}
    for locality in known.get("place.locality", ()):
        meant = misspelt_locality(str(locality), possible)
        if meant is not None:
            raise ConfigError(
                f"{locality!r} is nearly a place that rules name",
                where=_join(where, "place.locality"),
                mend=f"did you mean {meant!r}?",
            )


def _covers(raw: Any, where: str) -> tuple[tuple[str, frozenset[Value]], ...]:
    """The facts that a record is limited to; dotted names and nested tables both."""
    if not isinstance(raw, Mapping):
        raise ConfigError(f"{raw!r} is no table", where=where, mend='write covers = { "use.purpose" = "..." }')
    names = (*(n for n in ATTRIBUTES if n not in _UNCOVERABLE), "action", "service")
    found: dict[str, frozenset[Value]] = {}
    for key, value in _dotted(raw).items():
        at = _join(where, key)
        if key not in names:
            ends = [name for name in names if name.endswith(f".{key}")]
            mend = suggestion(ends[0] if ends else key, names) or "a record is limited to facts, an action or a service"
            if key in _UNCOVERABLE:
                mend = "use `issued` and `expires`"
            raise ConfigError(f"{key!r} cannot be covered", where=at, mend=mend)
        several = list(value) if isinstance(value, list | tuple) else [value]
        if key in ("action", "service"):
            allowed = ACTIONS if key == "action" else SERVICES
            for named in several:
                if named not in allowed:
                    mend = suggestion(named, allowed) or f"one of {', '.join(allowed)}"
                    raise ConfigError(f"{named!r} is no {key}", where=at, mend=mend)
            found[key] = frozenset(several)
        else:
            found[key] = frozenset(check(key, named, at) for named in several)
        if not found[key]:
            raise ConfigError("an empty list covers nothing", where=at, mend="leave it out")
    return tuple(sorted(found.items()))


def _dotted(raw: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in raw.items():
        if isinstance(value, Mapping):
            found |= _dotted(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def _count(raw: Any, where: str) -> int | None:
    if raw is not None and (isinstance(raw, bool) or not isinstance(raw, int) or raw < 0):
        raise ConfigError(f"{raw!r} is no count", where=where, mend="a whole number, 0 or more")
    return raw


def _hours(raw: Any, where: str) -> float | None:
    if raw is None:
        return None
    if isinstance(raw, bool) or not isinstance(raw, int | float) or not 0 <= raw <= 1e6:
        raise ConfigError(f"{raw!r} is no delay", where=where, mend="hours from the start of the use, 0 or more")
    return float(raw)


def _flag(raw: Any, where: str) -> bool | None:
    if raw is not None and not isinstance(raw, bool):
        raise ConfigError(f"{raw!r} is neither true nor false", where=where, mend="write true or false")
    return raw


def _note(raw: Any, where: str) -> str | None:
    if raw is not None and not isinstance(raw, str):
        raise ConfigError(f"{raw!r} is no text", where=where, mend="write the note in quotes")
    return raw


def _ground(kind: str, raw: Any, where: str) -> str | None:
    allowed = GROUNDS.get(kind, ())
    if raw is None or raw in allowed:
        return raw  # type: ignore[no-any-return]  # None or one of `allowed`
    if not allowed:
        raise ConfigError(f"a {kind} states no ground", where=where, mend="leave `ground` out")
    mend = suggestion(raw, allowed) or f"one of {', '.join(allowed)}"
    raise ConfigError(f"{raw!r} is no ground of a {kind}", where=where, mend=mend)


def _only(table: Mapping[str, Any], keys: tuple[str, ...], where: str) -> None:
    for key in table:
        if key not in keys:
            mend = suggestion(key, keys) or f"the keys are {', '.join(keys)}"
            raise ConfigError(f"unknown key {key!r}", where=_join(where, str(key)), mend=mend)


def _join(where: str, key: str) -> str:
    """``guard.toml: source[0]`` and ``place.country`` -> ``guard.toml: source[0].place.country``."""
    if not where:
        return key
    return f"{where}{'' if where.endswith((': ', ' ')) else '.'}{key}"
