"""A calibration from clips to a proposal."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from guard.calibration.comparing import Second, Sighting, sampled, sightings
from guard.calibration.estimating import Counts
from guard.calibration.result import Calibration, Setting
from guard.calibration.sheet import Sheet
from guard.errors import SourceError
from guard.facts import Faces
from guard.vision.operating_point import FACE_SCORE, MIN_FACE_PX

if TYPE_CHECKING:
    from guard.replay.clip import Frame
    from guard.vision import Detector

__all__ = ["calibrate"]

_SIZES = (64, 48, 40, 32, 24, 20, 16)
_SCORES = (0.7, 0.6, 0.5, 0.4, 0.3)
_SECOND_SCORE = 0.5
_STRETCH_S = 10.0


def calibrate(
    clips: Sequence[Path],
    detector: Detector,
    second: Second,
    *,
    min_face_px: int = MIN_FACE_PX,
    face_score: float = FACE_SCORE,
    smallest_px: float = 20.0,
    target: float = 0.95,
    every_s: float = 0.5,
    most_frames: int = 600,
    sheet: Sheet | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Calibration:
    """Holds `detector` against `second` on frames of `clips`.

    Args:
        clips: videos or folders of pictures of the footage that the detector is for.
        min_face_px, face_score: the setting in use.
        smallest_px: width in pixels from which on a face counts.
        target: the recall that is wanted, as a share of what the second detector sees.
        every_s: seconds from one frame that is looked at to the next.
        most_frames: looks at no more; the same number of each clip, from its beginning. Where there are more clips than
            that, one frame of so many of them, spread evenly.
        sheet: collects the faces that only one detector saw.
        progress: called with the number of frames done, and how many there are at most.

    A clip that cannot be read, or whose pictures are too large for the smallest faces, is listed and stops nothing.
    Raises `SourceError` where none can be read, and `GuardFault` where a detector fails.
    """
    clips = _spread(clips, most_frames)
    sizes = sorted({*_SIZES, min_face_px}, reverse=True)
    scores = sorted({*_SCORES, face_score}, reverse=True)
    tally = _Tally(detector, second, sizes, scores, smallest_px)
    broken: list[str] = []
    each = max(1, most_frames // max(1, len(clips)))
    for clip in clips:
        try:
            for frame in _first(sampled(clip, every_s), each):
                disagreed, everybody = tally.look(frame, str(clip), (min_face_px, face_score))
                if sheet is not None:
                    sheet.add(frame.image, disagreed, everybody)
                if progress is not None:
                    progress(tally.frames, each * len(clips))
        except SourceError as error:
            broken.append(" ".join(str(error).split()))
    if not tally.frames:
        raise SourceError("no clip can be read", mend=broken[0] if broken else "name a video")
    tried = tally.settings()
    return Calibration(
        clips=len(clips) - len(broken),
        frames=tally.frames,
        every_s=every_s,
        second=second.name,
        smallest_px=smallest_px,
        target=target,
        current=next(each for each in tried if (each.min_face_px, each.face_score) == (min_face_px, face_score)),
        tried=tried,
        proposed=next((each for each in tried if (each.counts.recall or 0.0) >= target), None),
        broken=broken,
        sheet=None if sheet is None else sheet.write(),
    )


class _Tally:
    """Counts, for every setting and every stretch of ten seconds of a clip."""

    def __init__(
        self, detector: Detector, second: Second, sizes: list[int], scores: list[float], smallest_px: float
    ) -> None:
        self.frames = 0
        self._detector, self._second = detector, second
        self._sizes, self._scores, self._smallest_px = sizes, scores, smallest_px
        self._counts: dict[tuple[int, float], dict[tuple[str, int], Counts]] = {
            (size, score): {} for size in sizes for score in scores
        }
        self._took_s: dict[int, list[float]] = {size: [] for size in sizes}

    def look(self, frame: Frame, clip: str, current: tuple[int, float]) -> tuple[list[Sighting], Faces]:
        """Looks at a frame under every setting.

        Gives the faces that only one detector saw under the current one, and all that any saw under any. Raises what
        the detectors do, with nothing counted of the frame.
        """
        stretch = (clip, int(frame.seconds // _STRETCH_S))
        seen = self._second.detect(frame.image, face_score=_SECOND_SCORE)
        took_s: dict[int, float] = {}
        lowest: dict[int, Faces] = {}
        for size in self._sizes:
            start = time.perf_counter()
            lowest[size] = self._detector.detect(frame.image, min_face_px=size, face_score=self._scores[-1])
            took_s[size] = time.perf_counter() - start
        disagreed: list[Sighting] = []
        for size, score in self._counts:
            found = sightings(_at_least(lowest[size], score), seen)
            found = [each for each in found if each.width >= self._smallest_px]
            stretches = self._counts[size, score]
            stretches[stretch] = stretches.get(stretch, Counts()) + _counted(found)
            if (size, score) == current:
                disagreed = [each for each in found if each.alone is not None]
        for size in self._sizes:
            self._took_s[size].append(took_s[size])
        self.frames += 1
        return disagreed, _together([seen, *lowest.values()])

    def settings(self) -> list[Setting]:
        """Every setting, the cheapest first: larger faces, then higher thresholds."""
        return [
            Setting(size, score, list(self._counts[size, score].values()), 1000 * statistics.median(self._took_s[size]))
            for size in self._sizes
            for score in self._scores
        ]


def _spread(clips: Sequence[Path], most: int) -> Sequence[Path]:
    """At most so many of them, evenly spread."""
    return clips if len(clips) <= most else [clips[number * len(clips) // most] for number in range(most)]


def _at_least(faces: Faces, score: float) -> Faces:
    """Those of a higher threshold are the first of a lower one: best scores come first."""
    number = int((faces.scores >= score).sum())
    return Faces(faces.boxes[:number].copy(), faces.scores[:number].copy())


def _together(several: Sequence[Faces]) -> Faces:
    return Faces(np.concatenate([each.boxes for each in several]), np.concatenate([each.scores for each in several]))


def _counted(found: list[Sighting]) -> Counts:
    """Of one frame."""
    first = sum(each.alone == "first" for each in found)
    second = sum(each.alone == "second" for each in found)
    return Counts(len(found) - first - second, first, second, 1)


def _first(frames: Iterator[Frame], number: int) -> Iterator[Frame]:
    for count, frame in enumerate(frames, 1):
        yield frame
        if count >= number:
            return
