"""What becomes of a source's facts where nobody answers for them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from guard.context.passport import Attestation, verify
from guard.context.standing import Context
from guard.errors import SourceError

__all__ = ["attest"]

_ALWAYS: Final = (0, 2**63 - 1)
_NEVER: Final = (0, 0)


def attest(context: Context, passport: Path | None, attestation: Attestation) -> None:
    """Binds the facts of a source to its passport: they count while that is valid, and are unknown otherwise.

    A missing or invalid passport stops nothing by itself: the source is judged as one of which nothing is known. Raises
    `ConfigError` where a key or the list of what is withdrawn cannot be read: the guard does not start then.
    """
    if attestation.mode == "off":
        return
    if passport is None:
        if attestation.mode == "required":
            context.attest(_NEVER, "it has no passport, and [policy] attestation is required")
        else:
            context.attest(_ALWAYS, None)
        return
    try:
        found = verify(passport, attestation, context.source or "", context.declared)
    except SourceError as error:
        context.attest(_NEVER, f"its passport does not hold: {error}")
        return
    valid = (int(found.issued.timestamp()) * 10**9, int(found.expires.timestamp()) * 10**9)
    context.attest(valid, f"its passport {found.serial} is valid from {found.issued} until {found.expires} only")
