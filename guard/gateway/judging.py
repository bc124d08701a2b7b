"""Judges requests in threads of its own, a bounded number at once, each within its deadline."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from guard.config import GatewayConfig, Upstream
from guard.errors import Denied, GuardFault
from guard.facts import Verdict
from guard.gateway.metrics import Metrics
from guard.gateway.received import Received
from guard.gateway.refusals import Refused
from guard.gateway.translating import Asked, Unreadable, translate, unknown_operation
from guard.guard import Guard
from guard.integrations.bodies import Body
from guard.integrations.judging import attempt
from guard.source import Source

if TYPE_CHECKING:
    from guard.approvals import Approval
    from guard.gate import Call

__all__ = ["Judge", "Released"]

log = logging.getLogger("guard.gateway")

T = TypeVar("T")

NAMELESS = "nobody names the source of this request"


@dataclass(frozen=True, slots=True)
class Released:
    """A request that may go out.

    Attributes:
        decision: ``allow``, ``redact``, ``untouched`` for one that is no guarded call and has no record, or ``shadow``
            where nothing is enforced: it goes out as it came, and its record has the verdict.
        body: what may go out.
        record: the id of its record.
        approval: what the release covers while it is sent, should the HTTP client of this process be guarded too.
    """

    decision: Literal["allow", "redact", "untouched", "shadow"]
    body: bytes
    record: str | None = None
    approval: Approval | None = None


class _Ticket:
    """Whether a request is still waited for. Either it is released or its time is up, never both."""

    def __init__(self, deadline_s: float) -> None:
        self._lock = threading.Lock()
        self._state: Literal["open", "released", "expired"] = "open"
        self._until = time.monotonic() + deadline_s

    def release(self) -> bool:
        """Whether the request may go out; nobody can let its time run out then."""
        with self._lock:
            if self._state == "open" and time.monotonic() < self._until:
                self._state = "released"
            return self._state == "released"

    def expire(self) -> bool:
        """Whether its time is up; it cannot be released then."""
        with self._lock:
            if self._state == "open":
                self._state = "expired"
            return self._state == "expired"

    @property
    def is_late(self) -> bool:
        """Whether judging it makes no sense any more."""
        return self._state == "expired" or time.monotonic() >= self._until


class Judge:
    """The one place where requests are judged; see `guard.gate`.

    Args:
        guard: whose policy, detector and record count.
        config: its `[gateway]`.
        metrics: where verdicts are counted.
    """

    def __init__(self, guard: Guard, config: GatewayConfig, metrics: Metrics) -> None:
        self._guard = guard
        self._deadline_s = config.deadline_s
        self._metrics = metrics
        self._pool = ThreadPoolExecutor(config.workers, "guard-judge")
        # What is refused unjudged is recorded all the same, and must not wait behind the very calls that are too many.
        self._clerk = ThreadPoolExecutor(1, "guard-clerk")

    def close(self) -> None:
        """Ends the threads once they are through with what was handed to them."""
        self._pool.shutdown()
        self._clerk.shutdown()

    async def judge(
        self, received: Received, upstream: Upstream, source: Source | None, *, rewritable: bool
    ) -> Released:
        """What may go out. Raises `Refused`, with one record for a guarded call, and none for any other.

        Args:
            received: the request.
            upstream: to whom it goes.
            source: who calls, None where nobody is named.
            rewritable: whether another body than the one that came can go out.
        """
        ticket = _Ticket(self._deadline_s)
        started = time.perf_counter()
        try:
            return await self._in_time(
                ticket, lambda: self._judge(received, upstream, source, rewritable=rewritable, ticket=ticket)
            )
        finally:
            self._metrics.judged(time.perf_counter() - started)

    async def refuse(self, why: str, upstream: Upstream, source: Source | None, *, kind: str, status: int) -> Refused:
        """Records a request that is refused before it was read or judged, and gives the refusal."""

        def work() -> Refused:
            try:
                attempt(unknown_operation(upstream), self._source(source), broken=why).pass_through()
            except (Denied, GuardFault) as error:
                return Refused.by(error, kind=kind, status=status)
            raise RuntimeError("a broken call was let through")

        return await asyncio.get_running_loop().run_in_executor(self._clerk, work)

    def _source(self, source: Source | None) -> Source:
        return self._guard.unknown_source if source is None else source

    async def _in_time(self, ticket: _Ticket, work: Callable[[], T]) -> T:
        verdict = asyncio.get_running_loop().run_in_executor(self._pool, work)
        try:
            done, _ = await asyncio.wait([verdict], timeout=self._deadline_s)
        except asyncio.CancelledError:
            ticket.expire()
            verdict.add_done_callback(_heard)
            raise
        if not done and ticket.expire():
            # The thread goes on: its record, if it comes to one, says that the call was refused.
            verdict.add_done_callback(_heard)
            raise Refused(self._too_late, kind="deadline")
        return await verdict

    @property
    def _too_late(self) -> str:
        return f"it could not be judged within {self._deadline_s:g} s"

    # ---- in a thread of the pool

    def _judge(
        self, received: Received, upstream: Upstream, source: Source | None, *, rewritable: bool, ticket: _Ticket
    ) -> Released:
        asked, broken = _translated(received, upstream)
        if source is None:
            broken = NAMELESS
        if ticket.is_late:
            broken = self._too_late
        if asked.operation is None:
            if broken is not None or not ticket.release():
                raise Refused(broken or self._too_late, kind="source" if source is None else "deadline")
            return Released("untouched", received.body)
        call = attempt(asked.operation, self._source(source), rewritable=rewritable, broken=broken)
        try:
            (payload,), _ = call.pass_through()
        except (Denied, GuardFault) as error:
            raise Refused.by(error, kind="source" if broken == NAMELESS else None) from None
        body = received.body
        if payload is not asked.operation.payload:
            body = _rewritten(call, asked, payload)
        if not ticket.release():
            raise Refused.by(call.withdraw(self._too_late), kind="deadline")
        if call.shadow:
            return Released("shadow", body, call.id)
        redacted = call.decision is not None and call.decision.verdict is Verdict.REDACT
        return Released("redact" if redacted else "allow", body, call.id, call.approval(sealed=True))


def _translated(received: Received, upstream: Upstream) -> tuple[Asked, str | None]:
    """What is asked, and why it is refused whatever the policy says."""
    try:
        return translate(received, upstream), None
    except Unreadable as error:
        why = str(error)
    except Exception as error:
        log.exception("a request shaped %s could not be translated", upstream.shape)
        why = f"{type(error).__name__}: {error}"
    return Asked(unknown_operation(upstream), Body(received.body)), f"the request cannot be judged: {why}"


def _rewritten(call: Call, asked: Asked, payload: Any) -> bytes:
    """The body with what may go out in its place. Raises `Refused` where it cannot be put there."""
    try:
        body = asked.body.with_payload(payload)
    except Exception as error:
        log.exception("the judged parts could not be put back into the request")
        why = f"the judged parts could not be put back: {type(error).__name__}: {error}"
        raise Refused.by(call.withdraw(why)) from error
    if body != asked.body.sent and not call.rewritable:
        raise Refused.by(call.withdraw("a picture in it would have to be written anew, and it cannot be rewritten"))
    return body


def _heard(verdict: asyncio.Future[Any]) -> None:
    """Nobody waits for it any more; what it raised was a refusal, or is said here."""
    error = verdict.exception()
    if error is not None and not isinstance(error, Refused):
        log.error("a request that had run out of time broke: %s: %s", type(error).__name__, error)
