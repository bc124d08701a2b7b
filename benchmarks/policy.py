"""What the policy costs: loading packs, compiling a source's table, ten thousand sources, one question asked.

Usage: python benchmarks/policy.py [--sources 10000] [--fact-sets 300] [--rounds 5] [--out benchmarks/results]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from guard.facts import ACTIONS, SERVICES, VOCABULARY, Facts
from guard.guard import load_for_questions
from guard.policy import Engine

ROOT = Path(__file__).resolve().parents[1]
AT = datetime(2026, 11, 22, tzinfo=UTC)
PLACES = (
    {"country": "US", "subdivision": "US-OR", "locality": "Portland"},
    {"country": "US", "subdivision": "US-IL", "locality": "Chicago"},
    {"country": "US", "subdivision": "US-CA", "locality": "San Francisco"},
    {"country": "US"},
    {"country": "FR"},
    {"country": "GB", "subdivision": "GB-ENG"},
    {"country": "AU"},
    {},
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sources", type=int, default=10_000, help="how many sources the large file has")
    parser.add_argument("--fact-sets", type=int, default=300, help="how many different facts they share")
    parser.add_argument("--rounds", type=int, default=5, help="how often each row is measured")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results", help="folder of the JSON")
    arguments = parser.parse_args()
    rng = random.Random(1)
    groups = [fact_set(rng) for _ in range(arguments.fact_sets)]
    facts = [Facts.parse(one) for one in groups]
    engine = Engine.load(("all",))
    rows = {
        "load all packs": [timed(lambda: Engine.load(("all",)))[0] for _ in range(arguments.rounds)],
        "one source's whole table": [timed(lambda one=one: table(engine, one))[0] for one in facts[: arguments.rounds]],
        "a column on first use": columns(engine, facts[arguments.rounds :][: 20 * arguments.rounds], rng),
    }
    with tempfile.TemporaryDirectory() as folder:
        small, large = Path(folder) / "small.toml", Path(folder) / "large.toml"
        small.write_text(document(groups[:1], 1), encoding="utf-8")
        large.write_text(document(groups, arguments.sources), encoding="utf-8")
        rows["guard decide, whole process"] = [decide(small) for _ in range(arguments.rounds)]
        seconds, guard = timed(lambda: load_for_questions(large))
        rows[f"load {arguments.sources} sources, {arguments.fact_sets} fact sets"] = [seconds]
        rows["then the first column of every source"] = [
            timed(lambda: [s.authorize("identify", "self_hosted") for s in guard.sources.values()])[0]
        ]
    print(f"{len(engine.packs)} packs, {len(engine.rules)} rules, {len(engine.policies)} policies")
    for name, times in rows.items():
        print(f"{name:44} median {median(times) * 1e3:10.2f} ms   worst {max(times) * 1e3:10.2f} ms   n {len(times)}")
    arguments.out.mkdir(parents=True, exist_ok=True)
    machine = {"cores": os.cpu_count(), "load": os.getloadavg()[0], "python": platform.python_version()}
    timings = {
        name: {"median_s": median(times), "worst_s": max(times), "n": len(times)} for name, times in rows.items()
    }
    result = {"machine": machine, "policies": len(engine.policies), "rows": timings}
    (arguments.out / "policy.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def fact_set(rng: random.Random) -> dict[str, Any]:
    """Facts as a source file states them, some left unknown, with two records."""
    groups: dict[str, Any] = {}
    for name, allowed in VOCABULARY.items():
        if "offence" in name or name == "use.traits" or rng.random() < 0.25:
            continue
        group, _, key = name.partition(".")
        groups.setdefault(group, {})[key] = rng.choice(allowed)
    groups.setdefault("place", {}).update(rng.choice(PLACES))
    kinds = rng.sample(("limited_access_approval", "published_policy", "fria", "notice_posted", "case_approval"), 2)
    day = f"2026-{rng.randrange(1, 12):02}-{rng.randrange(1, 28):02}T00:00:00Z"
    groups["evidence"] = [{"type": kind, "issued": day, "expires": "2028-01-01T00:00:00Z"} for kind in kinds]
    return groups


def document(groups: list[dict[str, Any]], number: int) -> str:
    """A `guard.toml` of that many sources, which take turns with the facts."""
    parts = ['[operator]\ncountry = "US"\n']
    for index in range(number):
        parts.append(f'[[source]]\nid = "camera-{index}"')
        for group, keys in groups[index % len(groups)].items():
            parts.append(f"{group} = {toml(keys)}")
    return "\n".join(parts) + "\n"


def toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {toml(inner)}" for key, inner in value.items()) + " }"
    return "[" + ", ".join(map(toml, value)) + "]" if isinstance(value, list) else json.dumps(value)


def table(engine: Engine, facts: Facts) -> None:
    engine.table(facts, [(action, service) for action in ACTIONS for service in SERVICES], AT)


def columns(engine: Engine, facts: list[Facts], rng: random.Random) -> list[float]:
    """The first use of one column of each."""
    return [
        timed(lambda one=one: engine.column(one, rng.choice(ACTIONS), rng.choice(SERVICES), AT))[0] for one in facts
    ]


def decide(config: Path) -> float:
    command = [sys.executable, "-m", "guard", "decide", "--config", str(config), "--action", "identify"]
    return timed(lambda: subprocess.run([*command, "--service", "azure_face"], capture_output=True, cwd=ROOT))[0]


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


if __name__ == "__main__":
    main()
