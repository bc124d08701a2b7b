"""What the hooks of botocore and aiobotocore share: reading a call, one release from judgement to answer, refusing.

botocore asks for a call's parameters in one method, serializes them in a second and sends them in a third. It is judged
in the first, after the caller's own event handlers; the release stays in force until the answer is there, and what is
sent is compared with what was judged. A request that is handed straight to the endpoint is judged there.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from guard.errors import Denied, GuardFault
from guard.facts import VLM_SERVICES
from guard.integrations.operation import Operation
from guard.integrations.refusals import Refuse, as_native
from guard.integrations.services import service_of
from guard.integrations.translations import bedrock, rekognition
from guard.integrations.translations.parts import Path, json_object, replaced, settled

__all__ = ["Span", "current_span", "is_judged", "read_call", "read_request", "refusal", "request_with", "spanning"]

_REKOGNITION = "rekognition"
_CODE = "AccessDeniedException"

_span: ContextVar[Span | None] = ContextVar("guard_aws_span", default=None)


class Span:
    """One API call of a client, from its judgement to its answer.

    Attributes:
        client: whose call it is.
        release: an `ExitStack`, or an `AsyncExitStack`: what was let through stays so until it is closed.
        is_judged: whether the call's parameters have been judged.
    """

    __slots__ = ("_print", "client", "is_judged", "is_over", "release")

    def __init__(self, client: object, release: Any) -> None:
        self.client = client
        self.release = release
        self.is_judged = False
        self.is_over = False
        self._print: tuple[Any, ...] | None = None

    def remember(self, request: Mapping[str, Any]) -> None:
        """Takes down the request that the judged parameters became."""
        self._print = _print(request)

    def is_for(self, request: Mapping[str, Any]) -> bool:
        """Whether this is the request that was judged, and not what somebody made of it since."""
        return not self.is_over and self.is_judged and self._print is not None and self._print == _print(request)


def _print(request: Mapping[str, Any]) -> tuple[Any, ...]:
    headers = request.get("headers") or {}
    return request.get("body"), request.get("url_path"), headers.get("X-Amz-Target")


@contextmanager
def spanning(client: object, release: Any) -> Iterator[Span]:
    """Makes it the span of the running code."""
    span = Span(client, release)
    token = _span.set(span)
    try:
        yield span
    finally:
        span.is_over = True
        _span.reset(token)


def current_span(client: object = None) -> Span | None:
    """The innermost span around the running code; with a client, only if it is that client's."""
    span = _span.get()
    if span is None or span.is_over or (client is not None and span.client is not client):
        return None
    return span


# ---- reading


def is_judged(service: Any) -> bool:
    """Whether calls of a botocore service model are looked at."""
    return _is_rekognition(service) or str(service.service_name).startswith("bedrock")


def _is_rekognition(service: Any) -> bool:
    # A model of the user's own may carry another name; what it calls is said by its target.
    return _REKOGNITION in (service.service_name, str(service.metadata.get("targetPrefix")).casefold()[:11])


def read_call(model: Any, params: Any, endpoint: str, *, presigned: bool) -> tuple[Operation | None, Any]:
    """What the parameters of a call mean, and a copy of them that no other thread can change.

    Args:
        model: botocore's model of the operation.
        params: its parameters, as they are about to be serialized.
        endpoint: the client's address.
        presigned: whether a URL is made of it, which others use.
    """
    params = _read(model, endpoint, lambda: settled(params))
    if isinstance(params, Operation):
        return params, None
    operation = _read(model, endpoint, lambda: _translate(model, params))
    if operation is not None and presigned:
        operation.opaque = [*operation.opaque, "a presigned URL: what is sent with it"]
    return _placed(operation, endpoint), params


def read_request(model: Any, request: Mapping[str, Any], endpoint: str) -> Operation | None:
    """What a serialized request means that reached the endpoint unjudged."""
    return _placed(_read(model, endpoint, lambda: _translate(model, _params_in(model, request))), endpoint)


def _read(model: Any, endpoint: str, read: Callable[[], Any]) -> Any:
    """What `read` gives; where it fails, a call that is refused."""
    try:
        return read()
    except Exception as error:  # noqa: BLE001 - whatever is wrong with a call, it must not pass unread
        service, actions = ("rekognition_compare", ("identify",)) if _is_rekognition(model.service_model) else _OTHER
        why = f"its parameters cannot be read: {type(error).__name__}: {error}"
        return Operation(f"{model.service_model.service_name}.{model.name}", service, actions, broken=why)


_OTHER = ("other", ("vlm_describe",))


def _translate(model: Any, params: Mapping[str, Any]) -> Operation | None:
    if _is_rekognition(model.service_model):
        return rekognition.translate(model.name, params)
    return bedrock.translate(model.name, params)


def _params_in(model: Any, request: Mapping[str, Any]) -> dict[str, Any]:
    body = request.get("body") or b"{}"
    if hasattr(body, "read"):
        raise ValueError("a stream instead of a body")
    if _is_rekognition(model.service_model):
        return dict(json_object(body))
    at = bedrock.operation_at(str(request.get("url_path", "")))
    model_id = {} if at is None else {"modelId": at[1]}
    if model.name in bedrock.WHOLE_BODY:
        return {"body": body, **model_id}
    return {**json_object(body), **model_id}


def _placed(operation: Operation | None, endpoint: str) -> Operation | None:
    """The operation at the service that `[services]` says the endpoint is."""
    if operation is not None:
        operation.service = service_of(_host(endpoint), operation.service)
        if operation.actions == (None,) and operation.service not in VLM_SERVICES:
            operation.actions = ("vlm_describe",)
    return operation


@lru_cache(maxsize=256)
def _host(endpoint: str) -> str:
    return urlsplit(endpoint).netloc.rpartition("@")[2].casefold()


def request_with(model: Any, request: Mapping[str, Any], payload: Mapping[Path, Any]) -> dict[str, Any]:
    """A copy of the serialized request that carries the payload."""
    body = request.get("body")
    if model.name in bedrock.WHOLE_BODY and not _is_rekognition(model.service_model):
        return {**request, "body": replaced({"body": body}, payload)["body"]}
    return {**request, "body": replaced(body, payload)}


# ---- refusing


def refusal(operation: str, exceptions: Any = None) -> Refuse:
    """Turns the guard's refusal into the client's own ``AccessDeniedException``, and into ``ClientError`` without it.

    Args:
        operation: the operation's name.
        exceptions: ``client.exceptions``.
    """

    def refuse(error: Denied | GuardFault) -> BaseException:
        native = sys.modules["botocore.exceptions"].ClientError if exceptions is None else exceptions.from_code(_CODE)
        response = {
            "Error": {"Code": _CODE, "Message": str(error)},
            "ResponseMetadata": {"HTTPStatusCode": 403, "HTTPHeaders": {}, "RetryAttempts": 0},
        }
        return as_native(error, native, {"response": response, "operation_name": operation})

    return refuse
