"""A clip keeps its rules: a signed sidecar states under which facts it was taken, and what was allowed then.

The sidecar ``CLIP.seal.json`` binds the very bytes of the clip by a keyed digest (HMAC-SHA256, with a key of its own:
a digest found elsewhere tells nobody which clip it is). Whoever plays the clip later is bound by the stricter of two
contexts, the one that was sealed and the one that is declared now.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from guard import keys
from guard.context.finding import Finding, plainly
from guard.context.standing import Context
from guard.errors import GuardError, SourceError
from guard.facts import ATTRIBUTES, Facts, format_instant

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from guard.clock import Reading
    from guard.context.passport import Attestation

__all__ = ["CAPTURE_FACTS", "bind", "opened", "seal", "sidecar_of", "sidecars_of", "unsealed"]

SCHEMA: Final = "guard.seal/1"
CAPTURE_FACTS: Final = tuple(name for name in ATTRIBUTES if name.startswith(("place.", "capture.")))
"""What belongs to the taking of a picture, and not to its later use."""

_CHUNK: Final = 1 << 20


def sidecar_of(clip: Path) -> Path:
    """Where the sidecar of a clip lies."""
    return clip.with_name(clip.name + ".seal.json")


def sidecars_of(clip: Path) -> tuple[Path, ...]:
    """Every sidecar that there is for a clip: beside it, and beside the file that it is a link to."""
    found = dict.fromkeys([sidecar_of(clip.parent.resolve() / clip.name), sidecar_of(clip.resolve())])
    return tuple(path for path in found if os.path.lexists(path))


def seal(
    clip: Path,
    context: Context,
    key: Ed25519PrivateKey,
    *,
    now: Reading,
    policy: str,
    verdicts: Mapping[str, Mapping[str, str]],
) -> dict[str, Any]:
    """The signed sidecar of a clip: the facts of `context` as they stand `now`, and the verdicts that follow from them.

    Of a source that nobody answers for nothing is known, so its seal states that. Raises `SourceError` where the clip
    cannot be read.
    """
    salt = secrets.token_bytes(32)
    facts = context.effective if context.is_answered_for(now) else Facts()
    size, digest = _digest(clip, salt)
    statement = {
        "source": context.source,
        "facts": facts.to_json(),
        "contradicted": list(context.contradictions),
        "policy": policy,
        "verdicts": {service: dict(row) for service, row in verdicts.items()},
        "sealed": format_instant(datetime.fromtimestamp(now[0] // 10**9, UTC)),
        "clip": {"bytes": size, "key": salt.hex(), "digest": digest},
    }
    return keys.signed(SCHEMA, "seal", statement, key)


def opened(clip: Path, path: Path, attestation: Attestation) -> dict[str, Any]:
    """What the sidecar `path` of a clip states.

    Where no keys are trusted its signature is not checked: what it states can only bind. Raises `SourceError` where it
    does not hold, or the clip is not, byte for byte, the one that was sealed.
    """
    try:
        text = keys.bytes_of(path)
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
        same = hmac.compare_digest(bound["digest"], _digest(clip, bytes.fromhex(bound["key"]))[1])
    except (KeyError, TypeError, ValueError):
        raise SourceError("the seal states no digest", where=path.name, mend="seal the clip again") from None
    if not same:
        raise SourceError(
            "the clip is not the one that was sealed: it was changed, cut or encoded anew",
            where=path.name,
            mend="play the original, or remove this seal and seal the clip as it is",
        )
    return dict(found)


def bind(context: Context, clip: Path, attestation: Attestation) -> Finding:
    """Binds a source to the seal of the clip that it plays, and says what was found.

    A seal that does not hold, and a missing one where `[policy] sealed` is required, leave the facts of its taking
    unknown. Raises `ConfigError` where a key cannot be read.
    """
    paths = sidecars_of(clip)
    if not paths:
        return unsealed(context, attestation, "it is not sealed")
    evidence = []
    for path in paths:
        try:
            found = opened(clip, path, attestation)
            facts = _facts_in(found, path)
        except SourceError as error:
            return _unknown(context, f"its seal does not hold: {error}", "broken")
        context.bind(facts, CAPTURE_FACTS)
        evidence.append(f"sealed on {found.get('sealed')} for source {found.get('source')}: bound by both contexts")
    if not attestation.keys:
        evidence.append("its signature was not checked, since no source_keys are named")
    return Finding("seal", None, ("sealed",), "agrees", 1.0, plainly("; ".join(evidence)))


def unsealed(context: Context, attestation: Attestation, why: str) -> Finding:
    """What it means that a clip has no seal. Where `[policy] sealed` is required, its facts of taking are unknown."""
    if attestation.sealed == "required":
        return _unknown(context, f"{why}, and [policy] sealed is required", "unsealed")
    return Finding("seal", None, ("unsealed",), "cannot-tell", 0.0, f"{why}: what is declared stands")


def _facts_in(found: Mapping[str, Any], path: Path) -> Facts:
    try:
        if not isinstance(found["facts"], dict):
            raise TypeError("they are no table")
        return Facts.parse(found["facts"])
    except (GuardError, KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        why = error.what if isinstance(error, GuardError) else "they are missing or of another kind"
        raise SourceError(
            f"it states no facts that can be read: {why}", where=path.name, mend="seal it again"
        ) from None


def _unknown(context: Context, why: str, state: str) -> Finding:
    context.doubt(CAPTURE_FACTS, f"the facts of its taking are unknown: {why}")
    return Finding("seal", None, (state,), "contradicted", 1.0, why)


def _digest(clip: Path, key: bytes) -> tuple[int, str]:
    """Bytes and keyed digest."""
    digest, size = hmac.new(key, digestmod=hashlib.sha256), 0
    try:
        with clip.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
                size += len(chunk)
    except OSError as error:
        raise SourceError(
            f"the clip cannot be read: {error.strerror}", where=str(clip), mend="check the path"
        ) from None
    return size, digest.hexdigest()
