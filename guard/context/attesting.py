"""What becomes of a source's facts where nobody answers for them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from guard.context.finding import Finding, plainly
from guard.context.passport import Attestation, verify
from guard.context.standing import Context
from guard.errors import SourceError
from guard.facts import format_instant

if TYPE_CHECKING:
    from guard.clock import Reading

__all__ = ["attest", "passport_finding"]

_ALWAYS: Final = (0, 2**63 - 1)
_NEVER: Final = (0, 0)


def passport_finding(context: Context, now: Reading) -> Finding | None:
    """Whether anybody answers for what the source declares; None where nobody need."""
    if context.attested is None:
        return None
    why = context.unattested
    if not context.is_answered_for(now):
        return Finding("passport", None, ("none that holds",), "contradicted", 1.0, plainly(why or "", 1000))
    if why is None:
        return Finding("passport", None, ("none",), "cannot-tell", 0.0, "it has no passport: what is declared stands")
    return Finding("passport", None, ("valid",), "agrees", 1.0, plainly(why, 1000))


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
    lasts = f"from {format_instant(found.issued)} until {format_instant(found.expires)}"
    context.attest(valid, f"its passport {found.serial} is valid {lasts} only")
