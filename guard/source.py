"""A source: one camera or feed with its declared facts, and the callables that it guards."""

from __future__ import annotations

import functools
import inspect
import time
import zlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast, overload

import wrapt

from guard.aside import aside
from guard.attendance import NOBODY
from guard.clock import Clock, Reading
from guard.context import Context
from guard.errors import ConfigError
from guard.facts import ACTIONS, SERVICES, VLM_SERVICES, Decision, Facts
from guard.ids import decision_id

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from guard.config import SourceConfig
    from guard.context.watch import Watch
    from guard.facts import Faces
    from guard.frames import Seen
    from guard.guard import Guard
    from guard.policy import Column, Engine
    from guard.remembering import Remembering
    from guard.vision.gating import ChangeGatedDetector

__all__ = ["Source", "context_intent", "current_intent"]

P = ParamSpec("P")
R = TypeVar("R")

_intent: ContextVar[tuple[Source, str] | None] = ContextVar("guard_intent", default=None)

_Cell = tuple["Column", int, int, "Engine", Facts]
_FOREVER_NS = 2**63 - 1
_FIXED = frozenset({"fixed"})


class Source:
    """One source of a `Guard`; get it with `Guard.source`.

    Attributes:
        id: its id in `guard.toml`.
        facts: what is declared of it.
        context: by which facts it is judged: what is declared, and what was seen that contradicts it.
        guard: the guard that it belongs to.
    """

    def __init__(self, guard: Guard, config: SourceConfig) -> None:
        self.guard = guard
        self.id = config.id
        self.facts: Facts = config.facts
        self.tally = NOBODY if guard.attendance is None else guard.attendance.tally(config.id)
        self.camera = config.camera
        self.context = Context(config.id, config.facts, guard.config.near_real_time_s, live=config.camera.live)
        if guard.config.attestation.mode != "off":
            from guard.context.attesting import attest

            attest(self.context, config.passport, guard.config.attestation)
        self.every_frame = config.detect == "every-frame"
        self.on_change = config.detect == "on-change"
        self.max_stale_s = config.max_stale_s
        self.min_face_px = config.min_face_px
        self.face_score = config.face_score
        self.max_age_s = config.max_age_s
        self.face_memory_s = config.face_memory_s
        self.analyse_per_s = config.analyse_per_s
        self._seen: type[Seen] | None = None
        self.has_opened_a_frame = False
        self.pixels_matter = False
        """Whether a guarded call of this source can hinge on faces, so that frames are copied when they are judged."""
        self._cells: dict[tuple[str | None, str, str], _Cell] = {}

    def __repr__(self) -> str:
        return f"<guard.Source {self.id!r}>"

    @functools.cached_property
    def watch(self) -> Watch:
        """The eyes on its frames; made with the first of them."""
        from guard.context.watch import Watch  # with OpenCV: a source without frames does without

        return Watch(self.context, self.camera, self.max_age_s)

    @functools.cached_property
    def _remembering(self) -> Remembering:
        from guard.remembering import Remembering  # with numpy and OpenCV

        return Remembering(self.face_memory_s)

    @functools.cached_property
    def gated(self) -> ChangeGatedDetector:
        """The detector that looks where its pictures changed; made with the first frame that may use it."""
        from guard.vision.gating import ChangeGatedDetector

        share = zlib.crc32((self.id or "").encode()) / 2**32
        return ChangeGatedDetector(
            self.find_faces,
            min_face_px=self.min_face_px,
            max_stale_s=self.max_stale_s,
            first_stale_s=share * self.max_stale_s,
        )

    def stands_still(self) -> bool:
        """Whether its camera is known to be fixed: declared so, attested where need be, and contradicted by nothing."""
        facts = self.context.facts(None, self.guard.clock.now())
        return facts.known("capture.mount") == _FIXED

    # ---- the hook

    def frame(
        self,
        image: NDArray[Any],
        *,
        at: datetime | None = None,
        index: int | None = None,
        arrived_s: float | None = None,
    ) -> Seen:
        """The frame hook: `with cam.frame(image) as seen:`. Calls made inside are judged with this frame's faces.

        Args:
            image: H x W x 3 uint8, BGR, as OpenCV reads it; grey H x W and BGRA work too. It is never changed.
            at: capture instant with a zone; it goes into the record.
            index: the caller's frame number; it goes into the record.
            arrived_s: when it arrived here, in seconds of `time.monotonic`, where it waited in a queue since: its age
                counts from then. None for now.

        Raises `SourceError` where `arrived_s` is no instant gone by; entering does where `image` cannot be a frame. A
        detector that fails does not raise here: the faces are unknown then, and calls in this frame are refused.
        """
        if at is not None and at.tzinfo is None:
            raise ConfigError(
                "a capture instant needs a zone", where=f"source {self.id}", mend="datetime.now(timezone.utc)"
            )
        if self._seen is None:
            from guard.frames import Seen  # with numpy: `guard decide` has no frames and does without

            self._seen = Seen
        return self._seen(self, image, at, index, arrived_s)

    @contextmanager
    def intent(self, action: str) -> Iterator[None]:
        """Says what the calls inside are for, where they name no action themselves.

        Raises `ConfigError` where the vocabulary has no such action.
        """
        check_action(action)
        token = _intent.set((self, action))
        try:
            yield
        finally:
            _intent.reset(token)

    def intended_action(self) -> str | None:
        """The action of the innermost `intent` of this source around the running code."""
        intent = _intent.get()
        return intent[1] if intent is not None and intent[0] is self else None

    # ---- guarded callables

    @overload
    def protect(self, call: Callable[P, R], *, service: str, action: str | None = None) -> Callable[P, R]: ...
    @overload
    def protect(
        self, call: None = None, *, service: str, action: str | None = None
    ) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
    def protect(
        self, call: Callable[P, R] | None = None, *, service: str, action: str | None = None
    ) -> Callable[P, R] | Callable[[Callable[P, R]], Callable[P, R]]:
        """A guarded callable of the same signature: it runs only inside an allowed decision made for that very call.

        Works for functions, bound methods, coroutine functions and callable objects, and as a decorator, of methods too
        (`@cam.protect(service="openai")`). Where the verdict hinges on faces, the callee gets read-only copies of the
        pictures among its arguments, with the faces removed if the verdict is `redact`.

        Args:
            call: what to guard; left out in the decorator form.
            service: a service of the vocabulary or a name under `[services]`.
            action: an action of the vocabulary. It may be left out towards a vision-language service only.

        The guarded callable raises `Denied` or `GuardFault` instead of calling. Raises `ConfigError` at once for an
        unknown service or action, or a missing one.
        """
        service = self.guard.resolve_service(service)
        if action is not None:
            check_action(action)
        elif service not in VLM_SERVICES:
            raise ConfigError(
                f"a call to {service} must say what it does",
                where=f"source {self.id}: protect",
                mend='name the action, e.g. action="identify"',
            )
        if action in (None, "vlm_describe"):
            self.pixels_matter = True
        if call is None:
            return lambda function: self._wrap(function, action, service)
        return self._wrap(call, action, service)

    def _wrap(self, call: Callable[P, R], action: str | None, service: str) -> Callable[P, R]:
        given: Any = call
        if not callable(given) and not isinstance(given, (classmethod, staticmethod)):
            raise ConfigError(
                f"a {type(call).__name__} cannot be called, so it cannot be guarded",
                where=f"source {self.id}: protect",
                mend="hand in the function or bound method that makes the identity call",
            )
        from guard.gate import Call

        actions = (action,)
        if _is_async(call):

            async def guarded_async(
                wrapped: Callable[..., Awaitable[Any]], instance: Any, args: Any, kwargs: Any
            ) -> Any:
                # Detection and the wait for the disk would stand in the way of every other task of the loop.
                attempt = Call(self, actions, service, args, kwargs)
                args, kwargs = attempt.pass_through() if attempt.is_foregone() else await aside(attempt.pass_through)
                with attempt.approval(sealed=False):
                    return await wrapped(*args, **kwargs)

            return cast("Callable[P, R]", wrapt.FunctionWrapper(cast(Any, call), cast(Any, guarded_async)))

        def guarded(wrapped: Callable[..., Any], instance: Any, args: Any, kwargs: Any) -> Any:
            attempt = Call(self, actions, service, args, kwargs)
            args, kwargs = attempt.pass_through()
            with attempt.approval(sealed=False):
                return wrapped(*args, **kwargs)

        return cast("Callable[P, R]", wrapt.FunctionWrapper(cast(Any, call), guarded))

    # ---- verdicts

    def authorize(self, action: str | None, service: str, *, faces: int | None = None) -> Decision:
        """The verdict alone: nothing is called and nothing recorded, so nothing may be released on it.

        Args:
            action, service: as for `protect`.
            faces: how many faces the picture shows, None where unknown.
        """
        start = time.perf_counter_ns()
        service = self.guard.resolve_service(service)
        return self._decide(action, service, faces, self.guard.clock.now(), start)

    def decide(
        self, action: str | None, service: str, *, faces: int | None = None, at: datetime | None = None
    ) -> Decision:
        """As `authorize`, for any day: `at` stands instead of the clock."""
        start = time.perf_counter_ns()
        service = self.guard.resolve_service(service)
        if action is not None:
            check_action(action)
        elif service not in VLM_SERVICES:
            raise ConfigError(f"a call to {service} must say what it does", mend="name the action")
        clock = self.guard.clock if at is None else Clock(given=at)
        return self._decide(action, service, faces, clock.now(), start)

    def _decide(self, action: str | None, service: str, faces: int | None, reading: Reading, start: int) -> Decision:
        engine = self.guard.engine
        facts = self.context.facts(None, reading)
        column = self.column(action, service, reading, engine, facts)
        ruling = column.ruling(faces)
        return Decision(
            id=decision_id(),
            at=None if reading[1] == "disbelieved" else datetime.fromtimestamp(reading[0] / 1e9, UTC),
            source=self.id,
            action=action,
            service=service,
            verdict=ruling.verdict,
            faces=faces,
            reasons=ruling.reasons,
            facts=facts,
            valid_until=column.valid_until,
            fault=ruling.fault,
            latency_us=(time.perf_counter_ns() - start) / 1000,
            policy_digest=engine.digest,
            frame=None,
            enforced=engine.mode == "enforce",
            explain=ruling.lifted_by,
            contradicted=self.context.contradictions,
        )

    def column(
        self,
        action: str | None,
        service: str,
        reading: Reading,
        engine: Engine | None = None,
        facts: Facts | None = None,
    ) -> Column:
        """The compiled verdicts of one kind of call, for as long as they stay true and `engine` is in force.

        `facts` are those of `Context.facts`; left out: those that hold where no frame says when it was taken.
        """
        engine = self.guard.engine if engine is None else engine
        facts = self.context.facts(None, reading) if facts is None else facts
        ready = self.ready_column(action, service, reading, engine, facts)
        if ready is not None:
            return ready
        now_ns, trust = reading
        at = None if trust == "disbelieved" else datetime.fromtimestamp(now_ns / 1e9, UTC)
        column = engine.column(facts, action, service, at)
        first = 0 if column.valid_from is None else _ns(column.valid_from)
        until = _FOREVER_NS if column.valid_until is None else _ns(column.valid_until)
        if trust == "disbelieved":
            first, until = 0, _FOREVER_NS
        self._cells[action, service, trust] = (column, first, until, engine, facts)
        return column

    def ready_column(
        self, action: str | None, service: str, reading: Reading, engine: Engine, facts: Facts
    ) -> Column | None:
        """As `column`, where it was compiled before; None where it would have to be."""
        now_ns, trust = reading
        cell = self._cells.get((action, service, trust))
        if cell is not None and cell[3] is engine and cell[4] is facts and cell[1] <= now_ns < cell[2]:
            return cell[0]
        return None

    def find_faces(self, picture: NDArray[Any], like: Sequence[Source] = ()) -> Faces:
        """Runs the detector as this source and all of `like` ask for: the smallest face, the lowest threshold.

        Raises `GuardFault` or `SourceError`; never answers "no faces" for a picture that it could not judge.
        """
        judges = like or (self,)
        return self.guard.detect(
            picture,
            min_face_px=min(judge.min_face_px for judge in judges),
            face_score=min(judge.face_score for judge in judges),
        )

    def remember(self, faces: Faces, image: NDArray[Any], at: datetime | None) -> Faces:
        """What has to be covered in a frame: the faces just found in `image`, and those that were a moment ago.

        Moments are told apart by `at`, when the frame was taken, where that is known, else by when it came.
        """
        if at is not None:
            return self._remembering.see(faces, image, at.timestamp(), stamped=True)
        clip_s = self.watch.clip_s
        return self._remembering.see(faces, image, time.monotonic() if clip_s is None else clip_s, stamped=False)


def current_intent() -> tuple[Source, str] | None:
    """The innermost `Source.intent` around the running code, with its source."""
    return _intent.get()


@contextmanager
def context_intent(intent: tuple[Source, str] | None) -> Iterator[None]:
    """Runs the block under that intent, which another thread stated, or under none."""
    token = _intent.set(intent)
    try:
        yield
    finally:
        _intent.reset(token)


def check_action(action: str) -> None:
    """Raises `ConfigError` where the vocabulary has no such action."""
    if action not in ACTIONS:
        raise ConfigError(f"no action is called {action!r}", mend=f"known are {', '.join(ACTIONS)}")


def check_service(service: str) -> None:
    """Raises `ConfigError` where the vocabulary has no such service."""
    if service not in SERVICES:
        raise ConfigError(
            f"no service is called {service!r}",
            mend=f"list it under [services], or use one of {', '.join(sorted(SERVICES))}",
        )


def _is_async(call: Any) -> bool:
    while isinstance(call, functools.partial):
        call = call.func
    if isinstance(call, (staticmethod, classmethod)):
        call = call.__func__
    return inspect.iscoroutinefunction(call) or (
        not inspect.isfunction(call)
        and not inspect.ismethod(call)
        and not isinstance(call, type)
        and inspect.iscoroutinefunction(type(call).__call__)
    )


def _ns(instant: datetime) -> int:
    return int(instant.timestamp() * 1_000_000) * 1000
