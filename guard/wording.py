"""Refusals in words: asked when they are read, since a pipeline may be refused on every frame and never read why."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from guard.facts import Decision
    from guard.pictures import Pictures

__all__ = ["denial_in_words", "fault_in_words"]


def fault_in_words(decision: Decision) -> str:
    """Why the guard could not judge, in one line."""
    return f"{_call_in_words(decision)} was refused because the guard could not judge it: {decision.fault}"


def denial_in_words(decision: Decision, pictures: Pictures | None, rewritable: bool) -> str:
    """Which rules forbid, and why the call could not go out redacted either, in one line."""
    why = ", ".join(dict.fromkeys(reason.rule for reason in decision.reasons)) or "no rule permits it"
    if pictures is not None and pictures.opaque:
        why += f"; it may go out only redacted, and this could not be looked at: {pictures.opaque[0]}"
    elif pictures is not None and not pictures.found:
        why += "; it may go out only redacted, and no picture was found to redact"
    elif pictures is not None and pictures.shows_faces_in_a_video:
        why += "; it may go out only redacted, and a video cannot be redacted"
    elif pictures is not None and not rewritable:
        why += "; it may go out only redacted, and the request cannot be rewritten"
    return f"{_call_in_words(decision)} is forbidden by {why}"


def _call_in_words(decision: Decision) -> str:
    return f"{decision.action or 'an unnamed call'} at {decision.service} for source {decision.source}"
