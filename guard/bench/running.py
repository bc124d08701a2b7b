"""The rows of `guard bench`: the bare detector, the hook around it, the calls that need no pixels, and the disk."""

from __future__ import annotations

import os
import platform
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from guard.bench.measuring import Row, interleave, ratios
from guard.bench.peers import peer_rows
from guard.errors import Denied
from guard.guard import Guard, load
from guard.vision import Detector
from guard.vision.operating_point import FACE_SCORE, MIN_FACE_PX

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["machine", "run"]

_IN_A_ROW = 5

_CONFIG = """
[operator]
type = "{operator}"
acts_for = "self"
country = "US"

[[source]]
id = "every-frame"
camera = {{ frozen_s = 86400 }}
place = {{ country = "US", subdivision = "US-OH", control = "{control}", access = "{access}" }}
capture = {{ mount = "{mount}" }}
use = {{ timing = "real_time", purpose = "{purpose}", output = "lead_only", traits = [] }}
gallery = {{ kind = "employees", provenance = "consented" }}
subject = {{ consent = "written_release", minor = false, targeted = false, cooperates = true }}

[[source]]
id = "on-demand"
camera = {{ frozen_s = 86400 }}
detect = "on-demand"
place = {{ country = "US", subdivision = "US-OH", control = "{control}", access = "{access}" }}
capture = {{ mount = "{mount}" }}
use = {{ timing = "real_time", purpose = "{purpose}", output = "lead_only", traits = [] }}
gallery = {{ kind = "employees", provenance = "consented" }}
subject = {{ consent = "written_release", minor = false, targeted = false, cooperates = true }}
"""
_POLICE = {"operator": "us_police", "control": "wild", "access": "public", "mount": "body_worn"}
_OFFICE = {"operator": "private", "control": "controlled", "access": "workplace", "mount": "fixed"}

_RATIOS = {
    "hook-detect / bare-detector": ("hook-detect", "bare-detector"),
    "release-commit / fsync": ("release-commit", "fsync"),
    "opencv-FaceDetectorYN / bare-detector": ("opencv-FaceDetectorYN", "bare-detector"),
    "yuface-native / bare-detector": ("yuface-native", "bare-detector"),
    "CenterFace / bare-detector": ("CenterFace", "bare-detector"),
}


def run(
    *,
    size: tuple[int, int] = (1920, 1080),
    seconds: float = 10.0,
    peers: bool = False,
    frames: list[NDArray[np.uint8]] | None = None,
    folder: Path | None = None,
) -> dict[str, Any]:
    """Measures and gives `guard.bench/1`.

    Args:
        size: width and height of the frames in pixels.
        seconds: how long to measure, the warm-up not counted.
        peers: also the other detectors that are installed, on the same frames.
        frames: H x W x 3 uint8 BGR pictures, scaled to `size`; None = made here, without a face.
        folder: where the record is written, so that `release-commit` and `fsync` see that disk; None = a temporary one.
    """
    pictures = _pictures(size, frames)
    cv2_threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with _guards(folder) as (police, office, disk):
            rows = _rows(pictures, police, office, disk)
            if peers:
                rows += peer_rows(pictures, min_face_px=MIN_FACE_PX, face_score=FACE_SCORE)
            interleave(rows, seconds=seconds)
    finally:
        cv2.setNumThreads(cv2_threads)
    by_name = {row.name: row for row in rows}
    return {
        "schema": "guard.bench/1",
        "machine": machine(),
        "size": list(size),
        "rows": [row.to_json() for row in rows],
        "ratios": ratios(by_name, _RATIOS),
    }


def _rows(pictures: list[NDArray[np.uint8]], police: Guard, office: Guard, disk: Path) -> list[Row]:
    detector = Detector()
    hook, on_demand = police.source("every-frame"), police.source("on-demand")
    denied = on_demand.protect(_never, action="identify", service="azure_openai")
    door = office.source("on-demand")
    released = door.protect(_nothing, action="identify", service="self_hosted")
    next_bare, next_hook, next_call = _turns(pictures), _turns(pictures), _turns(pictures)

    def bare() -> int:
        return len(detector.detect(next_bare(), min_face_px=MIN_FACE_PX, face_score=FACE_SCORE))

    def hooked() -> int:
        with hook.frame(next_hook()) as seen:
            return len(seen.faces)

    def call_denied() -> None:
        with on_demand.frame(next_call()) as seen:
            try:
                denied(seen.image)
            except Denied:
                return
        raise RuntimeError("a forbidden call was released while it was measured")

    def authorize() -> None:
        on_demand.authorize("identify", "azure_openai")

    def commit() -> None:
        released(None)

    def fsync() -> None:
        with open(disk / "fsync", "ab", buffering=0) as file:
            file.write(b"x" * 4096)
            os.fsync(file.fileno())

    return [
        # As a feed comes: of its frames in a row the watch samples one in five or so, not every one after a pause.
        Row("bare-detector", bare, per_turn=_IN_A_ROW),
        Row("hook-detect", hooked, per_turn=_IN_A_ROW),
        Row("hook-on-demand", call_denied, per_turn=100),
        Row("hook-on-demand-first", call_denied),
        Row("authorize-cached", authorize, per_turn=100),
        Row("release-commit", commit),
        Row("fsync", fsync),
    ]


@contextmanager
def _guards(folder: Path | None) -> Iterator[tuple[Guard, Guard, Path]]:
    with tempfile.TemporaryDirectory(prefix="guard-bench-", dir=folder) as name:
        disk = Path(name)
        (disk / "police.toml").write_text(_CONFIG.format(purpose="criminal_investigation", **_POLICE))
        (disk / "office.toml").write_text(_CONFIG.format(purpose="access_control", **_OFFICE))
        with (
            load(disk / "police.toml", ledger=disk / "police.db") as police,
            load(disk / "office.toml", ledger=disk / "office.db") as office,
        ):
            yield police, office, disk


def _pictures(size: tuple[int, int], frames: list[NDArray[np.uint8]] | None) -> list[NDArray[np.uint8]]:
    if frames:
        return [np.ascontiguousarray(cv2.resize(frame, size), dtype=np.uint8) for frame in frames]
    random = np.random.default_rng(20240501)
    return [
        np.ascontiguousarray(
            cv2.resize(random.integers(0, 256, (36, 64, 3), dtype=np.uint8), size, interpolation=cv2.INTER_CUBIC)
        )
        for _ in range(4)
    ]


def _turns(pictures: list[NDArray[np.uint8]]) -> Callable[[], NDArray[np.uint8]]:
    state = {"next": -1}

    def following() -> NDArray[np.uint8]:
        state["next"] = (state["next"] + 1) % len(pictures)
        return pictures[state["next"]]

    return following


def _nothing(_: object) -> None:
    return None


def _never(_: object) -> None:
    raise RuntimeError("a forbidden call was released while it was measured")


def machine() -> dict[str, Any]:
    """The processor and the versions that a measurement stands for."""
    model = ""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        model = platform.processor()
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "opencv": cv2.__version__,
        "onnxruntime": metadata.version("onnxruntime"),
        "numpy": np.__version__,
        "threads": 1,
    }
