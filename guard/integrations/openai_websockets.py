"""The websockets of the `openai` library: realtime and responses sessions, whose messages may carry pictures.

A message is judged where it is handed in, before it is queued for a connection that is being made again. Connecting
sends nothing of a picture and is not judged: which message the connection is for is not known yet, and one that carries
text or sound alone has to pass.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

from guard.approvals import Approval
from guard.integrations.hooks import Hook
from guard.integrations.hosts import service_at, service_of_openai
from guard.integrations.operation import Operation
from guard.integrations.passage import passage, passage_async
from guard.integrations.refusals import Refuse
from guard.integrations.stainless import copied, forbidden
from guard.integrations.translations.openai import translate_event
from guard.integrations.translations.parts import replaced

__all__ = ["WEBSOCKETS", "connections_in"]

WEBSOCKETS = (
    "openai._websocket_connection",
    "openai.lib.responses_websocket._session",
    "openai.resources.beta.realtime.realtime",
    "openai.resources.beta.responses.responses",
    "openai.resources.live.forks",
    "openai.resources.live.live",
    "openai.resources.live.sideband",
    "openai.resources.realtime.realtime",
    "openai.resources.realtime.translations.translations",
    "openai.resources.responses.responses",
)
"""The modules in which connections are defined; an older version has some of them."""

_METHODS = ("_send", "send", "send_raw")
_OPENING = ("__enter__", "__aenter__", "_connect_ws")


def connections_in(module: ModuleType) -> Iterable[Hook]:
    """A hook for each method that takes a message or opens a connection, of each class that the module defines."""
    for name, kind in vars(module).items():
        if not isinstance(kind, type) or kind.__module__ != module.__name__:
            continue
        for method in _METHODS:
            function = vars(kind).get(method)
            if inspect.isfunction(function) and _takes_a_message(function):
                wrap = _later if inspect.iscoroutinefunction(function) else _now
                yield Hook(module.__name__, f"{name}.{method}", wrap)
        for method in _OPENING if name.endswith("ConnectionManager") else ():
            function = vars(kind).get(method)
            if inspect.isfunction(function):
                wrap = _opened_later if inspect.iscoroutinefunction(function) else _opened
                yield Hook(module.__name__, f"{name}.{method}", wrap)


def _takes_a_message(function: Callable[..., Any]) -> bool:
    parameters = list(inspect.signature(function).parameters.values())
    return len(parameters) == 2 and parameters[1].kind is parameters[1].POSITIONAL_OR_KEYWORD


def _now(original: Callable[..., Any]) -> Callable[..., Any]:
    def send(self: Any, *args: Any, **kwargs: Any) -> Any:
        message, operation = _read(self, args, kwargs)
        if operation is None:
            return original(self, *args, **kwargs)
        with passage(operation, _refusing(self)) as payload:
            return original(self, replaced(message, payload))

    return send


def _later(original: Callable[..., Any]) -> Callable[..., Any]:
    async def send(self: Any, *args: Any, **kwargs: Any) -> Any:
        message, operation = _read(self, args, kwargs)
        if operation is None:
            return await original(self, *args, **kwargs)
        async with passage_async(operation, _refusing(self)) as payload:
            return await original(self, replaced(message, payload))

    return send


def _opened(original: Callable[..., Any]) -> Callable[..., Any]:
    def connect(self: Any, *args: Any, **kwargs: Any) -> Any:
        with _seen(self):
            return original(self, *args, **kwargs)

    return connect


def _opened_later(original: Callable[..., Any]) -> Callable[..., Any]:
    async def connect(self: Any, *args: Any, **kwargs: Any) -> Any:
        with _seen(self):
            return await original(self, *args, **kwargs)

    return connect


def _seen(manager: Any) -> Approval:
    """Tells `guard.integrations.tripwire` whose connection it is, whose messages are judged; it releases nothing."""
    return Approval(_service(manager), (), sealed=False)


def _read(connection: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Operation | None]:
    """The message in containers of its own, and what it is in the guard's terms."""
    given = args[0] if args else next(iter(kwargs.values()), None)
    message = copied(given)
    return message, translate_event(message, service=_service(connection))


def _service(connection: Any) -> str:
    client = _client_of(connection)
    if client is not None:
        return service_of_openai(client, str(getattr(client, "websocket_base_url", None) or client.base_url))
    address = _address_of(connection)
    if address is None:
        return "openai"
    return service_at(address, "azure_openai" if urlsplit(address).path.startswith("/openai/") else "openai")


def _client_of(connection: Any) -> Any:
    """The client of what is not yet connected, and hands its queue to the connection that it makes."""
    fields = getattr(connection, "__dict__", {})
    return next((value for name, value in fields.items() if name.endswith("__client")), None)


def _address_of(connection: Any) -> str | None:
    """The URL of a connection's socket."""
    session = getattr(connection, "_session", None)
    holder = getattr(session, "connection", connection)
    protocol = getattr(getattr(holder, "_connection", None), "protocol", None)
    uri = getattr(protocol, "uri", None) or getattr(protocol, "wsuri", None)  # as newer and older versions call it
    return None if uri is None else f"https://{uri.host}:{uri.port}{uri.path}"


def _refusing(connection: Any) -> Refuse:
    def refuse(error: Any) -> Exception:
        native = sys.modules["openai"].PermissionDeniedError
        return forbidden(error, native, _http, "GET", _address_of(connection) or "https://api.openai.com/v1/realtime")

    return refuse


def _http() -> Any:
    is_newer = "httpx2" in vars(sys.modules["openai._base_client"])
    return sys.modules["httpx2" if is_newer else "httpx"]
