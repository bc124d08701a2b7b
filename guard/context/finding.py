"""One thing that was looked for: what the source declares, what was seen, and how the two stand to each other."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from guard.facts import Facts, format_instant
from guard.facts.attributes import ATTRIBUTES, Value

__all__ = ["Finding", "Standing", "declared_of", "in_words", "merged", "plainly", "possible", "several_in_words"]

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
        follows: by what the source is judged in the end, where more than this finding decides it.
    """

    name: str
    declared: Any
    seen: tuple[Value, ...]
    verdict: Standing
    confidence: float
    evidence: str
    follows: str | None = None

    @classmethod
    def compared(cls, facts: Facts, name: str, seen: tuple[Value, ...], confidence: float, evidence: str) -> Finding:
        """The fact `name` against what was seen of it.

        An unknown fact is contradicted by nothing, and nothing agrees with it: it could be anything already.
        """
        known, declared = possible(facts, name), declared_of(facts, name)
        verdict: Standing = "cannot-tell"
        if seen and known is not None:
            verdict = "agrees" if known & set(seen) else "contradicted"
        return cls(name, declared, seen, verdict, confidence, evidence)

    @property
    def widens(self) -> bool:
        """Whether what was seen is possible beside what was declared: it contradicts it, or lies across a border."""
        if self.verdict == "contradicted":
            return True
        is_place = self.name.startswith("place.") and self.declared is not None
        return is_place and self.verdict == "cannot-tell" and len(self.seen) > 1

    @property
    def consequence(self) -> str:
        """What follows for the source, in words."""
        if self.follows is not None:
            return self.follows
        if self.name == "passport":
            return "nothing that it declares counts" if self.verdict == "contradicted" else "as declared"
        if self.name in ("seal", "manifest"):
            if self.verdict == "contradicted":
                return "the facts of its taking are unknown"
            return "bound by both contexts" if (self.name, self.verdict) == ("seal", "agrees") else "as declared"
        if self.name.startswith(("camera.", "feed")):
            return "its frames cannot be judged" if self.verdict == "contradicted" else "none"
        if not self.widens or self.declared is None:
            return "as declared" if self.declared is not None else "unknown stays unknown"
        return f"judged as {in_words(self.declared)} or {several_in_words(self.seen)}"

    @property
    def line(self) -> str:
        """``capture.mount: declared fixed, seen vehicle or handheld (evidence)``."""
        declared = (
            f"declared {in_words(self.declared)}, " if self.name in ATTRIBUTES or self.declared is not None else ""
        )
        return f"{self.name}: {declared}seen {several_in_words(self.seen)} ({self.evidence})"

    def among(self, facts: Facts) -> Finding:
        """The same, of a source that is judged by these facts in the end."""
        if self.name not in ATTRIBUTES or self.declared is None:
            return self
        held = declared_of(facts, self.name)
        if held is None:
            return replace(self, follows="unknown")
        return replace(self, follows="as declared" if held == self.declared else f"judged as {in_words(held)}")

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


def merged(findings: Iterable[Finding]) -> list[Finding]:
    """One finding a name: what contradicts outweighs what lies across a border, that what agrees, and that what cannot
    tell. Whatever one of them found possible beside what is declared stays so.
    """
    found: dict[str, Finding] = {}
    for each in findings:
        other = found.get(each.name)
        if other is None:
            found[each.name] = each
            continue
        first, second = sorted((other, each), key=lambda one: -_weight(one))
        same = first.verdict == second.verdict or second.widens
        found[each.name] = Finding(
            first.name,
            first.declared,
            tuple(dict.fromkeys((*first.seen, *second.seen))) if same else first.seen,
            first.verdict,
            max(first.confidence, second.confidence) if first.verdict == second.verdict else first.confidence,
            f"{first.evidence}; {second.evidence}",
        )
    return list(found.values())


def _weight(finding: Finding) -> int:
    if finding.verdict == "cannot-tell" and finding.widens:
        return 2
    return {"contradicted": 3, "agrees": 1, "cannot-tell": 0}[finding.verdict]


def possible(facts: Facts, name: str) -> frozenset[Value] | None:
    """What a fact could be; None where it could be anything. A country may be known by its part alone."""
    if name == "place.country" and facts.known("place.subdivision") is not None:
        return facts.could_be(name)
    return facts.known(name)


def declared_of(facts: Facts, name: str) -> Any:
    """What the facts say of `name`, as in JSON; of a country that is known by its part alone, that country."""
    found: Any = facts.to_json()
    for step in name.split("."):
        found = found[step]
    known = possible(facts, name) if found is None else None
    if known is None:
        return found
    return plain(next(iter(known))) if len(known) == 1 else {"any_of": sorted(map(str, known))}


def plainly(text: str, most: int = 400) -> str:
    """Somebody else's text, fit for a line: without what no terminal should be told, and not longer than `most`."""
    text = "".join(each for each in text if each.isprintable())
    return text if len(text) <= most else f"{text[: most - 3]}..."


def plain(value: Value) -> Any:
    """A value as in JSON."""
    return format_instant(value) if isinstance(value, datetime) else value


def in_words(declared: Any) -> str:
    """A declared value for people."""
    if declared is None:
        return "unknown"
    if isinstance(declared, dict):
        return several_in_words(declared["any_of"])
    return str(declared)


def several_in_words(values: Any) -> str:
    """Several possible values for people."""
    return " or ".join(str(plain(value)) for value in values) or "nothing"
