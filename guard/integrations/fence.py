"""The second fence: requests to known services that are sent without the services' SDKs, or below them.

What an SDK's own hook has released is not judged again here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from guard.approvals import Approval
from guard.errors import Denied, GuardFault
from guard.integrations.endpoints import Crossing, Request, recognise
from guard.integrations.passage import passage, passage_async

__all__ = ["MOST_BYTES_READ", "crossing", "crossing_async", "described"]

MOST_BYTES_READ = 64 * 1024 * 1024
"""A body whose length is declared is read beforehand up to this size; of others it is unknown what they hold."""


def described(method: str, url: str, headers: Any, body: Any) -> Request:
    """The request as `recognise` wants it; `body` is bytes, text, None, or something that will give them later."""
    lowered = {_text(name).lower(): _text(value) for name, value in headers.items()}
    if body is None:
        return Request(method.upper(), url, lowered)
    if isinstance(body, str):
        body = body.encode("utf-8")
    if isinstance(body, (bytes, bytearray, memoryview)):
        return Request(method.upper(), url, lowered, bytes(body))
    return Request(method.upper(), url, lowered, unread="a streamed body")


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


@contextmanager
def crossing(request: Request) -> Iterator[bytes | None]:
    """Judges a request, and gives the body that may go out; None where it goes out as it is.

    Raises `Denied` or `GuardFault`; nothing was sent then.
    """
    found = recognise(request)
    if found is None:
        yield None
    elif found.operation is None:
        with _looked_at(found):
            yield None
    else:
        with passage(found.operation) as payload:
            yield _body(request, found, payload)


@asynccontextmanager
async def crossing_async(request: Request) -> AsyncIterator[bytes | None]:
    """As `crossing`, without standing in the way of the event loop."""
    found = recognise(request)
    if found is None:
        yield None
    elif found.operation is None:
        with _looked_at(found):
            yield None
    else:
        async with passage_async(found.operation) as payload:
            yield _body(request, found, payload)


def _looked_at(found: Crossing) -> Approval:
    """A release of no action: it covers nothing, and tells `guard.integrations.tripwire` that this was looked at."""
    return Approval(found.service, (), sealed=False)


def _body(request: Request, found: Crossing, payload: Any) -> bytes | None:
    if request.unread is not None:
        return None
    if found.operation is not None and payload == found.operation.payload:
        return request.body
    try:
        return found.body.with_payload(payload)
    except Exception as error:  # what cannot be written back is not sent
        raise GuardFault(f"the request could not be made again: {type(error).__name__}: {error}") from error


def answer(error: Denied | GuardFault) -> dict[str, Any]:
    """What a refused request is answered with where the library's users expect an answer: in every service's words."""
    return {
        "__type": "AccessDeniedException",
        "message": str(error),
        "error": {
            "type": "permission_error",
            "code": "face_policy_violation" if isinstance(error, Denied) else "face_policy_fault",
            "status": "PERMISSION_DENIED",
            "message": str(error),
        },
    }
