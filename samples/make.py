"""Make the sample clips again: ``python samples/make.py [bodycam dashcam office road] [--stills DIR]``.

Needs NumPy, OpenCV, PyAV and scikit-image (for its pictures); ``pip install -e '.[dev]'`` has them all. With the
same OpenCV the frames are the same every time (4 and 5 draw letters differently), with the same PyAV the bytes of a
clip too.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pictures
import scenes

HERE = Path(__file__).parent
AUDIO_HZ = 16_000


@dataclass(frozen=True)
class Clip:
    """How one scene becomes a file."""

    film: scenes.Film
    frames: Callable[[], Iterator[scenes.Picture]]
    crf: int
    metadata: dict[str, str] = field(default_factory=dict)
    audio: bool = False


CLIPS = {
    "bodycam": Clip(
        scenes.BODYCAM,
        scenes.bodycam,
        crf=25,
        audio=True,
        metadata={
            "creation_time": "2026-10-05T18:02:11.000000Z",
            "com.apple.quicktime.make": "frguard samples",
            "com.apple.quicktime.model": "rendered, no camera",
        },
    ),
    "dashcam": Clip(scenes.DASHCAM, scenes.dashcam, crf=27, metadata={"creation_time": "2026-10-05T07:41:30.000000Z"}),
    "office": Clip(scenes.OFFICE, scenes.office, crf=23),
    "road": Clip(scenes.ROAD, scenes.road, crf=25),
}


def encode(path: Path, clip: Clip, frames: Iterator[scenes.Picture]) -> None:
    """H.264 in MP4 that a browser plays from the start; one thread, so that the same frames give the same bytes."""
    options = {"movflags": "+faststart+use_metadata_tags", "fflags": "+bitexact"}
    with av.open(str(path), "w", container_options=options) as container:
        container.metadata.update(clip.metadata)
        video = container.add_stream("libx264", rate=clip.film.fps)
        video.width, video.height, video.pix_fmt = clip.film.width, clip.film.height, "yuv420p"
        video.options = {"crf": str(clip.crf), "preset": "slow", "threads": "1", "flags": "+bitexact"}
        sound = container.add_stream("aac", rate=AUDIO_HZ, layout="mono") if clip.audio else None
        if sound is not None:
            sound.bit_rate = 24_000
        for number, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
            frame.pts, frame.time_base = number, Fraction(1, clip.film.fps)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if sound is not None:
            for start, block in enumerate(_tone(clip.film.seconds)):
                audio = av.AudioFrame.from_ndarray(block[None], format="fltp", layout="mono")
                audio.sample_rate, audio.pts = AUDIO_HZ, start * len(block)
                audio.time_base = Fraction(1, AUDIO_HZ)
                container.mux(sound.encode(audio))
            container.mux(sound.encode(None))


def _tone(seconds: float) -> Iterator[np.ndarray]:
    """A quiet tone with the recorder's beep at each full two seconds, in blocks of 1,024 samples."""
    time_s = np.arange(int(seconds * AUDIO_HZ) // 1024 * 1024) / AUDIO_HZ
    hum = 0.05 * np.sin(2 * np.pi * 110 * time_s)
    beep = 0.2 * np.sin(2 * np.pi * 880 * time_s) * (time_s % 2 < 0.12)
    yield from (hum + beep).astype(np.float32).reshape(-1, 1024)


def main(arguments: list[str]) -> None:
    """Make the clips that were named, or all, and the office's gallery."""
    parser = argparse.ArgumentParser(description="Make the sample clips again.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(CLIPS)}; all if none is given")
    parser.add_argument("--stills", type=Path, help="also write every tenth frame as PNG into this folder")
    options = parser.parse_args(arguments)
    if unknown := set(options.names) - CLIPS.keys():
        parser.error(f"no such clip: {', '.join(sorted(unknown))}; there are {', '.join(CLIPS)}")
    for name in options.names or CLIPS:
        clip = CLIPS[name]
        path = HERE / name / "clip.mp4"
        path.parent.mkdir(exist_ok=True)
        encode(path, clip, _kept(clip.frames(), options.stills, name))
        print(f"{path.relative_to(HERE.parent)}: {path.stat().st_size / 1e6:.2f} MB", file=sys.stderr)
    gallery = HERE / "office" / "gallery"
    gallery.mkdir(exist_ok=True)
    cv2.imwrite(str(gallery / "staff-01.png"), pictures.enrolment(), [cv2.IMWRITE_PNG_COMPRESSION, 9])


def _kept(frames: Iterator[scenes.Picture], folder: Path | None, name: str) -> Iterator[scenes.Picture]:
    for number, frame in enumerate(frames):
        if folder is not None and number % 10 == 0:
            folder.mkdir(exist_ok=True)
            cv2.imwrite(str(folder / f"{name}-{number:03d}.png"), frame)
        yield frame


if __name__ == "__main__":
    main(sys.argv[1:])
