"""The record of a replay: all that its report says, in a file beside it, from which the same report can be made again.

The film stands beside it as a file of its own. No picture, vector or path of a machine is in the record.
"""

from __future__ import annotations

import os
from dataclasses import replace as changed
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from guard.context.finding import Finding, in_words, several_in_words
from guard.errors import SourceError
from guard.replay.clip import is_camera
from guard.replay.film import Film
from guard.replay.result import Calls, Replay, Ruled
from guard.replay.timeline import Event, Step
from guard.report.sealing import Sealed

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["NAME", "Record", "Seen", "film_of", "read_record", "record_of", "write_record"]

NAME: Final = "replay.json"
"""How the file is called in the folder of the outputs."""

_MOST_BYTES: Final = 50_000_000


class Seen(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Declared against seen, in words; see `guard.context.Finding`."""

    name: str
    declared: str
    seen: str
    verdict: Literal["agrees", "contradicted", "cannot-tell"]
    confidence: float
    consequence: str
    evidence: str


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What `guard.replay.result.Replay` says, without the paths of this machine.

    Attributes:
        version: of this layout.
        video, ledger: names of the files, None where there is none.
        sealed: what the ledger states of the run; None while it is open.
    """

    version: Literal["guard.replay-record/1"]
    clip: str
    source: str
    matcher: str
    frames: int
    frames_with_faces: int
    seconds: float
    calls: tuple[Calls, ...]
    reasons: tuple[Ruled, ...]
    latency_us: dict[str, dict[str, float | None]]
    spread_us: dict[str, tuple[tuple[float, float, int], ...]]
    facts: dict[str, Any]
    seen: tuple[Seen, ...] = ()
    faults: dict[str, int] = {}
    packs: tuple[str, ...] = ()
    policy_digest: str = ""
    judged_at: str | None = None
    lifted_by: tuple[str | tuple[str, ...], ...] = ()
    people: dict[str, int] = {}
    broke_off: str | None = None
    notes: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    events: tuple[Event, ...] = ()
    more_events: int = 0
    film: Film | None = None
    video: str | None = None
    ledger: str | None = None
    sealed: Sealed | None = None

    @property
    def shadow(self) -> bool:
        """Whether any call was judged in shadow mode."""
        return any(calls.unenforced for calls in self.calls)


def record_of(result: Replay, sealed: Sealed | None = None) -> Record:
    """The record of a result."""
    same = ("source", "matcher", "frames", "frames_with_faces", "seconds", "policy_digest", "judged_at", "more_events",
            "film")  # fmt: skip
    outputs = result.outputs
    told = partial(_without, _folders(result))
    return Record(
        version="guard.replay-record/1",
        **{name: getattr(result, name) for name in same},
        clip=told(result.clip),
        broke_off=None if result.broke_off is None else told(result.broke_off),
        calls=tuple(result.calls),
        reasons=tuple(result.reasons),
        latency_us={name: dict(values) for name, values in result.latency_us.items()},
        spread_us={name: tuple(bins) for name, bins in result.spread_us.items()},
        facts=dict(result.facts),
        seen=tuple(map(_seen, result.seen)),
        faults={told(fault): count for fault, count in result.faults.items()},
        packs=tuple(result.packs),
        lifted_by=_lifted(result.lifted_by),
        people=dict(result.people),
        notes=tuple(map(told, result.notes)),
        steps=tuple(result.steps),
        events=tuple(changed(event, what=told(event.what)) for event in result.events),
        video=None if outputs.video is None else outputs.video.name,
        ledger=None if outputs.ledger is None else outputs.ledger.name,
        sealed=sealed,
    )


def write_record(record: Record, path: Path) -> None:
    """Writes the record, whole or not at all. Raises `SourceError`."""
    replace(path, msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n", what="the record")


def read_record(path: Path) -> Record:
    """Reads the record in a file, or in the folder of a replay's outputs. Raises `SourceError`."""
    file = path / NAME if path.is_dir() else path
    try:
        if file.stat().st_size > _MOST_BYTES:
            raise SourceError("this is too long for the record of a replay", where=str(file))
        return msgspec.json.decode(file.read_bytes(), type=Record)
    except OSError as error:
        raise SourceError(
            f"the record cannot be read: {error.strerror}", where=str(file), mend="name the folder of a replay"
        ) from None
    except msgspec.MsgspecError as error:
        raise SourceError(
            f"this is no record of a replay: {error}", where=str(file), mend="replay the clip again"
        ) from None


def film_of(record: Record, folder: Path) -> bytes | None:
    """The film that belongs to the record, None where there is none.

    Raises `SourceError` where it cannot be read, or is not the one that was made in that run.
    """
    if record.film is None:
        return None
    file = folder / record.film.name
    if Path(record.film.name).name != record.film.name:
        raise SourceError("the record names a film elsewhere", where=str(file), mend="replay the clip again")
    try:
        data = file.read_bytes()
    except OSError as error:
        raise SourceError(f"the film cannot be read: {error.strerror}", where=str(file)) from None
    if sha256(data).hexdigest() != record.film.sha256:
        raise SourceError("this is not the film of that run", where=str(file), mend="replay the clip again")
    return data


def replace(path: Path, data: bytes, *, what: str) -> None:
    """Gives the file its content whole or not at all. Raises `SourceError`, in which it is called `what`."""
    part = path.with_name(path.name + ".part")
    try:
        part.write_bytes(data)
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise SourceError(f"{what} cannot be written: {error.strerror}", where=str(path)) from None


def _folders(result: Replay) -> tuple[str, ...]:
    """The folders of this machine that the run's texts may name: the clip's, where it was given in full, and those of
    the outputs."""
    paths = [path for path in (result.outputs.report, result.outputs.video, result.outputs.ledger) if path is not None]
    if not is_camera(result.clip):
        paths.append(Path(result.clip))
    parents = {path.parent for path in paths if path.is_absolute()}
    return tuple(sorted((f"{parent}{os.sep}" for parent in parents if parent != parent.parent), key=len, reverse=True))


def _without(folders: Sequence[str], text: str) -> str:
    for folder in folders:
        text = text.replace(folder, "")
    return text


def _seen(finding: Finding) -> Seen:
    return Seen(
        name=finding.name,
        declared=in_words(finding.declared),
        seen=several_in_words(finding.seen) if finding.seen else "",
        verdict=finding.verdict,
        confidence=finding.confidence,
        consequence=finding.consequence,
        evidence=finding.evidence,
    )


def _lifted(lifted_by: Sequence[str | list[str]]) -> tuple[str | tuple[str, ...], ...]:
    return tuple(tuple(item) if isinstance(item, list) else item for item in lifted_by)
