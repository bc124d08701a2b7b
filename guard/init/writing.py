"""The file: what was said, what hinges on what was not, and nothing that was there before."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from guard.config import load_config
from guard.errors import GuardError
from guard.facts import Facts
from guard.init.answers import as_groups

__all__ = ["as_toml", "refuse_to_overwrite", "write_new"]

_NO_LINKS: Final = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS})
"""How a file system says that it knows no hard links."""


def as_toml(source: str, facts: Facts, day: datetime, notes: Iterable[str] = ()) -> str:
    """A `guard.toml` with this one source. `notes` become comments beside it."""
    groups = as_groups(facts)
    operator = groups.pop("operator", {})
    lines = [
        f"# Written by `guard init` on {day:%Y-%m-%d}. What is left out is unknown, and unknown is never permission.",
        "",
        "[policy]",
        'packs = ["all"]',
        "",
        "[operator]",
        *(f"{key} = {_toml(value)}" for key, value in operator.items()),
        "",
        "[[source]]",
        f"id = {_toml(source)}",
        *(f"{group:<7} = {_toml(table)}" for group, table in groups.items()),
        "evidence = []                  # records that lift denials: approvals, orders, policies; see docs/policies.md",
        *(f"# {note}".rstrip() for note in notes),
        "",
        "[services]",
        '# "my-matcher" = "self_hosted"    # what your own names count as',
        "",
        "[ledger]",
        'path = "decisions.db"',
        "",
    ]
    return "\n".join(lines)


def refuse_to_overwrite(path: Path) -> None:
    """Raises `GuardError` where something is there already."""
    if os.path.lexists(path):
        raise GuardError("the file is there already", where=str(path), mend="name another with --out, or say --force")


def write_new(path: Path, text: str, facts: Facts, *, force: bool = False) -> None:
    """Writes the file whole or not at all, after reading it back as `guard.load` will.

    Raises `GuardError` where it cannot be written, and where something is there already unless `force`.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        try:
            with part.open("x", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            (source,) = load_config(part).sources.values()
            if source.facts != facts:
                raise GuardError("the file would not say what was answered", where=str(path), mend="report this")
            if force:
                os.replace(part, path)
            else:
                _link(part, path, text)
        finally:
            part.unlink(missing_ok=True)
    except FileExistsError:
        refuse_to_overwrite(path)
        raise
    except OSError as error:
        raise GuardError(
            f"the file cannot be written: {error.strerror}", where=str(path), mend="name a place of yours with --out"
        ) from None


def _link(part: Path, path: Path, text: str) -> None:
    """Gives the finished file its name. Unlike a rename, a link never replaces what is there."""
    try:
        os.link(part, path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        with path.open("x", encoding="utf-8") as file:
            file.write(text)


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        # JSON's escapes are TOML's, but for DEL, which TOML does not take as it is.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)
