"""Values: facts, evidence, faces, reasons and decisions. Immutable records, no I/O, units in their names."""

from __future__ import annotations

from guard.facts.attributes import ATTRIBUTES
from guard.facts.decision import Decision, Lift, Reason
from guard.facts.evidence import EVIDENCE_TOKENS, Evidence, Standing, judge
from guard.facts.faces import Faces
from guard.facts.facts import Facts
from guard.facts.instants import format_instant, parse_instant
from guard.facts.parsing import parse_evidence
from guard.facts.vocabulary import (
    ACTIONS,
    IDENTITY_ACTIONS,
    PROTECTED_TRAITS,
    SERVICES,
    VLM_SERVICES,
    VOCABULARY,
    Verdict,
    strictest,
)

__all__ = [
    "ACTIONS",
    "ATTRIBUTES",
    "EVIDENCE_TOKENS",
    "IDENTITY_ACTIONS",
    "PROTECTED_TRAITS",
    "SERVICES",
    "VLM_SERVICES",
    "VOCABULARY",
    "Decision",
    "Evidence",
    "Faces",
    "Facts",
    "Lift",
    "Reason",
    "Standing",
    "Verdict",
    "format_instant",
    "judge",
    "parse_evidence",
    "parse_instant",
    "strictest",
]
