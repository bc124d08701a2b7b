"""How good and how fast the shipped detector is, beside the authors' own code and OpenCV's.

Usage: python benchmarks/detector.py [accuracy] [speed] [memory] [--json FILE]

`accuracy` needs the folder of labelled pictures ../shared/eval, which cannot be redistributed; rows of `yuface` need
the wheel yuface==2023.5.1, those of FaceDetectorYN an OpenCV that reads the file. What is absent is left out and said.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

# One thread each: read by the libraries when they are loaded.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENCV_LOG_LEVEL"):
    os.environ.setdefault(variable, "ERROR" if variable.endswith("LEVEL") else "1")

import cv2  # noqa: E402
import numpy as np  # noqa: E402

from guard.vision import Detector, bare  # noqa: E402
from guard.vision.models import YUNET_S, find  # noqa: E402
from guard.vision.operating_point import FACE_SCORE, MIN_FACE_PX  # noqa: E402
from guard.vision.picture import Picture  # noqa: E402
from guard.vision.scaling import Scaling, Workspace  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
EVALUATION = ROOT.parent / "shared" / "eval"
Detection = tuple[float, float, float, float, float]
Finder = Callable[[Picture], Iterable[Detection]]
PARTS = ("accuracy", "speed", "memory")

MEMORY = """
import numpy as np
from guard.vision import Detector
frame = np.random.default_rng(0).integers(0, 255, (1080, 1920, 3), dtype=np.uint8)
detector = Detector()
for _ in range(30):
    detector.detect(frame)
status = open("/proc/self/status").read()
print(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="all where none is named")
    parser.add_argument("--json", type=Path, help="write what was measured here too")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    results: dict[str, Any] = {"machine": machine()}
    for part in options.parts or PARTS:
        print(f"\n## {part}")
        results[part] = {"accuracy": accuracy, "speed": speed, "memory": memory}[part]()
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(results, indent=1) + "\n")


def machine() -> dict[str, Any]:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown")
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        **{name: __import__(name).__version__ for name in ("numpy", "cv2", "onnxruntime")},
    }


# Accuracy.


def accuracy() -> list[dict[str, Any]]:
    if not (EVALUATION / "annotations.json").is_file():
        print(f"skipped: no labelled pictures at {os.path.relpath(EVALUATION, ROOT)}")
        return []
    scorer = _module("score", EVALUATION / "score.py")
    rows = []
    print(
        "| detector | size | threshold | 8-12 px | 12-20 px | 20-40 px | 40-80 px | 80 px and more | 20 px and more "
        "| all | WIDER | precision | false alarms on faceless |\n|" + "---|" * 13
    )
    for name, size, threshold, finder in _finders():
        row = _scored(scorer.score(str(EVALUATION), finder), name, size, threshold)
        rows.append(row)
        cells = [name, size, threshold, *row["recall"].values(), row["recall_20px"], row["recall_all"]]
        cells += [row["recall_wider"], row["precision"], row["false_alarms_on_faceless"]]
        print(
            "| " + " | ".join(f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in cells) + " |",
            flush=True,
        )
    return rows


def _finders() -> Iterator[tuple[str, str, str, Finder]]:
    """The rows of the table: detector, size, threshold, how to call it."""
    detector = Detector()

    def ours(min_face_px: int, face_score: float, *, rgb: bool = False, whole: bool = False) -> Finder:
        def find_faces(picture: Picture) -> list[Detection]:
            scaling = Scaling.of(picture.shape[1], picture.shape[0], min_face_px)
            given = picture[:, :, ::-1] if rgb else picture
            faces = detector.detect(given, min_face_px=min_face_px, face_score=face_score)
            # `yuface` gives whole pixels of the picture that it gets: for the row that shows what this costs.
            unit = np.array([*scaling.factors, *scaling.factors]) if whole else None
            boxes = faces.boxes.astype(float)
            boxes[:, 2:] -= boxes[:, :2]
            if unit is not None:
                boxes = np.trunc(boxes / unit) * unit
            return [
                (x, y, w, h, float(score)) for (x, y, w, h), score in zip(boxes.tolist(), faces.scores, strict=True)
            ]

        return find_faces

    yuface = _installed("yuface")
    for size, min_face_px in (("native", 16), ("1/2", 32), ("1/4", 64)):
        if yuface is not None:
            # It cuts scores to whole per cents and keeps what is above 50, that is from 0.51 on.
            yield "yuface", size, "0.51", _their_finder(yuface, min_face_px)
        yield "ours, cut to whole pixels", size, "0.51", ours(min_face_px, 0.51, whole=True)
        yield "ours", size, "0.51", ours(min_face_px, 0.51)
        yield "ours", size, "0.50", ours(min_face_px, 0.5)
    yield "ours, default", "2/3", f"{FACE_SCORE:.2f}", ours(MIN_FACE_PX, FACE_SCORE)
    for face_score in (0.6, 0.7, 0.8):
        yield "ours", "native", f"{face_score:.2f}", ours(16, face_score)
    yield "ours, given RGB", "native", "0.50", ours(16, 0.5, rgb=True)


def _their_finder(yuface: Any, min_face_px: int) -> Finder:
    def find_faces(picture: Picture) -> list[Detection]:
        scaling = Scaling.of(picture.shape[1], picture.shape[0], min_face_px)
        across, down = scaling.factors
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # above 960 px it hints that it will be slow
            scores, boxes, _ = yuface.detect(_scaled(picture, scaling))
        return [
            (x * across, y * down, width * across, height * down, float(score) / 100)
            for (x, y, width, height), score in zip(boxes.tolist(), scores, strict=True)
        ]

    return find_faces


def _scaled(picture: Picture, scaling: Scaling) -> Picture:
    """What our network gets of the picture, without the blank rim."""
    work = Workspace(scaling)
    work.fill(picture)
    used = work.blob[0, :, : scaling.used_height, : scaling.used_width]
    return np.ascontiguousarray(used.transpose(1, 2, 0).astype(np.uint8))


def _scored(result: dict[str, Any], name: str, size: str, threshold: str) -> dict[str, Any]:
    hits, faces = (sum(each[index] for each in result["recall"].values()) for index in (0, 1))
    subsets = result["subsets"]
    false_alarms = sum(each["false_pos"] for each in subsets.values())
    wider = [each for key, each in subsets.items() if key.startswith("widerval") and each["faces"]]
    return {
        "detector": name,
        "size": size,
        "threshold": threshold,
        "recall": {key: each[2] for key, each in result["recall"].items()},
        "recall_20px": result["recall_20px"],
        "recall_all": hits / faces,
        "recall_wider": sum(each["recall"] * each["faces"] for each in wider) / sum(each["faces"] for each in wider),
        "faces": faces,
        "precision": hits / (hits + false_alarms),
        "false_alarms_on_faceless": result["negatives"]["false_pos"],
        "faceless": result["negatives"]["images"],
    }


# Speed.


def speed() -> list[dict[str, Any]]:
    """Each on the same resized picture, by turns, one thread each; milliseconds."""
    data = _installed("skimage.data")
    if data is None:
        print("skipped: pip install scikit-image")
        return []
    rows = []
    print("| picture | ours (`bare`) | FaceDetectorYN | ratio | yuface | ratio |\n|---|---|---|---|---|---|")
    head = np.ascontiguousarray(data.astronaut()[:, :, ::-1])
    for width, height in ((320, 192), (640, 384), (960, 544)):
        picture = np.ascontiguousarray(cv2.resize(head, (width, height), interpolation=cv2.INTER_AREA))
        row = _raced(picture, 120 if width < 900 else 60)
        rows.append({"picture": [width, height], **row})
        cells = [f"{row['ours_ms']:.2f}"]
        for peer in ("FaceDetectorYN", "yuface"):
            cells += [f"{row[f'{peer}_ms']:.2f}", f"{row[f'{peer}_ratio']:.2f}"] if f"{peer}_ms" in row else ["-", "-"]
        print(f"| {width} x {height} | " + " | ".join(cells) + " |")
    return rows


def _raced(picture: Picture, turns: int) -> dict[str, float]:
    racers: dict[str, Callable[[], object]] = {"ours": lambda: bare(picture, min_face_px=16)}
    try:
        network = cv2.FaceDetectorYN.create(str(find(YUNET_S)), "", (picture.shape[1], picture.shape[0]), 0.5, 0.45)
        racers["FaceDetectorYN"] = lambda: network.detect(picture)
    except (cv2.error, AttributeError) as error:
        print(f"FaceDetectorYN left out: {error}", file=sys.stderr)
    yuface = _installed("yuface")
    if yuface is not None:
        racers["yuface"] = lambda: yuface.detect(picture)
    times: dict[str, list[float]] = {name: [] for name in racers}
    for turn in range(turns + 10):
        for name, work in racers.items():
            start = time.perf_counter()
            work()
            if turn >= 10:
                times[name].append((time.perf_counter() - start) * 1000)
    row = {f"{name}_ms": statistics.median(each) for name, each in times.items()}
    for name, each in times.items():
        if name != "ours":
            # Turn by turn, so that what else the machine does weighs on both.
            ratios = [theirs / mine for theirs, mine in zip(each, times["ours"], strict=True)]
            row[f"{name}_ratio"] = statistics.median(ratios)
    return row


# Memory.


def memory() -> dict[str, float]:
    """Peak of a process that looks at 30 frames of 1920 x 1080 at the default min_face_px."""
    done = subprocess.run([sys.executable, "-c", MEMORY], cwd=ROOT, capture_output=True, text=True, check=True)
    peak_mb = int(done.stdout) / 1024
    print(f"peak of a process that detects at 1920 x 1080, min_face_px {MIN_FACE_PX}: {peak_mb:.0f} MB")
    return {"peak_mb": peak_mb}


def _installed(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        print(f"{name} is not installed: its rows are left out", file=sys.stderr)
        return None


def _module(name: str, path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main()
