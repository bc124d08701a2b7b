"""What a client sees when its request is refused: a 403 in the words of the service that it addressed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from starlette.responses import Response

from guard.config import SIGNED, Shape
from guard.errors import Denied, GuardFault

__all__ = ["DECISION_HEADER", "RECORD_HEADER", "Refused", "refusal_response"]

DECISION_HEADER = "x-guard-decision"
RECORD_HEADER = "x-guard-record"

TOO_LARGE = 413
OVERLOADED = 503


class Refused(Exception):
    """The request goes nowhere.

    Attributes:
        why: in words.
        decision: ``deny`` where the policy said no, ``fault`` where the guard could not judge.
        record: the id of its record; None where it has none.
        status: of HTTP.
        kind: a short name, for metrics.
    """

    def __init__(
        self, why: str, *, kind: str, decision: str = "fault", record: str | None = None, status: int = 403
    ) -> None:
        super().__init__(why)
        self.why = why
        self.kind = kind
        self.decision = decision
        self.record = record
        self.status = status

    @classmethod
    def by(cls, error: Denied | GuardFault, *, kind: str | None = None, status: int = 403) -> Refused:
        """The refusal that the guard raised."""
        decision = "deny" if isinstance(error, Denied) else "fault"
        record = None if error.decision is None else error.decision.id
        return cls(str(error), kind=kind or decision, decision=decision, record=record, status=status)


def refusal_response(refused: Refused, shape: Shape | None) -> Response:
    """The answer, such that the service's own SDK raises its own error for a forbidden call, and does not retry it."""
    content = json.dumps(_BODIES.get(shape, _openai)(refused), ensure_ascii=True).encode()
    kind = "application/x-amz-json-1.1" if shape == "rekognition" else "application/json"
    is_amazon = shape in SIGNED
    headers = {DECISION_HEADER: refused.decision, "cache-control": "no-store"}
    # OpenAI's clients heed the first, everybody's the second.
    headers |= {"retry-after": "1"} if refused.status == OVERLOADED else {"x-should-retry": "false"}
    if refused.record is not None:
        headers[RECORD_HEADER] = refused.record
        if is_amazon:
            headers["x-amzn-requestid"] = refused.record
    if is_amazon:
        headers["x-amzn-errortype"] = "AccessDeniedException"
    if refused.status == TOO_LARGE:
        headers["connection"] = "close"
    return Response(content, refused.status, headers, kind)


def _amazon(refused: Refused) -> dict[str, Any]:
    return {"__type": "AccessDeniedException", "Message": refused.why}


def _azure(refused: Refused) -> dict[str, Any]:
    return {"error": {"code": "FacePolicyViolation", "message": refused.why}}


def _openai(refused: Refused) -> dict[str, Any]:
    return {
        "error": {
            "message": refused.why,
            "type": "permission_error",
            "param": None,
            "code": "face_policy_violation",
        }
    }


def _anthropic(refused: Refused) -> dict[str, Any]:
    return {"type": "error", "error": {"type": "permission_error", "message": refused.why}}


def _google(refused: Refused) -> dict[str, Any]:
    return {"error": {"code": refused.status, "message": refused.why, "status": "PERMISSION_DENIED"}}


_BODIES: Mapping[Shape | None, Callable[[Refused], dict[str, Any]]] = {
    "rekognition": _amazon,
    "bedrock": _amazon,
    "azure_face": _azure,
    "azure_openai": _openai,
    "openai": _openai,
    "anthropic": _anthropic,
    "google": _google,
}
