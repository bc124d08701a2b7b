"""What an adapter says of one native call, in the guard's terms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Operation"]


@dataclass(slots=True)
class Operation:
    """One call of a guarded library, translated. The adapter decides nothing.

    A call that carries no picture, no video and no reference to one, and is no face operation, is no `Operation`: the
    adapter answers None for it, and it passes untouched and unrecorded.

    Attributes:
        name: library and operation for messages and logs, e.g. ``rekognition.SearchFacesByImage``; no content.
        service: a service of the vocabulary.
        actions: every action that the call could be, of the vocabulary; ``(None,)`` for a vision-language call.
        payload: the part of the native arguments in which pictures are looked for and replaced: nested dicts, lists
            and tuples of bytes, text, uint8 arrays. It is never changed in place.
        opaque: what the call refers to and cannot be looked at here, in words: ``an S3 object``, ``a file id``. It
            makes the faces unknown, and a call that would have to be redacted is denied.
        also: actions that the call does in any case, beside the one that it could be, e.g. ``emotion`` where a face is
            enrolled and its expression read in one call. `Source.intent` does not narrow them away.
        broken: why the adapter could not read the call, None where it could: it is refused then, and recorded.
        rewritable: whether another payload can take the place of the one that came; where it cannot (a signed request),
            what could go out only changed is refused.
    """

    name: str
    service: str
    actions: Sequence[str | None]
    payload: Any = None
    opaque: Sequence[str] = ()
    also: Sequence[str] = ()
    broken: str | None = None
    rewritable: bool = True
