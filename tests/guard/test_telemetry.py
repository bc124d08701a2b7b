"""Telemetry: what is counted is what happened, nothing names a camera, and nothing that breaks decides about a call."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import guard
from guard import telemetry
from guard.telemetry import Instruments, Watch
from guard.testing import FakeDetector, MemoryLedger
from tests.conftest import OFFICE, POLICE

ROOT = Path(__file__).resolve().parents[2]
SHADOW = '[policy]\nmode = "shadow"\n'

sdk = pytest.importorskip("opentelemetry.sdk", reason="opentelemetry-sdk is not installed")


class Told:
    """The real SDK with its in-memory exporters, and what reached them."""

    def __init__(self) -> None:
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

        self.reader = InMemoryMetricReader()
        self.exporter = InMemorySpanExporter()
        self.meters = MeterProvider(metric_readers=[self.reader])
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.instruments = Instruments(self.meters.get_meter("guard"), self.tracers.get_tracer("guard"))

    def points(self, name: str) -> list[Any]:
        data = self.reader.get_metrics_data()
        return [
            point
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]

    def sums(self, name: str, *keys: str) -> dict[Any, int]:
        found: dict[Any, int] = {}
        for point in self.points(name):
            key = tuple(point.attributes.get(key) for key in keys)
            found[key] = found.get(key, 0) + point.value
        return found

    def stages(self) -> dict[str, int]:
        return {point.attributes["guard.stage"]: point.count for point in self.points("guard.stage.duration")}

    def spans(self) -> list[Any]:
        return list(self.exporter.get_finished_spans())

    def everything(self) -> str:
        data = self.reader.get_metrics_data()
        return (data.to_json() if data else "") + "".join(span.to_json() for span in self.spans())


@pytest.fixture
def told():
    told = Told()
    yield told
    told.meters.shutdown()
    told.tracers.shutdown()


@pytest.fixture
def watched(make_guard, told) -> Callable[..., guard.Guard]:
    def make(text: str = POLICE, *, sources: bool = False, **options: Any) -> guard.Guard:
        g = make_guard(text, **options)
        g.watch = Watch(told.instruments, sources=sources)
        g.watch.keep_an_eye_on(g.ledger)
        return g

    return make


def refuse(call: Callable[..., Any], *args: Any) -> None:
    with pytest.raises((guard.Denied, guard.GuardFault)):
        call(*args)


def test_frames_and_decisions_are_counted_by_verdict_and_rule(watched, told, picture):
    g = watched()
    identify = g.source().protect(lambda probe: None, action="identify", service="azure_openai")
    describe = g.source().protect(lambda probe: None, service="azure_openai")
    for _ in range(3):
        with g.source().frame(picture):
            refuse(identify, picture)
            describe(picture)
    assert told.sums("guard.frames") == {(): 3}
    keys = ("guard.verdict", "guard.action", "guard.service", "guard.enforced")
    assert told.sums("guard.decisions", *keys) == {
        ("deny", "identify", "azure_openai", True): 3,
        ("redact", "unnamed", "azure_openai", True): 3,
    }
    rules = told.sums("guard.rules", "guard.rule", "guard.verdict")
    for entry in g.ledger.entries:
        for rule in {reason.rule for reason in entry.decision.reasons}:
            assert rules[rule, entry.verdict] == 3


def test_what_becomes_of_frames_that_were_offered_is_counted(watched, told, picture):
    entered, go = threading.Semaphore(0), threading.Event()

    def handle(seen, source) -> None:
        entered.release()
        assert go.wait(30)

    with guard.Scheduler(watched(), handle) as scheduler:
        scheduler.offer("bodycam", picture)
        assert entered.acquire(timeout=30)
        for _ in range(3):
            scheduler.offer("bodycam", picture)
        closing = threading.Thread(target=scheduler.close)
        closing.start()
        while scheduler.statistics()["bodycam"].waiting:
            time.sleep(0.001)
        go.set()
        closing.join(30)
    assert told.sums("guard.scheduled", "guard.outcome") == {("dropped",): 3, ("analysed",): 1}


def test_identity_calls_are_executed_blocked_or_faulted(watched, told, picture):
    door = watched(OFFICE)
    search = door.source().protect(lambda probe: None, action="identify", service="my-matcher")
    search(picture)
    search(picture)
    door.ledger.fail = "disk full"
    refuse(search, picture)
    refuse(watched(name="p.toml").source().protect(lambda: None, action="verify", service="azure_face"))
    detect = door.source().protect(lambda probe: None, action="detect", service="my-matcher")
    refuse(detect, picture)
    assert told.sums("guard.identity.calls", "guard.outcome", "guard.action") == {
        ("executed", "identify"): 2,
        ("faulted", "identify"): 1,
        ("blocked", "verify"): 1,
    }
    assert told.sums("guard.decisions", "guard.verdict") == {("allow",): 2, ("fault",): 2, ("deny",): 1}


def test_what_shadow_mode_lets_through_is_executed_and_not_enforced(watched, told):
    g = watched(SHADOW + POLICE)
    g.source().protect(lambda: None, action="identify", service="azure_openai")()
    assert told.sums("guard.identity.calls", "guard.outcome") == {("executed",): 1}
    assert told.sums("guard.decisions", "guard.verdict", "guard.enforced") == {("deny", False): 1}


def test_every_stage_has_its_histogram_in_seconds(watched, told, picture):
    g = watched()
    describe = g.source().protect(lambda probe: None, service="azure_openai")
    with g.source().frame(picture) as seen:
        describe(picture)
    assert told.stages() == {"hook": 1, "detect": 1, "decide": 1, "redact": 1, "record": 1}
    for point in told.points("guard.stage.duration"):
        assert 0 < point.sum < 10
        assert point.explicit_bounds[0] <= 1e-6
    (hook,) = (p for p in told.points("guard.stage.duration") if p.attributes["guard.stage"] == "hook")
    assert hook.sum * 1e6 >= seen.timings["hook"]


def test_spans_nest_and_lead_to_the_record(watched, told, picture):
    g = watched()
    describe = g.source().protect(lambda probe: None, service="azure_openai")
    with told.tracers.get_tracer("app").start_as_current_span("mine"), g.source().frame(picture):
        describe(picture)
    by_name = {span.name: span for span in told.spans()}
    assert set(by_name) == {"mine", "guard.frame", "guard.detect", "guard.call", "guard.redact"}

    def parent(name: str) -> int:
        return by_name[name].parent.span_id

    assert parent("guard.detect") == by_name["guard.frame"].context.span_id
    assert parent("guard.redact") == by_name["guard.call"].context.span_id
    assert parent("guard.frame") == parent("guard.call") == by_name["mine"].context.span_id
    call = by_name["guard.call"].attributes
    assert call["guard.decision.id"] == g.ledger.entries[0].id
    assert call["guard.policy.digest"] == g.policy_digest
    assert call["guard.verdict"] == "redact"
    assert "MS-COC.us-police" in call["guard.rules"]


def test_a_fault_is_an_error_span_and_a_denial_is_not(watched, told, picture):
    g = watched(OFFICE, detector=FakeDetector(error=RuntimeError("broken")))
    search = g.source().protect(lambda probe: None, action="identify", service="my-matcher")
    with g.source().frame(picture):
        refuse(search, picture)
    refuse(watched(name="p.toml").source().protect(lambda: None, action="identify", service="azure_openai"))
    calls = [span for span in told.spans() if span.name == "guard.call"]
    assert [(span.attributes["guard.verdict"], span.status.is_ok) for span in calls] == [
        ("fault", False),
        ("deny", True),
    ]
    assert all(span.events == () and span.status.description is None for span in told.spans())


def test_a_coroutine_is_told_under_the_span_of_its_task(watched, told):
    g = watched(OFFICE)

    async def search(probe):
        return probe

    call = g.source().protect(search, action="identify", service="my-matcher")

    async def main():
        with told.tracers.get_tracer("app").start_as_current_span("mine"):
            await call(1)

    asyncio.run(main())
    by_name = {span.name: span for span in told.spans()}
    assert by_name["guard.call"].parent.span_id == by_name["mine"].context.span_id
    assert told.sums("guard.identity.calls", "guard.outcome") == {("executed",): 1}


def test_no_camera_and_no_person_is_named(watched, told, picture):
    g = watched(POLICE.replace("bodycam", "camera-of-officer-miller"))
    identify = g.source().protect(lambda name, probe: None, action="identify", service="azure_openai")
    describe = g.source().protect(lambda name, probe: None, service="azure_openai")
    with g.source().frame(picture):
        refuse(identify, "jane", picture)
        describe("jane", picture)
    broken = watched(POLICE.replace("bodycam", "camera-of-officer-miller"), detector=object(), name="b.toml")
    with broken.source().frame(picture):
        refuse(broken.source().protect(lambda probe: None, service="azure_openai"), picture)
    everything = told.everything()
    assert "guard.decisions" in everything
    assert "guard.call" in everything
    assert "miller" not in everything
    assert "jane" not in everything


def test_sources_are_named_where_the_file_says_so(watched, told, picture):
    g = watched(sources=True)
    with g.source().frame(picture):
        refuse(g.source().protect(lambda probe: None, action="identify", service="azure_openai"), picture)
    for metric in ("guard.frames", "guard.decisions", "guard.rules", "guard.identity.calls"):
        assert {point.attributes["guard.source"] for point in told.points(metric)} == {"bodycam"}, metric
    assert {s.attributes.get("guard.source") for s in told.spans() if s.name != "guard.detect"} == {"bodycam"}


def test_the_key_that_says_so_is_true_or_false(tmp_path):
    from guard.config import load_config

    path = tmp_path / "guard.toml"
    for text, found in (
        ("", False),
        ("[telemetry]\nsources = true\n", True),
        ("[telemetry]\nsources = false\n", False),
    ):
        path.write_text(text + POLICE)
        assert load_config(path).label_sources is found
    path.write_text("[telemetry]\nsources = 1\n" + POLICE)
    with pytest.raises(guard.ConfigError, match="write true or false"):
        load_config(path)
    path.write_text("[telemetry]\nsource = true\n" + POLICE)
    with pytest.raises(guard.ConfigError, match="did you mean 'sources'"):
        load_config(path)


def test_the_ledger_that_is_furthest_behind_is_the_lag(watched, told):
    class Behind(MemoryLedger):
        def __init__(self, seconds: float) -> None:
            super().__init__()
            self.seconds = seconds

        def lag_s(self) -> float:
            return self.seconds

    kept = [watched(ledger=Behind(0.25)), watched(ledger=Behind(1.5)), watched(ledger=MemoryLedger())]
    assert [point.value for point in told.points("guard.ledger.lag")] == [1.5]
    assert len(kept) == 3


class Broken:
    """Instruments of which every part raises."""

    ledgers = None

    def listens(self) -> bool:
        return True

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("the exporter broke")


def test_telemetry_that_breaks_decides_nothing_and_says_so_once(make_guard, picture, caplog, monkeypatch):
    monkeypatch.setattr(telemetry, "_said", set())
    verdicts = []
    for text, service in ((POLICE, "azure_openai"), (OFFICE, "my-matcher"), (SHADOW + POLICE, "azure_openai")):
        reached = []
        g = make_guard(text)
        g.watch = Watch(Broken())
        g.watch.keep_an_eye_on(g.ledger)
        call = g.source().protect(reached.append, action="identify", service=service)
        with g.source().frame(picture):
            try:
                call(picture)
            except guard.Denied:
                assert reached == []
        verdicts.append((g.ledger.verdicts(), len(reached)))
    assert verdicts == [(["deny"], 0), (["allow"], 1), (["deny"], 1)]
    told = [record.exc_info[0] for record in caplog.records if "telemetry failed" in record.getMessage()]
    assert len(told) == len(set(told)) > 0


def test_a_record_that_cannot_be_written_refuses_as_before(watched, told, picture):
    g = watched(OFFICE)
    g.ledger.fail = "disk full"
    with pytest.raises(guard.GuardFault, match="disk full"):
        g.source().protect(lambda probe: None, action="identify", service="my-matcher")(picture)


# ---- with and without the library


def run(code: str, *, env: dict[str, str] | None = None) -> str:
    head = f"import sys; sys.path[:0] = {sys.path!r}\n"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", head + code],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=120,
        env=env,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


USE = """
import pathlib, tempfile, time
import guard
from guard.testing import FakeDetector, MemoryLedger
from tests.conftest import POLICE
folder = pathlib.Path(tempfile.mkdtemp())
(folder / "guard.toml").write_text(POLICE)
g = guard.load(folder / "guard.toml", detector=FakeDetector(), ledger=MemoryLedger())
try:
    g.source().protect(lambda: None, action="identify", service="azure_openai")()
except guard.Denied as denied:
    print("denied", g.watch is not None)
"""


def test_without_the_library_there_is_nothing_to_tell():
    hidden = "sys.modules['opentelemetry'] = None\n"
    assert run(hidden + USE) == "denied False\n"


def test_a_library_that_does_not_load_costs_no_call(tmp_path):
    """A broken installation is logged, and calls are judged as ever."""
    (tmp_path / "opentelemetry").mkdir()
    (tmp_path / "opentelemetry" / "__init__.py").write_text("raise RuntimeError('half installed')")
    assert run(f"sys.path.insert(0, {str(tmp_path)!r})\n" + USE) == "denied False\n"


def test_neither_importing_guard_nor_asking_it_loads_the_library(tmp_path):
    (tmp_path / "guard.toml").write_text(POLICE)
    code = f"""
import guard
assert "opentelemetry" not in sys.modules
from guard.cli import main
main(["decide", "--config", {str(tmp_path / "guard.toml")!r}, "--action", "identify", "--service", "azure_openai"])
assert "opentelemetry" not in sys.modules
print("light")
"""
    assert run(code).splitlines()[-1] == "light"


def test_providers_that_are_set_after_the_guard_was_loaded_are_told_too():
    code = (
        USE
        + """
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
reader = InMemoryMetricReader()
metrics.set_meter_provider(MeterProvider(metric_readers=[reader]))
time.sleep(1.1)  # whether anybody listens is asked once a second until somebody does
try:
    g.source().protect(lambda: None, action="identify", service="azure_openai")()
except guard.Denied:
    pass
data = reader.get_metrics_data()
print(sorted(m.name for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics))
"""
    )
    assert run(code).splitlines() == [
        "denied True",
        "['guard.decisions', 'guard.identity.calls', 'guard.rules', 'guard.stage.duration']",
    ]


def test_the_instruments_are_made_once():
    assert telemetry.watch() is not None
    assert telemetry.watch()._to is telemetry.watch(sources=True)._to


def test_until_somebody_listens_nothing_is_made_for_nobody(make_guard, picture, caplog, monkeypatch):
    monkeypatch.setattr(telemetry, "_said", set())
    monkeypatch.setattr(telemetry, "_ASK_SECONDS", 3600.0)
    asked = []

    class Silent(Broken):
        def listens(self) -> bool:
            asked.append(1)
            return False

    g = make_guard(OFFICE)
    g.watch = Watch(Silent())
    search = g.source().protect(lambda probe: None, action="identify", service="my-matcher")
    for _ in range(20):
        with g.source().frame(picture):
            search(picture)  # any other part of `Silent` would raise, and be logged
    assert asked == [1]
    assert not any("telemetry failed" in record.getMessage() for record in caplog.records)
