"""What the hooks of botocore and aiobotocore share: reading a call, one release from judgement to answer, refusing.

botocore asks for a call's parameters in one method, serializes them in a second and sends them in a third. It is judged
in the first, after the caller's own event handlers; the release stays in force until the answer is there, and what is
sent is compared with what was judged. A request that is handed straight to the endpoint is judged there.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Any
from urllib.parse import urlsplit

from guard.errors import Denied, GuardFault
from guard.facts import VLM_SERVICES
from guard.integrations import spans
from guard.integrations.operation import Operation
from guard.integrations.refusals import Refuse, as_native
from guard.integrations.services import service_of
from guard.integrations.spans import Span
from guard.integrations.translations import bedrock, rekognition
from guard.integrations.translations.parts import Path, json_object, replaced, settled

__all__ = [
    "current_span",
    "is_judged",
    "print_of",
    "read_parameters",
    "read_request",
    "refusal",
    "remembered",
    "request_with",
    "span_of",
]

_LIBRARY = "botocore"
_REKOGNITION = "rekognition"
_CODE = "AccessDeniedException"


def span_of(client: object) -> Span:
    """The span of a call that this client makes."""
    return Span(_LIBRARY, client)


def current_span(client: object = None) -> Span | None:
    """The call around the running code; with a client, only if it is that client's."""
    return spans.current_span(_LIBRARY, client)


def print_of(request: Mapping[str, Any]) -> tuple[Any, ...]:
    """What tells one serialized request from another."""
    headers = request.get("headers") or {}
    return request.get("body"), request.get("url_path"), headers.get("X-Amz-Target")


# ---- reading


def is_judged(service: Any) -> bool:
    """Whether calls of a botocore service model are looked at."""
    return _is_rekognition(service) or str(service.service_name).startswith("bedrock")


def _is_rekognition(service: Any) -> bool:
    # A model of the user's own may carry another name; what it calls is said by its target.
    return bool(service.service_name == _REKOGNITION or service.metadata.get("targetPrefix") == "RekognitionService")


def read_parameters(client: Any, model: Any, params: Any, context: Any) -> tuple[Operation | None, Any, Span | None]:
    """What a client is about to serialize means; the parameters as they may go out; the call that they are part of.

    The operation is None where nothing is to be judged, and the span where nothing is sent in it: a presigned URL.
    """
    if not is_judged(model.service_model):
        return None, params, None
    presigned = bool(context and context.get("is_presign_request"))
    operation, params = _read_call(model, params, client.meta.endpoint_url, presigned=presigned)
    span = None if presigned else current_span(client)
    if operation is None and span is not None:
        span.admit(None)
    return operation, params, span


def remembered(client: Any, request: Any) -> Any:
    """The request that the client's call has become, which its span takes down."""
    span = current_span(client)
    if span is not None:
        span.remember(print_of(request))
    return request


def _read_call(model: Any, params: Any, endpoint: str, *, presigned: bool) -> tuple[Operation | None, Any]:
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
    return _placed(_read(model, endpoint, lambda: _translate_request(model, request)), endpoint)


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


def _translate_request(model: Any, request: Mapping[str, Any]) -> Operation | None:
    """Which operation it is, is what the request says: the model is only what its answer will be read with."""
    body = request.get("body") or b"{}"
    if hasattr(body, "read"):
        raise ValueError("a stream instead of a body")
    if _is_rekognition(model.service_model):
        target = str((request.get("headers") or {}).get("X-Amz-Target", ""))
        return rekognition.translate(rekognition.operation_of(target) or model.name, json_object(body))
    name, model_id = bedrock.operation_at(str(request.get("url_path", ""))) or (model.name, "")
    if name in bedrock.WHOLE_BODY:
        return bedrock.translate(name, {"modelId": model_id, "body": body})
    return bedrock.translate(name, {**json_object(body), "modelId": model_id})


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
    if not _is_rekognition(model.service_model) and any(path[:1] == ("body",) for path in payload):
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
        return as_native(error, native, partial(_response, operation, error))

    return refuse


def _response(operation: str, error: Denied | GuardFault) -> dict[str, Any]:
    """The attributes of ``ClientError``."""
    response = {
        "Error": {"Code": _CODE, "Message": str(error)},
        "ResponseMetadata": {"HTTPStatusCode": 403, "HTTPHeaders": {}, "RetryAttempts": 0},
    }
    return {"response": response, "operation_name": operation}
