"""Recall and false alarms over threshold and input size, by size of face; and what face memory adds on the clips.

Usage: python benchmarks/operating_point.py [curves] [memory] [--out benchmarks/results]

Needs ../shared/eval, which cannot be redistributed. The network runs once a picture and size at the lowest threshold;
the others are what is left of that, which is the same, as suppression goes from the best score down.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from guard.bench.running import machine
from guard.facts import Faces
from guard.vision import Detector
from guard.vision.memory import HOLD_S, FaceMemory

ROOT = Path(__file__).resolve().parents[1]
EVALUATION = ROOT.parent / "shared" / "eval"
MIN_FACE_PX = (16, 20, 24, 32, 48)
SCORES = (0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8)
HIT = 0.4
DEFAULT = (24, 0.4)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("parts", nargs="*", choices=["curves", "memory", []], help="both where none is named")
    parser.add_argument(
        "--out", type=Path, default=ROOT / "benchmarks" / "results", help="folder of the JSON and the plot"
    )
    options = parser.parse_args()
    if not (EVALUATION / "annotations.json").is_file():
        print("skipped: no labelled pictures at ../shared/eval")
        return
    cv2.setNumThreads(1)
    path = options.out / "operating_point.json"
    results: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    results["machine"] = machine()
    for part in options.parts or ("curves", "memory"):
        print(f"\n## {part}")
        results[part] = {"curves": curves, "memory": memory}[part]()
    options.out.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=1) + "\n")
    with contextlib.suppress(ImportError):
        plot(results["curves"], options.out / "operating_point.png")


def curves() -> list[dict[str, Any]]:
    sys.path.insert(0, str(EVALUATION))
    import score

    rows = []
    print("| min_face_px | face_score | by size of face | at min_face_px and more | 20 px and more | false alarms |")
    print("|---|---|---|---|---|---|")
    for min_face_px in MIN_FACE_PX:
        found = _found(min_face_px)
        for face_score in SCORES:
            seen = iter(found)

            def left(_: Any, seen: Iterator[Any] = seen, face_score: float = face_score) -> list[Any]:
                return [face for face in next(seen) if face[4] >= face_score]

            result = score.score(str(EVALUATION), left)
            rows.append(
                {
                    "min_face_px": min_face_px,
                    "face_score": face_score,
                    "recall": {size: round(each[2], 3) for size, each in result["recall"].items()},
                    "recall_at_min_face_px": _recall_from(min_face_px, found, face_score),
                    "recall_20px": result["recall_20px"],
                    "false_alarms_on_faceless": result["negatives"]["false_pos"],
                }
            )
            print("| " + " | ".join(str(cell) for cell in rows[-1].values()) + " |", flush=True)
    return rows


def _found(min_face_px: int) -> list[list[tuple[float, ...]]]:
    """Of each labelled picture, in their order: x, y, width, height, score of all that the lowest threshold gives."""
    detector = Detector()
    found = []
    for record in _records():
        picture = cv2.imread(str(EVALUATION / record["file"]))
        faces = detector.detect(picture, min_face_px=min_face_px, face_score=min(SCORES))
        found.append(
            [
                (x1, y1, x2 - x1, y2 - y1, float(s))
                for (x1, y1, x2, y2), s in zip(faces.boxes.tolist(), faces.scores, strict=True)
            ]
        )
    return found


def _records() -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = json.loads((EVALUATION / "annotations.json").read_text())
    return records


def _recall_from(min_face_px: int, found: list[list[tuple[float, ...]]], face_score: float) -> dict[str, Any]:
    """Of the labelled faces as wide as `min_face_px` and at most half as wide again: how many are found."""
    faces = hits = 0
    for record, boxes in zip(_records(), found, strict=True):
        wide = [face for face in record["faces"] if min_face_px <= face[2] < 1.5 * min_face_px]
        faces += len(wide)
        hits += sum(any(box[4] >= face_score and _overlap(face, box) >= HIT for box in boxes) for face in wide)
    return {"faces": faces, "recall": round(hits / max(1, faces), 3)}


def _overlap(one: Any, other: Any) -> float:
    """Intersection over union of two boxes x, y, width, height."""
    across = max(0.0, min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0]))
    down = max(0.0, min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1]))
    return across * down / (one[2] * one[3] + other[2] * other[3] - across * down + 1e-9)


def memory() -> list[dict[str, Any]]:
    """Of the labels on each clip: how many the detector hits, and how many are covered with face memory."""
    print(
        f"min_face_px 16, face_score 0.5, faces are held for {HOLD_S} s; hidden = half of the label or more is covered"
    )
    print("| clip | labels | hit by the detector | hidden by the detector | hidden with memory | frames |")
    print("|---|---|---|---|---|---|")
    rows = []
    labels = json.loads((EVALUATION / "clips" / "detections.json").read_text())
    for name, clip in labels.items():
        rows.append(_remembered(name, clip))
        print("| " + " | ".join(str(cell) for cell in rows[-1].values()) + " |", flush=True)
    return rows


def _remembered(name: str, clip: dict[str, Any]) -> dict[str, Any]:
    detector, kept = Detector(), FaceMemory((clip["width"], clip["height"]))
    counts = np.zeros(4, int)
    with av.open(str(EVALUATION / "clips" / name)) as container:
        for frame, decoded in zip(clip["per_frame"], container.decode(video=0), strict=False):
            faces = detector.detect(decoded.to_ndarray(format="bgr24"), min_face_px=16)
            hidden = kept.update(faces, frame["frame"] / clip["fps"])
            for x, y, width, height, _ in frame["agreed"]:
                label = np.array([x, y, x + width, y + height])
                hit = any(_overlap((x, y, width, height), _sides(box)) >= HIT for box in faces.boxes.tolist())
                counts += (1, hit, _covered(label, faces), _covered(label, hidden))
    number = max(1, int(counts[0]))
    shares = {
        key: round(int(count) / number, 3)
        for key, count in zip(("hit", "hidden_detector", "hidden_memory"), counts[1:], strict=True)
    }
    return {"clip": name, "labels": int(counts[0]), **shares, "frames": len(clip["per_frame"])}


def _sides(box: list[float]) -> tuple[float, ...]:
    return box[0], box[1], box[2] - box[0], box[3] - box[1]


def _covered(label: np.ndarray, faces: Faces) -> bool:
    shared = np.minimum(label[2:], faces.boxes[:, 2:]) - np.maximum(label[:2], faces.boxes[:, :2])
    return bool((np.prod(np.maximum(shared, 0.0), axis=1) >= 0.5 * np.prod(label[2:] - label[:2])).any())


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    from guard.bench.plotting import plot_curves

    plot_curves(
        {
            f"min_face_px {size}": [
                (row["false_alarms_on_faceless"], row["recall_20px"]) for row in rows if row["min_face_px"] == size
            ]
            for size in MIN_FACE_PX
        },
        path,
        title=f"face_score from {SCORES[-1]} to {SCORES[0]}, right is lower",
        x="false alarms on 68 pictures without a face",
        y="recall at faces of 20 px and more",
    )


if __name__ == "__main__":
    main()
