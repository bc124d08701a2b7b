"""The one way through: every hooked call of every library is judged here, once.

::

    with passage(operation) as payload:          # Denied or GuardFault: nothing was sent
        return original(*with_payload(payload))

The source is that of the current frame; a call outside of every frame is made by an unknown source of the guard that
was loaded last. With no guard loaded nothing may pass.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from guard.approvals import Approval, covered
from guard.aside import aside
from guard.autoload import guard_of_children
from guard.errors import Denied, GuardFault
from guard.frames import current_frame
from guard.guard import latest
from guard.integrations.judging import attempt
from guard.integrations.operation import Operation
from guard.integrations.refusals import Refuse, plain

if TYPE_CHECKING:
    from guard.gate import Call
    from guard.source import Source

__all__ = ["passage", "passage_async"]

log = logging.getLogger("guard.integrations")


class _Passage:
    """The way through for one operation: a context manager that gives the payload that may go out.

    A class and no generator: a denied call on every frame pays for entering it.
    """

    __slots__ = ("_approval", "_operation", "_refuse")

    def __init__(self, operation: Operation, refuse: Refuse = plain) -> None:
        self._operation = operation
        self._refuse = refuse
        self._approval: Approval | None = None

    def _let_through(self, call: Call, payload: Any) -> Any:
        self._approval = call.approval(sealed=True)
        self._approval.__enter__()
        return payload

    def _leave(self, raised: tuple[Any, ...]) -> None:
        if self._approval is not None:
            self._approval.__exit__(*raised)


class passage(_Passage):
    """Judges the call, and gives the payload that may go out; what is done inside is part of that call.

    Raises what `refuse` makes of `Denied` or `GuardFault`; nothing was sent then.
    """

    __slots__ = ()

    def __enter__(self) -> Any:
        operation = self._operation
        if _is_covered(operation):
            return operation.payload
        try:
            call = attempt(operation, _source(operation))
            payload = _released(call, operation)
        except (Denied, GuardFault) as error:
            raise self._refuse(error) from None
        return self._let_through(call, payload)

    def __exit__(self, *raised: Any) -> None:
        self._leave(raised)


class passage_async(_Passage):
    """As `passage`, without standing in the way of the event loop: judging waits for the detector and the disk."""

    __slots__ = ()

    async def __aenter__(self) -> Any:
        operation = self._operation
        if _is_covered(operation):
            return operation.payload
        try:
            call = attempt(operation, _source(operation))
            payload = _released(call, operation) if call.is_foregone() else await aside(_released, call, operation)
        except (Denied, GuardFault) as error:
            raise self._refuse(error) from None
        return self._let_through(call, payload)

    async def __aexit__(self, *raised: Any) -> None:
        self._leave(raised)


def _released(call: Call, operation: Operation) -> Any:
    (payload,), _ = call.pass_through()
    if not operation.rewritable and payload != operation.payload:
        raise call.withdraw("a picture would go out as it was seen here, and the request cannot be rewritten")
    return payload


def _is_covered(operation: Operation) -> bool:
    """Whether it is a part of a call that was released: what it could be, and all that it does besides."""
    if operation.broken is not None:
        return False
    if not covered(operation.service, operation.actions):
        return False
    return all(covered(operation.service, (action,)) for action in operation.also)


def _source(operation: Operation) -> Source:
    seen = current_frame()
    if seen is not None:
        return seen.source
    guard = latest() or guard_of_children()
    if guard is None:
        fault = GuardFault(
            f"{operation.name} was refused: no guard is loaded in this process",
            mend='load one before the first call: guard.load("guard.toml")',
        )
        log.error("%s", fault)
        raise fault
    return guard.unknown_source
