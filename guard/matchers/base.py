"""The seam: a matcher is an object with one method, `search`. The stand-in does nothing but count."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from guard.errors import ConfigError

__all__ = ["Counting", "Match", "Matcher", "open_matcher"]


@dataclass(frozen=True, slots=True)
class Match:
    """A person of the gallery, found in a picture.

    Attributes:
        name: as the gallery has it.
        score: how near the probe is to the reference, in the matcher's own measure (see its class).
        box: xyxy in pixels of the picture searched.
    """

    name: str
    score: float
    box: tuple[float, float, float, float]


class Matcher(Protocol):
    """Identification (1:N): whom of its gallery a picture shows."""

    @property
    def name(self) -> str:
        """As in `guard replay --matcher`."""

    @property
    def service(self) -> str:
        """The service of the vocabulary that a call to it is."""

    @property
    def reached(self) -> int:
        """How many calls arrived, counted at this end."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the user should know of the gallery, one line each."""

    def search(self, picture: NDArray[Any]) -> list[Match]:
        """The people of the gallery in `picture`, H x W x 3 uint8 BGR. Raises `SourceError` where it cannot
        be done.
        """


class Counting:
    """The stand-in: counts that it was reached and finds nobody."""

    name = "counting"
    service = "self_hosted"
    warnings: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.reached = 0

    def search(self, picture: NDArray[Any]) -> list[Match]:
        """Counts. Nothing looks at the picture."""
        self.reached += 1
        return []


def open_matcher(name: str | None, *, gallery: Path | None = None, model: Path | None = None) -> Matcher:
    """The matcher of that name; the stand-in for None.

    Raises `ConfigError` for an unknown name, `MissingDependency` (a `ConfigError`) with the ``pip install``
    line where its libraries are absent, and `SourceError` where its gallery or its model cannot be used.
    """
    if name is None:
        return Counting()
    if name == "face_recognition":
        from guard.matchers.face_recognition import FaceRecognition

        return FaceRecognition(gallery)
    if name == "sface":
        from guard.matchers.sface import SFace

        return SFace(gallery, model)
    raise ConfigError(f"no matcher is called {name!r}", where="--matcher", mend="known are face_recognition, sface")
