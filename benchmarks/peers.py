"""Other face detectors beside ours on the same frames: latency, recall and false alarms, memory.

Usage: python benchmarks/peers.py [NAME ...] [--also PYTHON ...] [--seconds 60] [--size 1920x1080] [--min-face-px 32]
       [--no-accuracy] [--out benchmarks/results]

Each runs in a process of its own on one core, and they take turns frame by frame. `--also` names other interpreters,
for peers that this one has not: another OpenCV, or packages that do not go together. What none of them has is reported
as absent. Recall needs ../shared/eval, YuNet-n ../shared/models; neither can be redistributed. A run for some names
keeps the results of the others.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
EVALUATION = SHARED / "eval"
YUNET_N = SHARED / "models" / "yunet_n_dynamic.onnx"
FACE_SCORE = 0.5
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "OPENCV_LOG_LEVEL": "ERROR",
    "GLOG_minloglevel": "2",
}
NAMES = (
    "guard", "opencv-FaceDetectorYN", "opencv-FaceDetectorYN, YuNet-n", "yuface-native", "CenterFace", "dlib-HOG",
    "MTCNN", "MediaPipe",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", help="all where none is named")
    parser.add_argument("--also", nargs="*", default=[], metavar="PYTHON")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long latency is measured")
    parser.add_argument("--size", default="1920x1080")
    parser.add_argument("--min-face-px", type=int, default=32)
    parser.add_argument("--no-accuracy", action="store_true")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    options = parser.parse_args()
    if options.worker:
        serve(options)
        return
    rows = measure(options)
    path = options.out / "peers.json"
    known = json.loads(path.read_text())["rows"] if path.is_file() else {}
    for name, row in rows.items():
        known[name] = {**known.get(name, {}), **row}
    options.out.mkdir(parents=True, exist_ok=True)
    from guard.bench.running import machine

    result = {"machine": machine(), "size": options.size, "min_face_px": options.min_face_px, "rows": known}
    path.write_text(json.dumps(result, indent=1) + "\n")
    show(known)
    with contextlib.suppress(ImportError):
        plot(known, options.out / "peers.png")


# One peer, in a process of its own.


def serve(options: argparse.Namespace) -> None:
    """Answers each line of standard input with one line of JSON: a frame's number with its time, ``accuracy`` with the
    score, ``memory`` with the peak of this process."""
    import cv2
    import numpy as np

    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not come between the answers
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    cv2.setNumThreads(1)
    name = options.worker
    finder = finder_of(name, options.min_face_px)
    say: Callable[[object], None] = lambda answer: print(json.dumps(answer), file=out, flush=True)  # noqa: E731
    say({"label": label(name)})
    frames = np.load(options.out / "frames.npy", mmap_mode="r")
    for line in map(str.strip, sys.stdin):
        if line == "accuracy":
            say(accuracy(finder))
        elif line == "memory":
            say(peak_mb())
        else:
            frame = np.array(frames[int(line)])
            start, cpu = time.perf_counter_ns(), time.process_time_ns()
            finder(frame)
            say([(time.perf_counter_ns() - start) / 1e6, (time.process_time_ns() - cpu) / 1e6])


def finder_of(name: str, min_face_px: int) -> Any:
    """Raises ImportError where it is absent."""
    from guard.bench.peers import PEERS, opencv, ours

    if name.endswith("YuNet-n"):
        if not YUNET_N.is_file():
            raise ImportError("no YuNet-n")
        return opencv(min_face_px, FACE_SCORE, YUNET_N)
    return {"guard": ours, **PEERS}[name](min_face_px, FACE_SCORE)


def label(name: str) -> str:
    import cv2

    return name.replace("opencv-", f"OpenCV {cv2.__version__} ")


def accuracy(finder: Any) -> dict[str, Any] | None:
    if not (EVALUATION / "annotations.json").is_file():
        return None
    sys.path.insert(0, str(EVALUATION))
    import score

    def find_faces(picture: Any) -> list[tuple[float, ...]]:
        return [(x1, y1, x2 - x1, y2 - y1, s) for x1, y1, x2, y2, s in finder(picture).tolist()]

    found = score.score(str(EVALUATION), find_faces)
    return {
        "recall": {size: round(each[2], 3) for size, each in found["recall"].items()},
        "recall_20px": found["recall_20px"],
        "false_alarms_on_faceless": found["negatives"]["false_pos"],
    }


def peak_mb() -> float:
    status = Path("/proc/self/status").read_text().splitlines()
    return round(int(next(line.split()[1] for line in status if line.startswith("VmHWM"))) / 1024, 1)


# All of them.


class Worker:
    """A peer at work in another process."""

    def __init__(self, python: str, name: str, options: argparse.Namespace, folder: Path) -> None:
        command = [python, __file__, "--worker", name, "--min-face-px", str(options.min_face_px), "--out", str(folder)]
        environment = {**os.environ, **ENVIRONMENT, "PYTHONPATH": str(ROOT)}
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            command, env=environment, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True
        )
        self.times_ms: list[float] = []
        self.cpu_ms: list[float] = []
        try:
            self.label = self._answer()["label"]
        except EOFError:
            self.close()
            raise

    def ask(self, what: str) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(what + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise EOFError
        return json.loads(line)

    def close(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.wait()


def measure(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    import tempfile

    with tempfile.TemporaryDirectory(prefix="guard-peers-") as folder:
        frames = save_frames(Path(folder), tuple(map(int, options.size.split("x"))))
        workers = list(start(options, Path(folder)).values())
        race(workers, frames, options.seconds)
        rows = {}
        for worker in workers:
            rows[worker.label] = {**latency(worker), "peak_mb": worker.ask("memory")}
            if not options.no_accuracy:
                rows[worker.label].update(worker.ask("accuracy") or {})
            worker.close()
        return rows


def save_frames(folder: Path, size: tuple[int, ...]) -> int:
    import cv2
    import numpy as np
    from cost import sample_frames

    frames = np.stack([cv2.resize(frame, (size[0], size[1])) for frame in sample_frames()])
    np.save(folder / "frames.npy", frames)
    return len(frames)


def start(options: argparse.Namespace, folder: Path) -> dict[str, Worker]:
    """The peers that some interpreter has, by label; ours and OpenCV's from each."""
    workers: dict[str, Worker] = {}
    for name in options.names or NAMES:
        before = len(workers)
        for python in (sys.executable, *options.also):
            if name.startswith("opencv") or len(workers) == before:
                with contextlib.suppress(EOFError):
                    worker = Worker(python, name, options, folder)
                    if workers.setdefault(worker.label, worker) is not worker:
                        worker.close()
        if len(workers) == before:
            print(f"{name}: absent")
    return workers


def race(workers: list[Worker], frames: int, seconds: float) -> None:
    """By turns until the time is up; the first two of each are not counted."""
    shuffled = random.Random(20240501)
    end, turn = time.perf_counter() + seconds, 0
    while turn < 5 or time.perf_counter() < end:
        for worker in shuffled.sample(workers, len(workers)):
            took_ms, cpu_ms = worker.ask(str(turn % frames))
            if turn >= 2:
                worker.times_ms.append(took_ms)
                worker.cpu_ms.append(cpu_ms)
        turn += 1


def latency(worker: Worker) -> dict[str, Any]:
    """Percentiles of the time of a frame, and the median of the processor's, which others at work hardly change."""
    from guard.bench.measuring import percentile

    at = functools.partial(percentile, worker.times_ms)
    cpu_ms = round(percentile(worker.cpu_ms, 50), 2)
    return {
        **{f"p{each}_ms": round(at(each), 2) for each in (50, 95, 99)},
        "cpu_ms": cpu_ms,
        "samples": len(worker.cpu_ms),
    }


def show(rows: dict[str, dict[str, Any]]) -> None:
    sizes = next((row["recall"] for row in rows.values() if "recall" in row), {})
    print(
        "| detector | p50, p95, p99 ms | processor, p50 ms | / guard | "
        + " | ".join(sizes)
        + " | 20 px and more | false alarms | peak MB |"
    )
    print("|---" * (7 + len(sizes)) + "|")
    base = rows.get("guard", {}).get("cpu_ms")
    for name, row in rows.items():
        cells = [name, ", ".join(str(row[f"p{each}_ms"]) for each in (50, 95, 99))]
        cells += [str(row["cpu_ms"]), f"{row['cpu_ms'] / base:.2f}" if base else "-"]
        cells += [str(row.get("recall", {}).get(size, "-")) for size in sizes]
        cells += [str(row.get(key, "-")) for key in ("recall_20px", "false_alarms_on_faceless", "peak_mb")]
        print("| " + " | ".join(cells) + " |")


def plot(rows: dict[str, dict[str, Any]], path: Path) -> None:
    from guard.bench.plotting import plot_curves

    points = {name: [(row["cpu_ms"], row["recall_20px"])] for name, row in rows.items() if "recall_20px" in row}
    if points:
        plot_curves(
            points,
            path,
            title="Recall against latency, one thread, each asked for the same smallest face",
            x="processor time of a 1080p frame, median, ms",
            y="recall at faces of 20 px and more",
            log_x=True,
            labelled=True,
        )


if __name__ == "__main__":
    main()
