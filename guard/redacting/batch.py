"""Whole folders of clips, one after the other. One that cannot be redacted never stops the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from guard.errors import GuardError, SourceError
from guard.redacting.clip import Redacted, Redaction, redact_clip

if TYPE_CHECKING:
    from guard.replay.stopping import Stop
    from guard.vision import Detector

__all__ = ["VIDEOS", "redact_all", "targets"]

VIDEOS = frozenset(
    {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".3gp", ".wmv"}
)


def targets(paths: list[Path], out: Path) -> list[tuple[Path, Path]]:
    """Which clip becomes which file.

    One file becomes `out`, or lies in it where `out` is a folder. Folders are searched for videos; each keeps its place
    below `out`. A folder of pictures without a video is one clip.

    Raises `SourceError` where there is nothing to redact, where two clips would become the same file, or one would
    overwrite what is to be read.
    """
    if len(paths) == 1 and not _holds_videos(paths[0]):
        into = out / f"{paths[0].stem}.mp4" if out.is_dir() or not out.suffix else out
        return _checked([(paths[0], into)])
    found = []
    for path in paths:
        if not _holds_videos(path):
            found.append((path, out / f"{path.stem}.mp4"))
            continue
        inside = sorted(clip for clip in path.rglob("*") if clip.suffix.lower() in VIDEOS and clip.is_file())
        found += [
            (clip, (out / clip.relative_to(path)).with_suffix(".mp4"))
            for clip in inside
            if not clip.is_relative_to(out)
        ]
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
    """Redacts each clip of `targets`, and gives what came of it, or why it could not be redacted.

    Args:
        pairs: clip and file, see `targets`.
        redaction, detector, stop: as for `redact_clip`.
        overwrite: whether a file that is there already is made again; otherwise it is left, and an error says so.
        progress: called with the number of the clip and the part of it that is done.
    """
    for number, (clip, out) in enumerate(pairs):
        if out.exists() and not overwrite:
            yield SourceError("there is a file already", where=str(out), mend="add --overwrite to make it again")
            continue
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            tell = None if progress is None else _told(progress, number)
            yield redact_clip(clip, out, redaction, detector=detector, progress=tell, stop=stop)
        except GuardError as error:
            yield error
        except OSError as error:
            yield SourceError(f"it cannot be written: {error.strerror}", where=str(out), mend="name another --out")


def _told(progress: Callable[[int, float], None], number: int) -> Callable[[float], None]:
    return lambda part: progress(number, part)


def _holds_videos(path: Path) -> bool:
    return path.is_dir() and any(clip.suffix.lower() in VIDEOS for clip in path.rglob("*"))


def _checked(pairs: list[tuple[Path, Path]]) -> list[tuple[Path, Path]]:
    if not pairs:
        raise SourceError("there is nothing to redact", mend="name a video, or a folder of videos or pictures")
    made: dict[Path, Path] = {}
    for clip, out in pairs:
        if out.suffix.lower() != ".mp4":
            raise SourceError("the redacted video is an MP4", where=str(out), mend="let its name end in .mp4")
        if out.resolve() in {other.resolve() for other, _ in pairs}:
            raise SourceError(
                "a clip would be overwritten by a redacted one", where=str(out), mend="name another --out"
            )
        if out in made:
            raise SourceError(
                f"{made[out]} and {clip} would become the same file", where=str(out), mend="redact them one by one"
            )
        made[out] = clip
    return pairs
