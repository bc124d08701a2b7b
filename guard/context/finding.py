"""One thing that was looked for: what the source declares, what was seen, and how the two stand to each other."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from guard.facts import Facts, format_instant
from guard.facts.attributes import Value

__all__ = ["Finding", "Standing"]

Standing = Literal["agrees", "contradicted", "cannot-tell"]


@dataclass(frozen=True, slots=True)
class Finding:
    """Declared against seen.

    Attributes:
        name: a fact of the vocabulary, or a setting of the source such as ``camera.size``.
        declared: as in JSON: a value, None where unknown, ``{"any_of": [...]}`` for several.
        seen: every value that was seen or that fits what was seen; empty where nothing was.
        verdict: ``agrees``, ``contradicted`` or ``cannot-tell``.
        confidence: how much of the evidence supports the verdict, 0 to 1.
        evidence: the measurement in words.
    """

    name: str
    declared: Any
    seen: tuple[Value, ...]
    verdict: Standing
    confidence: float
    evidence: str

    @classmethod
    def compared(cls, facts: Facts, name: str, seen: tuple[Value, ...], confidence: float, evidence: str) -> Finding:
        """The fact `name` against what was seen of it.

        An unknown fact is contradicted by nothing, and nothing agrees with it: it could be anything already.
        """
        known = facts.known(name)
        if known is None and name == "place.country" and facts.known("place.subdivision") is not None:
            known = facts.could_be(name)
        verdict: Standing = "cannot-tell"
        if seen and known is not None:
            verdict = "agrees" if known & set(seen) else "contradicted"
        return cls(name, declared_of(facts, name), seen, verdict, confidence, evidence)

    @property
    def line(self) -> str:
        """``capture.mount: declared fixed, seen vehicle or handheld (evidence)``."""
        return f"{self.name}: declared {_words(self.declared)}, seen {_several(self.seen)} ({self.evidence})"

    def to_json(self) -> dict[str, Any]:
        """One of the ``attributes`` of ``guard.source-check/1``."""
        return {
            "name": self.name,
            "declared": self.declared,
            "seen": [plain(value) for value in self.seen],
            "verdict": self.verdict,
            "confidence": self.confidence,
            "evidence": self.evidence,
        }


def declared_of(facts: Facts, name: str) -> Any:
    """What the facts say of `name`, as in JSON."""
    found: Any = facts.to_json()
    for step in name.split("."):
        found = found[step]
    return found


def plain(value: Value) -> Any:
    """A value as in JSON."""
    return format_instant(value) if isinstance(value, datetime) else value


def _words(declared: Any) -> str:
    if declared is None:
        return "unknown"
    if isinstance(declared, dict):
        return _several(declared["any_of"])
    return str(declared)


def _several(values: Any) -> str:
    return " or ".join(str(plain(value)) for value in values) or "nothing"
