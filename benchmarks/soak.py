"""Does a process that runs for long stay as it is? A million frames on demand, then 50,000 that are looked at.

One process, one guard, its record on disk; each frame is an array of its own, and in each an identity call is tried and
denied. Every so often the resident memory, the open files, the threads and the length of the record are written down.
What counts is how far memory moves after the warm-up, a third of the frames: its largest and smallest value beside the
first.

Usage: python benchmarks/soak.py [--frames 1000000] [--detected 50000] [--size 640x360] [--out benchmarks/results]
"""

from __future__ import annotations

import argparse
import gc
import json
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import sources

import guard
from guard.bench.measuring import rss_mb
from guard.bench.running import machine

_SAMPLES = 50
_WARM_UP = 1 / 3


@dataclass(frozen=True, slots=True)
class Sample:
    """How the process stands after so many frames."""

    frames: int
    seconds: float
    rss_mb: float
    files: int
    threads: int
    ledger_mb: float
    collections: int


def soak(name: str, frame: Callable[[int], None], frames: int, ledger: Path) -> dict[str, Any]:
    """Opens `frames` frames and watches the process meanwhile."""
    start_s = time.perf_counter()
    samples = []
    every = max(1, frames // _SAMPLES)
    for number in range(frames):
        frame(number)
        if (number + 1) % every == 0:
            samples.append(_sample(number + 1, time.perf_counter() - start_s, ledger))
            if len(samples) % 10 == 0:
                print(f"{name}: {samples[-1]}", flush=True)
    after = [each for each in samples if each.frames > _WARM_UP * frames]
    first = after[0]
    moved = [each.rss_mb / first.rss_mb - 1 for each in after]
    result = {
        "name": name,
        "frames": frames,
        "us_per_frame": round(1e6 * samples[-1].seconds / frames, 1),
        "rss_first_mb": round(first.rss_mb, 1),
        "rss_last_mb": round(after[-1].rss_mb, 1),
        "rss_moved_percent": [round(100 * min(moved), 2), round(100 * max(moved), 2)],
        "files": sorted({each.files for each in after}),
        "threads": sorted({each.threads for each in after}),
        "samples": [asdict(each) for each in samples],
    }
    print(
        f"{name}: {frames} frames, {result['us_per_frame']} us each; resident {result['rss_first_mb']} MB after the "
        f"warm-up, {result['rss_last_mb']} MB at the end, {result['rss_moved_percent']} % moved; "
        f"files {result['files']}, threads {result['threads']}",
        flush=True,
    )
    return result


def _sample(frames: int, seconds: float, ledger: Path) -> Sample:
    collections = sum(generation["collections"] for generation in gc.get_stats())
    files = len(list(Path("/proc/self/fd").iterdir()))
    written_mb = sum(each.stat().st_size for each in ledger.parent.glob(f"{ledger.name}*")) / 1e6
    return Sample(
        frames=frames,
        seconds=round(seconds, 1),
        rss_mb=round(rss_mb(), 2),
        files=files,
        threads=threading.active_count(),
        ledger_mb=round(written_mb, 1),
        collections=collections,
    )


def run(arguments: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """Both soaks, in this process."""
    width, height = map(int, arguments.size.split("x"))
    pool = [np.ascontiguousarray(cv2.resize(picture, (width, height))) for picture in sources.made(sources.moving)]
    with sources.sources(folder, ["on-demand", "every-frame"]) as loaded:
        frames = {id: _frame(cam, pool) for id, cam in loaded.sources.items()}
        ledger = folder / "decisions.db"
        return [
            soak("on demand", frames["cam-0"], arguments.frames, ledger),
            soak(f"detected at {arguments.size}", frames["cam-1"], arguments.detected, ledger),
        ]


def _frame(cam: guard.Source, pool: sources.Pictures) -> Callable[[int], None]:
    search = cam.protect(_never, action="identify", service="azure_openai")

    def frame(number: int) -> None:
        with cam.frame(pool[number % len(pool)][:], index=number) as seen:
            try:
                search(seen.image)
            except guard.Denied:
                return

    return frame


def _never(_: object) -> None:
    raise RuntimeError("a forbidden call was released while it was measured")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=1_000_000, help="how many on demand")
    parser.add_argument("--detected", type=int, default=50_000, help="how many that are looked at")
    parser.add_argument("--size", default="640x360", help="of the frames; half of it goes into the network")
    parser.add_argument("--out", type=Path, default=sources.ROOT / "benchmarks" / "results", help="folder of the JSON")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="guard-soak-") as folder:
        soaks = run(arguments, Path(folder))
    arguments.out.mkdir(parents=True, exist_ok=True)
    result = {"schema": "guard.soak/1", "machine": machine(), "size": arguments.size, "soaks": soaks}
    (arguments.out / "soak.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
