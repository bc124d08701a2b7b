"""azure-core's coroutines over requests: a worker thread sends what the coroutine was released for.

A release is valid in its own thread only. The session that these transports hand to the worker takes it along for the
body that was released, and for nothing else.
"""

from __future__ import annotations

from typing import Any

from guard.approvals import Approval, lent
from guard.integrations.fence import carrying

__all__ = ["Threaded"]


class Threaded:
    """A transport whose session may be used from a worker thread, for the call that runs when this is made."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self._approval = lent()

    @property
    def session(self) -> Any:
        """The transport's own, with what was released; itself where nothing was."""
        session = self._transport.session
        return session if self._approval is None else _Session(session, self._approval)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class _Session:
    """A session of requests as far as a transport uses it."""

    def __init__(self, session: Any, approval: Approval) -> None:
        self._session = session
        self._approval = approval

    def request(self, *args: Any, data: Any = None, files: Any = None, **kwargs: Any) -> Any:
        body = data.encode() if isinstance(data, str) else b"" if data is None else data
        if files or not isinstance(body, bytes):  # what is sent is not known here: the fence judges it
            return self._session.request(*args, data=data, files=files, **kwargs)
        with self._approval, carrying() as carries:
            carries(body)
            return self._session.request(*args, data=data, files=files, **kwargs)
