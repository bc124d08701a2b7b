"""What the guard costs per frame, measured on the machine at hand."""

from __future__ import annotations

from guard.bench.measuring import Row, interleave
from guard.bench.running import run

__all__ = ["Row", "interleave", "run"]
