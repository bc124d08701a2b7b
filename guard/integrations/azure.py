"""azure-core, on which Azure's clients stand: Face, AI Vision, and models behind Azure.

A request is judged where it enters the pipeline, above its policies and their retries. What reaches the transport as
something else, by a policy of the caller's or a redirect, is judged there anew, and so is what is handed straight to a
transport.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from guard.errors import Denied, GuardFault
from guard.integrations.azure_threads import Threaded
from guard.integrations.bodies import Body, read_body
from guard.integrations.hooks import Adapter, Hook
from guard.integrations.operation import Operation
from guard.integrations.passage import passage, passage_async
from guard.integrations.refusals import as_native, plain
from guard.integrations.services import service_of
from guard.integrations.spans import Span, current_span, outside
from guard.integrations.translations import azure, azure_face
from guard.integrations.translations.parts import settled

__all__ = ["ADAPTER"]

_LIBRARY = "azure-core"
_CODE = "FacePolicyViolation"
_OVERRIDE = "X-HTTP-Method-Override"


@dataclass(slots=True)
class _Call:
    """A request to one of Microsoft's AI services.

    Attributes:
        operation: what it is; None where it carries nothing to look at and is no face operation.
        request: azure-core's, or a copy of it whose stream has been read.
        body: what it carries.
    """

    operation: Operation | None
    request: Any
    body: Body

    def with_payload(self, payload: Any) -> Any:
        """The request as it may go out: itself, or a copy where its body is another."""
        if not payload or self.body.unread is not None:
            return self.request
        made = self.body.with_payload(payload)
        return self.request if made == self.body.sent else _with_body(self.request, made)


# ---- reading


def _call_of(request: Any, contents: bytes | None = None) -> _Call | None:
    """The call that a request is; None for one of another service. `contents` are of a stream that was read already."""
    url = urlsplit(request.url)
    host = url.netloc.rpartition("@")[2].casefold()
    found = azure.service_at(host, url.path)
    if found is None:
        return None
    call = _Call(None, request, Body(b""))
    try:
        content = None if azure_face.is_told_by_address(url.path) else _read(call, found, contents)
        service = service_of(host, "") or None
        query = azure_face.query_of(url.query) if url.query else {}
        operation = azure.translate(_method_of(request), host, url.path, query, content, service=service)
        if operation is not None and call.body.unread is not None:
            operation.opaque = [*operation.opaque, call.body.unread]
    except Exception as error:  # noqa: BLE001 - whatever is wrong with a call, it must not pass unread
        why = f"the request cannot be read: {type(error).__name__}: {error}"
        operation = Operation(f"{found} request", found, ("identify",), broken=why)
    call.operation = operation
    return call


def _method_of(request: Any) -> str:
    """The method as a server may take it; one that only reads carries no body."""
    method = str(request.headers.get(_OVERRIDE) or request.method).upper()
    return "POST" if method in ("GET", "HEAD", "OPTIONS") and any(_data_of(request)) else method


def _read(call: _Call, service: str, contents: bytes | None) -> Any:
    """What stands in the request's body: a mapping of JSON or of a form's fields, or its bytes."""
    request, unread = call.request, None
    if contents is None:
        contents, unread = _contents(request, service)
    if unread is None and contents is not None and not isinstance(_data_of(request)[0], (bytes, str)):
        call.request = _with_body(request, contents)  # a stream can be read once
    headers = {str(name).lower(): str(value) for name, value in request.headers.items()}
    call.body = body = read_body(contents or b"", headers, unread)
    return (body.mapping() or None) if body.is_json and service == azure_face.SERVICE else body.content()


def _contents(request: Any, service: str) -> tuple[bytes | None, str | None]:
    """The bytes that a request carries, and why they are not known; None for a request without a body."""
    data, files = _data_of(request)
    if files:
        return b"", "a form with files"
    if data is None or isinstance(data, (str, bytes)):
        return data.encode() if isinstance(data, str) else data, None
    if isinstance(data, dict):
        return b"", "a form"
    if hasattr(data, "__aiter__") or service == azure_face.SERVICE:
        return b"", "a stream"
    if hasattr(data, "__iter__") and not isinstance(data, bytearray) and not hasattr(data, "read"):
        return b"".join(data), None
    data = settled(data)
    return data.encode() if isinstance(data, str) else data, None


def _data_of(request: Any) -> tuple[Any, Any]:
    """Data and files of both of azure-core's kinds of request; the newer one answers to the older's names, slowly."""
    own = vars(request)
    return (own["_data"], own["_files"]) if "_data" in own else (request.data, request.files)


async def _stream_of(request: Any) -> bytes | None:
    """What an asynchronous stream holds, where the request carries one that has to be looked at."""
    data, _ = _data_of(request)
    if not hasattr(data, "__aiter__") or isinstance(data, (str, bytes)):
        return None
    url = urlsplit(request.url)
    if azure.service_at(url.netloc.casefold(), url.path) in (None, azure_face.SERVICE):
        return None
    return b"".join([part async for part in data])


def _with_body(request: Any, body: bytes) -> Any:
    made = copy.copy(request)
    made.headers = request.headers.copy()
    made.headers.pop("Transfer-Encoding", None)
    made.headers["Content-Length"] = str(len(body))
    made.data = body
    made.files = None
    return made


def _print_of(request: Any) -> tuple[Any, ...]:
    """What tells one request from another."""
    return (request.method, request.url, request.headers.get(_OVERRIDE), *_data_of(request))


# ---- hooks


def _run(original: Callable[..., Any]) -> Callable[..., Any]:
    def run(self: Any, request: Any, **kwargs: Any) -> Any:
        call = _call_of(request)
        if call is None:
            return original(self, request, **kwargs)
        with Span(_LIBRARY, self) as span:
            payload = span.admit(None if call.operation is None else passage(call.operation, _refuse))
            request = call.with_payload(payload)
            span.remember(_print_of(request))
            return original(self, request, **kwargs)

    return run


def _run_async(original: Callable[..., Any]) -> Callable[..., Any]:
    async def run(self: Any, request: Any, **kwargs: Any) -> Any:
        call = _call_of(request, await _stream_of(request))
        if call is None:
            return await original(self, request, **kwargs)
        async with Span(_LIBRARY, self) as span:
            through = None if call.operation is None else passage_async(call.operation, _refuse)
            request = call.with_payload(await span.admit_async(through))
            span.remember(_print_of(request))
            return await original(self, request, **kwargs)

    return run


def _unjudged(request: Any) -> _Call | None:
    """The call of a request at the transport, unless it is the one that was judged."""
    span = current_span(_LIBRARY)
    return None if span is not None and span.is_for(_print_of(request)) else _call_of(request)


# Below the retries a refusal is the guard's alone: they take azure-core's own exceptions for what may go away.


@contextmanager
def _through(call: _Call | None, request: Any) -> Iterator[Any]:
    """The request at the transport as it may go out."""
    if call is None or call.operation is None:
        yield request if call is None else call.request
        return
    with outside(current_span(_LIBRARY)), passage(call.operation, plain) as payload:
        yield call.with_payload(payload)


@asynccontextmanager
async def _through_async(call: _Call | None, request: Any) -> AsyncIterator[Any]:
    if call is None or call.operation is None:
        yield request if call is None else call.request
        return
    with outside(current_span(_LIBRARY)):
        async with passage_async(call.operation, plain) as payload:
            yield call.with_payload(payload)


def _sent(original: Callable[..., Any]) -> Callable[..., Any]:
    def send(self: Any, request: Any, **kwargs: Any) -> Any:
        with _through(_unjudged(request), request) as request:
            return original(self, request, **kwargs)

    return send


def _sent_async(original: Callable[..., Any]) -> Callable[..., Any]:
    async def send(self: Any, request: Any, **kwargs: Any) -> Any:
        async with _through_async(_unjudged(request), request) as request:
            return await original(self, request, **kwargs)

    return send


def _sent_by_thread(original: Callable[..., Any]) -> Callable[..., Any]:
    async def send(self: Any, request: Any, **kwargs: Any) -> Any:
        async with _through_async(_unjudged(request), request) as request:
            return await original(Threaded(self), request, **kwargs)

    return send


def _handed_on(original: Callable[..., Any]) -> Callable[..., Any]:
    """The pipeline's last step: whatever transport comes after it, also one of the caller's own."""

    def send(self: Any, request: Any) -> Any:
        given = request.http_request
        with _through(_unjudged(given), given) as request.http_request:
            return original(self, request)

    return send


def _handed_on_async(original: Callable[..., Any]) -> Callable[..., Any]:
    async def send(self: Any, request: Any) -> Any:
        given = request.http_request
        async with _through_async(_unjudged(given), given) as request.http_request:
            return await original(self, request)

    return send


def _refuse(error: Denied | GuardFault) -> BaseException:
    """As the service's own 403."""
    return as_native(error, sys.modules["azure.core.exceptions"].HttpResponseError, partial(_response, error))


def _response(error: Denied | GuardFault) -> dict[str, Any]:
    """The attributes of ``HttpResponseError``."""
    said = {"error": {"code": _CODE, "message": str(error)}}
    return {
        "status_code": 403,
        "reason": "Forbidden",
        "response": None,
        "model": None,
        "error": sys.modules["azure.core.exceptions"].ODataV4Format(said),
        "message": str(error),
        "inner_exception": None,
        "exc_type": None,
        "exc_value": None,
        "exc_traceback": None,
        "exc_msg": str(error),
        "continuation_token": None,
    }


_TRANSPORTS = "azure.core.pipeline.transport"

ADAPTER = Adapter(
    name="azure-core",
    distributions=("azure-core",),
    supported=">=1.30,<2",
    hooks=(
        Hook("azure.core.pipeline._base", "Pipeline.run", _run),
        Hook("azure.core.pipeline._base", "_TransportRunner.send", _handed_on),
        Hook("azure.core.pipeline._base_async", "AsyncPipeline.run", _run_async),
        Hook("azure.core.pipeline._base_async", "_AsyncTransportRunner.send", _handed_on_async),
        Hook(f"{_TRANSPORTS}._requests_basic", "RequestsTransport.send", _sent),
        Hook(f"{_TRANSPORTS}._requests_asyncio", "AsyncioRequestsTransport.send", _sent_by_thread),
        Hook(f"{_TRANSPORTS}._requests_trio", "TrioRequestsTransport.send", _sent_by_thread, required=False),
        Hook(f"{_TRANSPORTS}._aiohttp", "AioHttpTransport.send", _sent_async),
    ),
    note="a transport of your own that is called without a pipeline is not seen",
)
