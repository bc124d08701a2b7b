"""The path of an address as a server reads it."""

from __future__ import annotations

import posixpath
from functools import lru_cache
from urllib.parse import unquote

__all__ = ["normal"]


@lru_cache(maxsize=1024)
def normal(path: str) -> str:
    """The path decoded, one slash at a time, ``.`` and ``..`` resolved, backslashes as slashes; letters as they are."""
    plain = unquote(path).replace("\\", "/")
    ended = plain.endswith(("/", "/.", "/.."))
    found = posixpath.normpath("/" + plain.lstrip("/"))
    return found + "/" if ended and found != "/" else found
