"""What Prometheus reads: how many requests, what came of them, how long judging took. No content, no addresses."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

__all__ = ["Metrics"]

_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """The counters of one gateway, in a registry of their own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "guard_gateway_requests",
            "Requests by the upstream's shape and what was decided: allow, redact, deny, fault, untouched, shadow.",
            ("shape", "decision"),
            registry=self._registry,
        )
        self._refusals = Counter(
            "guard_gateway_refusals",
            "Refused requests by the reason.",
            ("reason",),
            registry=self._registry,
        )
        self._upstream = Counter(
            "guard_gateway_upstream_failures",
            "Released requests that the upstream did not answer.",
            ("shape",),
            registry=self._registry,
        )
        self._judging = Histogram(
            "guard_gateway_judging_seconds",
            "From the whole request to its verdict, the wait for a thread and for the record's commit included.",
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._in_flight = Gauge(
            "guard_gateway_in_flight", "Requests that are being read or judged.", registry=self._registry
        )
        self._healthy = Gauge(
            "guard_gateway_healthy", "1 while the last health check found nothing wrong.", registry=self._registry
        )
        self._policy = Gauge(
            "guard_gateway_policy", "1 for the digest of the policy in force.", ("digest",), registry=self._registry
        )

    def decided(self, shape: str, decision: str) -> None:
        """One request and what came of it."""
        self._requests.labels(shape, decision).inc()

    def refused(self, reason: str) -> None:
        """Why a request was refused, as a short name."""
        self._refusals.labels(reason).inc()

    def upstream_failed(self, shape: str) -> None:
        """A released request that got no answer."""
        self._upstream.labels(shape).inc()

    def judged(self, seconds: float) -> None:
        """How long one verdict took."""
        self._judging.observe(seconds)

    def in_flight(self, number: int) -> None:
        """How many requests are being read or judged now."""
        self._in_flight.set(number)

    def healthy(self, is_healthy: bool, digest: str) -> None:
        """What the last health check found, and under which policy."""
        self._healthy.set(is_healthy)
        self._policy.clear()
        self._policy.labels(digest[:16]).set(1)

    def text(self) -> tuple[bytes, str]:
        """The page, and its content type."""
        return generate_latest(self._registry), CONTENT_TYPE_LATEST
