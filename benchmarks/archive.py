"""What an hour of archived video costs: decoding, detection, the whole unit of a sweep, and the same with redaction.

Usage: python benchmarks/archive.py [--seconds 8] [--rounds 3] [--out benchmarks/results]

The clip is the body-worn sample, scaled and encoded anew (H.264, 25 frames a second), and starts over until it is long
enough. Times are processor time of the whole process, which keeps to one core as a worker of a sweep does, in turns,
medians: other work on the machine disturbs them less.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from itertools import cycle, islice
from pathlib import Path

import av
import cv2

from guard.config import load_config
from guard.replay.clip import open_clip
from guard.sweep.order import order_of
from guard.sweep.unit import Worker, on_one_core
from guard.vision import Detector

ROOT = Path(__file__).resolve().parents[1]
SIZES = ((640, 360), (1280, 720), (1920, 1080))
RATE = 25
MIN_FACE_PX = 32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=8, help="length of the clip")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    arguments = parser.parse_args()
    on_one_core()
    rows = []
    for size in SIZES:
        with tempfile.TemporaryDirectory() as name:
            rows.append(measure(Path(name), size, arguments.seconds, arguments.rounds))
        hours = {stage: f"{seconds / 3600:.2f}" for stage, seconds in rows[-1]["core_s_per_hour"].items()}
        print(f"{size[0]}x{size[1]}: core hours for an hour of video at {RATE} frames a second: {hours}")
    result = {"machine": platform.platform(), "python": platform.python_version(), "rate": RATE, "rows": rows}
    (arguments.out / "archive.json").write_text(json.dumps(result, indent=1) + "\n")


def measure(folder: Path, size: tuple[int, int], seconds: int, rounds: int) -> dict[str, object]:
    """One size: processor seconds for an hour of video, by stage, and bytes of record."""
    clip = make(folder / "clip.mp4", size, seconds * RATE)
    detector = Detector()
    config = load_config(config_of(folder))
    number = iter(range(1000))

    def decode() -> None:
        with closing(open_clip(clip, threads=1)) as opened:
            for _ in opened.frames():
                pass

    def detect() -> None:
        with closing(open_clip(clip, threads=1)) as opened:
            for frame in opened.frames():
                detector.detect(frame.image, min_face_px=MIN_FACE_PX)

    def unit(redact: bool) -> Callable[[], None]:
        worker = Worker(order_of(config, folder / f"out-{redact}", services=["azure_openai"], redact=redact))

        def take() -> None:
            # Another content each time, or it would be done already.
            again = folder / f"{next(number)}.mp4"
            again.write_bytes(clip.read_bytes() + (16).to_bytes(4, "big") + b"free" + next(number).to_bytes(8, "big"))
            outcome = worker.take(again)
            again.unlink()
            if outcome.status != "made":
                raise SystemExit(f"the unit was not made: {outcome.reason}")

        return take

    stages = {"decode": decode, "decode+detect": detect, "sweep": unit(False), "sweep --redact": unit(True)}
    took: dict[str, list[float]] = {stage: [] for stage in stages}
    for _ in range(rounds):
        for stage, work in stages.items():
            start = time.process_time()
            work()
            took[stage].append(time.process_time() - start)
    ledger = next((folder / "out-False").glob("units/*/*/decisions.db"))
    return {
        "size": list(size),
        "core_s_per_hour": {s: round(statistics.median(t) * 3600 / seconds) for s, t in took.items()},
        "ledger_bytes_a_unit": ledger.stat().st_size,
    }


def make(path: Path, size: tuple[int, int], frames: int) -> Path:
    """The body-worn sample in another size, again and again."""
    with av.open(str(ROOT / "samples/bodycam/clip.mp4")) as container:
        pictures = [cv2.resize(frame.to_ndarray(format="bgr24"), size) for frame in container.decode(video=0)]
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for picture in islice(cycle(pictures), frames):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        output.mux(stream.encode(None))
    return path


def config_of(folder: Path) -> Path:
    """The body-worn sample's file, with 32 px as the smallest face."""
    text = (ROOT / "samples/bodycam/guard.toml").read_text().replace("min_face_px = 20", f"min_face_px = {MIN_FACE_PX}")
    path = folder / "guard.toml"
    path.write_text(text)
    return path


if __name__ == "__main__":
    main()
