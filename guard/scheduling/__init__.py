"""Many sources in one process: who is looked at next, and what becomes of the frames for which there is no time."""

from __future__ import annotations

from guard.scheduling.counts import Statistics
from guard.scheduling.scheduler import Scheduler

__all__ = ["Scheduler", "Statistics"]
