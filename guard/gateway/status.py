"""`/healthz` and `/metrics`, on a listener of their own: their paths belong to no upstream."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from guard.errors import GuardError
from guard.gateway.metrics import Metrics
from guard.guard import Guard
from guard.integrations import verify
from guard.vision.operating_point import FACE_SCORE, MIN_FACE_PX

__all__ = ["Health", "status_app"]

log = logging.getLogger("guard.gateway")

CHECK_S = 5.0
KEPT_S = 1.0


class Health:
    """Whether this gateway could release a call now: the record, the detector, the hooks of this process.

    Args:
        guard: which is looked at.
        metrics: where the answer is kept, too.
    """

    def __init__(self, guard: Guard, metrics: Metrics) -> None:
        self._guard = guard
        self._metrics = metrics
        self._pool = ThreadPoolExecutor(3, "guard-health")
        self._last: tuple[float, dict[str, Any]] | None = None
        self._lock: asyncio.Lock | None = None

    def close(self) -> None:
        """Ends the threads; one that hangs is not waited for."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def look(self) -> dict[str, Any]:
        """``{"schema": "guard.health/1", "status": "ok" or "failing", "policy", "checks", "libraries"}``.

        An answer stands for a second: whoever asks more often does not load the disk.
        """
        if self._lock is None:
            self._lock = asyncio.Lock()
        async with self._lock:
            if self._last is None or time.monotonic() - self._last[0] > KEPT_S:
                self._last = (time.monotonic(), await self._look())
            return self._last[1]

    async def _look(self) -> dict[str, Any]:
        checks = {"ledger": self._ledger, "detector": self._detector, "libraries": self._libraries}
        said = dict(zip(checks, await asyncio.gather(*map(self._run, checks.values())), strict=True))
        is_healthy = all(text == "ok" for text in said.values())
        self._metrics.healthy(is_healthy, self._guard.policy_digest)
        return {
            "schema": "guard.health/1",
            "status": "ok" if is_healthy else "failing",
            "policy": self._guard.policy_digest,
            "checks": said,
        }

    async def _run(self, check: Callable[[], None]) -> str:
        try:
            async with asyncio.timeout(CHECK_S):
                await asyncio.get_running_loop().run_in_executor(self._pool, check)
        except TimeoutError:
            return f"no answer within {CHECK_S:g} s"
        except GuardError as error:
            return str(error)
        except Exception as error:
            log.exception("a health check broke")
            return f"{type(error).__name__}: {error}"
        return "ok"

    def _ledger(self) -> None:
        self._guard.check_open()
        self._guard.ledger.flush()

    def _detector(self) -> None:
        self._guard.detect(np.zeros((64, 64, 3), np.uint8), min_face_px=MIN_FACE_PX, face_score=FACE_SCORE)

    def _libraries(self) -> None:
        for coverage in verify():
            if coverage.state == "open":
                raise GuardError(f"calls of {coverage.name} can get past the guard: {coverage.why}")


def status_app(health: Health, metrics: Metrics) -> Starlette:
    """``GET /healthz``: 200 or 503; ``GET /metrics``: Prometheus text. Neither tells of sources or contents."""

    async def healthz(request: Request) -> Response:
        found = await health.look()
        return JSONResponse(found, 200 if found["status"] == "ok" else 503, {"cache-control": "no-store"})

    async def page(request: Request) -> Response:
        await health.look()
        content, kind = metrics.text()
        return Response(content, headers={"content-type": kind, "cache-control": "no-store"})

    return Starlette(routes=[Route("/healthz", healthz), Route("/metrics", page)])
