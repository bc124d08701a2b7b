"""How long the slowest calls take, and why: `authorize` and the hook in eight threads beside other work.

Each thread makes a call on absolute due times; the call itself is timed, of the hook until the call in the frame is
refused (the watch over the feed looks at five frames a second, after that). Around each stand the counters of its
thread (Linux: `RUSAGE_THREAD`) and the collector's callbacks, so that every slow call has a cause: the collector ran, a
page was faulted in, somebody else had the core, or it waited for the interpreter or a lock. What is left ran on cold
caches.

Usage: python benchmarks/tails.py [--seconds 20] [--threads 8] [--per-second 50] [--out benchmarks/results]
"""

from __future__ import annotations

import argparse
import gc
import itertools
import json
import multiprocessing
import os
import resource
import sys
import tempfile
import threading
import time
from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import sources

import guard
from guard.bench.measuring import percentile
from guard.bench.running import machine
from guard.scheduling.scheduler import cores

SLOW_US = {"authorize": 200.0, "hook on demand": 1000.0}
"""What is slow: such calls are counted by cause."""

Counters = tuple[int, int, int, int]


class Samples:
    """Times in microseconds and their causes. It holds no object of its own for each, so that it calls no collector."""

    def __init__(self) -> None:
        self.took_us = array("d")
        self.causes: list[str] = []

    def add(self, took_us: float, why: str) -> None:
        """One call more."""
        self.took_us.append(took_us)
        self.causes.append(why)

    def extend(self, others: Samples) -> None:
        """What another thread took."""
        self.took_us.extend(others.took_us)
        self.causes.extend(others.causes)


class Collections:
    """Counts the collector's runs, how long they stood in the way, and what the host stole, while it is open."""

    def __init__(self) -> None:
        self.runs: Counter[int] = Counter()
        self.longest_us: Counter[int] = Counter()
        self.stolen_s = 0.0
        self._start_ns = 0

    def __call__(self, phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            self._start_ns = time.perf_counter_ns()
            return
        generation, took_us = info["generation"], (time.perf_counter_ns() - self._start_ns) // 1000
        self.runs[generation] += 1
        self.longest_us[generation] = max(self.longest_us[generation], took_us)

    def __enter__(self) -> Collections:
        gc.callbacks.append(self)
        self.stolen_s = -stolen()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stolen_s += stolen()
        gc.callbacks.remove(self)


def stolen() -> float:
    """What the machine's host has kept from it so far, seconds over all cores; 0 where the system does not say."""
    try:
        return int(Path("/proc/stat").read_text().split()[8]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return 0.0


def counters() -> Counters:
    """Of this thread: pages faulted in, from memory and from disk, and how often it waited or was put aside."""
    usage = resource.getrusage(resource.RUSAGE_THREAD)
    return usage.ru_minflt, usage.ru_majflt, usage.ru_nvcsw, usage.ru_nivcsw


def cause(before: Counters, after: Counters, *, collected: bool) -> str:
    """Why a call took long, the strongest reason first."""
    faults, from_disk, waited, put_aside = (late - early for early, late in zip(before, after, strict=True))
    if collected:
        return "garbage collection"
    if from_disk:
        return "page fault from disk"
    if put_aside:
        return "another thread or process had the core"
    if waited:
        return "waited for the interpreter or a lock"
    return "page fault" if faults else "cold caches"


def paced(
    call: Callable[[], int], *, threads: int, per_second: float, seconds: float, collections: Collections
) -> Samples:
    """Times of `call`, from `threads` threads that each make `per_second` calls."""
    samples = Samples()
    start_s = time.perf_counter() + 0.2

    def run(thread: int) -> None:
        own = Samples()
        for number in range(round(seconds * per_second)):
            left_s = start_s + (number + thread / threads) / per_second - time.perf_counter()
            if left_s > 0:
                time.sleep(left_s)
            own.add(*timed(call, collections))
        samples.extend(own)

    _in_threads(run, threads)
    return samples


def tight(call: Callable[[], int], *, threads: int, seconds: float, collections: Collections) -> Samples:
    """As `paced` where every thread calls again at once."""
    samples = Samples()
    end_s = time.perf_counter() + seconds

    def run(_: int) -> None:
        own = Samples()
        while time.perf_counter() < end_s:
            own.add(*timed(call, collections))
        samples.extend(own)

    _in_threads(run, threads)
    return samples


def timed(call: Callable[[], int], collections: Collections) -> tuple[float, str]:
    """One call, which says when it had what it wanted: microseconds, and what it waited for."""
    ran, before = collections.runs.total(), counters()
    start_ns = time.perf_counter_ns()
    took_us = (call() - start_ns) / 1000
    return took_us, cause(before, counters(), collected=collections.runs.total() != ran)


def _in_threads(run: Callable[[int], None], threads: int) -> None:
    running = [threading.Thread(target=run, args=(number,)) for number in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()


def row(name: str, samples: Samples, collections: Collections) -> dict[str, Any]:
    """Percentiles, and the causes of the calls that took longer than `SLOW_US`."""
    took_us = list(samples.took_us)
    slow_us = next(slow_us for what, slow_us in SLOW_US.items() if name.startswith(what))
    slow = Counter(why for each, why in zip(took_us, samples.causes, strict=True) if each > slow_us)
    result = {
        "name": name,
        "calls": len(took_us),
        **{f"p{mark:g}_us".replace(".", ""): round(percentile(took_us, mark), 1) for mark in (50, 99, 99.9)},
        "max_us": round(max(took_us), 1),
        "slow_us": slow_us,
        "slow": dict(slow.most_common()),
        "collections": dict(sorted(collections.runs.items())),
        "stolen_s": round(collections.stolen_s, 2),
        "longest_collection_us": dict(sorted(collections.longest_us.items())),
    }
    print(
        f"{name:44} {len(took_us):7} calls  p50 {result['p50_us']:8.1f}  p99 {result['p99_us']:8.1f}  "
        f"p99.9 {result['p999_us']:8.1f}  max {result['max_us']:9.1f} us   "
        f"over {slow_us:.0f} us: {result['slow'] or 'none'}   "
        f"collections {result['collections']}  stolen {result['stolen_s']} s"
    )
    return result


@contextmanager
def busy_processes(number: int) -> Iterator[None]:
    """So many other processes that compute all the time."""
    running = [multiprocessing.get_context("spawn").Process(target=_spin, daemon=True) for _ in range(number)]
    for each in running:
        each.start()
    time.sleep(1.0)
    try:
        yield
    finally:
        for each in running:
            each.terminate()
            each.join()


def _spin() -> None:
    while True:
        sum(range(10_000))


@contextmanager
def busy_scheduler(loaded: guard.Guard, pool: sources.Pictures, number: int) -> Iterator[None]:
    """A scheduler of the same process that looks at `number` sources, five frames a second each."""
    stop = threading.Event()

    def feed(scheduler: guard.Scheduler) -> None:
        turn = 0
        while not stop.wait(1 / sources.FPS / number):
            scheduler.offer(f"cam-{turn % number}", pool[turn // number % len(pool)][:])
            turn += 1

    with guard.Scheduler(loaded, lambda seen, source: None, workers=cores()) as scheduler:
        feeder = threading.Thread(target=feed, args=(scheduler,))
        feeder.start()
        try:
            yield
        finally:
            stop.set()
            feeder.join()


def measure(loaded: guard.Guard, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """All rows."""
    pool = sources.made(sources.moving)
    pictures = itertools.cycle(pool)
    cam = loaded.source("cam-40")
    denied = cam.protect(_never, action="identify", service="azure_openai")

    def authorize() -> int:
        cam.authorize("identify", "azure_openai")
        return time.perf_counter_ns()

    def hook() -> int:
        with cam.frame(next(pictures)[:]) as seen:
            try:
                denied(seen.image)
            except guard.Denied:
                return time.perf_counter_ns()
        raise RuntimeError("a forbidden call was released while it was measured")

    beside: dict[str, Callable[[], Any]] = {
        "alone": nullcontext,
        f"beside {cores()} busy processes": lambda: busy_processes(cores()),
        "beside 10 sources detected": lambda: busy_scheduler(loaded, pool, 10),
    }
    rows = []
    for what, call in (("authorize", authorize), ("hook on demand, denied", hook)):
        for where, load in beside.items():
            with load(), Collections() as collections:
                samples = paced(
                    call,
                    threads=arguments.threads,
                    per_second=arguments.per_second,
                    seconds=arguments.seconds,
                    collections=collections,
                )
            rows.append(row(f"{what}, {where}", samples, collections))
    with Collections() as collections:
        samples = tight(authorize, threads=arguments.threads, seconds=3.0, collections=collections)
    rows.append(row(f"authorize, {arguments.threads} threads in a tight loop", samples, collections))
    with Collections() as collections:
        samples = tight(authorize, threads=1, seconds=3.0, collections=collections)
    rows.append(row("authorize, one thread in a tight loop", samples, collections))
    return rows


def _never(_: np.ndarray) -> None:
    raise RuntimeError("a forbidden call was released while it was measured")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20.0, help="how long each paced row is measured")
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--per-second", type=float, default=50.0, help="calls of each thread")
    parser.add_argument("--out", type=Path, default=sources.ROOT / "benchmarks" / "results", help="folder of the JSON")
    arguments = parser.parse_args()
    detect = ["every-frame"] * sources.MOST + ["on-demand"]
    with tempfile.TemporaryDirectory(prefix="guard-tails-") as folder, sources.sources(Path(folder), detect) as loaded:
        rows = measure(loaded, arguments)
    result = {
        "schema": "guard.tails/1",
        "machine": machine(),
        "switch_interval_s": sys.getswitchinterval(),
        "rows": rows,
    }
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "tails.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
