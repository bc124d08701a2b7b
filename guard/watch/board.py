"""What is known now, and the decisions of late: written by the analysing threads, read by any number of browsers.

Every change has a number. A reader says up to where it has read and gets what changed since, each source once, as it is
now: however slow a reader is, nothing is kept for it and nobody waits for it.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from guard.watch.runs import Run
from guard.watch.tile import Look, Tile

__all__ = ["Board"]

KEPT = 300
"""Runs of decisions that are kept for a browser that comes later."""

_RENEW_S = 0.2


class Board:
    """The state of the page. Safe for threads.

    Args:
        tiles: one a source, by its id.
        kept: how many runs of decisions are kept.
    """

    def __init__(self, tiles: Mapping[str, Tile], *, kept: int = KEPT) -> None:
        self._tiles = dict(tiles)
        self._runs: deque[Run] = deque(maxlen=kept)
        self._lock = threading.Lock()
        self._version = 0
        self._number = 0
        self._renewed_s = float("-inf")
        self._viewers = 0
        self._said: dict[str, dict[str, Any]] = {}
        self.closed = False

    @property
    def ids(self) -> tuple[str, ...]:
        """The sources' ids."""
        return tuple(self._tiles)

    @property
    def is_viewed(self) -> bool:
        """Whether any browser looks on: without one no picture is made."""
        return self._viewers > 0

    @property
    def viewers(self) -> int:
        """How many browsers look on."""
        return self._viewers

    @contextmanager
    def viewer(self) -> Iterator[None]:
        """Inside, somebody looks on."""
        with self._lock:
            self._viewers += 1
        try:
            yield
        finally:
            with self._lock:
                self._viewers -= 1

    def close(self) -> None:
        """Tells the readers that there will be nothing more."""
        self.closed = True

    # ---- written by the analysing threads

    def saw(self, id: str, look: Look) -> None:
        """Takes what came of a frame of that source."""
        with self._lock:
            tile = self._tiles[id]
            self._version += 1
            for position, decision in enumerate(look.decisions):
                run = tile.runs[position]
                if run is None or not run.takes(decision):
                    self._number += 1
                    service = tile.attempts[position].service
                    run = tile.runs[position] = Run(self._number, id, service, decision)
                    self._runs.append(run)
                run.add(decision, self._version)
            tile.saw(look)

    # ---- read by the page

    def since(self, version: int) -> dict[str, Any]:
        """What changed after `version`: ``{"version", "tiles": {id: tile}, "runs": [...]}``, runs oldest first."""
        with self._lock:
            self._renew()
            return {
                "version": self._version,
                "tiles": {id: self._said[id] for id, tile in self._tiles.items() if tile.version > version},
                "runs": [run.to_json() for run in self._runs if run.version > version],
            }

    def _renew(self) -> None:
        """Rates, the last minute and stalled feeds change with time alone."""
        now_s = time.monotonic()
        if now_s - self._renewed_s < _RENEW_S:
            return
        self._renewed_s = now_s
        self._version += 1
        for id, tile in self._tiles.items():
            said = tile.renewed()
            if said is not None:
                self._said[id] = said
                tile.version = self._version

    def picture(self, id: str) -> bytes | None:
        """The small picture of that source as JPEG, None where there is none. Raises `KeyError`."""
        with self._lock:
            return self._tiles[id].picture

    def latest(self, id: str) -> list[Run | None]:
        """The run that each call of that source is in now. Raises `KeyError`."""
        with self._lock:
            return list(self._tiles[id].runs)
