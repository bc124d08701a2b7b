"""`guard.install`, `guard.uninstall`, `guard.verify`."""

from __future__ import annotations

from guard.integrations.registry import chosen
from guard.integrations.watching import Coverage, watch

__all__ = ["install", "uninstall", "verify"]


def install(*names: str) -> None:
    """Guards the known libraries in this process, whether they are imported already or later.

    Each call that identifies people is then judged as a call of the current frame's source (`Source.frame`); outside of
    every frame the source is unknown, and with no guard loaded nothing passes. Threads that are started from guarded
    code, and work that is handed to thread pools, keep their source. Safe to call again.

    Args:
        names: the libraries, as `guard doctor` lists them; all where none is named.

    Raises `ConfigError` for a library that is installed and cannot be guarded, by name; its import raises the same.
    """
    from guard.integrations.threads import ADAPTER as THREADS

    watch.add([THREADS, *chosen(names).values()])


def uninstall() -> None:
    """Takes every hook out again."""
    watch.remove()


def verify() -> tuple[Coverage, ...]:
    """Looks at every hook, and puts back what another tool removed.

    Gives how each library stands. While one is ``open``, every call that reaches the guard is a `GuardFault`.
    """
    return watch.verify()
