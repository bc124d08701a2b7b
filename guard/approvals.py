"""What is being let through right now, so that the library below an allowed call is not asked again.

An approval is valid in the process, thread and task that was judged and while the call runs, nowhere else: the context
variable that carries it is copied into tasks, worker threads and forks, and a worker started inside an allowed call
stays guarded.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar, Token

from guard.aside import running_task

__all__ = ["Approval", "covered", "is_running", "lent", "uncovered"]

_running: dict[int, str] = {}
"""The service of every approval of this process whose call runs, by its identity."""

_current: ContextVar[Approval | None] = ContextVar("guard_approval", default=None)


class Approval:
    """A released call while it runs; a context manager around it.

    Args:
        service: the service that was judged.
        actions: every action that was judged and allowed; None among them for a call that names none.
        sealed: whether the pictures that were judged are the very ones that go out, so that a call that hinges on
            pixels need not be judged again below. What a callable of the user's does with the pictures that it was
            given is not known, so there it is false.
        ended: told, when the call is over, whether it came back or raised.
    """

    __slots__ = ("_ended", "_owner", "_token", "actions", "outer", "sealed", "service")

    def __init__(
        self,
        service: str,
        actions: Sequence[str | None],
        *,
        sealed: bool,
        ended: Sequence[Callable[[bool], object]] = (),
    ) -> None:
        self.service = service
        self.actions = frozenset(actions)
        self.sealed = sealed
        self._ended = ended
        self.outer: Approval | None = None
        self._owner: tuple[int, int, int] | None = None
        self._token: Token[Approval | None] | None = None

    def __enter__(self) -> Approval:
        self._owner = _here()
        self.outer = _current.get()
        self._token = _current.set(self)
        _running[id(self)] = self.service
        return self

    def __exit__(self, *exc: object) -> None:
        self._owner = None
        _running.pop(id(self), None)
        for tell in self._ended:
            tell(exc[0] is None)
        token, self._token = self._token, None
        if token is not None:
            try:
                _current.reset(token)
            except ValueError:  # left in another context than entered: without an owner it covers nothing there
                return

    def covers(self, service: str, actions: Sequence[str | None]) -> bool:
        """Whether a call of one of these actions is part of the call that was released.

        What could be several actions is one that was judged, where it could be that one; an action that was not judged
        is a stronger call and is judged on its own.
        """
        if self._owner is None or self.service != service or self._owner != _here():
            return False
        common = self.actions.intersection(actions)
        return bool(common) and (self.sealed or not common & _HINGING)


_HINGING = frozenset({None, "vlm_describe"})
"""The actions whose verdict depends on the pixels that go out."""


def covered(service: str, actions: Sequence[str | None]) -> bool:
    """Whether some approval around the running code covers this call."""
    approval = _current.get()
    while approval is not None:
        if approval.covers(service, actions):
            return True
        approval = approval.outer
    return False


def lent() -> Approval | None:
    """What covers the running code once more, for a worker thread in which its call is sent; None where nothing does.

    Whoever enters it there sees to it that nothing else is sent under it.
    """
    approval = _current.get()
    if approval is None or approval._owner != _here():
        return None
    return Approval(approval.service, tuple(approval.actions), sealed=approval.sealed)


def is_running(services: frozenset[str]) -> bool:
    """Whether the running code is part of a call to one of these services that was released or looked at.

    Less strict than `covered`, for connections: they are made in tasks of their own, and names are resolved in worker
    threads, which know nothing of the call that waits for them.
    """
    approval = _current.get()
    while approval is not None:
        if approval._owner is not None and approval._owner[0] == os.getpid() and approval.service in services:
            return True
        approval = approval.outer
    target = getattr(threading.current_thread(), "_target", None)
    in_pool = getattr(target, "__module__", None) == "concurrent.futures.thread"
    return in_pool and not services.isdisjoint(list(_running.values()))


@contextmanager
def uncovered() -> Iterator[None]:
    """Runs the block as if nothing around it were released: for what is not the call that was judged."""
    token = _current.set(None)
    try:
        yield
    finally:
        _current.reset(token)


def _here() -> tuple[int, int, int]:
    """The running process, thread and task."""
    return os.getpid(), threading.get_ident(), id(running_task())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_running.clear)
