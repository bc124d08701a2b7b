"""Metrics and spans through OpenTelemetry, where `opentelemetry-api` is installed; nothing at all otherwise.

A guard with nobody to tell has no `Watch`, and its calls pay for one comparison. No method of a `Watch` raises: an
exporter that breaks must not decide about a call. Neither labels nor spans name a camera, unless `[telemetry] sources`
says so, and none can name a person.

Durations are in seconds, as OpenTelemetry's conventions have them.
"""

from __future__ import annotations

import functools
import logging
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

from guard._version import __version__
from guard.facts import IDENTITY_ACTIONS

if TYPE_CHECKING:
    from opentelemetry.metrics import CallbackOptions, Meter, Observation
    from opentelemetry.trace import Span, Tracer

    from guard.facts import Decision
    from guard.gate import Call
    from guard.ledger import Entry, Sink

__all__ = ["Instruments", "Watch", "watch"]

log = logging.getLogger("guard")

R = TypeVar("R")

_SCOPE: Final = "guard"
_ASK_SECONDS: Final = 1.0
_BOUNDS_S: Final = (*(digits * 10.0**power for power in range(-6, 1) for digits in (1, 2.5, 5)), 10.0)
"""From a microsecond to ten seconds: a cached verdict and a slow disk both fall inside."""


class Sum:
    """A counter that is added up here and asked for when somebody collects, so that no caller waits for the SDK."""

    def __init__(self, meter: Meter, name: str, unit: str, description: str) -> None:
        self._counts: dict[tuple[tuple[str, Any], ...], int] = {}
        self._lock = threading.Lock()
        meter.create_observable_counter(name, [self._observed], unit, description)

    def add(self, number: int, attributes: Mapping[str, Any]) -> None:
        """Adds to the count of these attributes."""
        key = tuple(attributes.items())
        with self._lock:
            self._counts[key] = self._counts.get(key, 0) + number

    def _observed(self, _: CallbackOptions) -> Iterable[Observation]:
        from opentelemetry.metrics import Observation

        with self._lock:
            counts = list(self._counts.items())
        return [Observation(count, dict(key)) for key, count in counts]


class Instruments:
    """The instruments of one meter and tracer, made once a process.

    ============================  =========  ===========================================================
    metric                        unit       attributes
    ============================  =========  ===========================================================
    ``guard.frames``              {frame}
    ``guard.scheduled``           {frame}    ``guard.outcome``
    ``guard.decisions``           {call}     ``guard.verdict``, ``.action``, ``.service``, ``.enforced``
    ``guard.rules``               {call}     ``guard.rule``, ``guard.verdict``
    ``guard.identity.calls``      {call}     ``guard.outcome``, ``guard.action``
    ``guard.stage.duration``      s          ``guard.stage``
    ``guard.ledger.lag``          s
    ============================  =========  ===========================================================
    """

    def __init__(self, meter: Meter, tracer: Tracer, listens: Callable[[], bool] = lambda: True) -> None:
        """`listens` says whether `meter` and `tracer` do more than nothing yet."""
        self.tracer = tracer
        self.listens = listens
        self.frames = Sum(meter, "guard.frames", "{frame}", "Frames that were opened.")
        self.scheduled = Sum(
            meter, "guard.scheduled", "{frame}", "Frames offered to a scheduler by what became of them."
        )
        self.decisions = Sum(meter, "guard.decisions", "{call}", "Attempted calls by what was decided.")
        self.rules = Sum(meter, "guard.rules", "{call}", "Calls that a rule forbade.")
        self.identity = Sum(meter, "guard.identity.calls", "{call}", "Identity calls by what became of them.")
        self.stages = meter.create_histogram(
            "guard.stage.duration",
            "s",
            "How long a stage took.",
            explicit_bucket_boundaries_advisory=_BOUNDS_S,
        )
        self.ledgers: weakref.WeakSet[Any] = weakref.WeakSet()
        meter.create_observable_gauge(
            "guard.ledger.lag", [self._lag], "s", "Age of the oldest record that is not yet on disk."
        )

    def _lag(self, _: CallbackOptions) -> Iterable[Observation]:
        from opentelemetry.metrics import Observation

        lags = [lag() for ledger in list(self.ledgers) if (lag := getattr(ledger, "lag_s", None)) is not None]
        return [Observation(max(lags))] if lags else []


class Watch:
    """Tells OpenTelemetry what one guard does.

    Args:
        instruments: where to tell it.
        sources: whether metrics and spans name the source, as ``guard.source``.
    """

    def __init__(self, instruments: Instruments, *, sources: bool = False) -> None:
        self._to = instruments
        self._sources = sources
        self.awake = False
        """Whether somebody listens, as far as `listens` has found out."""
        self._ask_again_s = 0.0

    def listens(self) -> bool:
        """Whether anybody set a provider that does more than nothing, asked once a second until somebody has."""
        if self.awake:
            return True
        now_s = time.monotonic()
        if now_s >= self._ask_again_s:
            self._ask_again_s = now_s + _ASK_SECONDS
            self.awake = self._to.listens()
        return self.awake

    def keep_an_eye_on(self, ledger: Sink) -> None:
        """Lets ``guard.ledger.lag`` tell how far this ledger is behind."""
        _try(lambda: self._to.ledgers.add(ledger))

    @contextmanager
    def frame(self, source: str | None) -> Iterator[None]:
        """Around the opening of a frame: counts it, times the stage ``hook``, spans ``guard.frame``."""
        with self.stage("hook", source, span="guard.frame"):
            yield
        _try(lambda: self._to.frames.add(1, self._named(source)))

    def scheduled(self, source: str | None, outcome: str) -> None:
        """A frame that was offered to a scheduler was ``analysed``, ``late`` or ``dropped``."""
        _try(lambda: self._to.scheduled.add(1, {"guard.outcome": outcome, **self._named(source)}))

    @contextmanager
    def stage(self, name: str, source: str | None = None, *, span: str | None = None) -> Iterator[None]:
        """Around one stage of the work, which is timed and, where `span` names one, has a span."""
        opened = None if span is None else self._open(span, source)
        start = time.perf_counter_ns()
        try:
            yield
        finally:
            self._took(name, start, source)
            if opened is not None:
                _try(lambda: opened[0].__exit__(None, None, None))

    def call(self, attempt: Call, judge: Callable[[], R]) -> R:
        """Has `attempt` judged: spans ``guard.call`` and counts what came of it."""
        opened = self._open("guard.call", None)
        released = False
        try:
            arguments = judge()
            released = True
            return arguments
        finally:
            _try(lambda: self._count(attempt, opened[1] if opened else None, released))
            if opened is not None:
                _try(lambda: opened[0].__exit__(None, None, None))

    def record(self, ledger: Sink, entry: Entry) -> None:
        """Hands `entry` to `ledger` and times the stage ``record``; what the ledger raises goes on."""
        start = time.perf_counter_ns()
        try:
            ledger.record(entry)
        finally:
            self._took("record", start, entry.decision.source)

    def _took(self, stage: str, start_ns: int, source: str | None) -> None:
        took_s = (time.perf_counter_ns() - start_ns) / 1e9
        try:
            self._to.stages.record(took_s, {"guard.stage": stage, **self._named(source)})
        except Exception as error:  # noqa: BLE001 - see _failed
            _failed(error)

    def _count(self, attempt: Call, span: Span | None, released: bool) -> None:
        decision = attempt.decision
        if decision is None:
            return
        fault = decision.fault is not None
        verdict = "fault" if fault else decision.verdict.value
        named = self._named(decision.source)
        call = {"guard.action": decision.action or "unnamed", "guard.service": decision.service or "unknown"}
        said: dict[str, Any] = {"guard.verdict": verdict, **call, "guard.enforced": decision.enforced, **named}
        self._to.decisions.add(1, said)
        for rule in dict.fromkeys(reason.rule for reason in decision.reasons):
            self._to.rules.add(1, {"guard.rule": rule, "guard.verdict": verdict, **named})
        if decision.action in IDENTITY_ACTIONS:
            outcome = "executed" if released else "faulted" if fault else "blocked"
            self._to.identity.add(1, {"guard.outcome": outcome, "guard.action": decision.action, **named})
        self._to.stages.record(decision.latency_us / 1e6, {"guard.stage": "decide", **named})
        if span is not None and span.is_recording():
            span.set_attributes({**said, **_only_in_spans(decision)})
            if fault:
                from opentelemetry.trace import StatusCode

                span.set_status(StatusCode.ERROR)  # without its text, which names the source

    def _open(self, name: str, source: str | None) -> tuple[Any, Span] | None:
        try:
            # An exception's text names the source, so none is recorded.
            opened = self._to.tracer.start_as_current_span(
                name, attributes=self._named(source), record_exception=False, set_status_on_exception=False
            )
            return opened, opened.__enter__()
        except Exception as error:  # noqa: BLE001 - see _failed
            _failed(error)
            return None

    def _named(self, source: str | None) -> dict[str, Any]:
        return {"guard.source": source} if self._sources and source is not None else {}


def watch(*, sources: bool = False) -> Watch | None:
    """A `Watch` over the providers that this process set, or will set; None where `opentelemetry-api` is missing."""
    instruments = _instruments()
    return None if instruments is None else Watch(instruments, sources=sources)


@functools.cache
def _instruments() -> Instruments | None:
    try:
        from opentelemetry import metrics, trace
    except ImportError:
        return None
    except Exception:
        log.exception("OpenTelemetry is installed and does not load; nothing is reported to it")
        return None
    try:
        meter, tracer = metrics.get_meter(_SCOPE, __version__), trace.get_tracer(_SCOPE, __version__)
        return Instruments(meter, tracer, _anybody_listens)
    except Exception:
        log.exception("OpenTelemetry is installed and gives no instruments; nothing is reported to it")
        return None


def _anybody_listens() -> bool:
    """Whether the process has set a provider of its own: until then the API's stand-ins take everything to nowhere."""
    from opentelemetry import metrics, trace

    providers = (metrics.get_meter_provider(), trace.get_tracer_provider())
    return any(not type(provider).__module__.startswith(_STAND_INS) for provider in providers)


_STAND_INS: Final = ("opentelemetry.metrics", "opentelemetry.trace")


def _only_in_spans(decision: Decision) -> dict[str, Any]:
    """What leads from a span to its record, and would be far too many values for a metric."""
    return {
        "guard.decision.id": decision.id,
        "guard.policy.digest": decision.policy_digest,
        "guard.rules": tuple(dict.fromkeys(reason.rule for reason in decision.reasons)),
    }


def _try(tell: Callable[[], object]) -> None:
    try:
        tell()
    except Exception as error:  # noqa: BLE001 - see _failed
        _failed(error)


def _failed(error: Exception) -> None:
    """Telemetry is a by-product: whatever breaks in it is said once a kind, and the calls go on."""
    if type(error) not in _said:
        _said.add(type(error))
        log.error("telemetry failed; calls are judged and recorded as before", exc_info=error)


_said: set[type[Exception]] = set()
