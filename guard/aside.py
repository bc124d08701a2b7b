"""Work that waits for the disk or the detector, beside the event loop that runs: asyncio's or trio's."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

__all__ = ["aside", "running_task"]

P = ParamSpec("P")
R = TypeVar("R")


async def aside(work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """What `work` gives, called in a worker thread, which sees the context variables of the caller."""
    trio = _trio_of_this_task()
    if trio is None:
        return await asyncio.to_thread(work, *args, **kwargs)
    made: R = await trio.to_thread.run_sync(lambda: work(*args, **kwargs))
    return made


def running_task() -> object | None:
    """The task that runs in this thread, asyncio's or trio's; None outside of both."""
    trio = _trio_of_this_task()
    if trio is not None:
        return trio.lowlevel.current_task()  # type: ignore[no-any-return]
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None


def _trio_of_this_task() -> Any:
    """The module, where a task of it runs in this thread; whoever has none running has it not imported, mostly."""
    trio = sys.modules.get("trio")
    is_in_task = getattr(getattr(trio, "lowlevel", None), "in_trio_task", None)
    return trio if is_in_task is not None and is_in_task() else None
