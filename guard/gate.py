"""The gate before a guarded call: judge it, record it, then let it through, redacted, or not at all.

Everything that is not an allowed decision, on disk, made for this very call, ends in `Denied` or `GuardFault`. The gate
never returns by default: `pass_through` returns in one place only. In shadow mode nothing is enforced: whatever the
verdict, the call is let through as it is, once its record, which says so, is on disk.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from guard.approvals import Approval
from guard.context import captures
from guard.errors import Denied, GuardError, GuardFault
from guard.facts import Decision, Verdict
from guard.frames import Seen, current_frame, other_sources
from guard.ids import decision_id
from guard.ledger import Entry
from guard.pictures import Pictures, arrays_of, sources_of
from guard.wording import denial_in_words, fault_in_words

if TYPE_CHECKING:
    from guard.clock import Reading
    from guard.facts import Facts, Reason
    from guard.policy import Engine, Ruling
    from guard.source import Source

__all__ = ["Call"]

log = logging.getLogger("guard")

Arguments = tuple[tuple[Any, ...], dict[str, Any]]

_STRICTNESS = {Verdict.ALLOW: 0, Verdict.REDACT: 1, Verdict.DENY: 2}
_LATE_ROUNDS = 2
"""How often a call is judged where its record takes longer than a frame may be old: once, and once more."""

_ROUNDS = 8
"""How often a call is judged at most: again, too, wherever the policy was reloaded before it was released."""


class Call:
    """One attempted call: who judges it, what was decided, and what the callee may get.

    Args:
        source: the source that the guarded callable carries.
        actions: every action that the call could be; the strictest of their verdicts stands. None for a call that names
            nothing (vision-language services only).
        service: a service of the vocabulary.
        args, kwargs: the arguments, in which its pictures are looked for.
        opaque: what the call refers to beside its arguments and cannot be looked at, in words.
        broken: why the guard cannot judge this call, known before it is judged: it is refused, and recorded.
        also: actions that the call does in any case, beside the one that it could be: no intent narrows them away.
        rewritable: whether the redacted picture can take the place of the one that came; where it cannot (a signed
            request), what could go out only redacted is denied.
    """

    __slots__ = (
        "actions",
        "also",
        "args",
        "arrived_ns",
        "broken",
        "decision",
        "engines",
        "facts",
        "fault",
        "id",
        "judged_actions",
        "judges",
        "kwargs",
        "opaque",
        "pictures",
        "reading",
        "recorded",
        "redactable",
        "rewritable",
        "seen",
        "service",
        "shadow",
        "source",
    )

    def __init__(
        self,
        source: Source,
        actions: Sequence[str | None],
        service: str,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        opaque: Sequence[str] = (),
        broken: str | None = None,
        *,
        also: Sequence[str] = (),
        rewritable: bool = True,
    ) -> None:
        self.arrived_ns = time.perf_counter_ns()
        self.source = source
        self.actions = actions
        self.also = also
        self.judged_actions = actions
        self.service = service
        self.opaque = opaque
        self.broken = broken
        self.rewritable = rewritable
        self.args = args
        self.kwargs = dict(kwargs)
        self.id = decision_id()
        self.seen: Seen | None = None
        self.judges: Sequence[Source] = (source,)
        self.pictures: Pictures | None = None
        self.fault: str | None = None
        self.decision: Decision | None = None
        self.reading: Reading | None = None
        self.recorded = False
        self.redactable: bool | None = None
        self.engines: dict[Source, Engine] = {}
        self.shadow = False
        self.facts: dict[Source, Facts] = {}

    def pass_through(self) -> Arguments:
        """The arguments that the callee may have. Raises `Denied` or `GuardFault`; nothing was called then.

        In shadow mode they are the caller's own whatever the verdict, once it is on record.
        """
        watch = self.source.guard.watch
        if watch is None or not watch.listens():
            return self._pass_through()
        return watch.call(self, self._pass_through)

    def _pass_through(self) -> Arguments:
        late, why = 0, None
        for _ in range(_ROUNDS):
            judged_ns = time.monotonic_ns()
            decision, arguments = self._attempt(why if late == _LATE_ROUNDS else None)
            if self.seen is not None:
                self.seen.timings["decide"] = decision.latency_us
            self._record(decision)
            refused = decision.verdict is Verdict.DENY or arguments is None or decision.fault is not None
            if refused and not self.shadow:
                raise self._refusal(decision)
            if self._is_overtaken():
                continue
            if self.shadow:
                arguments = (self.args, self.kwargs)
            waited_s = (time.monotonic_ns() - judged_ns) / 1e9
            if arguments is not None and (refused or waited_s <= self.source.max_age_s):
                self._tell(decision)
                return arguments
            why = f"judging and recording took {waited_s:.2f} s, longer than max_age_s = {self.source.max_age_s:g}"
            late += 1
        raise self.withdraw("the policy was reloaded again and again, or the facts changed, while this call was judged")

    def is_foregone(self) -> bool:
        """Whether facts alone refuse the call, by verdicts that lie ready, so that `pass_through` waits for nothing: no
        detector, no disk, no policy to compile. For coroutines, which wait in a worker thread otherwise.

        A hint and no judgement: `pass_through` judges the call all the same.
        """
        try:
            return self.broken is None and not self._would_wait() and self._is_refused_by_facts()
        except Exception:  # noqa: BLE001 - whatever it is, `pass_through` meets it, and says so
            return False

    def _would_wait(self) -> bool:
        """Whether the record even of a denial would wait."""
        return bool(getattr(self.source.guard.ledger, "is_behind", False))

    def _is_refused_by_facts(self) -> bool:
        self.seen = seen = current_frame()
        reading, refused = self.source.guard.clock.now(), False
        for judge in self._find_judges(seen):
            engine = judge.guard.engine
            if engine.mode != "enforce":
                return False
            facts = self._facts_of(judge, reading)
            for action in self._intended():
                column = judge.ready_column(action, self.service, reading, engine, facts)
                if column is None or column.hinges_on_faces:
                    return False
                refused = refused or column.ruling(None).verdict is Verdict.DENY
        return refused

    def withdraw(self, why: str) -> Denied | GuardFault:
        """Takes back a release of which no use was made: its record becomes a fault. Gives the refusal."""
        self.fault = why
        self.shadow = False
        decision = self._broken()
        self._record(decision)
        return self._refusal(decision)

    def _attempt(self, too_late: str | None) -> tuple[Decision, Arguments | None]:
        """One judgement of this call; where it is `too_late` for one, and whatever breaks, a fault that says so."""
        self.fault = None
        self.pictures = None
        self.engines = {}
        self.facts = {}
        self.redactable = None
        self.shadow = False
        try:
            decision, arguments = self._judge()
            if too_late is None:
                return decision, arguments
            self.fault = too_late
        except GuardError as error:
            self.fault = str(error)
        except Exception as error:  # a broken stage is a refusal, whatever it raised
            log.exception("source %s: the guard failed while judging a call", self.source.id)
            # Somebody else's message could hold a name or a prompt: it goes to the log, never into the record.
            self.fault = f"the guard failed while judging: {type(error).__name__}"
        return self._broken(), None

    def approval(self, *, sealed: bool) -> Approval:
        """What the release covers while the call runs; see `guard.approvals`."""
        # A library below knows no more of a call that names nothing than this one did: the intent is the same there.
        unnamed = (None,) if None in self.actions else ()
        ended = [judge.tally.ended for judge in self.judges]
        return Approval(self.service, (*self.judged_actions, *unnamed), sealed=sealed, ended=ended)

    def _is_overtaken(self) -> bool:
        """Whether another policy came into force, or a fact was contradicted, since this call was judged: the decision
        is void then."""
        if any(judge.guard.engine is not engine for judge, engine in self.engines.items()):
            return True
        reading = self.reading
        return reading is not None and any(
            self._facts_of(judge, reading) is not facts for judge, facts in self.facts.items()
        )

    def _facts_of(self, judge: Source, reading: Reading) -> Facts:
        """The facts by which a source judges this call: a picture that may have come from a live capture of this
        process was taken now, unless it is known to be of a recording or its frame says when it was taken."""
        taken_ns = self._captured_ns()
        if captures.any_live() and not judge.context.live:
            origins = self._origins()
            unknown = None in origins and taken_ns is None
            if "live" in origins or (unknown and captures.may_be_live(judge.context.near_real_time_ns)):
                taken_ns = reading[0]
        return judge.context.facts(taken_ns, reading)

    def _origins(self) -> set[captures.Origin | None]:
        """Where the pictures of this call came from: its frame, and those among its arguments that are known to be
        live; where it has no frame, all of them."""
        try:
            given = {captures.origin(array) for array in arrays_of(self.args, self.kwargs)}
        except GuardFault:  # too many to look through
            return {"live"}
        if self.seen is None:
            return given or {None}
        return {captures.origin(self.seen.image), *(given & {"live"})}

    def _captured_ns(self) -> int | None:
        seen = self.seen
        return None if seen is None or seen.at is None else int(seen.at.timestamp() * 1_000_000) * 1000

    def _tell(self, decision: Decision) -> None:
        if self.seen is not None:
            self.seen.decisions.append(decision)

    # ---- judging

    def _judge(self) -> tuple[Decision, Arguments | None]:
        guard = self.source.guard
        guard.check_open()
        self.seen = seen = current_frame()
        self.judges = self._find_judges(seen)
        # The whole call is judged by one policy, whatever is reloaded meanwhile.
        self.engines = {judge: judge.guard.engine for judge in self.judges}
        # One judge that enforces is enough; a call that breaks before its judges are known is refused.
        self.shadow = "enforce" not in [engine.mode for engine in self.engines.values()]
        self.reading = reading = guard.clock.now()
        if self.broken is not None:
            raise GuardFault(self.broken)
        self.judged_actions = actions = self._intended()
        if captures.any_live() and not self.source.context.live and "live" in self._origins():
            self.source.context.goes_live()
        self.facts = {judge: self._facts_of(judge, reading) for judge in self.judges}
        questions = [(judge, action) for judge in self.judges for action in actions]
        columns = [
            judge.column(action, self.service, reading, self.engines[judge], self.facts[judge])
            for judge, action in questions
        ]
        faces: int | None = None
        arguments: Arguments = (self.args, self.kwargs)
        if True in [column.hinges_on_faces for column in columns]:
            faces = self._look(seen)
            self.redactable = self._can_redact()
        elif seen is not None and not seen.finished and seen.known is not None:
            faces = len(seen.known)
        rulings = [column.ruling(faces) for column in columns]
        strictest = _strictest(rulings)
        judge, action = questions[strictest]
        ruling = rulings[strictest]
        verdict = ruling.verdict
        if ruling.fault is not None:
            self.fault = ruling.fault
        if verdict is not Verdict.DENY:
            stale = self._cannot_be_judged(seen)
            if stale is not None:
                self.fault = stale
            elif self.pictures is not None:
                verdict, replaced = self._replace(verdict)
                arguments = replaced if replaced is not None else arguments
        if self.fault is not None:
            verdict = Verdict.DENY
        until = [column.valid_until for column in columns if column.valid_until is not None]
        decision = self._decision(action, verdict, judge, ruling, faces, min(until, default=None))
        return decision, None if verdict is Verdict.DENY else arguments

    def _intended(self) -> Sequence[str | None]:
        """The actions to judge: what the code says the call is for, where the call itself leaves that open."""
        if self.actions == (None,) or len(self.actions) > 1:
            intended = self.source.intended_action()
            if intended is not None and (intended in self.actions or None in self.actions):
                return (intended, *self.also)
        return (*self.actions, *self.also) if self.also else self.actions

    def _find_judges(self, seen: Seen | None) -> Sequence[Source]:
        """The callable's own source, the source of every open frame around it, and of every frame it was handed."""
        source = self.source
        if (seen is None or (seen.source is source and seen.outer is None)) and not other_sources(source):
            return (source,)
        judges = [source]
        while seen is not None:
            if seen.source not in judges:
                judges.append(seen.source)
            seen = seen.outer
        for other in sources_of(self.args, self.kwargs):
            if other not in judges:
                judges.append(other)
        return judges

    def _look(self, seen: Seen | None) -> int | None:
        """The faces in all pictures of the call; None where any of them is unknown."""
        known = {}
        if seen is not None and not seen.finished:
            seen.detect()
            if seen.snapshot is not None and seen.known is not None:
                known[id(seen.image)] = seen.snapshot
        self.pictures = pictures = Pictures(self.args, self.kwargs, known=known)
        pictures.opaque.extend(self.opaque)
        unfit = seen is not None and not seen.finished and seen.fault is not None
        if not pictures.found or pictures.opaque or unfit:
            return None  # unknown, whatever the others show
        total: int | None = 0
        for picture in pictures.found:
            if seen is not None and picture.pixels is seen.snapshot:
                picture.faces = seen.covered
            else:
                try:
                    found = self.source.find_faces(picture.pixels, like=self.judges)
                    picture.faces = found if seen is None else seen.covered_in(picture.pixels, found)
                except GuardError as error:
                    self.fault = f"the detector failed: {error}"
            total = None if total is None or picture.faces is None else total + len(picture.faces)
        return total

    def _cannot_be_judged(self, seen: Seen | None) -> str | None:
        if self.fault is not None:
            return self.fault
        if seen is None or seen.finished:
            return None
        return seen.fault or seen.late(time.monotonic_ns())

    def _can_redact(self) -> bool:
        """Whether its pictures, all of them, could go out without their faces."""
        pictures = self.pictures
        return (
            pictures is not None
            and bool(pictures.found)
            and not pictures.opaque
            and self.rewritable
            and not pictures.shows_faces_in_a_video
        )

    def _replace(self, verdict: Verdict) -> tuple[Verdict, Arguments | None]:
        """The arguments with every picture as it was judged; under `redact`, with its faces removed."""
        pictures = self.pictures
        if pictures is None:
            return verdict, None
        if verdict is Verdict.REDACT and not self.redactable:
            return Verdict.DENY, None
        for picture in pictures.found:
            if verdict is Verdict.REDACT and picture.put is not None:
                # Pictures without a face are made anew as well: a file's metadata say where it was taken.
                pixels = picture.pixels
                picture.replacement = picture.put(
                    self.source.guard.redact(pixels, picture.faces) if picture.faces else pixels
                )
            else:
                picture.replacement = picture.unchanged
        return verdict, pictures.arguments()

    # ---- saying it

    def _decision(
        self,
        action: str | None,
        verdict: Verdict,
        judge: Source,
        ruling: Ruling | None,
        faces: int | None,
        valid_until: datetime | None,
    ) -> Decision:
        reading = self.reading or (time.time_ns(), "disbelieved")
        reasons: tuple[Reason, ...] = () if ruling is None else ruling.reasons
        engine = self.engines.get(judge)
        self.decision = decision = Decision(
            id=self.id,
            at=None if reading[1] == "disbelieved" else _instant(reading[0]),
            source=judge.id,
            action=action,
            service=self.service,
            verdict=verdict,
            faces=faces,
            reasons=reasons,
            facts=self.facts.get(judge, judge.context.effective),
            valid_until=valid_until,
            fault=self.fault,
            latency_us=(time.perf_counter_ns() - self.arrived_ns) / 1000,
            policy_digest=judge.guard.policy_digest if engine is None else engine.digest,
            frame=None if self.seen is None else self.seen.index,
            enforced=not self.shadow,
            explain=_nothing_lifts if ruling is None else ruling.lifted_by,
            contradicted=judge.context.contradictions,
        )
        return decision

    def _broken(self) -> Decision:
        return self._decision(self.actions[0], Verdict.DENY, self.source, None, None, None)

    def _record(self, decision: Decision) -> None:
        reading = self.reading or (time.time_ns(), "disbelieved")
        entry = Entry(
            decision,
            reading[0],
            reading[1],
            self._captured_ns(),
            [judge.id for judge in self.judges],
            again=self.recorded,
            redactable=self.redactable,
        )
        if len(self.judges) > 1:
            entry.judged_facts = [self.facts.get(judge, judge.context.effective) for judge in self.judges]
        if len(self.judged_actions) > 1:
            entry.judged_actions = self.judged_actions
        self.recorded = True
        guard = self.source.guard
        try:
            if guard.watch is None or not guard.watch.awake:
                guard.ledger.record(entry)
            else:
                guard.watch.record(guard.ledger, entry)
        except Exception as error:
            log.error("source %s: a call could not be recorded: %s", self.source.id, error)
            if decision.verdict is Verdict.DENY and not self.shadow:
                return  # it is refused all the same, and its row waits for the disk
            self.fault = str(error)
            self.shadow = False  # a roll-out without a record shows nothing: refused, and enforced
            raise self._refusal(self._broken()) from error

    def _refusal(self, decision: Decision) -> Denied | GuardFault:
        self._tell(decision)
        if decision.fault is not None:
            return GuardFault(partial(fault_in_words, decision), decision=decision)
        return Denied(partial(denial_in_words, decision, self.pictures, self.rewritable), decision=decision)


def _strictest(rulings: Sequence[Ruling]) -> int:
    """Which of the rulings stands. A policy's own denial outranks a fault: the caller learns what would lift it."""
    best = 0
    if len(rulings) > 1:
        for number, ruling in enumerate(rulings):
            rank = (_STRICTNESS[ruling.verdict], ruling.fault is None)
            if rank > (_STRICTNESS[rulings[best].verdict], rulings[best].fault is None):
                best = number
    return best


def _nothing_lifts() -> list[str | list[str]]:
    return []


def _instant(ns: int) -> datetime:
    return datetime.fromtimestamp(ns / 1e9, UTC)
