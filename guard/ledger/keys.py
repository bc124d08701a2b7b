"""The key that signs checkpoints: from a file, from the environment, or made beside the ledger."""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from guard.errors import LedgerError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

__all__ = ["ENVIRONMENT", "key_beside", "public_key", "signing_key"]

log = logging.getLogger("guard.ledger")

ENVIRONMENT = "GUARD_LEDGER_KEY"
"""Holds the private key itself, as PEM."""


def key_beside(ledger: Path) -> Path:
    """Where the key of a ledger is made if none is named; its public half is the same name with ``.pub``."""
    return ledger.with_name(ledger.name + ".key")


def signing_key(ledger: Path, file: Path | None = None, *, make: bool = True) -> Ed25519PrivateKey:
    """The private key: of `file`, of the environment, or the one beside the ledger.

    With `make`, the one beside the ledger is made where it is absent, and the public half written there too. Raises
    `LedgerError` where a key cannot be read or made.
    """
    named = os.environ.get(ENVIRONMENT)
    if file is not None:
        key = _private(_read(file), str(file))
    elif named:
        key = _private(named.encode(), f"environment variable {ENVIRONMENT}")
    else:
        beside = key_beside(ledger)
        if make and not beside.exists():
            _make(beside, ledger)
        key = _private(_read(beside), str(beside))
    if make:
        _export(key, ledger.with_name(ledger.name + ".pub"))
    return key


def public_key(file: Path) -> bytes:
    """The 32 bytes of the Ed25519 public key in a PEM file. Raises `LedgerError`."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(_read(file))
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise LedgerError(
            "this is no Ed25519 public key in PEM", where=str(file), mend="name the .pub file of the ledger's key"
        )
    return key.public_bytes_raw()


def _private(pem: bytes, where: str) -> Ed25519PrivateKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise LedgerError(
            "this is no Ed25519 private key in PEM, or it is encrypted",
            where=where,
            mend="make one with `guard policy keygen`",
        )
    return key


def _make(file: Path, ledger: Path) -> None:
    """Makes a key. Of several processes that open a new ledger at once, the first one's key stands."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    draft = file.with_name(f"{file.name}.{os.getpid()}-{os.urandom(4).hex()}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
            opened.write(pem)
            opened.flush()
            os.fsync(opened.fileno())
        try:
            os.link(draft, file)
        except FileExistsError:
            return
        finally:
            os.unlink(draft)
    except OSError as error:
        raise LedgerError(
            f"the ledger's key cannot be made: {error.strerror}",
            where=str(file),
            mend="name a [ledger] key, or a [ledger] path in a folder that can be written",
        ) from error
    log.warning(
        "no [ledger] key is named: %s was made; who can read it can rewrite %s, so name one kept elsewhere",
        file.name,
        ledger.name,
    )


def _export(key: Ed25519PrivateKey, file: Path) -> None:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    with suppress(OSError):  # it is a convenience: the key itself is named in the ledger
        if not file.exists() or file.read_bytes() != pem:
            file.write_bytes(pem)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise LedgerError(
            f"the ledger's key cannot be read: {error.strerror}", where=str(file), mend="check the path"
        ) from None
