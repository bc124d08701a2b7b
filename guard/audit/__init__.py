"""What can be asked of a record: would it come out otherwise under other rules, and what it states of a source."""

from __future__ import annotations

from guard.audit.acceptance import Acceptance, load_acceptances
from guard.audit.whatif import Flip, WhatIf, what_if

__all__ = ["Acceptance", "Flip", "WhatIf", "load_acceptances", "what_if"]
