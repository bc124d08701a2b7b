"""A calibration from clips to a proposal."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

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
        most_frames: looks at no more; the same number of each clip, from its beginning.
        sheet: collects the faces that only one detector saw.
        progress: called with the number of frames done, and how many there are at most.

    Raises `SourceError` where no clip can be read.
    """
    sizes = sorted({*_SIZES, min_face_px}, reverse=True)
    scores = sorted({*_SCORES, face_score}, reverse=True)
    tally = _Tally(detector, second, sizes, scores, smallest_px)
    broken: list[str] = []
    each = max(1, most_frames // max(1, len(clips)))
    for clip in clips:
        try:
            for frame in _first(sampled(clip, every_s), each):
                disagreed = tally.look(frame, str(clip), (min_face_px, face_score))
                if sheet is not None:
                    sheet.add(frame.image, disagreed)
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

    def look(self, frame: Frame, clip: str, current: tuple[int, float]) -> list[Sighting]:
        """Looks at a frame under every setting; gives the faces that only one detector saw under the current one."""
        stretch = (clip, int(frame.seconds // _STRETCH_S))
        seen = self._second.detect(frame.image, face_score=_SECOND_SCORE)
        disagreed: list[Sighting] = []
        for size in self._sizes:
            start = time.perf_counter()
            lowest = self._detector.detect(frame.image, min_face_px=size, face_score=self._scores[-1])
            self._took_s[size].append(time.perf_counter() - start)
            for score in self._scores:
                # Those of a higher threshold are the first of a lower one: best scores come first.
                number = int((lowest.scores >= score).sum())
                found = sightings(Faces(lowest.boxes[:number].copy(), lowest.scores[:number].copy()), seen)
                found = [each for each in found if each.width >= self._smallest_px]
                stretches = self._counts[size, score]
                stretches[stretch] = stretches.get(stretch, Counts()) + _counted(found)
                if (size, score) == current:
                    disagreed = [each for each in found if each.first is None or each.second is None]
        self.frames += 1
        return disagreed

    def settings(self) -> list[Setting]:
        """Every setting, the cheapest first: larger faces, then higher thresholds."""
        return [
            Setting(size, score, list(self._counts[size, score].values()), 1000 * statistics.median(self._took_s[size]))
            for size in self._sizes
            for score in self._scores
        ]


def _counted(found: list[Sighting]) -> Counts:
    first = sum(each.second is None for each in found)
    second = sum(each.first is None for each in found)
    return Counts(len(found) - first - second, first, second, 1)


def _first(frames: Iterator[Frame], number: int) -> Iterator[Frame]:
    for count, frame in enumerate(frames, 1):
        yield frame
        if count >= number:
            return
