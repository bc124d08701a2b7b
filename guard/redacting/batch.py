"""Whole folders of clips and pictures, one after the other. One that cannot be redacted never stops the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from guard.errors import GuardError, SourceError
from guard.redacting.clip import Redacted, Redaction, redact_clip
from guard.redacting.still import redact_picture
from guard.replay.suffixes import PICTURES, VIDEOS

if TYPE_CHECKING:
    from guard.replay.stopping import Stop
    from guard.vision import Detector

__all__ = ["redact_all", "targets"]


def targets(paths: list[Path], out: Path) -> list[tuple[Path, Path]]:
    """Which clip or picture becomes which file.

    One file becomes `out`, or lies in it where `out` is a folder. Folders are searched for videos and pictures; each
    keeps its place below `out`, a video as an MP4. A folder of nothing but pictures is one clip where `out` is an MP4.

    Raises `SourceError` where there is nothing to redact, where two would become the same file, or one would overwrite
    what is to be read.
    """
    if len(paths) == 1 and out.suffix and not out.is_dir():
        return _checked([(paths[0], out)])
    found = []
    for path in paths:
        if not path.is_dir():
            found.append((path, out / _name_of(path)))
            continue
        made = out.resolve()  # copies of an earlier run are no originals, however either folder was named
        inside = sorted(
            file for file in path.rglob("*") if _is_wanted(file) and not file.resolve().is_relative_to(made)
        )
        found += [(file, out / file.relative_to(path).parent / _name_of(file)) for file in inside]
    return _checked(found)


def redact_all(
    pairs: list[tuple[Path, Path]],
    redaction: Redaction,
    *,
    detector: Detector,
    overwrite: bool = False,
    progress: Callable[[int, float], None] | None = None,
    stop: Stop | None = None,
) -> Iterator[Redacted | GuardError]:
    """Redacts each file of `targets`, and gives what came of it, or why it could not be redacted.

    Args:
        pairs: what is read and what is written, see `targets`.
        redaction, detector, stop: as for `redact_clip`.
        overwrite: whether a file that is there already is made again; otherwise it is left, and an error says so.
        progress: called with the number of the file and the part of it that is done.
    """
    for number, (source, out) in enumerate(pairs):
        if out.exists() and not overwrite:
            yield SourceError("there is a file already", where=str(out), mend="add --overwrite to make it again")
            continue
        if stop is not None and stop.asked:
            raise KeyboardInterrupt
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            if _is_picture(out):
                yield redact_picture(source, out, redaction, detector=detector)
            else:
                tell = None if progress is None else _told(progress, number)
                yield redact_clip(source, out, redaction, detector=detector, progress=tell, stop=stop)
        except GuardError as error:
            yield error
        except OSError as error:
            yield SourceError(f"it cannot be written: {error.strerror}", where=str(out), mend="name another --out")
        if progress is not None:
            progress(number, 1.0)


def _told(progress: Callable[[int, float], None], number: int) -> Callable[[float], None]:
    return lambda part: progress(number, part)


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in PICTURES


def _is_wanted(file: Path) -> bool:
    known = file.suffix.lower() in VIDEOS or _is_picture(file)
    return known and not file.name.startswith(".") and file.is_file()


def _name_of(path: Path) -> str:
    return path.name if _is_picture(path) else f"{path.stem}.mp4"


def _checked(pairs: list[tuple[Path, Path]]) -> list[tuple[Path, Path]]:
    if not pairs:
        raise SourceError("there is nothing to redact", mend="name a video, a picture, or a folder of them")
    read = {source.resolve() for source, _ in pairs}
    made: dict[Path, Path] = {}
    for source, out in pairs:
        _check_kind(source, out)
        if out.resolve() in read:
            raise SourceError(
                "a file would be overwritten by its redacted copy", where=str(out), mend="name another --out"
            )
        if out in made:
            raise SourceError(
                f"{made[out]} and {source} would become the same file", where=str(out), mend="redact them one by one"
            )
        made[out] = source
    return pairs


def _check_kind(source: Path, out: Path) -> None:
    if _is_picture(source) and not source.is_dir():
        if out.suffix.lower() != source.suffix.lower():
            raise SourceError(
                "a redacted picture keeps its format", where=str(out), mend=f"let its name end in {source.suffix}"
            )
        return
    if out.suffix.lower() != ".mp4":
        raise SourceError("the redacted video is an MP4", where=str(out), mend="let its name end in .mp4")
    if source.is_dir() and any(file.suffix.lower() in VIDEOS for file in source.rglob("*")):
        raise SourceError("a folder of videos becomes a folder", where=str(out), mend="name a folder with --out")
