"""`guard gateway`: the guard beside a pipeline, for whatever language makes the call."""

from __future__ import annotations

import logging
import sys

from guard._imports import native
from guard.cli.options import ConfigPath
from guard.cli.reloading import reload_on_hangup
from guard.guard import load

__all__ = ["gateway"]


def gateway(config: ConfigPath) -> None:
    """Serves what `[gateway]` of the file says, until SIGTERM; SIGHUP reads the policy again."""
    with native("uvicorn", extra="gateway"):
        from guard.gateway import Gateway

    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="guard: %(message)s")
    for noisy in ("uvicorn", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    with load(config) as guard:
        served = Gateway(guard)
        with reload_on_hangup(guard):
            served.run(_say_ready)


def _say_ready(bound: tuple[str, ...]) -> None:
    print(f"guard: the gateway listens on {', '.join(bound)}", file=sys.stderr, flush=True)
