"""`guard.install`, `guard.uninstall`, `guard.verify`."""

from __future__ import annotations

import sys

from guard.autoload import export
from guard.errors import ConfigError
from guard.guard import latest
from guard.integrations.registry import chosen
from guard.integrations.watching import Coverage, watch

__all__ = ["install", "uninstall", "verify"]


def install(*names: str, children: bool = False, tripwire: bool = False) -> None:
    """Guards the known libraries in this process, whether they are imported already or later.

    Each call that identifies people is then judged as a call of the current frame's source (`Source.frame`); outside of
    every frame the source is unknown, and with no guard loaded nothing passes. Threads that are started from guarded
    code, and work that is handed to thread pools, keep their source. A source that opens frames of a
    `cv2.VideoCapture` which plays no recording is live from then on. Safe to call again.

    Args:
        names: the libraries, as `guard doctor` lists them; all where none is named.
        children: also in processes that this one starts anew (spawn, forkserver, subprocess), by the file that the
            guard loaded last came from. Forked processes are guarded in any case.

    Raises `ConfigError` for a library that is installed and cannot be guarded, by name; its import raises the same.
    """
    if children:
        guard = latest()
        if guard is None:
            raise ConfigError("no guard is loaded that children could load", mend="call guard.load before")
        export(guard.config.path)
    from guard.integrations.captures import ADAPTER as CAPTURES
    from guard.integrations.threads import ADAPTER as THREADS

    watch.add([THREADS, CAPTURES, *chosen(names).values()])
    if tripwire:
        from guard.integrations.tripwire import arm

        arm()


def uninstall() -> None:
    """Takes every hook out again."""
    from guard.integrations.captures import forget

    watch.remove()
    forget()
    tripwire = sys.modules.get("guard.integrations.tripwire")
    if tripwire is not None:
        tripwire.disarm()


def verify() -> tuple[Coverage, ...]:
    """Looks at every hook, and puts back what another tool removed.

    Gives how each library stands. While one is ``open``, every call that reaches the guard is a `GuardFault`.
    """
    return watch.verify()
