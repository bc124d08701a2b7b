"""What is written about one attempted call, as the caller's thread hands it over.

The caller pays for one small object; turning it into text and SQL is the writer's work.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from guard.facts import Verdict

if TYPE_CHECKING:
    from guard.facts import Decision, Facts

__all__ = ["Entry"]


class Entry:
    """One attempted call. Facts and text only: nothing here can hold pixels, vectors, names or prompts.

    Attributes:
        decision: what was decided, with its facts, rules and latency.
        at_ns: nanoseconds since 1970 UTC of the machine's clock when the call was judged.
        clock: ``system``; ``given`` where the user named the day; ``disbelieved`` where the clock was not believed.
        captured_ns: capture instant of the frame in nanoseconds since 1970 UTC, None where unknown.
        judged_under: ids of every source whose facts were judged.
        again: whether this call has been recorded before, so that this record takes the place of that one.
        redactable: whether the call's pictures could have gone out without their faces; None = nobody looked at them,
            and `decision.faces` counts those of the open frame.
        judged_facts: the facts of every source of `judged_under`, in that order, where there are several.
        judged_actions: every action that the call could be, where there are several; the decision is on the strictest.
        refused: why the call was refused although the decision allowed it (its record could not be written), else None.
    """

    __slots__ = (
        "again", "at_ns", "captured_ns", "clock", "decision", "judged_actions", "judged_facts", "judged_under",
        "redactable", "refused", "settled",
    )  # fmt: skip

    def __init__(
        self,
        decision: Decision,
        at_ns: int,
        clock: Literal["system", "given", "disbelieved"] = "system",
        captured_ns: int | None = None,
        judged_under: Sequence[str | None] = (),
        *,
        again: bool = False,
        redactable: bool | None = None,
    ) -> None:
        self.decision = decision
        self.at_ns = at_ns
        self.clock = clock
        self.captured_ns = captured_ns
        self.judged_under = judged_under
        self.again = again
        self.redactable = redactable
        self.judged_facts: Sequence[Facts] = ()
        self.judged_actions: Sequence[str | None] = ()
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
    def enforced(self) -> bool:
        """False where the call was made whatever the verdict says (shadow mode)."""
        return self.decision.enforced or self.refused is not None

    @property
    def released(self) -> bool:
        """Whether the call may reach the service after this entry is on disk."""
        if not self.decision.enforced:
            return self.refused is None
        return self.decision.verdict is not Verdict.DENY and self.fault is None
