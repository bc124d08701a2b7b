"""Answers Envoy's `ext_authz` HTTP check: 200 lets the request go on, anything else is what the client gets.

Envoy sends the request that it was given, method, path, host and body, and forwards its own copy: nothing can be
rewritten here.
"""

from __future__ import annotations

from starlette.responses import Response

from guard.config import Upstream
from guard.gateway.judging import Released
from guard.gateway.received import Received
from guard.gateway.refusals import DECISION_HEADER, RECORD_HEADER

__all__ = ["answer_check"]


async def answer_check(received: Received, upstream: Upstream, released: Released) -> Response:
    """The answer to a released request; a changed body never comes here."""
    if released.body != received.body:
        raise RuntimeError("a body was rewritten where it cannot be sent")
    headers: dict[str, str] = {DECISION_HEADER: released.decision}
    if released.record is not None:
        headers[RECORD_HEADER] = released.record
    return Response(status_code=200, headers=headers)
