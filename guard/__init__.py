"""guard: stops facial recognition where policy forbids it, at the identity call.

>>> import guard
>>> g = guard.load("guard.toml")            # doctest: +SKIP
>>> cam = g.source("bodycam-117")           # doctest: +SKIP

Importing this loads neither numpy, cv2, onnxruntime nor cedarpy; the first use of a name does.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from guard._version import __version__
from guard.errors import ConfigError, Denied, GuardError, GuardFault, LedgerError, PolicyError, SourceError

if TYPE_CHECKING:
    from guard.facts import Decision, Faces, Facts, Reason, Verdict
    from guard.guard import Guard, load
    from guard.integrations import install, uninstall, verify
    from guard.integrations.galleries import gallery
    from guard.scheduling import Scheduler
    from guard.source import Source

__all__ = [
    "ConfigError",
    "Decision",
    "Denied",
    "Faces",
    "Facts",
    "Guard",
    "GuardError",
    "GuardFault",
    "LedgerError",
    "PolicyError",
    "Reason",
    "Scheduler",
    "Source",
    "SourceError",
    "Verdict",
    "__version__",
    "gallery",
    "install",
    "load",
    "uninstall",
    "verify",
]

_LAZY = {
    "Decision": "guard.facts",
    "Faces": "guard.facts",
    "Facts": "guard.facts",
    "Guard": "guard.guard",
    "Reason": "guard.facts",
    "Scheduler": "guard.scheduling",
    "Source": "guard.source",
    "Verdict": "guard.facts",
    "gallery": "guard.integrations.galleries",
    "install": "guard.integrations",
    "load": "guard.guard",
    "uninstall": "guard.integrations",
    "verify": "guard.integrations",
}


def __getattr__(name: str) -> Any:
    module = _LAZY.get(name)
    if module is None:
        raise AttributeError(f"module 'guard' has no attribute {name!r}")
    value = getattr(importlib.import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
