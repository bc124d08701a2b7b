"""Signed bundles: which packs, in which words and under which settings, somebody has approved.

A bundle is a small JSON file beside the packs: a manifest that names every pack with the SHA-256 of its text, the base
rules, the schema and the settings, and an Ed25519 signature (RFC 8032) over it. Where `[policy] bundle` is set, exactly
that set loads and no other: a pack more, a pack less or one changed letter is refused. The key that signs never has to
be where the guard runs.

A set is signed to be enforced, and refused in shadow mode, unless it was signed for that; what was signed for shadow
mode may also be enforced.

The signature is over the line ``guard.bundle/1`` and the manifest as JSON with sorted keys, no spaces, in UTF-8.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from guard.errors import ConfigError, PolicyError
from guard.facts import format_instant
from guard.keys import fingerprint, read_private, read_public
from guard.policy.engine import Engine
from guard.policy.schema import FILE

__all__ = ["SCHEMA", "manifest_of", "new_key", "opened", "require", "sign"]

SCHEMA: Final = "guard.bundle/1"
_KEYS: Final = frozenset({"created", "packs", "base_rules", "vocabulary", "settings", "digest"})


def new_key() -> tuple[bytes, bytes]:
    """A new Ed25519 key as PEM: the private half (PKCS 8, not encrypted) and the public half."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

    key = Ed25519PrivateKey.generate()
    return (
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    )


def manifest_of(engine: Engine, created: datetime) -> dict[str, Any]:
    """What a signature is over: the packs of `engine`, its base rules, schema and settings, and the day."""
    return {
        "created": format_instant(created),
        "packs": [{"name": p.name, "sha256": _sha256(p.text)} for p in sorted(engine.packs, key=lambda p: p.name)],
        "base_rules": _sha256(engine.base.text),
        "vocabulary": _sha256(FILE.read_text(encoding="utf-8")),
        "settings": {**engine.settings.to_json(), "mode": engine.settings.mode},
        "digest": engine.digest,
    }


def sign(engine: Engine, key: Path, *, created: datetime | None = None) -> dict[str, Any]:
    """The bundle of a loaded policy, signed with the private key in the PEM file `key`; `created` is now if left out.

    Raises `ConfigError` where the file holds no Ed25519 private key.
    """
    private = read_private(key)
    manifest = manifest_of(engine, created or datetime.now(UTC).replace(microsecond=0))
    return {
        "schema": SCHEMA,
        "manifest": manifest,
        "key": fingerprint(private.public_key()),
        "signature": base64.b64encode(private.sign(_signed(manifest))).decode("ascii"),
    }


def opened(bundle: Path, public_key: Path) -> dict[str, Any]:
    """The manifest of a bundle file, once its signature holds.

    Raises `ConfigError` where a file cannot be read or holds no public key, `PolicyError` where the bundle is none,
    bears no signature, was changed, or was signed with another key.
    """
    public = read_public(public_key)
    found = _read(bundle)
    manifest, signature = found.get("manifest"), found.get("signature")
    if found.get("schema") != SCHEMA or not isinstance(manifest, dict):
        raise PolicyError("this is no bundle", where=bundle.name, mend="make one with `guard policy sign`")
    if not isinstance(signature, str) or not signature:
        raise PolicyError("the bundle bears no signature", where=bundle.name, mend="sign it with `guard policy sign`")
    if found.get("key") != fingerprint(public):
        raise PolicyError(
            f"the bundle was signed with another key than {public_key.name}",
            where=bundle.name,
            mend="name the public key of whoever signed it, if you trust them",
        )
    from cryptography.exceptions import InvalidSignature

    try:
        public.verify(base64.b64decode(signature, validate=True), _signed(manifest))
    except (InvalidSignature, binascii.Error, ValueError):
        raise PolicyError(
            "the signature does not fit: the bundle was changed after it was signed",
            where=bundle.name,
            mend="fetch it again, or have it signed again",
        ) from None
    if manifest.keys() != _KEYS:
        raise PolicyError(
            "the bundle was signed by another version of guard", where=bundle.name, mend="sign the packs again"
        )
    return manifest


def require(engine: Engine, bundle: Path, public_key: Path) -> dict[str, Any]:
    """Raises `PolicyError` unless `engine` is exactly what the bundle lists, and as `opened`; gives the manifest."""
    manifest = opened(bundle, public_key)
    where, again = bundle.name, "restore it, or review it and sign the packs again"
    signed = {pack["name"]: pack["sha256"] for pack in manifest["packs"]}
    for key, value in engine.settings.to_json().items():
        if manifest["settings"].get(key) != value:
            raise PolicyError(
                f"{key} is {value!r}, and what was signed is {manifest['settings'].get(key)!r}",
                where=where,
                mend=f"set [policy] {key} as it was signed, or sign again",
            )
    if engine.settings.shadow and manifest["settings"].get("mode") != "shadow":
        raise PolicyError(
            "mode is 'shadow', and what was signed may only be enforced",
            where=where,
            mend='set [policy] mode = "enforce", or have it signed with --mode shadow',
        )
    for pack in engine.packs:
        if pack.name not in signed:
            raise PolicyError(
                f"pack {pack.name} is not in the bundle",
                where=where,
                mend="leave it out of [policy] packs, or sign it with the others",
            )
        if signed[pack.name] != _sha256(pack.text):
            raise PolicyError(f"pack {pack.name} is not as it was signed", where=where, mend=again)
    missing = sorted(signed.keys() - {pack.name for pack in engine.packs})
    if missing:
        raise PolicyError(
            f"pack {missing[0]} is in the bundle and not in use", where=where, mend="name it in [policy] packs"
        )
    if manifest["digest"] != engine.digest:
        raise PolicyError(
            "the base rules or the vocabulary of this guard are not those that were signed",
            where=where,
            mend="install the version with which it was signed, or review and sign again",
        )
    return manifest


def _signed(manifest: dict[str, Any]) -> bytes:
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return f"{SCHEMA}\n{text}".encode()


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _read(bundle: Path) -> dict[str, Any]:
    try:
        found = json.loads(bundle.read_bytes())
    except OSError as error:
        raise ConfigError(
            f"the bundle cannot be read: {error.strerror}", where=str(bundle), mend="check the path"
        ) from None
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {}
