"""What is written about one attempted call, as the caller's thread hands it over.

The caller pays for one small object; turning it into text and SQL is the writer's work.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

__all__ = ["Entry"]


class Entry:
    """One attempted call. Facts and text only: nothing here can hold pixels, vectors, names or prompts.

    Attributes:
        id: the decision's id, unique over processes.
        at_ns: nanoseconds since 1970 UTC of the machine's clock when the call was judged.
        clock: ``system``; ``given`` where the user named the day; ``disbelieved`` where the clock was not believed.
        source: id of the source under which the strictest judgement was made, None where it is unknown.
        frame: the caller's frame number, None outside a frame.
        captured_ns: capture instant of the frame in nanoseconds since 1970 UTC, None where unknown.
        action, service: as in the vocabulary; `action` None where the call named none.
        verdict: ``allow``, ``redact`` or ``deny``.
        fault: why the guard could not decide or record, None where it could.
        faces: faces seen in the pictures of the call, None where unknown.
        rules: ids of the rules that forbade.
        judged_under: ids of every source whose facts were judged.
        policy_digest, facts_digest: which policy and which facts.
        facts: gives the facts as JSON text; asked once per digest, on the writer's thread.
        latency_us: microseconds from the call's arrival to its verdict.
    """

    __slots__ = (
        "action",
        "at_ns",
        "captured_ns",
        "clock",
        "faces",
        "facts",
        "facts_digest",
        "fault",
        "frame",
        "id",
        "judged_under",
        "latency_us",
        "policy_digest",
        "rules",
        "service",
        "source",
        "verdict",
    )

    def __init__(
        self,
        *,
        id: str,
        at_ns: int,
        clock: str,
        source: str | None,
        frame: int | None,
        captured_ns: int | None,
        action: str | None,
        service: str | None,
        verdict: str,
        fault: str | None,
        faces: int | None,
        rules: Sequence[str],
        judged_under: Sequence[str],
        policy_digest: str,
        facts_digest: str,
        facts: Callable[[], dict[str, Any]],
        latency_us: float,
    ) -> None:
        self.id = id
        self.at_ns = at_ns
        self.clock = clock
        self.source = source
        self.frame = frame
        self.captured_ns = captured_ns
        self.action = action
        self.service = service
        self.verdict = verdict
        self.fault = fault
        self.faces = faces
        self.rules = rules
        self.judged_under = judged_under
        self.policy_digest = policy_digest
        self.facts_digest = facts_digest
        self.facts = facts
        self.latency_us = latency_us

    @property
    def released(self) -> bool:
        """Whether the call may reach the service after this entry is on disk."""
        return self.fault is None and self.verdict in ("allow", "redact")
