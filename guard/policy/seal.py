"""The seal of the release: which files of rules it holds, and what is in them.

A pack that is cut off between two rules still parses, and a pack that is gone is not missed by ``"all"``. So the
shipped packs, the base rules and the schema are loaded only as they were released: ``SHA256SUMS`` lists them all.
Whoever wants other rules names files of their own. After a change to shipped rules, seal them again::

    python -m guard.policy
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from guard.errors import PolicyError

__all__ = ["check", "sums", "write"]

ROOM: Final = Path(__file__).parent
_SEAL: Final = "SHA256SUMS"


def check(room: Path = ROOM) -> None:
    """`PolicyError` unless the files of rules in `room` are exactly those of the seal."""
    try:
        text = (room / _SEAL).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyError(f"the seal cannot be read: {error}", where=_SEAL, mend="reinstall guard") from None
    listed = {name: digest for digest, _, name in (line.partition("  ") for line in text.splitlines())}
    found = sums(room)
    for name in sorted(listed.keys() | found.keys()):
        if name not in found:
            raise PolicyError("a file of rules is missing", where=name, mend="reinstall guard")
        if name not in listed:
            raise PolicyError(
                "this file is not part of the release", where=name, mend="keep it elsewhere and name its path"
            )
        if listed[name] != found[name]:
            raise PolicyError(
                "this file is not as it was released",
                where=name,
                mend="reinstall guard; rules of your own go into a file of your own, named by its path",
            )


def sums(room: Path = ROOM) -> dict[str, str]:
    """Relative name -> SHA-256 in hex of every file of rules. Line ends do not count: checkouts may change them."""
    return {
        path.relative_to(room).as_posix(): hashlib.sha256(b"\n".join(path.read_bytes().splitlines())).hexdigest()
        for path in _files(room)
    }


def write(room: Path = ROOM) -> Path:
    """Seal the files as they are now; gives the file written."""
    path = room / _SEAL
    path.write_text("".join(f"{digest}  {name}\n" for name, digest in sums(room).items()), encoding="utf-8")
    return path


def _files(room: Path) -> Iterator[Path]:
    yield from (path for path in (room / "base.cedar", room / "guard.cedarschema") if path.exists())
    yield from sorted((room / "packs").rglob("*.cedar"))
