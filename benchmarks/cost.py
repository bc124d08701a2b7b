"""What the guard costs per frame at three sizes, on frames of the body-worn sample where there is one.

Usage: python benchmarks/cost.py [--seconds 20] [--out benchmarks/results]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import av
import numpy as np

from guard.bench import run
from guard.bench.plotting import plot_rows, plot_sizes, plot_tails

SIZES = ((640, 360), (1280, 720), (1920, 1080))
ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20.0, help="how long to measure each size")
    parser.add_argument(
        "--out", type=Path, default=ROOT / "benchmarks" / "results", help="folder of the JSON and the plot"
    )
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    frames = sample_frames()
    print(f"frames: {len(frames)} of the body-worn sample" if frames else "frames: made here, without a face")
    results = []
    for size in SIZES:
        result = run(size=size, seconds=arguments.seconds, peers=size == SIZES[-1], frames=frames, folder=arguments.out)
        results.append(result)
        print(f"{size[0]}x{size[1]}")
        for row in result["rows"]:
            print(
                f"  {row['name']:24} p50 {row['p50_us']:10.1f} us  p99 {row['p99_us']:10.1f} us  faces {row['faces']}"
            )
        for name, ratio in result["ratios"].items():
            print(f"  {name}: {ratio}")
    for row in results[-1]["rows"]:
        if row["name"] == "hook-detect":
            bare = next(other for other in results[-1]["rows"] if other["name"] == "bare-detector")
            if row["faces"] != bare["faces"]:
                raise SystemExit(f"hook and bare detector disagree: {row['faces']} and {bare['faces']} faces")
    (arguments.out / "cost.json").write_text(json.dumps(results, indent=1) + "\n")
    plot_rows(results, arguments.out / "cost.png")
    plot_sizes(results, arguments.out / "size.svg")
    plot_tails(results[-1], arguments.out / "latency.svg")


def sample_frames(number: int = 8) -> list[np.ndarray]:
    """Frames spread over the body-worn sample; none where it is absent."""
    clips = sorted((ROOT / "samples").glob("body*/*.mp4"))
    if not clips:
        return []
    with av.open(str(clips[0])) as container:
        frames = [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]
    return frames[:: max(1, len(frames) // number)][:number]


if __name__ == "__main__":
    main()
