"""What `detect = "on-change"` saves on a fixed feed, and how much later it finds a face.

Usage: python benchmarks/skipping.py [cost] [clips] [delay] [--out benchmarks/results]

`cost` runs two hooks by turns on the same frames, one that detects every frame and one that looks where the picture
changed: the office sample at 1920x1080 and 24 frames a second, with sensor noise, in which one person passes. `clips`
does the same on the fixed clips of ../shared/eval, which cannot be redistributed, and `delay` tells for each face that
is labelled there the first frame in which either finds it. Times are those of the processor.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

import guard
from guard.bench.running import machine
from guard.config.reading import MAX_STALE_S
from guard.facts import Faces
from guard.testing import MemoryLedger
from guard.vision import Detector
from guard.vision.gating import ChangeGatedDetector

ROOT = Path(__file__).resolve().parents[1]
CLIPS = ROOT.parent / "shared" / "eval" / "clips"
OFFICE = ROOT / "samples" / "office" / "clip.mp4"
FIXED = ("03_fixed_street_crowd.mp4", "06_indoor_corridor_camera.mp4", "08_fixed_indoor_backs_no_face.mp4")
SIZE = (1920, 1080)
NOISE = 2.0
"""Standard deviation of the sensor noise in grey levels."""
STILL_S, AS_IF = 12, 4
"""Seconds in which nobody is there, and how often they count, so that a run is short."""
LINKED, HIT = 0.3, 0.4
"""Intersection over union from which two labels are one face, and a box is a hit."""
GAP_S = 0.5

Picture = np.ndarray[Any, np.dtype[np.uint8]]
Box = tuple[float, ...]

CONFIG = "".join(
    f"""
[[source]]
id = "{detect}"
detect = "{detect}"
camera = {{ frozen_s = 86400 }}
capture = {{ mount = "fixed" }}
"""
    for detect in ("every-frame", "on-change")
)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("parts", nargs="*", choices=["cost", "clips", "delay", []], help="all where none is named")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results", help="folder of the JSON")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    path = options.out / "skipping.json"
    results: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    results["machine"] = machine()
    for part in options.parts or ("cost", "clips", "delay"):
        print(f"\n## {part}")
        results[part] = {"cost": cost, "clips": clips, "delay": delay}[part]()
    options.out.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=1) + "\n")


def frames(path: Path, size: tuple[int, int] | None = None) -> Iterator[tuple[float, Picture]]:
    """The instants in seconds and the pictures of a clip, scaled to `size`."""
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            picture = frame.to_ndarray(format="bgr24")
            yield (
                frame.time or 0.0,
                picture if size is None else cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC),
            )


# Cost.


def cost() -> list[dict[str, Any]]:
    """Both hooks by turns on the made feed: of all of it, and of either part."""
    still, passing = Times("office, nobody there"), Times("office, a person passes")
    with _loaded() as guarded:
        _run(guarded, _made_feed(), lambda index: still if index < STILL_S * RATE else passing)
    return _shown([still.joined(passing, "office, a person passes in 8 s of 56"), still, passing])


def clips() -> list[dict[str, Any]]:
    """Both hooks by turns on clips of fixed cameras, full of people."""
    rows = []
    for name in FIXED:
        if (CLIPS / name).is_file():
            rows.append(Times(f"{name}, scaled to 1080p"))
            with _loaded() as guarded:
                _run(guarded, frames(CLIPS / name, SIZE), lambda _: rows[-1])
        else:
            print(f"skipped: no {name} in ../shared/eval/clips")
    return _shown(rows)


@contextmanager
def _loaded() -> Iterator[guard.Guard]:
    with tempfile.TemporaryDirectory(prefix="guard-skipping-") as folder:
        config = Path(folder) / "guard.toml"
        config.write_text(CONFIG)
        with guard.load(config, ledger=MemoryLedger()) as loaded:
            yield loaded


def _shown(rows: list[Times]) -> list[dict[str, Any]]:
    print(
        "| feed | frames | every frame: mean, p50 | on change: mean, p50 | mean / mean | p50 / p50 |\n"
        + "|---" * 6
        + "|"
    )
    for row in rows:
        print(row.line())
    return [row.to_json() for row in rows]


@dataclass(slots=True)
class Times:
    """Microseconds of the processor that either hook needs, frame by frame: others at work hardly change them."""

    feed: str
    every: list[float] = field(default_factory=list)
    gated: list[float] = field(default_factory=list)

    def joined(self, other: Times, feed: str) -> Times:
        """These, as often as `AS_IF` says, and the other's."""
        return Times(feed, [*self.every * AS_IF, *other.every], [*self.gated * AS_IF, *other.gated])

    def to_json(self) -> dict[str, Any]:
        every, gated = ((statistics.fmean(each), statistics.median(each)) for each in (self.every, self.gated))
        return {
            "feed": self.feed,
            "frames": len(self.every),
            "every_frame_us": {"mean": round(every[0]), "p50": round(every[1])},
            "on_change_us": {"mean": round(gated[0]), "p50": round(gated[1])},
            "mean_ratio": round(gated[0] / every[0], 3),
            "p50_ratio": round(gated[1] / every[1], 3),
        }

    def line(self) -> str:
        row = self.to_json()
        times = [
            f"{row[name]['mean'] / 1000:.2f}, {row[name]['p50'] / 1000:.2f} ms"
            for name in ("every_frame_us", "on_change_us")
        ]
        return f"| {row['feed']} | {row['frames']} | {' | '.join(times)} | {row['mean_ratio']} | {row['p50_ratio']} |"


def _run(loaded: guard.Guard, feed: Iterator[tuple[float, Picture]], times_of: Callable[[int], Times]) -> None:
    every, gated = (loaded.source(name) for name in ("every-frame", "on-change"))
    for index, (at_s, picture) in enumerate(feed):
        times = times_of(index)
        turns = [(every, times.every), (gated, times.gated)]
        for source, samples in turns if index % 2 else reversed(turns):
            source.watch.clip_s = at_s
            start = time.thread_time_ns()
            with source.frame(picture) as seen:
                len(seen.faces)
            samples.append((time.thread_time_ns() - start) / 1000)


RATE = 24
"""Frames a second: twice the sample's, with a mixture of its neighbours between two of its frames."""


def _made_feed() -> Iterator[tuple[float, Picture]]:
    """The office while nobody is there, then its clip, in which a person comes and goes."""
    pictures = list(_doubled([picture for _, picture in frames(OFFICE, SIZE)]))
    random = np.random.default_rng(20240501)
    noise = [np.rint(random.normal(0, NOISE, (*SIZE[::-1], 3))).astype(np.int16) for _ in range(6)]
    for index in range(STILL_S * RATE + len(pictures)):
        picture = pictures[max(0, index - STILL_S * RATE)]
        shift = np.roll(noise[int(random.integers(len(noise)))], int(random.integers(SIZE[1])), axis=0)
        yield index / RATE, np.asarray(cv2.add(picture, shift, dtype=cv2.CV_8U), np.uint8)


def _doubled(pictures: list[Picture]) -> Iterator[Picture]:
    for picture, following in itertools.pairwise([*pictures, pictures[-1]]):
        yield picture
        yield np.asarray(cv2.addWeighted(picture, 0.5, following, 0.5, 0.0), np.uint8)


# Delay.


def delay() -> list[dict[str, Any]]:
    """For every labelled face of every clip: how many seconds later it is found than by detecting every frame."""
    if not (CLIPS / "detections.json").is_file():
        print("skipped: no labelled clips at ../shared/eval/clips")
        return []
    labels = json.loads((CLIPS / "detections.json").read_text())
    print(f"min_face_px 16, a full pass every {MAX_STALE_S:g} s at the latest")
    print(
        "| clip | labelled faces | found by every frame | by on-change | later | latest by | "
        "labels hit: every frame | on-change |\n" + "|---" * 8 + "|"
    )
    rows = [_delays(name, clip) for name, clip in labels.items()]
    for row in rows:
        print("| " + " | ".join(str(value) for value in row.values()) + " |")
    return rows


@dataclass(slots=True)
class Track:
    """One labelled face: its boxes by frame, and when either way found it first, in seconds."""

    boxes: dict[int, Box]
    last_s: float
    first_s: dict[str, float] = field(default_factory=dict)
    hits: dict[str, int] = field(default_factory=lambda: {"every": 0, "gated": 0})


def _delays(name: str, labels: dict[str, Any]) -> dict[str, Any]:
    detector = Detector()

    def find(picture: Picture) -> Faces:
        return detector.detect(picture, min_face_px=16)

    gated = ChangeGatedDetector(find, min_face_px=16, max_stale_s=MAX_STALE_S)
    tracks = _tracks(labels["per_frame"], labels["fps"])
    for index, (_, picture) in enumerate(frames(CLIPS / name)):
        at_s = index / labels["fps"]
        answers = {"every": find(picture), "gated": gated.look(picture, at_s)[0]}
        for track in tracks:
            box = track.boxes.get(index)
            for way, faces in answers.items():
                if box is not None and any(overlap(box, found) >= HIT for found in faces.boxes.tolist()):
                    track.first_s.setdefault(way, at_s)
                    track.hits[way] += 1
    late = [
        track.first_s.get("gated", track.last_s) - track.first_s["every"]
        for track in tracks
        if "every" in track.first_s
    ]
    boxes = sum(len(track.boxes) for track in tracks)
    return {
        "clip": name,
        "faces": len(tracks),
        "found_every_frame": len(late),
        "found_on_change": sum("gated" in track.first_s for track in tracks),
        "later": sum(each > 0 for each in late),
        "latest_s": round(max(late, default=0.0), 2),
        **{
            f"labels_hit_{way}": round(sum(track.hits[way] for track in tracks) / max(1, boxes), 3)
            for way in ("every", "gated")
        },
    }


def _tracks(per_frame: list[dict[str, Any]], fps: float) -> list[Track]:
    """The labels of a clip, linked from frame to frame."""
    tracks: list[Track] = []
    for frame in per_frame:
        index, at_s = frame["frame"], frame["frame"] / fps
        for x, y, width, height, _ in frame["agreed"]:
            box = (x, y, x + width, y + height)
            open_ones = [each for each in tracks if index not in each.boxes and at_s - each.last_s <= GAP_S]
            best = max(open_ones, key=lambda each: overlap(box, _last(each)), default=None)
            if best is None or overlap(box, _last(best)) < LINKED:
                best = Track({}, at_s)
                tracks.append(best)
            best.boxes[index], best.last_s = box, at_s
    return tracks


def _last(track: Track) -> Box:
    return track.boxes[max(track.boxes)]


def overlap(one: Box, other: Box) -> float:
    """Intersection over union of two boxes, left, top, right, bottom."""
    across = max(0.0, min(one[2], other[2]) - max(one[0], other[0]))
    down = max(0.0, min(one[3], other[3]) - max(one[1], other[1]))
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return across * down / (areas - across * down + 1e-9)


if __name__ == "__main__":
    main()
