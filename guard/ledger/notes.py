"""Checkpoints: the root of the tree at one size, signed; in the forms of C2SP tlog-checkpoint and signed-note.

Any tool that reads these forms can check one. The text is the ledger's origin, the size, the root in base64, then two
extension lines of ours: ``number N``, counted from 1 without a gap, and ``at INSTANT``.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

__all__ = ["Checkpoint", "parse", "public_of", "sign", "signed_by", "verifier_key"]

_ED25519 = b"\x01"
_DASH = "— "


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a checkpoint states: that the ledger `origin` had `size` leaves under `root` (32 bytes)."""

    origin: str
    size: int
    root: bytes
    number: int
    at: str

    def text(self) -> str:
        """What is signed."""
        return f"{self.origin}\n{self.size}\n{_base64(self.root)}\nnumber {self.number}\nat {self.at}\n"


def sign(checkpoint: Checkpoint, key: Ed25519PrivateKey) -> str:
    """The signed note; the key goes by the name of the ledger's origin."""
    text = checkpoint.text()
    public = key.public_key().public_bytes_raw()
    signature = _key_id(checkpoint.origin, public) + key.sign(text.encode())
    return f"{text}\n{_DASH}{checkpoint.origin} {_base64(signature)}\n"


def parse(note: str) -> Checkpoint:
    """What a note states, its signature not yet checked. Raises `ValueError` where it is no checkpoint of ours."""
    text, _ = _split(note)
    lines = text.split("\n")
    if len(lines) != 6 or not lines[3].startswith("number ") or not lines[4].startswith("at "):
        raise ValueError("it is not a checkpoint of a guard ledger")
    found = Checkpoint(lines[0], int(lines[1]), _bytes(lines[2]), int(lines[3][7:]), lines[4][3:])
    if found.text() != text or len(found.root) != 32:
        raise ValueError("it is not written as a checkpoint is")
    return found


def signed_by(note: str, public: bytes) -> bool:
    """Whether the note bears a valid signature of this Ed25519 key (32 bytes) under its own origin's name."""
    from cryptography.exceptions import InvalidSignature

    text, signatures = _split(note)
    origin = text.partition("\n")[0]
    for name, signature in signatures:
        if name == origin and signature[:4] == _key_id(name, public):
            try:
                _loaded(public).verify(signature[4:], text.encode())
            except InvalidSignature:
                continue
            return True
    return False


def verifier_key(origin: str, public: bytes) -> str:
    """The key as C2SP tools take it: ``name+id+base64``."""
    return f"{origin}+{_key_id(origin, public).hex()}+{_base64(_ED25519 + public)}"


def public_of(verifier: str) -> bytes:
    """The 32 bytes of a verifier key. Raises `ValueError`."""
    name, _, key = verifier.partition("+")
    public = _bytes(key.partition("+")[2])[1:]
    if verifier_key(name, public) != verifier:
        raise ValueError("it is no Ed25519 verifier key")
    return public


@lru_cache(maxsize=16)
def _loaded(public: bytes) -> Ed25519PublicKey:
    """A ledger of a year has hundreds of thousands of signatures by one key."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    return Ed25519PublicKey.from_public_bytes(public)


def _split(note: str) -> tuple[str, list[tuple[str, bytes]]]:
    text, gap, tail = note.rpartition("\n\n")
    if not gap or not tail.endswith("\n"):
        raise ValueError("it is not a signed note")
    signatures = []
    for line in tail[:-1].split("\n"):
        name, space, signature = line.removeprefix(_DASH).partition(" ")
        if not line.startswith(_DASH) or not space:
            raise ValueError("it is not a signed note")
        signatures.append((name, _bytes(signature)))
    return text + "\n", signatures


def _key_id(name: str, public: bytes) -> bytes:
    return sha256(name.encode() + b"\n" + _ED25519 + public).digest()[:4]


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError("it is not base64") from error
