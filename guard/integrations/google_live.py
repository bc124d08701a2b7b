"""The Live interface of `google-genai`: each message of a session is judged as it is handed to the websocket.

Connecting is judged by what the session is set up with: which messages it will carry is not known yet.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import Any

from guard.approvals import Approval
from guard.integrations.hooks import Hook
from guard.integrations.hosts import service_of_google
from guard.integrations.passage import passage, passage_async
from guard.integrations.refusals import Refuse
from guard.integrations.translations.google import translate_event
from guard.integrations.translations.parts import replaced

__all__ = ["live_hooks_in", "music_hooks_in"]


def live_hooks_in(refuse: Refuse) -> Callable[[ModuleType], Iterable[Hook]]:
    """Finds what opens a session, and every method of a session that sends."""

    def found(module: ModuleType) -> Iterable[Hook]:
        yield Hook(module.__name__, "AsyncLive.connect", _connect(refuse))
        for name, function in vars(module.AsyncSession).items():
            if name.startswith("send") and inspect.iscoroutinefunction(function):
                yield Hook(module.__name__, f"AsyncSession.{name}", _send(refuse))

    return found


def music_hooks_in(refuse: Refuse) -> Callable[[ModuleType], Iterable[Hook]]:
    """Finds the same for sessions that make music: they are given words."""

    def found(module: ModuleType) -> Iterable[Hook]:
        yield Hook(module.__name__, "AsyncLiveMusic.connect", _connect(refuse))
        for name, function in vars(module.AsyncMusicSession).items():
            if name.startswith("set_") and inspect.iscoroutinefunction(function):
                yield Hook(module.__name__, f"AsyncMusicSession.{name}", _send(refuse))

    return found


def _connect(refuse: Refuse) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def wrap(original: Callable[..., Any]) -> Callable[..., Any]:
        def connect(self: Any, *args: Any, **kwargs: Any) -> Any:
            operation = translate_event(
                {"setup": _setup(kwargs.get("config"))}, service=service_of_google(self._api_client)
            )
            if operation is None:
                return _Opening(original(self, *args, **kwargs), service_of_google(self._api_client))
            # What a session is opened with is not rewritten: it would have to be redacted, so it is refused.
            operation.payload, operation.opaque = {}, (*operation.opaque, "a picture in the setup of a session")
            with passage(operation, refuse):
                return _Opening(original(self, *args, **kwargs), operation.service)

        return connect

    return wrap


class _Opening:
    """The library's own context manager around a session.

    While it connects, `guard.integrations.tripwire` is told whose connection it is; that releases nothing.
    """

    def __init__(self, session: Any, service: str) -> None:
        self._session = session
        self._service = service

    async def __aenter__(self) -> Any:
        with Approval(self._service, (), sealed=False):
            return await self._session.__aenter__()

    async def __aexit__(self, *raised: Any) -> Any:
        return await self._session.__aexit__(*raised)


def _setup(config: Any) -> dict[str, Any]:
    """What of a session's setup can carry or name a picture."""
    found = {}
    for name in ("system_instruction", "systemInstruction", "session_resumption", "sessionResumption"):
        value = config.get(name) if isinstance(config, Mapping) else getattr(config, name, None)
        if value is not None:
            found[name] = value.model_dump(exclude_none=True) if hasattr(value, "model_dump") else value
    return found


def _send(refuse: Refuse) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def wrap(original: Callable[..., Any]) -> Callable[..., Any]:
        async def send(self: Any, *args: Any, **kwargs: Any) -> Any:
            return await original(_Judged(self, refuse), *args, **kwargs)

        return send

    return wrap


class _Judged:
    """A session whose messages are judged: all else is the session's own."""

    def __init__(self, session: Any, refuse: Refuse) -> None:
        object.__setattr__(self, "_session", session)
        object.__setattr__(self, "_ws", _Socket(session, refuse))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._session, name, value)


class _Socket:
    """A session's websocket as far as its methods use it to send."""

    def __init__(self, session: Any, refuse: Refuse) -> None:
        self._session = session
        self._refuse = refuse

    async def send(self, message: Any) -> None:
        operation = translate_event(message, service=service_of_google(self._session._api_client))
        if operation is None:
            await self._session._ws.send(message)
            return
        async with passage_async(operation, self._refuse) as payload:
            await self._session._ws.send(replaced(message, payload))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session._ws, name)
