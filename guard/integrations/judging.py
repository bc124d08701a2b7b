"""Judges an operation for a source that is named, where no frame of the running code says whose it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guard.gate import Call
from guard.integrations import watching
from guard.integrations.operation import Operation

if TYPE_CHECKING:
    from guard.source import Source

__all__ = ["attempt"]


def attempt(operation: Operation, source: Source, *, rewritable: bool = True, broken: str | None = None) -> Call:
    """The call that an operation is, made by `source`; `Call.pass_through` judges it and leaves one record.

    Args:
        operation: what is about to be called.
        source: who calls; `Guard.unknown_source` where nobody is named.
        rewritable: whether another payload than the one that came can go out; the operation may say no as well.
        broken: why it is refused whatever the policy says, None where nothing speaks against it yet.

    The payload that may go out is the first of the positional arguments that `pass_through` gives.
    """
    if None in operation.actions or "vlm_describe" in operation.actions:
        source.pixels_matter = True
    return Call(
        source,
        operation.actions,
        operation.service,
        (operation.payload,),
        {},
        operation.opaque,
        broken or operation.broken or watching.check(),
        also=operation.also,
        rewritable=rewritable and operation.rewritable,
    )
