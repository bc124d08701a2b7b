"""How a result and a mistake are printed: one JSON object on stdout, everything else on stderr or as plain text."""

from __future__ import annotations

import json
import sys
from typing import Any

from guard.errors import GuardError

__all__ = ["fail", "fail_unexpected", "print_json"]


def print_json(value: dict[str, Any]) -> None:
    """Prints one JSON object and nothing else."""
    json.dump(value, sys.stdout, ensure_ascii=False, indent=2)
    sys.stdout.write("\n")
    sys.stdout.flush()


def fail(error: GuardError, status: int, *, as_json: bool) -> int:
    """Says what is wrong, where, and how to mend it, in one line; gives back the exit status."""
    if as_json:
        print_json({"schema": "guard.error/1", "error": error.what, "where": error.where, "mend": error.mend})
    else:
        print("guard: " + " ".join(str(error).split()), file=sys.stderr)
    return status


def fail_unexpected(error: Exception, *, as_json: bool) -> int:
    """A defect of ours, still in one line."""
    what = f"unexpected {type(error).__name__}: {error}"
    return fail(GuardError(what, mend="run again with GUARD_DEBUG=1 and report it"), 1, as_json=as_json)
