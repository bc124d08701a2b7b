"""A worker process whose decoder does not return from some clips: it hears neither signals nor anybody else."""

from __future__ import annotations

import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Any

from guard.sweep import pool
from guard.sweep.order import Order

__all__ = ["hang_up", "serve"]


def serve(connection: Connection, order: Order) -> None:
    """Instead of `guard.sweep.pool._serve`."""
    hang_up()
    pool._serve(connection, order)


def hang_up() -> None:
    """From now on, the decoder hangs in every clip called ``hangs...``, and once in one called ``hangs-once...``."""
    from guard.replay.container import ContainerClip

    real = ContainerClip._packets

    def packets(self: ContainerClip) -> Iterator[Any]:
        assert self.path is not None
        hung = self.path.with_suffix(".hung")
        if self.stem.startswith("hangs") and not (self.stem.startswith("hangs-once") and hung.exists()):
            hung.touch()
            while True:
                time.sleep(1)
        yield from real(self)

    ContainerClip._packets = packets  # type: ignore[method-assign]
