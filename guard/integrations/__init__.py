"""Guards the identity calls of known libraries in this process: `guard.install`, `guard.uninstall`, `guard.verify`.

One small module a library. Each translates a native call into an `Operation`; the decision is made in one place, by
`passage`. Importing this imports no guarded library.
"""

from __future__ import annotations

from guard.integrations.hooks import Adapter, Hook
from guard.integrations.installing import install, uninstall, verify
from guard.integrations.operation import Operation
from guard.integrations.passage import passage, passage_async
from guard.integrations.refusals import as_native
from guard.integrations.watching import Coverage

__all__ = [
    "Adapter",
    "Coverage",
    "Hook",
    "Operation",
    "as_native",
    "install",
    "passage",
    "passage_async",
    "uninstall",
    "verify",
]
