"""A clip keeps its rules: a signed sidecar states under which facts it was taken, and what was allowed then.

The sidecar ``CLIP.seal.json`` binds the very bytes of the clip by a keyed digest (HMAC-SHA256, with a key of its own:
a digest found elsewhere tells nobody which clip it is). Whoever plays the clip later is bound by the stricter of two
contexts, the one that was sealed and the one that is declared now.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from guard import keys
from guard.context.finding import Finding
from guard.context.standing import Context
from guard.errors import GuardError, SourceError
from guard.facts import ATTRIBUTES, Facts, format_instant

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from guard.context.passport import Attestation

__all__ = ["CAPTURE_FACTS", "bind", "opened", "seal", "sidecar_of"]

SCHEMA: Final = "guard.seal/1"
CAPTURE_FACTS: Final = tuple(name for name in ATTRIBUTES if name.startswith(("place.", "capture.")))
"""What belongs to the taking of a picture, and not to its later use."""

_CHUNK: Final = 1 << 20


def sidecar_of(clip: Path) -> Path:
    """Where the sidecar of a clip lies."""
    return clip.with_name(clip.name + ".seal.json")


def seal(
    clip: Path,
    context: Context,
    key: Ed25519PrivateKey,
    *,
    sealed: datetime,
    policy: str,
    verdicts: Mapping[str, Mapping[str, str]],
) -> dict[str, Any]:
    """The signed sidecar of a clip: the facts of `context` as they stand, and the verdicts that follow from them.

    Raises `SourceError` where the clip cannot be read.
    """
    salt = secrets.token_bytes(32)
    statement = {
        "source": context.source,
        "facts": context.effective.to_json(),
        "contradicted": list(context.contradictions),
        "policy": policy,
        "verdicts": {service: dict(row) for service, row in verdicts.items()},
        "sealed": format_instant(sealed),
        "clip": {"bytes": clip.stat().st_size, "key": salt.hex(), "digest": _digest(clip, salt)},
    }
    return keys.signed(SCHEMA, "seal", statement, key)


def opened(clip: Path, attestation: Attestation) -> dict[str, Any] | None:
    """What the sidecar of a clip states; None where there is none.

    Where no keys are trusted its signature is not checked: what it states can only bind. Raises `SourceError` where it
    does not hold, or the clip is not, byte for byte, the one that was sealed.
    """
    path = sidecar_of(clip)
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SourceError(
            f"the seal cannot be read: {error.strerror}", where=str(path), mend="check the path"
        ) from None
    if attestation.keys:
        trusted = [keys.read_public(key) for key in attestation.keys]
        found = keys.opened(text, SCHEMA, "seal", trusted, path.name)
    else:
        found = keys.read_document(text, SCHEMA, "seal", path.name)["seal"]
    try:
        bound = found["clip"]
        same = hmac.compare_digest(bound["digest"], _digest(clip, bytes.fromhex(bound["key"])))
    except (KeyError, TypeError, ValueError):
        raise SourceError("the seal states no digest", where=path.name, mend="seal the clip again") from None
    if not same:
        raise SourceError(
            "the clip is not the one that was sealed: it was changed, cut or encoded anew",
            where=path.name,
            mend="play the original, or seal the new one",
        )
    return dict(found)


def bind(context: Context, clip: Path, attestation: Attestation) -> Finding:
    """Binds a source to the seal of the clip that it plays, and says what was found.

    A seal that does not hold, and a missing one where `[policy] sealed` is required, leave the facts of its taking
    unknown. Raises `ConfigError` where a key cannot be read.
    """
    try:
        found = opened(clip, attestation)
        facts = None if found is None else Facts.parse(found["facts"])
    except SourceError as error:
        return _unknown(context, f"its seal does not hold: {error}", "broken")
    except (GuardError, KeyError, TypeError) as error:
        return _unknown(context, f"its seal states no facts that can be read: {error}", "broken")
    if found is None or facts is None:
        if attestation.sealed == "required":
            return _unknown(context, "it is not sealed, and [policy] sealed is required", "unsealed")
        return Finding("seal", None, ("unsealed",), "cannot-tell", 0.0, "it is not sealed: what is declared stands")
    context.bind(facts, CAPTURE_FACTS)
    checked = "" if attestation.keys else "; its signature was not checked, since no source_keys are named"
    evidence = f"sealed on {found.get('sealed')} for source {found.get('source')}: bound by both contexts{checked}"
    return Finding("seal", None, ("sealed",), "agrees", 1.0, evidence)


def _unknown(context: Context, why: str, state: str) -> Finding:
    context.doubt(CAPTURE_FACTS, f"the facts of its taking are unknown: {why}")
    return Finding("seal", None, (state,), "contradicted", 1.0, why)


def _digest(clip: Path, key: bytes) -> str:
    digest = hmac.new(key, digestmod=hashlib.sha256)
    try:
        with clip.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    except OSError as error:
        raise SourceError(
            f"the clip cannot be read: {error.strerror}", where=str(clip), mend="check the path"
        ) from None
    return digest.hexdigest()
