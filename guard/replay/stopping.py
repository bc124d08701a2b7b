"""Ctrl-C, and the signal that a service manager sends, end a replay between two frames, with everything
written.

Interrupting a call half-way would leave a record of a call that nobody counted. So the first signal only
asks; it interrupts at once where the run waits for a frame that may not come.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["Stop"]


class Stop:
    """Whether the run is asked to end. Without `listening` it never is."""

    def __init__(self) -> None:
        self.asked = False
        self._waiting = False

    def ask(self) -> None:
        """Asks the run to end. Raises `KeyboardInterrupt` where it is waiting for a frame."""
        self.asked = True
        if self._waiting:
            self._waiting = False
            raise KeyboardInterrupt

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Inside, a signal interrupts."""
        self._waiting = not self.asked
        try:
            yield
        finally:
            self._waiting = False

    @contextmanager
    def listening(self) -> Iterator[Stop]:
        """Inside, SIGINT and SIGTERM ask. Signals reach the main thread only; elsewhere this does nothing."""
        if threading.current_thread() is not threading.main_thread():
            yield self
            return

        def asked(number: int, frame: FrameType | None) -> None:
            self.ask()

        before = {number: signal.signal(number, asked) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
