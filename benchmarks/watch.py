"""What the live page costs the hook: 16 looped feeds of 720p, five frames a second each, with a page and without.

Turns of both in one process, on the same feeds and guard. With a page, a client in a process of its own reads the
stream of changes and fetches every new picture, as a browser with all tiles in view would. Decoding, and the record on
disk, are part of both. The hook's time is that of `guard replay`: entering the frame and one denied call.

Usage: python benchmarks/watch.py [--sources 16] [--rate 5] [--seconds 8] [--rounds 4] [--out benchmarks/results]
"""

from __future__ import annotations

import argparse
import http.client
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import av
import cv2
from cost import ROOT

import guard
from guard.bench.measuring import percentile
from guard.bench.running import machine
from guard.replay.clip import open_clip
from guard.watch.runs import Attempt
from guard.watch.serving import Watching

SIZE = (1280, 720)
SETTLE_S = 2.0
CLIPS = ("bodycam", "dashcam", "office", "road")

_HEAD = """
[operator]
type = "us_police"
acts_for = "self"
country = "US"
"""
_SOURCE = """
[[source]]
id = "cam-{number:02}"
place = {{ country = "US", subdivision = "US-OH", control = "wild", access = "public" }}
capture = {{ mount = "body_worn" }}
use = {{ timing = "real_time", purpose = "criminal_investigation", output = "lead_only", traits = [] }}
"""


def make_clips(folder: Path, rate: float) -> list[Path]:
    """The samples at 720p and `rate` frames a second, H.264."""
    made = []
    for name in CLIPS:
        path = folder / f"{name}.mp4"
        with av.open(str(path), "w") as output:
            video = output.add_stream("libx264", rate=round(rate))
            video.width, video.height = SIZE
            video.pix_fmt = "yuv420p"
            video.options = {"preset": "ultrafast"}
            for frame in open_clip(ROOT / "samples" / name / "clip.mp4").frames(every_s=1 / rate):
                picture = av.VideoFrame.from_ndarray(cv2.resize(frame.image, SIZE), format="bgr24")
                output.mux(video.encode(picture))
            output.mux(video.encode(None))
        made.append(path)
    return made


@contextmanager
def watched(g: guard.Guard, clips: list[Path], rate: float, *, page: bool) -> Iterator[tuple[Watching, str | None]]:
    """The feeds, running; and the address of the page, where there is one."""
    feeds = {id: str(clips[number % len(clips)]) for number, id in enumerate(g.sources)}
    watching = Watching(g, feeds, [Attempt("identify", "azure_openai")], rate=rate)
    if not page:
        watching.start()
        try:
            yield watching, None
        finally:
            watching.close()
        return
    urls: list[str] = []
    ready = threading.Event()
    thread = threading.Thread(
        target=watching.serve, args=("127.0.0.1", 0), kwargs={"ready": lambda url: (urls.append(url), ready.set())}
    )
    thread.start()
    ready.wait(30)
    try:
        yield watching, urls[0]
    finally:
        watching.stop()
        thread.join()


def turn(g: guard.Guard, clips: list[Path], rate: float, seconds: float, *, page: bool) -> dict[str, Any]:
    """One measurement: hook times in microseconds, frames analysed a second, and what the client got."""
    with watched(g, clips, rate, page=page) as (watching, url):
        client = None
        if url is not None:
            command = [sys.executable, __file__, "--client", url, "--seconds", str(seconds + SETTLE_S)]
            client = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        time.sleep(SETTLE_S)
        took_us: list[float] = []
        saw = watching.board.saw
        watching.board.saw = lambda id, look: (took_us.append(look.took_us), saw(id, look))[1]
        cpu_s, start_s = time.process_time(), time.perf_counter()
        time.sleep(seconds)
        lasted_s = time.perf_counter() - start_s
        del watching.board.saw
        cpu_s = time.process_time() - cpu_s
        got = json.loads(client.communicate(timeout=120)[0]) if client is not None else None
    return {
        "took_us": took_us,
        "frames_per_s": len(took_us) / lasted_s,
        "cpu_cores": cpu_s / lasted_s,
        "client": got,
    }


def read(url: str, seconds: float) -> dict[str, float]:
    """What a browser does: the token, the stream of changes, and every picture that is new."""
    parts = urlsplit(url)
    stream, pictures = (http.client.HTTPConnection(parts.netloc, timeout=60) for _ in range(2))
    pictures.request("GET", f"/?{parts.query}")
    answer = pictures.getresponse()
    answer.read()
    headers = {"cookie": (answer.getheader("set-cookie") or "").partition(";")[0]}
    stream.request("GET", "/events", headers=headers)
    events = fetched = size = 0
    shown: dict[str, int] = {}
    end_s = time.monotonic() + seconds
    for line in stream.getresponse():
        if time.monotonic() > end_s:
            break
        if not line.startswith(b"data: "):
            continue
        events, size = events + 1, size + len(line)
        for id, tile in json.loads(line[6:])["tiles"].items():
            if tile["picture"] is not None and shown.get(id) != tile["picture"]:
                shown[id] = tile["picture"]
                pictures.request("GET", f"/pictures/{id}", headers=headers)
                size += len(pictures.getresponse().read())
                fetched += 1
    return {
        "events_per_s": round(events / seconds, 1),
        "pictures_per_s": round(fetched / seconds, 1),
        "kilobytes_per_s": round(size / seconds / 1000, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sources", type=int, default=16)
    parser.add_argument("--rate", type=float, default=5.0)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--client", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.client:
        print(json.dumps(read(options.client, options.seconds)))
        return
    turns: dict[bool, list[dict[str, Any]]] = {False: [], True: []}
    with tempfile.TemporaryDirectory(prefix="guard-watch-") as name:
        folder = Path(name)
        clips = make_clips(folder, options.rate)
        text = _HEAD + "".join(_SOURCE.format(number=number) for number in range(options.sources))
        (folder / "guard.toml").write_text(text)
        with guard.load(folder / "guard.toml") as g:
            for number in range(options.rounds):
                for page in (False, True) if number % 2 else (True, False):
                    turns[page].append(turn(g, clips, options.rate, options.seconds, page=page))
    result = summary(turns, options)
    print(json.dumps(result, indent=2))
    if options.out:
        (options.out / "watch.json").write_text(json.dumps(result, indent=2) + "\n")


def summary(turns: dict[bool, list[dict[str, Any]]], options: argparse.Namespace) -> dict[str, Any]:
    """Medians over the rounds, and the ratio of each round's p95."""
    ratios = [
        percentile(with_page["took_us"], 95) / percentile(without["took_us"], 95)
        for with_page, without in zip(turns[True], turns[False], strict=True)
    ]
    return {
        "machine": machine(),
        "sources": options.sources,
        "size": list(SIZE),
        "asked_frames_per_s": options.sources * options.rate,
        "with_page": _median(turns[True]),
        "without_page": _median(turns[False]),
        "client": turns[True][-1]["client"],
        "p95_ratio": round(statistics.median(ratios), 2),
        "p95_ratios": [round(ratio, 2) for ratio in ratios],
    }


def _median(rounds: list[dict[str, Any]]) -> dict[str, float]:
    def over(values: list[float], digits: int = 0) -> float:
        return round(statistics.median(values), digits)

    return {
        "p50_us": over([percentile(each["took_us"], 50) for each in rounds]),
        "p95_us": over([percentile(each["took_us"], 95) for each in rounds]),
        "frames_per_s": over([each["frames_per_s"] for each in rounds], 1),
        "cpu_cores": over([each["cpu_cores"] for each in rounds], 2),
    }


if __name__ == "__main__":
    main()
