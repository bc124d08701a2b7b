"""The HTTP clients of OpenAI, Anthropic and Google that one generator made: all their requests pass one method.

It is hooked above its retries, and looked at again where each attempt is built. What is replaced is replaced in a copy.
"""

from __future__ import annotations

import copy
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from guard.approvals import uncovered
from guard.integrations.fence import carrying
from guard.integrations.hooks import Hook
from guard.integrations.operation import Operation
from guard.integrations.passage import passage, passage_async
from guard.integrations.refusals import Refuse, as_native, plain
from guard.integrations.translations.parts import replaced, settled

__all__ = ["Dialect", "copied", "forbidden", "hooks_in"]

_FILES = "files of a multipart body"
"""Where the files stand beside the fields while they are looked at; no field can have that name."""

CODE = "face_policy_violation"

_LEFT_OUT = frozenset({"NotGiven", "Omit"})
_ABSOLUTE = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Dialect:
    """What differs from library to library.

    Attributes:
        translate: a path, a body and a service to an `Operation`; of `guard.integrations.translations`.
        service: the service that a client talks to at this URL.
        exceptions: the module that has the library's ``PermissionDeniedError``.
    """

    translate: Callable[..., Operation | None]
    service: Callable[[Any, str], str]
    exceptions: str


def hooks_in(module: str, dialect: Dialect) -> tuple[Hook, ...]:
    """The hooks on the base clients in that module, sync and async, and where a request is built for each attempt."""

    def wrap(original: Callable[..., Any]) -> Callable[..., Any]:
        def request(self: Any, cast_to: Any, options: Any, *args: Any, **kwargs: Any) -> Any:
            sending = _read(dialect, self, options)
            if sending.operation is None:
                return original(self, cast_to, sending.options_with({}), *args, **kwargs)
            with passage(sending.operation, sending.refuse) as payload, _released(self, sending.operation, payload):
                return original(self, cast_to, sending.options_with(payload), *args, **kwargs)

        return request

    def wrap_async(original: Callable[..., Any]) -> Callable[..., Any]:
        async def request(self: Any, cast_to: Any, options: Any, *args: Any, **kwargs: Any) -> Any:
            sending = _read(dialect, self, options)
            if sending.operation is None:
                return await original(self, cast_to, sending.options_with({}), *args, **kwargs)
            async with passage_async(sending.operation, sending.refuse) as payload:
                with _released(self, sending.operation, payload):
                    return await original(self, cast_to, sending.options_with(payload), *args, **kwargs)

        return request

    def wrap_build(original: Callable[..., Any]) -> Callable[..., Any]:
        def build(self: Any, options: Any, *args: Any, **kwargs: Any) -> Any:
            sending = _read(dialect, self, options)
            if sending.operation is None:
                return original(self, sending.options_with({}), *args, **kwargs)
            released = _now.get()
            if released is not None and released.is_for(self, sending):
                made = original(self, sending.options_with({}), *args, **kwargs)
                _tell(released, made)
                return made
            # A subclass or a middleware of the user's changed it on the way: it is another call.
            with uncovered(), passage(sending.operation, sending.refuse) as payload:
                return original(self, sending.options_with(payload), *args, **kwargs)

        return build

    return (
        Hook(module, "SyncAPIClient.request", wrap),
        Hook(module, "AsyncAPIClient.request", wrap_async),
        Hook(module, "BaseClient._build_request", wrap_build),
    )


@dataclass(slots=True)
class _Sending:
    """A request that is about to be sent, and what it is in the guard's terms."""

    operation: Operation | None
    refuse: Refuse
    options: Any
    body: Any = None
    files: Any = None

    def options_with(self, payload: Mapping[Any, Any]) -> Any:
        """The options that are sent instead: a copy in which what was judged stands; themselves where nothing does."""
        is_read = self.files is not None or getattr(self.options, "content", None) is not None
        if self.operation is None and not is_read:
            return self.options
        body = replaced(self.body, payload)
        options = copy.copy(self.options)
        if self.files is not None:
            contents = iter(body.pop(_FILES))
            pairs = [(name, (named, next(contents), *rest)) for name, (named, _, *rest) in self.files]
            is_mapping = isinstance(self.options.files, Mapping)
            options.files = dict(pairs) if is_mapping else pairs
            options.json_data, options.extra_json = body, None
        elif is_read:
            options.content = body
        else:
            options.json_data, options.extra_json = body, None
        return options


@dataclass(slots=True)
class _Released:
    """The request that is being sent: its client, its pictures, what it refers to; and whom to tell its body."""

    client: Any
    pictures: list[Any]
    opaque: list[str]
    carries: Callable[[bytes], object]

    def is_for(self, client: Any, sending: _Sending) -> bool:
        """Whether that carries and names the very things that were judged."""
        operation = sending.operation
        if operation is None or operation.broken is not None or client is not self.client:
            return False
        return self.pictures == list(operation.payload.values()) and self.opaque == list(operation.opaque)


_now: ContextVar[_Released | None] = ContextVar("guard_stainless_released", default=None)


@contextmanager
def _released(client: Any, operation: Operation, payload: Mapping[Any, Any]) -> Iterator[None]:
    with carrying() as carries:
        released = _Released(client, list(payload.values()), list(operation.opaque), carries)
        token = _now.set(released)
        try:
            yield
        finally:
            released.client = None  # a copy of this context may be run when the call is long over
            _now.reset(token)


def _tell(released: _Released, request: Any) -> None:
    """Tells the fence below what this attempt is sent with, where that is known beforehand."""
    try:
        released.carries(request.read())
    except Exception:  # noqa: BLE001 - a stream that can be read only once: the fence takes it for part of this call
        return


def _read(dialect: Dialect, client: Any, options: Any) -> _Sending:
    if options.method.lower() == "get" and not _carries(options):
        return _Sending(None, plain, options)
    url = options.url
    if not _ABSOLUTE.match(url):
        url = f"{str(client.base_url).rstrip('/')}/{url.lstrip('/')}"
    service = dialect.service(client, url)
    body: Any = None
    files = None
    try:
        body = _body(options)
        if options.files:
            files = _files(options.files)
            body = {**(body or {}), _FILES: [content for _, (_, content, *_) in files]}
        operation = dialect.translate(url, body, service=service)
    except Exception as error:  # noqa: BLE001 - what cannot be read is refused by the guard, and recorded
        why = f"the request cannot be read: {type(error).__name__}: {error}"
        operation = Operation(f"{dialect.exceptions}.request", service, (None,), broken=why)
    return _Sending(operation, _refusing(dialect, client, options.method, url), options, body, files)


def _carries(options: Any) -> bool:
    """Whether there is something to send with it, whatever its method says."""
    return bool(options.json_data or options.extra_json or options.files or getattr(options, "content", None))


def _body(options: Any) -> Any:
    """What is sent, in containers of its own. Raises `ValueError` where that can be read only once, elsewhere."""
    content = getattr(options, "content", None)
    if content is not None:
        return _content(content)
    body = options.json_data
    if options.extra_json is not None:
        body = {**(body or {}), **options.extra_json}
    return copied(body)


def _content(content: Any) -> bytes:
    content = settled(content)
    if isinstance(content, str):
        return content.encode()
    if isinstance(content, (bytes, memoryview)):
        return bytes(content)
    if isinstance(content, list):
        return b"".join(content)
    raise ValueError(f"a {type(content).__name__}")


def copied(node: Any) -> Any:
    """The request in containers of its own: models in it as the client writes them, what is left out left out."""
    if isinstance(node, str):
        return node
    if isinstance(node, (list, tuple)):
        return [copied(value) for value in node]
    if isinstance(node, (dict, Mapping)):
        return {
            key: value if type(value) is str else copied(value)
            for key, value in node.items()
            if type(value).__name__ not in _LEFT_OUT
        }
    if hasattr(node, "model_dump") and hasattr(node, "model_fields_set"):
        return node.model_dump(exclude_unset=True, mode="json", by_alias=True)
    return settled(node)


def _files(files: Any) -> list[tuple[str, tuple[Any, ...]]]:
    """Name of the field, and file name, bytes and the rest, of each file."""
    pairs = files.items() if isinstance(files, Mapping) else files
    found = []
    for name, file in pairs:
        named, content, *rest = file if isinstance(file, (tuple, list)) else (_file_name(file), file)
        found.append((name, (named, _content(content), *rest)))
    return found


def _file_name(file: Any) -> str:
    """As the HTTP libraries name a file that is given without a name."""
    return str(getattr(file, "name", "upload")).replace("\\", "/").rpartition("/")[2] or "upload"


# ---- refusals


def _refusing(dialect: Dialect, client: Any, method: str, url: str) -> Refuse:
    def refuse(error: Any) -> Exception:
        native = sys.modules[dialect.exceptions].PermissionDeniedError
        return forbidden(error, native, lambda: _http_of(client), method, url)

    return refuse


def forbidden(error: Any, native: type[Exception], http: Callable[[], Any], method: str, url: str) -> Exception:
    """The refusal as the client's own error for a 403, with a response as the service would give it.

    A pipeline may be refused on every frame and never look at them: request and response are made on demand.

    Args:
        error: what the guard raised.
        native: the library's ``PermissionDeniedError``.
        http: gives the module that has its ``Request`` and ``Response``.
        method, url: of the request that was not made.
    """
    return as_native(error, _on_demand(native), {"_made": (http, method, url)})


_kinds: dict[Any, Any] = {}


def _on_demand(native: type[Exception]) -> Any:
    """A kind of that exception that makes what its constructor would have set when it is asked for."""
    if native not in _kinds:
        _kinds[native] = _kind_of(native)
    return _kinds[native]


def _kind_of(native: type[Exception]) -> Any:

    def body(self: Any) -> dict[str, Any]:
        return {"message": str(self), "type": CODE, "param": None, "code": CODE}

    def request(self: Any) -> Any:
        http, method, url = self._made
        return http().Request(method, url)

    def response(self: Any) -> Any:
        http, _, _ = self._made
        return http().Response(403, request=self.request, json={"error": self.body})

    made: dict[str, Any] = {
        "__module__": native.__module__,
        "__qualname__": native.__qualname__,
        "message": property(str),
        "api_message": property(str),
        "body": property(body),
        "request": property(request),
        "response": property(response),
        "status_code": 403,
        "code": CODE,
        "error_code": CODE,
        "type": CODE,
        "param": None,
        "request_id": None,
        "workspace_id": None,
    }
    return type(native.__name__, (native,), made)


def _http_of(client: Any) -> Any:
    """The HTTP library that this client sends with."""
    for kind in type(client._client).__mro__:
        name = kind.__module__.partition(".")[0]
        if name in ("httpx", "httpx2"):
            return sys.modules[name]
    return sys.modules.get("httpx2") or sys.modules["httpx"]
