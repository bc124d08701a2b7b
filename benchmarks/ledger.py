"""What the record costs: the caller of a denial, a release beside a bare fsync, a flood, a day, and `verify`.

Usage: python benchmarks/ledger.py [--records 1000000] [--flood 60] [--out benchmarks/results/ledger.json]
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import guard
from guard.facts import Decision
from guard.ids import decision_id
from guard.ledger import Entry, Ledger, NullLedger
from guard.ledger.drafts import Drafts
from guard.ledger.keys import signing_key
from guard.ledger.leaves import Opened
from guard.ledger.notes import verifier_key
from guard.ledger.store import Store
from guard.ledger.verifying import verify

ROOT = Path(__file__).resolve().parents[1]
RULES = (guard.Reason(rule="MS-AOAI.us-police", pack="p", title="t", cite="c", sure="text"),)
FACTS = [guard.Facts.parse({"place": {"locality": f"{number}"}, "evidence": []}) for number in range(2)]


def entry(number: int, verdict: guard.Verdict = guard.Verdict.DENY, *, other: bool = False) -> Entry:
    """One call; with `other` it differs from its neighbour, so that both are records."""
    decision = Decision(
        id=decision_id(),
        at=None,
        source="bodycam-117",
        action="identify",
        service="azure_openai",
        verdict=verdict,
        faces=1,
        reasons=RULES if verdict is guard.Verdict.DENY else (),
        facts=FACTS[number % 2 if other else 0],
        valid_until=None,
        fault=None,
        latency_us=6.0,
        policy_digest="p" * 64,
        frame=number,
    )
    return Entry(decision, time.time_ns(), judged_under=["bodycam-117"])


def median_us(work: Callable[[int], None], times: int) -> list[float]:
    """Microseconds of each of `times` calls."""
    took = []
    for number in range(times):
        start = time.perf_counter_ns()
        work(number)
        took.append((time.perf_counter_ns() - start) / 1000)
    return took


def denied(folder: Path, rounds: int = 40, times: int = 500) -> dict[str, float]:
    """What `record` adds to a denied call on the caller's thread, in bursts, while the writer works beside it."""
    took: dict[str, list[float]] = {"record": [], "nothing": []}
    with Ledger(folder / "denied.db") as ledger:
        for _ in range(rounds):
            made = [entry(number) for number in range(times)]
            took["record"] += median_us(lambda number: ledger.record(made[number]), times)  # noqa: B023
            took["nothing"] += median_us(lambda number: None, times)
            time.sleep(0.05)
    cuts = statistics.quantiles(took["record"], n=100)
    return {
        "p50_us": round(statistics.median(took["record"]) - statistics.median(took["nothing"]), 2),
        "p99_us": round(cuts[98], 2),
    }


def denied_whole(folder: Path, rounds: int = 20, times: int = 200) -> dict[str, float]:
    """A denied call through the whole guard with a ledger and with a sink that drops everything, taking turns."""
    toml = ROOT / "samples" / "bodycam" / "guard.toml"
    guards = {"ledger": guard.load(toml, ledger=folder / "whole.db"), "dropped": guard.load(toml, ledger=Dropping())}
    took: dict[str, list[float]] = {name: [] for name in guards}
    calls = {}
    for name, loaded in guards.items():
        source = next(iter(loaded.sources.values()))
        calls[name] = source.protect(lambda frame: None, action="identify", service="azure_openai")

    def attempt(call: Callable[[Any], Any]) -> None:
        try:
            call(None)
        except guard.Denied:
            return
        raise SystemExit("a forbidden call was released while it was measured")

    for _ in range(rounds):
        for name, call in calls.items():
            took[name] += median_us(lambda number: attempt(call), times)  # noqa: B023
        time.sleep(0.02)
    for loaded in guards.values():
        loaded.close()
    with_ledger, without = (statistics.median(took[name]) for name in ("ledger", "dropped"))
    return {
        "with_us": round(with_ledger, 2),
        "without_us": round(without, 2),
        "added_us": round(with_ledger - without, 2),
    }


class Dropping(NullLedger):
    """A sink that takes denials and keeps nothing."""

    def record(self, entry: Entry) -> None:
        return None


def released(folder: Path, rounds: int = 300) -> dict[str, float]:
    """A release beside one write and fsync of 4 KiB on the same disk, taking turns."""
    took: dict[str, list[float]] = {"release": [], "fsync": []}
    with Ledger(folder / "released.db") as ledger, open(folder / "fsync", "ab", buffering=0) as file:

        def fsync(number: int) -> None:
            file.write(b"x" * 4096)
            os.fsync(file.fileno())

        for number in range(rounds):
            made = entry(number, guard.Verdict.ALLOW)
            took["release"] += median_us(lambda _: ledger.record(made), 1)  # noqa: B023
            took["fsync"] += median_us(fsync, 1)
    release, bare = statistics.median(took["release"]), statistics.median(took["fsync"])
    return {"release_us": round(release, 1), "fsync_us": round(bare, 1), "ratio": round(release / bare, 2)}


COUNTED = textwrap.dedent(
    """
    import logging, os, sys
    from pathlib import Path
    logging.disable(logging.CRITICAL)
    sys.path[:0] = [{root!r}, {here!r}]
    import guard
    from ledger import entry
    from guard.ledger import Ledger
    with Ledger(Path({file!r})) as ledger:
        for number in range({number}):
            if number == {warm_up}:
                os.access("begin-to-count", os.F_OK)
            ledger.record(entry(number, guard.Verdict.ALLOW))
        os.access("end-to-count", os.F_OK)
    """
)


def syncs(folder: Path, number: int = 1200, warm_up: int = 200) -> dict[str, Any] | None:
    """Syncs to disk while releases are made one after the other, as strace counts them; None without strace.

    Those that nobody waits for, when the log is moved to the file between two releases, are counted too.
    """
    if shutil.which("strace") is None:
        return None
    script = COUNTED.format(
        root=str(ROOT), here=str(ROOT / "benchmarks"), file=str(folder / "counted.db"), number=number, warm_up=warm_up
    )
    log = folder / "strace"
    command = ["strace", "-f", "-qq", "-e", "trace=fsync,fdatasync,access,faccessat,faccessat2", "-o", str(log)]
    done = subprocess.run([*command, sys.executable, "-c", script], check=False, capture_output=True, text=True)
    if done.returncode != 0:
        return None
    counting, seen = False, 0
    for line in log.read_text().splitlines():
        counting = (counting or "begin-to-count" in line) and "end-to-count" not in line
        seen += counting and "sync(" in line
    return {"releases": number - warm_up, "syncs": seen, "per_release": round(seen / (number - warm_up), 3)}


def flood(folder: Path, seconds: float, *, other: bool, rate: int | None) -> dict[str, Any]:
    """Denials for a while, at a pace or as fast as one thread can; `other`: no two neighbours are equal."""
    memory, backlog = [], 0
    start, cpu = time.perf_counter(), time.process_time()
    number = 0
    with Ledger(folder / f"flood-{other}-{rate}.db") as ledger:
        while (now := time.perf_counter() - start) < seconds:
            for _ in range(200):
                ledger.record(entry(number, other=other))
                number += 1
            if number % 2_000 == 0:
                memory.append(_resident_mb())
                backlog = max(backlog, ledger._queue.qsize())
            if rate is not None:
                time.sleep(max(0.0, number / rate - now))
        ledger.flush()
        took, cpu = time.perf_counter() - start, time.process_time() - cpu
    quarter = max(1, len(memory) // 4)
    return {
        "seconds": round(took, 1),
        "denials": number,
        "per_second": round(number / took),
        "cpu_us_each": round(cpu / number * 1e6, 1),
        "resident_mb_first_quarter": round(statistics.median(memory[:quarter]), 1),
        "resident_mb_last_quarter": round(statistics.median(memory[-quarter:]), 1),
        "most_waiting": backlog,
        "file_mb": round(os.path.getsize(folder / f"flood-{other}-{rate}.db") / 1e6, 2),
    }


def day(folder: Path, hours: int = 24, fps: int = 30) -> dict[str, Any]:
    """The file after a day of equal denials, written second by second as the writer does; the syncs are left out."""
    path = folder / "day.db"
    drafts, store, most = Drafts("0" * 16, 1000), Store(path), 0
    key = signing_key(path)
    store._connection.execute("PRAGMA synchronous = OFF")
    store.begin()
    store.append(Opened(at="", session="0" * 16, guard="", key="", checkpoint_records=1000, checkpoint_seconds=60))
    store.commit()
    for second in range(hours * 3600):
        for number in range(fps):
            drafts.take(entry(second * fps + number), float(second))
        drafts.finish(float(second))
        store.begin()
        drafts.write(store, {}, pending=True)
        if second % 60 == 59:
            store.checkpoint(key)
        store.commit()
        drafts.written()
        most = max(most, store.log_bytes())
        if store.log_bytes() > 1_000_000:
            store.tidy()
    store.close()
    return {
        "hours": hours,
        "denials": hours * 3600 * fps,
        "file_mb": round(path.stat().st_size / 1e6, 2),
        "largest_log_mb": round(most / 1e6, 2),
    }


def verifying(folder: Path, records: int, every: int) -> dict[str, Any]:
    """`verify` on a ledger in which every call is a record, with a checkpoint every so many."""
    path = folder / f"verify-{every}.db"
    store, drafts = Store(path), Drafts("0" * 16, 10**9)
    key = signing_key(path)
    store._connection.execute("PRAGMA synchronous = OFF")
    store.begin()
    store.append(
        Opened(
            at="",
            session="0" * 16,
            guard="",
            key=verifier_key(store.origin, key.public_key().public_bytes_raw()),
            checkpoint_records=every,
            checkpoint_seconds=60,
        )
    )
    for first in range(0, records, every):
        for number in range(first, min(records, first + every)):
            drafts.take(entry(number, other=True), 0.0)
        drafts.finish(0.0, all=True)
        drafts.write(store, {}, pending=False)
        drafts.written()
        store.checkpoint(key)
    store.commit()
    store.tidy()
    store.close()
    start, cpu = time.perf_counter(), time.process_time()
    found = verify(path)
    took, cpu = time.perf_counter() - start, time.process_time() - cpu
    if not found.verified or found.calls != records:
        raise SystemExit(f"the ledger that was made does not verify: {found.problems}")
    return {
        "records": found.records,
        "checkpoints": found.checkpoints,
        "seconds": round(took, 1),
        "cpu_seconds": round(cpu, 1),
        "file_mb": round(path.stat().st_size / 1e6, 1),
    }


def _resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=1_000_000, help="records that `verify` has to check")
    parser.add_argument("--flood", type=float, default=60.0, help="seconds of every flood")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "ledger.json")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    result: dict[str, Any] = {
        "machine": {
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "load_average": round(os.getloadavg()[0], 1),
        }
    }
    with tempfile.TemporaryDirectory(prefix="guard-ledger-", dir=arguments.out.parent) as name:
        folder = Path(name)
        for title, measure in {
            "denied": lambda: denied(folder),
            "denied_whole_call": lambda: denied_whole(folder),
            "released": lambda: released(folder),
            "syncs": lambda: syncs(folder),
            "flood_20000_unequal": lambda: flood(folder, arguments.flood, other=True, rate=20_000),
            "flood_20000_equal": lambda: flood(folder, arguments.flood, other=False, rate=20_000),
            "flood_unequal": lambda: flood(folder, arguments.flood / 4, other=True, rate=None),
            "flood_equal": lambda: flood(folder, arguments.flood / 4, other=False, rate=None),
            "day": lambda: day(folder),
            "verify": lambda: verifying(folder, arguments.records, 1000),
            "verify_checkpoint_each": lambda: verifying(folder, arguments.records // 10, 1),
        }.items():
            result[title] = measure()
            print(title, json.dumps(result[title]), flush=True)
    arguments.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
