"""The one class: ties facts, policy, vision and the record together."""

from __future__ import annotations

import difflib
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from guard.attendance import Attendance
from guard.clock import Clock
from guard.config import Config, SourceConfig, load_config
from guard.errors import ConfigError, GuardError, GuardFault
from guard.facts import Facts
from guard.ledger import Ledger, NullLedger, Sink
from guard.policy import Engine, bundle
from guard.source import Source, check_service
from guard.telemetry import Watch, watch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from guard.facts import Faces
    from guard.vision import Detector

__all__ = ["Guard", "latest", "load"]

_latest: Guard | None = None

log = logging.getLogger("guard")


class Guard:
    """A loaded `guard.toml`: its sources, its policy, its detector and its record. Make it with `guard.load`.

    Safe for threads and asyncio. A context manager: leaving it writes what is left of the record.

    Attributes:
        config: the settings as read.
        engine: the policy in force; `reload` puts another one in its place.
        policy_digest: sha256 over the packs in use; it stands in every decision.
        ledger: where attempted calls are recorded.
        clock: the clock that selects the version of every rule.
        attendance: keeps which spans of each source were watched, None where there is no record.
        watch: whom it tells what it does, None where nobody is told (`guard.telemetry`).
    """

    def __init__(
        self,
        config: Config,
        engine: Engine,
        ledger: Sink,
        clock: Clock,
        *,
        detector: Detector | None = None,
        packs: Sequence[str | Path] | None = None,
        watch: Watch | None = None,
    ) -> None:
        self.config = config
        self.watch = watch
        self._packs = packs
        self._reloading = threading.Lock()
        self.engine = engine
        self.policy_digest = engine.digest
        self.ledger = ledger
        self.clock = clock
        self._detector = detector
        self._lock = threading.Lock()
        self._closed = False
        self.attendance = (
            None if isinstance(ledger, NullLedger) else Attendance(ledger, partial(clock.now, machine=True))
        )
        self._sources = {id: Source(self, source) for id, source in config.sources.items()}

    @cached_property
    def unknown_source(self) -> Source:
        """The source of calls that are made outside of every frame: nothing is known of it, its id is None.

        It looks for faces as the most careful source of the file does.
        """
        configs = self.config.sources.values()
        return Source(
            self,
            SourceConfig(
                id=None,
                facts=Facts(),
                detect="on-demand",
                min_face_px=min(config.min_face_px for config in configs),
                face_score=min(config.face_score for config in configs),
                max_age_s=min(config.max_age_s for config in configs),
                face_memory_s=max(config.face_memory_s for config in configs),
            ),
        )

    @property
    def mode(self) -> str:
        """``enforce``, or ``shadow`` where verdicts are recorded and every call is made all the same."""
        return self.engine.mode

    @property
    def sources(self) -> Mapping[str, Source]:
        """The sources by id."""
        return self._sources

    def source(self, id: str | None = None) -> Source:
        """The source of that id; the only one, where the file has one and `id` is left out.

        Raises `ConfigError` with a suggestion where there is no such source.
        """
        if id is None and len(self._sources) == 1:
            return next(iter(self._sources.values()))
        if id is None or id not in self._sources:
            known = ", ".join(self._sources)
            near = difflib.get_close_matches(id or "", self._sources, n=1)
            what = "the file describes several sources" if id is None else f"no source is called {id!r}"
            raise ConfigError(
                what,
                where=self.config.path.name,
                mend=f"did you mean {near[0]!r}?" if near else f"name one of: {known}",
            )
        return self._sources[id]

    def resolve_service(self, name: str) -> str:
        """The service of the vocabulary that `name` counts as: itself, or what `[services]` says."""
        service = self.config.services.get(name, name)
        check_service(service)
        return service

    @property
    def detector(self) -> Detector:
        """The face detector, shared by all sources; loaded when it is first needed."""
        with self._lock:
            if self._detector is None:
                from guard.vision import Detector

                self._detector = Detector()
            return self._detector

    def detect(self, picture: NDArray[Any], *, min_face_px: int, face_score: float) -> Faces:
        """The faces in a picture. Raises `GuardFault`, or `SourceError` for what is no picture; never guesses."""
        from guard.facts import Faces

        try:
            with self._timed("detect"):
                found = self.detector.detect(picture, min_face_px=min_face_px, face_score=face_score)
        except GuardError:
            raise
        except Exception as error:  # a broken detector is not "no faces"
            log.error("the detector raised %s: %s", type(error).__name__, error)
            raise GuardFault(f"the detector raised {type(error).__name__}") from error
        if not isinstance(found, Faces):
            raise GuardFault(f"the detector answered with a {type(found).__name__} instead of faces")
        return found

    def redact(self, picture: NDArray[Any], faces: Faces) -> NDArray[Any]:
        """A read-only copy of the picture with every face made unrecognisable, of the same shape and kind."""
        from guard.vision import redact

        with self._timed("redact"):
            redacted = redact(picture, faces)
        if redacted is picture or redacted.shape != picture.shape:
            raise GuardFault("the redaction did not give a picture of the same shape")
        redacted.flags.writeable = False
        return redacted

    def _timed(self, stage: str) -> AbstractContextManager[None]:
        watched = self.watch is not None and self.watch.awake
        return self.watch.stage(stage, span=f"guard.{stage}") if watched and self.watch is not None else nullcontext()

    def reload(self) -> str:
        """Reads `[policy]` of the file and its packs again and puts them in force; gives the digest in force then.

        All or nothing: the new set is read, checked and compiled first, then takes effect in one step. A call that was
        judged by the old one and is not yet released is judged again, also where only `mode` changed. Raises
        `ConfigError` or `PolicyError` where the new set is broken: the last good one stays in force. Sources with their
        facts, services and the ledger stay as they were loaded; what the file says of them now is checked, and takes
        effect when the guard is loaded again.
        """
        with self._reloading:
            try:
                config = load_config(self.config.path)
                engine = engine_of(config, self._packs)
            except GuardError as error:
                log.error("the policy was not reloaded, policy %s stays in force: %s", self.policy_digest[:16], error)
                raise
            before = self.policy_digest
            if engine.digest == before and engine.mode == self.mode:
                log.info("the policy was read again and is the same, %s", before[:16])
                return before
            self.ledger.describe(engine.digest, engine.statement())
            self.clock.has_passed(_ns(engine.reviewed))
            self.engine = engine
            self.policy_digest = engine.digest
            log.warning("policy %s, mode %s, is in force instead of %s", engine.digest[:16], self.mode, before[:16])
            _say_mode(engine, config)
            return engine.digest

    def check_open(self) -> None:
        """Raises `GuardFault` where this guard is closed."""
        if self._closed:
            raise GuardFault("this guard is closed", mend="load it again")

    def close(self) -> None:
        """Writes what is left of the record. Calls made later are refused."""
        self._closed = True
        if self.attendance is not None:
            self.attendance.close()
        self.ledger.close()

    def __enter__(self) -> Guard:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def load(
    path: Path | str,
    *,
    packs: Sequence[str | Path] | None = None,
    ledger: Sink | Path | str | None = None,
    at: datetime | None = None,
    detector: Detector | None = None,
    clock: Callable[[], int] = time.time_ns,
) -> Guard:
    """Reads `guard.toml`, loads its packs, and opens its record.

    Args:
        path: the file.
        packs: packs instead of those of `[policy] packs`.
        ledger: a file instead of `[ledger] path`, or a `guard.ledger.Sink`. Where neither names one, the record is
            ``decisions.db`` beside the file.
        at: a day to be judged instead of the clock's; records say so.
        detector: instead of the shipped one; see `guard.testing.FakeDetector`.
        clock: nanoseconds since 1970 UTC; for tests.

    Raises `ConfigError` for the file and a changed model, `PolicyError` for the packs, `LedgerError` where the record
    cannot be written: nothing starts without any of them. Logs a warning where `[policy] mode` is ``shadow``.
    """
    config = load_config(path)
    engine = engine_of(config, packs)
    if detector is None:
        detector = _shipped_detector(only_checked=isinstance(ledger, NullLedger))
    if ledger is None or isinstance(ledger, (str, Path)):
        ledger = open_ledger(config, Path(ledger or config.ledger or config.path.parent / "decisions.db"))
    if not isinstance(ledger, NullLedger):
        _say_mode(engine, config)
    return assemble(config, engine, ledger, at=at, detector=detector, packs=packs, clock=clock)


def assemble(
    config: Config,
    engine: Engine,
    ledger: Sink,
    *,
    at: datetime | None = None,
    detector: Detector | None = None,
    packs: Sequence[str | Path] | None = None,
    clock: Callable[[], int] = time.time_ns,
) -> Guard:
    """A guard of parts that are loaded already: `load` without reading a file. Arguments as there.

    Several guards may share `config`, `engine` and `detector`: their sources know nothing of each other.
    """
    ledger.describe(engine.digest, engine.statement())
    told = None
    if not isinstance(ledger, NullLedger):
        told = watch(sources=config.label_sources)
        if told is not None:
            told.keep_an_eye_on(ledger)
    past_ns = max(_ns(engine.reviewed), ledger.last_at_ns())
    judged_by = Clock(past_ns=past_ns, given=at, read=clock)
    loaded = Guard(config, engine, ledger, judged_by, detector=detector, packs=packs, watch=told)
    if not isinstance(ledger, NullLedger):
        global _latest
        _latest = loaded
    return loaded


def open_ledger(config: Config, path: Path, *, key: Path | None = None, durable: bool = True) -> Ledger:
    """The ledger in the file `path`, signed and sealed as `[ledger]` says, with `key` instead of the key it names.

    Where it is not `durable`, a release does not wait for the disk: for calls that release nothing, into a file that
    counts for nothing until its owner has synced it. Raises `LedgerError` where it cannot be written.
    """
    return Ledger(
        path,
        key=key or config.ledger_key,
        checkpoint_records=config.checkpoint_records,
        checkpoint_seconds=config.checkpoint_seconds,
        durable=durable,
    )


def latest() -> Guard | None:
    """The guard that was loaded last in this process, closed or not; None where there is none.

    Calls that are made outside of every frame are judged by it, see `Guard.unknown_source`.
    """
    return _latest


def engine_of(config: Config, packs: Sequence[str | Path] | None = None) -> Engine:
    """The policy of a `guard.toml`, or `packs` under its settings. Where the file names a bundle: what that lists.

    Raises `PolicyError`, and `ConfigError` where the bundle or its key cannot be read.
    """
    engine = Engine.load(tuple(packs) if packs is not None else config.packs, config.settings)
    if config.bundle is not None and config.public_key is not None:
        bundle.require(engine, config.bundle, config.public_key)
    return engine


def _say_mode(engine: Engine, config: Config) -> None:
    """A warning in the log, which reaches stderr where nobody set logging up."""
    if engine.mode == "shadow":
        log.warning(
            "%s: policy.mode is shadow: calls are judged and recorded, and made whatever the verdict", config.path.name
        )


def _ns(instant: datetime) -> int:
    return int(instant.timestamp()) * 1_000_000_000


def _shipped_detector(*, only_checked: bool) -> Detector | None:
    """The detector, ready before the first frame; for questions alone, only the check that its file is intact."""
    if only_checked:
        from guard.vision.models import verify_model

        verify_model()
        return None
    from guard.vision import Detector

    return Detector()


def load_for_questions(path: Path | str, *, packs: Sequence[str | Path] | None = None) -> Guard:
    """As `load` for questions alone: no record is opened, so no call can be released."""
    return load(path, packs=packs, ledger=NullLedger())
