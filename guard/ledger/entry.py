"""What is written about one attempted call, as the caller's thread hands it over.

The caller pays for one small object; turning it into text and SQL is the writer's work.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from guard.facts import Verdict

if TYPE_CHECKING:
    from guard.facts import Decision

__all__ = ["Entry"]


class Entry:
    """One attempted call. Facts and text only: nothing here can hold pixels, vectors, names or prompts.

    Attributes:
        decision: what was decided, with its facts, rules and latency.
        at_ns: nanoseconds since 1970 UTC of the machine's clock when the call was judged.
        clock: ``system``; ``given`` where the user named the day; ``disbelieved`` where the clock was not believed.
        captured_ns: capture instant of the frame in nanoseconds since 1970 UTC, None where unknown.
        judged_under: ids of every source whose facts were judged.
        enforced: False only where the guard runs in shadow mode and lets the call pass whatever the verdict.
        again: whether this call has been recorded before, so that this record takes the place of that one.
        refused: why the call was refused although the decision allowed it (its record could not be written), else None.
    """

    __slots__ = (
        "again", "at_ns", "captured_ns", "clock", "decision", "enforced", "judged_under", "refused", "settled"
    )  # fmt: skip

    def __init__(
        self,
        decision: Decision,
        at_ns: int,
        clock: Literal["system", "given", "disbelieved"] = "system",
        captured_ns: int | None = None,
        judged_under: Sequence[str | None] = (),
        *,
        enforced: bool = True,
        again: bool = False,
    ) -> None:
        self.decision = decision
        self.at_ns = at_ns
        self.clock = clock
        self.captured_ns = captured_ns
        self.judged_under = judged_under
        self.enforced = enforced
        self.again = again
        self.refused: str | None = None
        self.settled = False
        """Whether a record of this entry as a refusal is written or kept for the disk; the writer's own note."""

    @property
    def id(self) -> str:
        """The decision's id, unique over processes."""
        return self.decision.id

    @property
    def fault(self) -> str | None:
        """Why the guard could not decide or record, None where it could."""
        return self.refused or self.decision.fault

    @property
    def verdict(self) -> str:
        """``allow``, ``redact`` or ``deny``, as it came to pass."""
        return "deny" if self.fault is not None else self.decision.verdict.value

    @property
    def released(self) -> bool:
        """Whether the call may reach the service after this entry is on disk."""
        return self.decision.verdict is not Verdict.DENY and self.fault is None
