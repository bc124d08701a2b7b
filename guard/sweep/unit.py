"""The unit of work: one file, decided, recorded, redacted where that is asked for, and put where it counts.

The local pool and Ray call the same `Worker.take`. It may be called twice for the same file, at the same time, on
different machines, and be killed at any instant: the records of a clip count once.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import cast

from guard._imports import native
from guard.config import load_config
from guard.context.seal import sidecars_of
from guard.errors import ConfigError, GuardError, LedgerError, SourceError
from guard.guard import assemble, engine_of, open_ledger
from guard.keys import bytes_of
from guard.ledger.keys import ENVIRONMENT
from guard.ledger.proving import newest_checkpoint
from guard.ledger.schema import connect
from guard.ledger.verifying import verify
from guard.redacting import Redaction, redact_clip
from guard.replay.clip import open_clip
from guard.replay.stopping import Stop
from guard.sweep.deciding import Decided, decide_clip
from guard.sweep.folder import LEDGER, REDACTED, Folder
from guard.sweep.memory import Memory
from guard.sweep.order import Order, settings_of
from guard.sweep.task import Outcome, Stamp, one_line, shown
from guard.vision import Detector

with native("cv2"):
    import cv2

__all__ = ["Worker", "on_one_core"]

_CHUNK = 1 << 20


def on_one_core() -> None:
    """Keeps the libraries of this process from threads of their own: there is a process for every core already."""
    cv2.setNumThreads(1)


class Worker:
    """What one process needs for any number of files: configuration, policy and detector, loaded once.

    Raises `ConfigError`, `PolicyError`; `ConfigError` too where the configuration is not the one that was ordered.
    """

    def __init__(self, order: Order) -> None:
        self.order = order
        self._folder = Folder(order.out)
        self._config = load_config(order.config)
        self._engine = engine_of(self._config)
        if settings_of(order, self._config, self._engine) != order.settings:
            mend = "run the sweep again: what is done under other settings is done anew"
            raise ConfigError("the configuration was changed while the sweep ran", where=str(order.config), mend=mend)
        if order.key is None and not os.environ.get(ENVIRONMENT):
            raise ConfigError(f"{ENVIRONMENT} is not set in this process", mend="name a [ledger] key instead")
        self._source = self._config.sources[order.source]
        self._detector = Detector()

    def take(
        self,
        path: Path,
        known: tuple[Stamp, str] | None = None,
        *,
        progress: Callable[[float], None] | None = None,
        stop: Stop | None = None,
    ) -> Outcome:
        """Does what is to be done with one file; a broken one is an outcome, not an error.

        Args:
            path: the file.
            known: its stamp and content when it was last seen, so that an unchanged one is not read again.
            progress: called again and again, with the part that is done as far as it is known, 0 to 1: while nothing is
                heard, no frame is finished.
            stop: asked between two frames whether to end.

        Raises `KeyboardInterrupt` where it was asked to stop: nothing is left of what it did.
        """
        stop = stop or Stop()
        try:
            stamp = stamp_of(path)
            content = known[1] if known is not None and known[0] == stamp else content_of(path, stop, progress)
            id = self._unit_of(path, content)
            if self._folder.done(id) is None:
                made = self._make(path, id, content, stamp, progress, stop)
                return Outcome(path, "made" if made else "there", id, None, stamp, content)
            return Outcome(path, "there", id, None, stamp, content)
        except SourceError as error:
            return Outcome(path, "broken", reason=one_line(error))
        except (GuardError, OSError, sqlite3.Error) as error:
            return Outcome(path, "failed", reason=one_line(error))
        except Exception as error:  # noqa: BLE001 - a defect of ours or of a decoder, met in this file
            return Outcome(path, "broken", reason=f"unexpected {type(error).__name__}: {one_line(error)}")

    def _unit_of(self, path: Path, content: str) -> str:
        """A seal binds what a clip is judged by, so it belongs to what a unit is named by."""
        seal = _seal_of(path)
        return hashlib.sha256(f"guard.sweep-unit/1\n{content}\n{seal}\n{self.order.settings}".encode()).hexdigest()

    def _make(
        self, path: Path, id: str, content: str, stamp: Stamp, progress: Callable[[float], None] | None, stop: Stop
    ) -> bool:
        redact = self.order.redact
        with self._folder.part() as part:
            memory = self._memory() if redact else None
            first = _share(progress, 0.0, 0.5 if redact else 1.0)
            decided = self._decide(path, part / LEDGER, memory, first, stop)
            if memory is not None:
                redact_clip(
                    path,
                    part / REDACTED,
                    self._redaction(),
                    detector=cast(Detector, memory),
                    threads=1,
                    progress=_share(progress, 0.5, 1.0),
                    stop=stop,
                )
            if stamp_of(path) != stamp:
                raise SourceError("it was changed while it was read", where=str(path), mend="sweep it again")
            unit = {
                "schema": "guard.sweep-unit/1",
                "unit": id,
                "clip": {"path": shown(path), "bytes": stamp[2], "sha256": content},
                "settings": self.order.settings,
                "policy_digest": self._engine.digest,
                "source": self.order.source,
                **decided.to_json(),
                "redacted": REDACTED if redact else None,
                "checkpoint": _sealed(part / LEDGER, decided),
            }
            return self._folder.publish(part, id, unit)

    def _decide(
        self, path: Path, ledger: Path, memory: Memory | None, progress: Callable[[float], None] | None, stop: Stop
    ) -> Decided:
        clip = open_clip(path, threads=1)
        # A source of its own for every clip: what is seen of one, and what its seal binds, is nothing to the next.
        # Nothing is released on it, and it counts only once all of it was synced.
        sink = open_ledger(self._config, ledger, key=self.order.key, durable=False)
        with assemble(self._config, self._engine, sink, at=self.order.at, detector=self._detector) as guard:
            source = guard.source(self.order.source)
            return decide_clip(clip, source, self.order.calls, stop=stop, progress=progress, memory=memory)

    def _memory(self) -> Memory:
        return Memory(self._detector, min_face_px=self._source.min_face_px, face_score=self._source.face_score)

    def _redaction(self) -> Redaction:
        return Redaction(min_face_px=self._source.min_face_px, face_score=self._source.face_score)


def _sealed(ledger: Path, decided: Decided) -> str:
    """The checkpoint over a whole ledger: a unit counts only with every one of its calls recorded and sealed.

    Raises `LedgerError`.
    """
    found = verify(ledger)
    attempted = sum(calls.attempted for calls in decided.calls)
    if not found.verified or found.calls != attempted or found.unsealed or found.open_sessions:
        raise LedgerError(
            f"{found.calls} of {attempted} calls were recorded, {found.unsealed} leaves are not sealed",
            where=str(ledger),
            mend="free the disk, and sweep again",
        )
    checkpoint = newest_checkpoint(ledger)
    # Readers leave files for the next one behind; a writer that closes last takes them away.
    with closing(connect(ledger, durable=False)) as connection:
        connection.execute("PRAGMA wal_checkpoint")
    return checkpoint


def stamp_of(path: Path) -> Stamp:
    """What tells a file that was changed. Raises `SourceError` where there is no regular file."""
    try:
        found = path.stat()
    except OSError as error:
        raise SourceError("the clip cannot be read", where=str(path), mend=error.strerror) from None
    if not stat.S_ISREG(found.st_mode):
        raise SourceError("it is no file", where=str(path), mend="sweep files; `guard replay` takes what is live")
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def content_of(path: Path, stop: Stop, progress: Callable[[float], None] | None = None) -> str:
    """SHA-256 of a file; `progress` is called with 0 meanwhile. Raises `SourceError` where it cannot be read."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                if stop.asked:
                    raise KeyboardInterrupt
                digest.update(chunk)
                if progress is not None:
                    progress(0.0)
    except OSError as error:
        raise SourceError("the clip cannot be read", where=str(path), mend=error.strerror) from None
    return digest.hexdigest()


def _seal_of(path: Path) -> str:
    """SHA-256 of a clip's sidecars. One that cannot be read binds too: the clip's facts are unknown then."""
    digest, sidecars = hashlib.sha256(), sidecars_of(path)
    try:
        for each in sidecars:
            digest.update(bytes_of(each))
    except OSError as error:
        return f"unreadable: {error.errno}"
    return digest.hexdigest() if sidecars else "unsealed"


def _share(progress: Callable[[float], None] | None, first: float, last: float) -> Callable[[float], None] | None:
    """Progress of one of several parts, as progress of the whole."""
    return None if progress is None else lambda part: progress(first + part * (last - first))
