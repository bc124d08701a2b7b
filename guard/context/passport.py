"""The signed passport of a source: somebody who answers for it states its facts, for a time.

Whoever can edit `guard.toml` can write "fixed, controlled, with consent" there. A passport binds these words to a key
that need not be where the guard runs: its facts must be, one by one, those of the file.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from guard import keys
from guard.errors import ConfigError, GuardError, SourceError
from guard.facts import Facts, format_instant, parse_instant

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

__all__ = ["Attestation", "Passport", "issue", "stated", "verify"]

SCHEMA: Final = "guard.passport/1"
REVOKED: Final = "guard.revocations/1"
_KEYS: Final = frozenset({"source", "facts", "serial", "issued", "expires"})
_OF_THE_MOMENT: Final = ("use.at", "capture.at")

Mode = Literal["off", "preferred", "required"]


@dataclass(frozen=True, slots=True)
class Attestation:
    """What `[policy]` asks of passports and seals.

    Attributes:
        mode: ``required``: without a valid passport a source's facts are unknown. ``preferred``: a passport that is
            there must be valid, and one may be missing. ``off``: none is looked at.
        sealed: ``required``: the capture facts of a clip without a valid seal are unknown.
        keys: files of the public keys that are trusted; several while one replaces another.
        revoked: the file that lists withdrawn serials and keys, None for none.
    """

    mode: Mode = "off"
    sealed: Literal["off", "required"] = "off"
    keys: tuple[Path, ...] = ()
    revoked: Path | None = None


@dataclass(frozen=True, slots=True)
class Passport:
    """A passport whose signature holds. Valid from `issued` until before `expires`."""

    source: str
    facts: Mapping[str, Any]
    serial: str
    issued: datetime
    expires: datetime


def stated(facts: Facts) -> dict[str, Any]:
    """The facts as a passport states them: all but the instants, which are those of each use."""
    return facts.replacing(dict.fromkeys(_OF_THE_MOMENT)).to_json()


def issue(source: str, facts: Facts, key: Ed25519PrivateKey, *, issued: datetime, expires: datetime) -> dict[str, Any]:
    """The signed passport of a source. Raises `ConfigError` where it would end before it begins."""
    if expires <= issued:
        raise ConfigError("the passport ends before it begins", where="--expires", mend="name a later day")
    statement = {
        "source": source,
        "facts": stated(facts),
        "serial": secrets.token_hex(8),
        "issued": format_instant(issued),
        "expires": format_instant(expires),
    }
    return keys.signed(SCHEMA, "passport", statement, key)


def verify(path: Path, attestation: Attestation, source: str, facts: Facts) -> Passport:
    """The passport of `source` in a file, once everything but its time holds; ask `Passport.issued` and `expires` too.

    Raises `SourceError` where it cannot be read, was changed, signed by another key, withdrawn, made for another
    source, or states other facts; `ConfigError` where a key or the list of what is withdrawn cannot be read.
    """
    where = path.name
    try:
        text = keys.bytes_of(path)
    except OSError as error:
        raise SourceError(
            f"the passport cannot be read: {error.strerror}", where=str(path), mend="check the path"
        ) from None
    trusted = [keys.read_public(key) for key in attestation.keys]
    found = keys.opened(text, SCHEMA, "passport", trusted, where)
    if found.keys() != _KEYS:
        raise SourceError("it was signed by another version of guard", where=where, mend="have it signed again")
    try:
        issued, expires = parse_instant(found["issued"]), parse_instant(found["expires"])
    except (GuardError, ValueError, TypeError):
        raise SourceError("it states no time that can be read", where=where, mend="have it signed again") from None
    _check_not_revoked(json.loads(text)["key"], found["serial"], attestation.revoked, where)
    if found["source"] != source:
        raise SourceError(
            f"it is the passport of {found['source']!r}, not of {source!r}", where=where, mend="name the right file"
        )
    changed = _differences(found["facts"], stated(facts))
    if changed:
        raise SourceError(
            f"{changed[0]} is not as it was signed",
            where=where,
            mend="declare the source as it was signed, or have it signed again",
        )
    return Passport(found["source"], found["facts"], found["serial"], issued, expires)


def _check_not_revoked(key: str, serial: str, path: Path | None, where: str) -> None:
    if path is None:
        return
    try:
        found = json.loads(keys.bytes_of(path))
        listed = {str(entry[name]) for entry in found["revoked"] for name in ("serial", "key") if name in entry}
        if found["schema"] != REVOKED:
            raise ValueError
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise ConfigError(
            "the list of what is withdrawn cannot be read",
            where=str(path),
            mend=f'write {{"schema": "{REVOKED}", "revoked": [{{"serial": "..."}}]}}',
        ) from None
    for name, value in (("passport", serial), ("key that signed it", key)):
        if value in listed:
            raise SourceError(
                f"the {name} was withdrawn, {keys.shown(value)}", where=where, mend="have it signed again"
            )


def _differences(signed: Any, declared: Any, above: str = "") -> list[str]:
    """Dotted names of what differs."""
    if isinstance(signed, dict) and isinstance(declared, dict):
        names = sorted({*signed, *declared})
        return [
            one
            for name in names
            for one in _differences(signed.get(name), declared.get(name), f"{above}.{name}".lstrip("."))
        ]
    return [] if signed == declared else [above]
