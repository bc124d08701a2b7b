"""What is believed of a source: what its file declares, and what was seen that says otherwise.

A fact that is contradicted is the union of both, so whatever is found here can turn a verdict towards deny only. Light:
pictures, containers and keys are looked at by modules of this room that are loaded when they are needed.
"""

from __future__ import annotations

from guard.context.finding import Finding
from guard.context.standing import Context

__all__ = ["Context", "Finding"]
