"""How much faster two worker processes sweep a folder than one, and what a clip costs beside its frames.

Usage: python benchmarks/sweep.py [--clips 12] [--rounds 2] [--out benchmarks/results]

The clips are those of `samples`, copied under distinct content (an MP4 may end in a box that nobody reads). Each run is
the whole command in a fresh folder, start of the processes included; one and two workers take turns.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--redact", action="store_true", help="write redacted copies too")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        video_s = fill(folder / "in", arguments.clips)
        runs: list[dict[str, Any]] = []
        for number in range(arguments.rounds):
            for workers in (1, 2) if number % 2 == 0 else (2, 1):
                runs.append(run(folder, workers, number, redact=arguments.redact))
                print(f"{workers} workers: {runs[-1]['wall_s']:.1f} s, {runs[-1]['cpu_s']:.1f} s of processor time")
    wall = {w: statistics.median(run["wall_s"] for run in runs if run["workers"] == w) for w in (1, 2)}
    result = {
        "machine": f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "clips": arguments.clips,
        "video_s": round(video_s, 1),
        "redact": arguments.redact,
        "runs": runs,
        "one worker / two workers": round(wall[1] / wall[2], 3),
    }
    print(f"{video_s:.0f} s of video; one worker / two workers: {result['one worker / two workers']}")
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / ("sweep-redact.json" if arguments.redact else "sweep.json")).write_text(
        json.dumps(result, indent=1) + "\n"
    )


def fill(folder: Path, clips: int) -> float:
    """Copies of the samples, each of other content; gives the seconds of video in them."""
    import av

    folder.mkdir()
    samples = sorted((ROOT / "samples").glob("*/clip.mp4"))
    seconds = 0.0
    for number in range(clips):
        sample = samples[number % len(samples)]
        unread = (16).to_bytes(4, "big") + b"free" + number.to_bytes(8, "big")
        (folder / f"{number:04}.mp4").write_bytes(sample.read_bytes() + unread)
        with av.open(str(sample)) as container:
            seconds += float(container.duration or 0) / av.time_base
    return seconds


def run(folder: Path, workers: int, number: int, *, redact: bool) -> dict[str, Any]:
    """One whole command; wall clock and processor time of all its processes, in seconds."""
    out = folder / f"out-{workers}-{number}"
    command = [
        *(sys.executable, "-m", "guard", "sweep", str(folder / "in"), "--workers", str(workers), "--out", str(out)),
        *("--config", str(ROOT / "samples/bodycam/guard.toml"), "--service", "azure_openai", "--json"),
        *(["--redact"] if redact else []),
    ]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    wall_s = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    summary = json.loads(done.stdout)
    return {
        "workers": workers,
        "wall_s": round(wall_s, 2),
        "cpu_s": round(cpu_s, 2),
        "cores_in_use": round(cpu_s / wall_s, 2),
        "units": summary["files"]["made"],
        "frames": summary["frames"],
        "bytes_per_unit": sum(path.stat().st_size for path in out.glob("units/*/*/*")) // summary["files"]["made"],
    }


if __name__ == "__main__":
    main()
