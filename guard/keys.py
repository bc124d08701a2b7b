"""Ed25519 (RFC 8032) over small JSON documents: who vouches for what a file states.

A signed document is ``{"schema", NAME, "key", "signature"}``: `NAME` holds the statement, `key` the SHA-256 of the
public key, and the signature is over the line of the schema and the statement as JSON with sorted keys, no spaces, in
UTF-8.
"""

from __future__ import annotations

import base64
import binascii
import errno
import hashlib
import json
import logging
import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from guard.errors import ConfigError, SourceError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

__all__ = ["bytes_of", "fingerprint", "opened", "read_private", "read_public", "shown", "signed"]

log = logging.getLogger("guard")

_LARGEST = 16 << 20
_SHOWN = 16
"""Characters of a key or a serial in a message."""


def signed(schema: str, name: str, statement: Mapping[str, Any], key: Ed25519PrivateKey) -> dict[str, Any]:
    """The document that holds `statement` under `name`, signed."""
    return {
        "schema": schema,
        name: dict(statement),
        "key": fingerprint(key.public_key()),
        "signature": base64.b64encode(key.sign(_canonical(schema, statement))).decode("ascii"),
    }


def opened(text: bytes, schema: str, name: str, keys: Iterable[Ed25519PublicKey], where: str) -> dict[str, Any]:
    """The statement of a signed document, once its signature by one of `keys` holds.

    Raises `SourceError` where it is no such document, bears no signature, was changed, or was signed with another key.
    """
    found = read_document(text, schema, name, where)
    known = {fingerprint(key): key for key in keys}
    key = known.get(str(found.get("key")))
    if key is None:
        raise SourceError(
            f"it was signed with a key that is not trusted, {shown(found.get('key'))}",
            where=where,
            mend="add the public key to [policy] source_keys if you trust whoever signed, or have it signed again",
        )
    from cryptography.exceptions import InvalidSignature

    try:
        key.verify(base64.b64decode(str(found["signature"]), validate=True), _canonical(schema, found[name]))
    except (InvalidSignature, binascii.Error, ValueError, RecursionError):
        raise SourceError(
            "the signature does not fit: it was changed after it was signed",
            where=where,
            mend="fetch it again, or have it signed again",
        ) from None
    return dict(found[name])


def read_document(text: bytes, schema: str, name: str, where: str) -> dict[str, Any]:
    """The whole document, its signature not checked. Raises `SourceError` where it is none or bears no signature."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or found.get("schema") != schema or not isinstance(found.get(name), dict):
        raise SourceError(f"this is no {schema}", where=where, mend="check the path, or make it again")
    if not isinstance(found.get("signature"), str) or not found["signature"]:
        raise SourceError("it bears no signature", where=where, mend="have it signed")
    return found


def bytes_of(path: Path) -> bytes:
    """What a small file holds. Raises `OSError`, also where it is large or no file: a pipe would be waited for."""
    with os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "it is no file")
        if found.st_size > _LARGEST:
            raise OSError(errno.EFBIG, f"it is larger than {_LARGEST >> 20} MB")
        return file.read()


def shown(value: object) -> str:
    """The beginning of a key or a serial, fit for a line of text."""
    return "".join(each if each.isprintable() else "?" for each in str(value)[:_SHOWN])


def fingerprint(key: Ed25519PublicKey) -> str:
    """SHA-256 of the raw public key, in hex."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()


def read_private(path: Path) -> Ed25519PrivateKey:
    """The private key in a PEM file. Raises `ConfigError` where there is none, or it is encrypted.

    One that other users of this machine can read is used, and the log says so.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(_bytes(path), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(
            "this is no Ed25519 private key in PEM, or it is encrypted",
            where=str(path),
            mend="make one with `guard policy keygen`",
        )
    if os.name == "posix" and path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
        log.warning("other users can read the private key and sign with it (%s); chmod 600 it, or make another", path)
    return key


def read_public(path: Path) -> Ed25519PublicKey:
    """The public key in a PEM file. Raises `ConfigError` where there is none."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(_bytes(path))
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise ConfigError(
            "this is no Ed25519 public key in PEM", where=str(path), mend="name the .pub file of the key that signs"
        )
    return key


def _canonical(schema: str, statement: Mapping[str, Any]) -> bytes:
    text = json.dumps(statement, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return f"{schema}\n{text}".encode()


def _bytes(path: Path) -> bytes:
    try:
        return bytes_of(path)
    except OSError as error:
        raise ConfigError(f"the key cannot be read: {error.strerror}", where=str(path), mend="check the path") from None
