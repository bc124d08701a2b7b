"""SIGHUP: a command that runs for long reads its policy again when it is told to."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from types import FrameType
from typing import TYPE_CHECKING

from guard.errors import GuardError

if TYPE_CHECKING:
    from guard.guard import Guard

__all__ = ["reload_on_hangup"]


@contextmanager
def reload_on_hangup(guard: Guard) -> Iterator[None]:
    """Inside, SIGHUP reloads the policy of `guard` and stderr says what came of it.

    The handler only leaves a note: a thread of its own reads, checks and compiles, while the frames go on under the
    policy in force. Signals reach the main thread only; elsewhere, and where there is no SIGHUP, this does nothing.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "SIGHUP"):
        yield
        return
    # The one queue whose `put` may interrupt itself.
    asked: SimpleQueue[bool] = SimpleQueue()

    def hangup(number: int, frame: FrameType | None) -> None:
        asked.put(True)

    def work() -> None:
        while asked.get():
            _reload(guard)

    worker = threading.Thread(target=work, name="guard-reload", daemon=True)
    worker.start()
    before = signal.signal(signal.SIGHUP, hangup)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)
        asked.put(False)
        worker.join()


def _reload(guard: Guard) -> None:
    before = guard.policy_digest
    try:
        digest = guard.reload()
    except GuardError as error:
        text = " ".join(str(error).split())
        said = f"not reloaded, policy {before[:16]} stays in force: {text}"
    except Exception as error:  # noqa: BLE001 - whatever broke, the frames go on under the policy in force
        said = f"not reloaded, policy {before[:16]} stays in force: {type(error).__name__}: {error}"
    else:
        said = f"policy {digest[:16]} is in force" + ("" if digest != before else ", as before")
        said += "" if guard.mode == "enforce" else "; mode is shadow: nothing is enforced"
    print(f"guard: {said}", file=sys.stderr, flush=True)
