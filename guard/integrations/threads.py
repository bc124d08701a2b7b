"""Threads and thread pools keep the source of the code that started them.

asyncio tasks and `asyncio.to_thread` inherit it by themselves. A queue's worker does not: it is judged as what started
it, which may be nobody.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from guard.following import Followed
from guard.integrations.hooks import Adapter, Hook

__all__ = ["ADAPTER"]


def _start(original: Callable[..., Any]) -> Callable[..., Any]:
    def start(self: Any) -> None:
        # The pool's own threads serve everybody: each piece of their work carries its source itself.
        if _is_started_by_a_pool(self):
            original(self)
            return
        self.run = Followed(self.run)
        original(self)

    return start


def _is_started_by_a_pool(thread: Any) -> bool:
    target = getattr(thread, "_target", None)
    return getattr(target, "__module__", None) in ("concurrent.futures.thread", "multiprocessing.pool")


def _submit(original: Callable[..., Any]) -> Callable[..., Any]:
    def submit(self: Any, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        return original(self, Followed(fn) if callable(fn) else fn, *args, **kwargs)

    return submit


def _apply(original: Callable[..., Any]) -> Callable[..., Any]:
    """`multiprocessing.pool.ThreadPool`: a pool of processes shares the method, and its work is pickled."""

    def apply_async(self: Any, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return original(self, _followed_in(self, func), *args, **kwargs)

    return apply_async


def _map(original: Callable[..., Any]) -> Callable[..., Any]:
    def mapped(self: Any, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return original(self, _followed_in(self, func), *args, **kwargs)

    return mapped


def _followed_in(pool: Any, func: Callable[..., Any]) -> Callable[..., Any]:
    from multiprocessing.pool import ThreadPool

    return Followed(func) if isinstance(pool, ThreadPool) else func


ADAPTER = Adapter(
    name="threads",
    distributions=(),
    supported="",
    hooks=(
        Hook("threading", "Thread.start", _start),
        Hook("concurrent.futures.thread", "ThreadPoolExecutor.submit", _submit),
        Hook("multiprocessing.pool", "Pool.apply_async", _apply),
        Hook("multiprocessing.pool", "Pool._map_async", _map),
        Hook("multiprocessing.pool", "Pool.imap", _map),
        Hook("multiprocessing.pool", "Pool.imap_unordered", _map),
    ),
    note="a worker that waits on a queue of its own is judged as what started it",
)
