"""What each source costs as their number grows: 720p feeds, five frames a second each, 640x384 for the network.

Frames are handed over as a decoder would hand them, on absolute due times, from pictures that were made before; in
each, an identity call is tried and denied, and recorded on disk. CPU time is that of the whole process, the thread that
hands frames over included.

Usage: python benchmarks/sources.py grow [--detect every-frame] [--seconds 6] [--rounds 3] [--out benchmarks/results]
       python benchmarks/sources.py fit [--detect every-frame] [--numbers 10,15,20,25,30,35,40] [--seconds 10]
       python benchmarks/sources.py mixed [--seconds 20]        40 sources, 30 of them fixed with little motion
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from cost import ROOT, sample_frames

import guard
from guard.bench.measuring import percentile, rss_mb
from guard.bench.plotting import plot_curves
from guard.bench.running import machine
from guard.scheduling.scheduler import cores

SIZE = (1280, 720)
FPS = 5.0
NUMBERS = (1, 2, 5, 10, 20, 40)
MOST = 40
FIXED = 30
_POOL = 7
"""Pictures a feed takes turns with: too few, and again too soon, to be what the guard takes for a loop."""

_HEAD = """
[operator]
type = "us_police"
acts_for = "self"
country = "US"
"""
_SOURCE = """
[[source]]
id = "cam-{number}"
detect = "{detect}"
min_face_px = 32
camera = {{ frozen_s = 86400 }}
place = {{ country = "US", subdivision = "US-OH", control = "wild", access = "public" }}
capture = {{ mount = "{mount}" }}
use = {{ timing = "real_time", purpose = "criminal_investigation", output = "lead_only", traits = [] }}
"""

Pictures = list[np.ndarray]


def moving() -> Pictures:
    """Frames of the body-worn sample at 720p; pictures made here where it is absent."""
    frames = sample_frames(_POOL)[:_POOL]
    if not frames:
        random = np.random.default_rng(20240501)
        frames = [random.integers(0, 256, (36, 64, 3), dtype=np.uint8) for _ in range(_POOL)]
    return [np.ascontiguousarray(cv2.resize(frame, SIZE, interpolation=cv2.INTER_CUBIC)) for frame in frames]


def still() -> Pictures:
    """One frame with a sensor's noise; in two of seven somebody-sized things stand before it."""
    random, among = np.random.default_rng(20240502), moving()
    made = []
    for number in range(_POOL):
        noise = random.normal(0, 1.5, among[0].shape).astype(np.int16)
        frame = np.clip(among[0].astype(np.int16) + noise, 0, 255).astype(np.uint8)
        if number < 2:
            frame[300:460, 400 + 60 * number : 480 + 60 * number] = among[4][300:460, 400:480]
        made.append(frame)
    return made


def made(make: Callable[[], Pictures]) -> Pictures:
    """The pictures, made in another process: what decoding and drawing needed is no memory of this one."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as apart:
        return apart.submit(make).result()


@contextmanager
def sources(folder: Path, detect: list[str]) -> Iterator[guard.Guard]:
    """A guard with one source for each entry of `detect`, its record in `folder`."""
    text = _HEAD + "".join(
        _SOURCE.format(number=number, detect=each, mount="fixed" if each == "on-change" else "body_worn")
        for number, each in enumerate(detect)
    )
    (folder / "guard.toml").write_text(text)
    with guard.load(folder / "guard.toml", ledger=folder / "decisions.db") as loaded:
        yield loaded


def deliver(loaded: guard.Guard, pools: list[Pictures], *, seconds: float, workers: int) -> dict[str, Any]:
    """Hands over `FPS` frames a second of each of the first ``len(pools)`` sources, and says what became of them."""
    search = {id: cam.protect(_never, action="identify", service="azure_openai") for id, cam in loaded.sources.items()}

    def handle(seen: Any, source: guard.Source) -> None:
        search[source.id](seen.image)

    number = len(pools)
    offers_us: list[float] = []
    behind_ms: list[float] = []
    with guard.Scheduler(loaded, handle, workers=workers) as scheduler:
        cpu_s, ready_s, start_s = time.process_time(), ready_without_core_s(), time.perf_counter()
        for turn in range(round(seconds * FPS)):
            for place, pool in enumerate(pools):
                due_s = start_s + (turn + place / number) / FPS
                while (left_s := due_s - time.perf_counter()) > 0:
                    time.sleep(left_s)
                behind_ms.append(-1000 * left_s)
                image = pool[(turn + place) % len(pool)][:]  # an array of its own, as a decoder would make one
                before = time.perf_counter_ns()
                scheduler.offer(f"cam-{place}", image)
                offers_us.append((time.perf_counter_ns() - before) / 1000)
        took_s = max(time.perf_counter() - start_s, round(seconds * FPS) / FPS)
        time.sleep(0.3)
        cpu_s, ready_s = time.process_time() - cpu_s, ready_without_core_s() - ready_s
        statistics_of = scheduler.statistics()
    found = [statistics_of[f"cam-{place}"] for place in range(number)]
    analysed = [each.analysed for each in found]
    return {
        "sources": number,
        "workers": workers,
        "seconds": round(took_s, 2),
        "offered": sum(each.offered for each in found),
        "analysed": sum(analysed),
        "dropped": sum(each.dropped for each in found),
        "late": sum(each.late for each in found),
        "rate_per_s": {"least": round(min(analysed) / took_s, 2), "most": round(max(analysed) / took_s, 2)},
        "cpu_ms_per_frame": round(1000 * cpu_s / max(1, sum(analysed)), 3),
        "cores": round(cpu_s / took_s, 3),
        "threads_without_core": round(ready_s / took_s, 3),
        "lag_ms": {
            "p50": round(1000 * statistics.median(each.lag_p50_s or 0.0 for each in found), 1),
            "p95": round(1000 * max(each.lag_p95_s or 0.0 for each in found), 1),
            "max": round(1000 * max(each.lag_max_s or 0.0 for each in found), 1),
        },
        "handed_over_late_ms": {"p99": round(percentile(behind_ms, 99), 1), "max": round(max(behind_ms), 1)},
        "offer_us": {"p50": round(percentile(offers_us, 50), 1), "p999": round(percentile(offers_us, 99.9), 1)},
        "rss_mb": round(rss_mb(), 1),
    }


def ready_without_core_s() -> float:
    """How long the threads of this process could have run and had no core, seconds; 0 where the system does not say."""
    waited_ns = 0
    for task in Path("/proc/self/task").glob("*/schedstat"):
        waited_ns += int(task.read_text().split()[1])
    return waited_ns / 1e9


def _never(_: object) -> None:
    raise RuntimeError("a forbidden call was released while it was measured")


def grow(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """The cost of each source for 1 to 40 of them, in turns; the median of the rounds stands."""
    pool = made(moving)
    rows: dict[int, list[dict[str, Any]]] = {number: [] for number in NUMBERS}
    with sources(folder, [arguments.detect] * MOST) as loaded:
        before_mb = rss_mb()
        deliver(loaded, [pool] * 2, seconds=1.0, workers=arguments.workers)
        for _ in range(arguments.rounds):
            for number in NUMBERS:
                rows[number].append(
                    deliver(loaded, [pool] * number, seconds=arguments.seconds, workers=arguments.workers)
                )
    result = [sorted(each, key=lambda row: row["cpu_ms_per_frame"])[len(each) // 2] for each in rows.values()]
    for row in result:
        row["cost_beside_one"] = round(row["cpu_ms_per_frame"] / result[0]["cpu_ms_per_frame"], 3)
        print(_line(row))
    frames_mb = sum(frame.nbytes for frame in pool) / 1e6
    print(f"resident: {rss_mb():.0f} MB, of it {frames_mb:.0f} MB pictures of the caller ({before_mb:.0f} MB loaded)")
    return {
        "detect": arguments.detect,
        "rows": result,
        "frames_mb": round(frames_mb, 1),
        "loaded_mb": round(before_mb, 1),
    }


def fit(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """How many sources fit: of the most, less than one frame in a hundred is dropped or late."""
    pool = made(moving)
    numbers = [int(each) for each in arguments.numbers.split(",")]
    rows = []
    with sources(folder, [arguments.detect] * max(numbers)) as loaded:
        deliver(loaded, [pool] * 2, seconds=1.0, workers=arguments.workers)
        for number in numbers:
            rows.append(deliver(loaded, [pool] * number, seconds=arguments.seconds, workers=arguments.workers))
            print(_line(rows[-1]))
    fits = [row["sources"] for row in rows if row["dropped"] + row["late"] <= 0.01 * row["offered"]]
    print(f"{max(fits, default=0)} sources fit with detect = {arguments.detect!r} on {arguments.workers} workers")
    return {"detect": arguments.detect, "rows": rows, "fits": max(fits, default=0)}


def mixed(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """40 sources, 30 of them fixed with little motion and looked at where they change, ten moving."""
    pools = [made(still)] * FIXED + [made(moving)] * (MOST - FIXED)
    detect = [arguments.detect] * FIXED + ["every-frame"] * (MOST - FIXED)
    with sources(folder, detect) as loaded:
        deliver(loaded, pools, seconds=2.0, workers=arguments.workers)
        row = deliver(loaded, pools, seconds=arguments.seconds, workers=arguments.workers)
    print(_line(row))
    frames_mb = sum(frame.nbytes for frame in [*pools[0], *pools[-1]]) / 1e6
    print(f"resident: {row['rss_mb']:.0f} MB, of it {frames_mb:.0f} MB pictures of the caller")
    return {"detect": arguments.detect, "row": row, "frames_mb": round(frames_mb, 1)}


def plot(grown: list[dict[str, Any]], path: Path) -> None:
    """How many cores the frames of all sources need, over their number, beside what the first row would lead to."""
    curves = {}
    for each in grown:
        cores_of = [(row["sources"], row["sources"] * FPS * row["cpu_ms_per_frame"] / 1000) for row in each["rows"]]
        number, one = cores_of[0]
        curves[each["detect"]] = cores_of
        curves[f"{each['detect']}, in proportion to one source"] = [(n, n / number * one) for n, _ in cores_of]
    plot_curves(
        curves,
        path,
        title=f"CPU time by number of sources, 720p, {FPS:g} frames a second each",
        x="sources",
        y="cores that looking at every frame takes",
    )


def _line(row: dict[str, Any]) -> str:
    beside = f"  x{row['cost_beside_one']:.2f} of one" if "cost_beside_one" in row else ""
    return (
        f"{row['sources']:3} sources: {row['cpu_ms_per_frame']:7.2f} ms CPU a frame{beside}  "
        f"{row['cores']:.2f} cores (+{row['threads_without_core']:.2f} threads without one)  "
        f"rate {row['rate_per_s']['least']:.2f}-{row['rate_per_s']['most']:.2f}/s  "
        f"dropped {row['dropped']}/{row['offered']}  late {row['late']}  "
        f"lag p50 {row['lag_ms']['p50']:.1f} p95 {row['lag_ms']['p95']:.1f} max {row['lag_ms']['max']:.1f} ms  "
        f"handed over up to {row['handed_over_late_ms']['max']:.0f} ms late  "
        f"offer p50 {row['offer_us']['p50']:.0f} p99.9 {row['offer_us']['p999']:.0f} us  rss {row['rss_mb']:.0f} MB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("grow", "fit", "mixed"))
    parser.add_argument("--detect", default="every-frame", help="of all sources; in mixed, of the fixed ones")
    parser.add_argument("--seconds", type=float, default=6.0, help="how long each number of sources is fed")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--numbers", default="10,15,20,25,30,35,40")
    parser.add_argument("--workers", type=int, default=cores())
    parser.add_argument(
        "--out", type=Path, default=ROOT / "benchmarks" / "results", help="folder of the JSON and the plot"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="guard-sources-") as folder:
        result = {"grow": grow, "fit": fit, "mixed": mixed}[arguments.what](arguments, Path(folder))
    arguments.out.mkdir(parents=True, exist_ok=True)
    file = arguments.out / "sources.json"
    kept = json.loads(file.read_text()) if file.exists() else {"schema": "guard.sources/1"}
    kept["machine"] = machine()
    kept[f"{arguments.what} {arguments.detect}"] = result
    file.write_text(json.dumps(kept, indent=1) + "\n")
    if grown := [each for name, each in kept.items() if name.startswith("grow ")]:
        plot(grown, arguments.out / "sources.svg")


if __name__ == "__main__":
    main()
