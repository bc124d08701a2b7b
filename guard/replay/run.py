"""Runs a clip through the guard as a pipeline would: on every frame it tries the call, and counts what came
of it.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from guard.approvals import Approval
from guard.errors import Denied, GuardError, GuardFault, LedgerError, SourceError
from guard.facts import Decision, Faces, Verdict
from guard.replay.checking import begin, found_so_far
from guard.replay.clip import Clip, Frame, Image
from guard.replay.footage import Footage
from guard.replay.latency import Latency
from guard.replay.overlay import scene_of
from guard.replay.result import REPORT, Calls, Outputs, Reasons, Replay, day_judged
from guard.replay.stopping import Stop
from guard.replay.timeline import Timeline

if TYPE_CHECKING:
    from guard.guard import Guard
    from guard.matchers import Match, Matcher
    from guard.replay.film import Film
    from guard.source import Source

__all__ = ["replay"]


def replay(
    clip: Clip,
    guard: Guard,
    source: Source,
    *,
    action: str | None,
    service: str,
    matcher: Matcher,
    out: Path,
    progress: Callable[[int], None] | None = None,
    stop: Stop | None = None,
) -> Replay:
    """Tries the call on every frame of `clip` and writes the annotated video and the redacted film into the folder
    `out`. `guard.report.write_report` puts the record of the run and the report beside them.

    Args:
        clip: an open clip; it is closed afterwards.
        guard, source: who judges, and as what.
        action, service: the call, as for `Source.protect`.
        matcher: what the call reaches where it is let through.
        out: an existing folder.
        progress: called with the number of frames done, after each.
        stop: asked between two frames whether to end.

    A clip that breaks off, a matcher that fails, a full disk or a stop ends the run early; what was decided
    until then is kept, the files are complete, and `Replay.broke_off` says why. Raises `SourceError` where
    there is no frame at all, `ConfigError` for a call that cannot be made and for a detector that cannot be
    had.
    """
    run = _Run(clip, guard, source, action, service, matcher, out, stop or Stop())
    with closing(clip):
        run.all_frames(progress)
        return run.finish()


class _FarEnd:
    """The service's side of the call: the matcher, and a watch that takes its time off the guard's."""

    def __init__(self, matcher: Matcher, action: str | None) -> None:
        self._matcher = matcher
        self._action = action
        self.spent_ns = 0
        self.failed: GuardError | None = None

    def search(self, picture: Image) -> list[Match]:
        start = time.perf_counter_ns()
        try:
            # The matcher plays the service that was judged: under `guard.install` its libraries are not asked again.
            with Approval(self._matcher.service, (self._action,), sealed=True):
                return self._matcher.search(picture)
        except GuardError as error:
            # Told apart from the guard's own errors, which mean that nothing was reached.
            self.failed = error
            return []
        finally:
            self.spent_ns += time.perf_counter_ns() - start


class _Run:
    def __init__(
        self,
        clip: Clip,
        guard: Guard,
        source: Source,
        action: str | None,
        service: str,
        matcher: Matcher,
        out: Path,
        stop: Stop,
    ) -> None:
        self.clip, self.guard, self.source, self.matcher, self.stop = clip, guard, source, matcher, stop
        self.out = out
        self.calls = Calls(action, service)
        self.reasons = Reasons()
        self.people: Counter[str] = Counter()
        self.hook, self.detect, self.decide = Latency(), Latency(), Latency()
        self.timeline = Timeline()
        self.began = self.ended = datetime.now(UTC)
        self.frames = self.frames_with_faces = 0
        self.seconds = 0.0
        self.broke_off: str | None = None
        self.notes: list[str] = []
        # A detector that cannot be had is said now, once, instead of as a fault on every frame.
        _ = guard.detector
        self._far = _FarEnd(matcher, action)
        self._reached_before = matcher.reached
        self._search = source.protect(self._far.search, action=action, service=service)
        self._footage = Footage(clip, out)

    # ---- the frames

    def all_frames(self, progress: Callable[[int], None] | None) -> None:
        """Reads the clip to its end, or to whatever ends it."""
        frames = self.clip.frames(self._footage.listen)
        begin(self.clip, self.source)
        self.began = datetime.now(UTC)
        try:
            while not self.stop.asked:
                with self.stop.waiting():
                    frame = next(frames, None)
                if frame is None:
                    return
                self.one_frame(frame)
                if progress is not None:
                    progress(self.frames)
                if self._far.failed is not None:
                    self.broke_off = f"the matcher failed on frame {frame.index}: {self._far.failed}"
                    return
        except SourceError as error:
            if not self.frames:
                self._footage.abandon()
                raise
            self.broke_off = str(error)
            return
        except KeyboardInterrupt:
            self.stop.asked = True
        except BaseException:
            self._footage.abandon()
            raise
        if not self.clip.live:
            self.broke_off = "interrupted"

    def one_frame(self, frame: Frame) -> None:
        """One frame as a pipeline has it: the hook, the call, and what came of both."""
        matches: list[Match] = []
        if not self.clip.live:
            self.source.watch.clip_s = frame.seconds
        spent_before = self._far.spent_ns
        start = time.perf_counter_ns()
        decision: Decision | None
        with self.source.frame(frame.image, at=frame.captured, index=frame.index) as seen:
            try:
                matches = self._search(frame.image)
                decision = seen.decisions[-1] if seen.decisions else None
            except (Denied, GuardFault) as refused:
                decision = refused.decision
            took_ns = time.perf_counter_ns() - start - (self._far.spent_ns - spent_before)
            # Unless every frame is detected anyway, the detector may run only now: after the watch has stopped.
            faces = _faces_of(seen)
        self.hook.add(took_ns / 1000)
        if "detect" in seen.timings:
            self.detect.add(seen.timings["detect"])
        self._count(frame, decision, faces, matches)
        self.timeline.add(frame.seconds, decision, None if faces is None else len(faces))
        self.timeline.contradicted(frame.seconds, self.source.context.contradictions)
        self.timeline.fault(frame.seconds, seen.fault)
        self._footage.add(frame, scene_of(decision, self.calls, faces, matches))

    def _count(self, frame: Frame, decision: Decision | None, faces: Faces | None, matches: list[Match]) -> None:
        self.frames += 1
        self.frames_with_faces += faces is not None and len(faces) > 0
        self.seconds = frame.seconds + float(1 / self.clip.rate)
        if decision is None:
            self.calls.count(Verdict.DENY, fault=True)
        else:
            self.calls.count(decision.verdict, fault=decision.fault is not None, enforced=decision.enforced)
            self.reasons.add(decision)
            self.decide.add(decision.latency_us)
        if matches:
            self.calls.matched += 1
            self.people.update({match.name for match in matches})

    # ---- the end

    def finish(self) -> Replay:
        """Finishes what is written and says what it was."""
        self.ended = datetime.now(UTC)
        try:
            self.guard.ledger.flush()
        except LedgerError as error:
            self.broke_off = self.broke_off or str(error)
        video, film = self._footage.close()
        self.notes += self._footage.notes
        dropped = getattr(self.clip, "dropped", 0)
        if dropped:
            self.notes.append(f"{dropped} frames were skipped to keep up with the camera")
        self.notes += self.matcher.warnings
        self.calls.reached_service = self.matcher.reached - self._reached_before
        return self._result(video, film)

    def _result(self, video: Path | None, film: Film | None) -> Replay:
        ledger = getattr(self.guard.ledger, "path", None)
        watches = {"hook": self.hook, "detect": self.detect, "decide": self.decide}
        return Replay(
            clip=self.clip.name,
            source=self.source.id or "",
            matcher=self.matcher.name,
            frames=self.frames,
            frames_with_faces=self.frames_with_faces,
            seconds=self.seconds if self.frames else 0.0,
            calls=(self.calls,),
            reasons=self.reasons.ruled(),
            latency_us={name: watch.summary() for name, watch in watches.items()},
            spread_us={name: watch.histogram() for name, watch in watches.items()},
            outputs=Outputs(self.out / REPORT, video, ledger),
            facts=self.source.facts.to_json(),
            seen=found_so_far(self.source) if self.frames else (),
            faults=dict(self.reasons.faults.most_common()),
            packs=[pack.name for pack in self.guard.engine.packs],
            policy_digest=self.guard.policy_digest,
            judged_at=day_judged(self.reasons.first),
            lifted_by=self.reasons.lifted_by(),
            people=dict(sorted(self.people.items(), key=lambda item: (-item[1], item[0]))),
            broke_off=self.broke_off,
            notes=tuple(self.notes),
            began=self.began,
            ended=self.ended,
            steps=self.timeline.steps,
            events=tuple(self.timeline.events),
            more_events=self.timeline.more_events,
            film=film,
        )


def _faces_of(seen: Any) -> Faces | None:
    """The faces of this very frame; None where the detector failed, which is not "no faces"."""
    try:
        faces: Faces = seen.look()
    except GuardError:
        return None
    return faces
