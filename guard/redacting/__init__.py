"""`guard redact`: copies of clips and pictures in which no face can be recognised."""

from __future__ import annotations

from guard.redacting.batch import redact_all
from guard.redacting.clip import Redacted, Redaction, redact_clip
from guard.redacting.still import redact_picture

__all__ = ["Redacted", "Redaction", "redact_all", "redact_clip", "redact_picture"]
