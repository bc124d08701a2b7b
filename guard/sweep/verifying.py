"""Whether a sweep is as it was left: its index, and every ledger in it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from guard import keys
from guard.errors import GuardError, LedgerError
from guard.ledger.keys import public_key as read_key
from guard.ledger.verifying import verify
from guard.sweep.folder import LEDGER, Folder
from guard.sweep.index import INDEX, SCHEMA, SIGNED

__all__ = ["Checked", "verify_sweep"]

_MOST = 20


@dataclass(slots=True)
class Checked:
    """The outcome. `units` and `calls` are those of the index that hold; `pinned` says whether a key from elsewhere was
    held against all signatures; `problems` are at most 20.
    """

    pinned: bool
    units: int = 0
    calls: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def verified(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def add(self, what: str) -> None:
        """Notes a problem."""
        if len(self.problems) < _MOST:
            self.problems.append(what)

    def to_json(self) -> dict[str, Any]:
        """The object ``guard.sweep-verify/1``."""
        return {
            "schema": "guard.sweep-verify/1",
            "verified": self.verified,
            "units": self.units,
            "calls": self.calls,
            "problems": self.problems,
            "pinned": self.pinned,
        }


def verify_sweep(out: Path, *, public_key: bytes | None = None) -> Checked:
    """Checks the signature over the index, the index, and every ledger that it lists against its checkpoint there.

    Args:
        out: the folder of the sweep.
        public_key: Ed25519 key, 32 bytes, kept elsewhere; None for the one that lies in the folder.

    Raises `LedgerError` where there is no index.
    """
    found = Checked(pinned=public_key is not None)
    key = public_key or read_key(out / "sweep.pub")
    try:
        text = (out / SIGNED).read_bytes()
        with (out / INDEX).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        stated = keys.opened(text, SCHEMA, "index", [Ed25519PublicKey.from_public_bytes(key)], SIGNED)
        if digest != stated.get("sha256"):
            found.add(f"{INDEX} is not the one that was signed")
    except OSError as error:
        raise LedgerError(
            f"the index cannot be read: {error.strerror}", where=str(out), mend="name the --out of a sweep"
        ) from None
    except GuardError as error:
        found.add(str(error))
    folder, listed = Folder(out), set()
    for line in _lines(out / INDEX, found):
        if _is_unit(line):
            listed.add(line["unit"])
            _check_unit(folder, line, key, found)
    for unit in folder.units():
        if unit not in listed:
            found.add(f"unit {unit} is in no index: the sweep was killed, or it was added")
    return found


def _lines(index: Path, found: Checked) -> Iterator[dict[str, Any]]:
    with index.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                said = dict(json.loads(line))
            except (ValueError, TypeError):
                said = {}
            if _is_unit(said) or isinstance(said.get("broken"), str):
                yield said
            else:
                found.add(f"{index.name}: line {number} names neither a unit nor a broken file")


def _is_unit(said: dict[str, Any]) -> bool:
    texts = (said.get("unit"), said.get("checkpoint"))
    return all(isinstance(text, str) for text in texts) and isinstance(said.get("attempted"), int)


def _check_unit(folder: Folder, line: dict[str, Any], key: bytes, found: Checked) -> None:
    unit = line["unit"]
    try:
        record = verify(
            folder.unit(unit) / LEDGER,
            public_keys=[key],
            checkpoints={"the checkpoint in the index": line["checkpoint"]},
        )
    except GuardError as error:
        found.add(f"unit {unit}: {error}")
        return
    for problem in record.problems[:1]:
        found.add(f"unit {unit}: {problem.what}")
    if record.calls != line["attempted"]:
        found.add(f"unit {unit}: {record.calls} calls are recorded, and the index says {line['attempted']}")
    elif record.verified:
        found.units += 1
        found.calls += record.calls
