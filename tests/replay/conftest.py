"""Clips made on the spot: small, moving, with whatever property a test asks for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import guard
from guard.matchers import Counting, Match
from guard.replay.clip import open_clip
from guard.replay.result import Replay
from guard.replay.run import replay
from guard.report import write_report
from guard.testing import FakeDetector
from tests.conftest import BOX, OFFICE, POLICE

__all__ = ["BOX", "OFFICE", "POLICE"]


@pytest.fixture(autouse=True)
def without_charts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A chart takes longer than the replays of these tests; the test of the chart draws one."""
    monkeypatch.setattr("guard.report.cost.available", lambda: False)


MakeClip = Callable[..., Path]


def shade(index: int) -> int:
    """The grey of frame `index`, far enough from its neighbours' to survive compression."""
    return 20 + 37 * index % 220


def picture_of(index: int, width: int, height: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """A frame whose left half is its shade and whose upper right quarter is white: which way is up can be seen."""
    picture = np.full((height, width, 3), shade(index), np.uint8)
    picture[:, width // 2 :] = 0
    picture[: height // 2, width // 2 :] = 255
    return picture


def write_clip(
    path: Path,
    *,
    frames: int = 12,
    size: tuple[int, int] = (160, 120),
    rate: int = 25,
    pts: Sequence[int] | None = None,
    time_base: Fraction | None = None,
    sound: str | None = None,
    options: dict[str, str] | None = None,
    metadata: dict[str, str] | None = None,
    codec: str = "libx264",
) -> Path:
    """Writes a clip of `frames` pictures; `pts` in units of `time_base`; `sound` names a codec for a tone beside it."""
    with av.open(str(path), "w", options=options or {}) as output:
        output.metadata.update(metadata or {})
        video = output.add_stream(codec, rate=rate)
        video.width, video.height = size
        video.pix_fmt = "yuv420p" if size[0] % 2 == size[1] % 2 == 0 else "yuv444p"
        if time_base is not None:
            video.codec_context.time_base = time_base
        audio = output.add_stream(sound, rate=48000, layout="mono") if sound else None
        for index in range(frames):
            picture = av.VideoFrame.from_ndarray(picture_of(index, *size), format="bgr24")
            if pts is not None:
                picture.pts, picture.time_base = pts[index], time_base
            output.mux(video.encode(picture))
        output.mux(video.encode(None))
        if audio is not None:
            tone = np.sin(np.arange(48000 * frames // rate) / 20).astype(np.float32)[None] * 0.3
            piece = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
            piece.rate = 48000
            for part in av.AudioResampler(audio.codec_context.format.name, "mono", 48000).resample(piece):
                part.pts = None
                output.mux(audio.encode(part))
            output.mux(audio.encode(None))
    return path


TURNS = {0: (1, 0, 0, 1), 90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0), "mirrored": (-1, 0, 0, 1)}
"""The matrix that turns the stored picture clockwise by so many degrees for display, signs of (a, b, c, d)."""


def turn_clip(path: Path, turn: int | str) -> None:
    """Changes an MP4's display matrix (ISO/IEC 14496-12 section 8.3.2, version 0), in place."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 4 + 20 + 8 + 8
    a, b, c, d = (sign << 16 for sign in TURNS[turn])
    for offset, value in ((0, a), (4, b), (12, c), (16, d)):
        data[at + offset : at + offset + 4] = value.to_bytes(4, "big", signed=True)
    path.write_bytes(data)


@pytest.fixture
def make_clip(tmp_path: Path) -> MakeClip:
    """`write_clip` into the test's own folder; the first argument is the file's name."""

    def make(name: str = "clip.mp4", **options: Any) -> Path:
        return write_clip(tmp_path / name, **options)

    return make


class Recognising(Counting):
    """A matcher that recognises the same person in every picture, and keeps the pictures that reached it."""

    def __init__(self) -> None:
        super().__init__()
        self.pictures: list[Any] = []

    def search(self, picture: Any) -> list[Match]:
        super().search(picture)
        self.pictures.append(picture)
        return [Match("alice", 0.1, (40.0, 30.0, 80.0, 80.0))]


@pytest.fixture
def run(tmp_path: Path, make_guard: Callable[..., guard.Guard]) -> Callable[..., Replay]:
    """Replays a clip with a guard made from TOML; the detector sees one face at BOX unless told otherwise."""

    def go(clip: Path | str | Any, text: str = POLICE, **options: Any) -> Replay:
        made = options.pop("guard", None) or make_guard(text, detector=options.pop("detector", FakeDetector([BOX])))
        out = tmp_path / "out"
        out.mkdir(exist_ok=True)
        options.setdefault("action", "identify")
        options.setdefault("service", "azure_openai")
        options.setdefault("matcher", Counting())
        opened = open_clip(clip) if isinstance(clip, (str, Path)) else clip
        result = replay(opened, made, made.source(), out=out, **options)
        write_report(result)
        return result

    return go
