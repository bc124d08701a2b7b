"""Could a loop that was encoded anew be told from a live feed? A trial; what it found is in docs/context.md.

The changes of a feed over 0.8 s, as 16 x 9 means of its thumbnail, are compared with those at every earlier lag of up
to five minutes. A loop is the first lag at which a whole turn changes as it did before, where no shorter lag does,
enough of the picture takes part, and the changes are more than one light going up and down.

    OPENBLAS_NUM_THREADS=1 python benchmarks/loops.py [--hours 1] [--clips ../shared/eval/clips]
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import cv2
import numpy as np

from guard.vision.thumbnail import thumbnail

RATE_HZ = 2.5
CELLS = (16, 9)
LAGS = int(300 * RATE_HZ)
SHORTEST = int(4 * RATE_HZ)
BACK = 2
ACTIVE_GREYS = 4.0
ROOT = Path(__file__).resolve().parents[1]
Cells = np.ndarray


class Repeats:
    """Takes cells, 144 float32, `RATE_HZ` a second; `see` gives the lag in seconds of a loop, or None.

    `alike` is how much of the changes' energy may differ from turn to turn, `spread` the share of cells that must
    change, `rank` how many independent changes there must be.
    """

    def __init__(self, alike: float, spread: float, rank: float) -> None:
        self.alike, self.spread, self.rank = alike, spread, rank
        size = CELLS[0] * CELLS[1]
        self.changes = np.zeros((LAGS, size), np.float32)  # a ring
        self.energies = np.zeros(LAGS, np.float32)
        self.differs = np.zeros(LAGS, np.float32)  # by lag - 1
        self.moves = np.zeros(LAGS, np.float32)
        self.keep = np.float32(1) - 1 / np.maximum(np.arange(1, LAGS + 1), 8 * RATE_HZ).astype(np.float32)
        self.latest: list[Cells] = []
        self.count = 0

    def see(self, cells: Cells) -> float | None:
        self.latest = [*self.latest[-BACK:], cells - np.median(cells)]
        if len(self.latest) <= BACK:
            return None
        change = self.latest[-1] - self.latest[0]
        change[np.abs(change) < ACTIVE_GREYS] = 0
        energy = np.float32(change @ change)
        order = (self.count - 1 - np.arange(LAGS)) % LAGS
        before = self.energies[order]
        self.differs = self.differs * self.keep + energy + before - 2 * (self.changes @ change)[order]
        self.moves = self.moves * self.keep + energy + before
        self.changes[self.count % LAGS], self.energies[self.count % LAGS] = change, energy
        self.count += 1
        return self._loop()

    def _loop(self) -> float | None:
        known = min(LAGS, self.count // 2)  # two turns
        if known <= SHORTEST:
            return None
        ratio = self.differs[:known] / np.maximum(self.moves[:known], 1e-3)
        found = np.flatnonzero(ratio[SHORTEST - 1 :] < self.alike)
        if not len(found):
            return None
        lag = int(found[0]) + SHORTEST
        if (ratio[1 : max(2, lag - BACK - 1)] < 0.5).any():
            return None  # something that swings faster than this
        turn = self.changes[(self.count - 1 - np.arange(max(lag, int(8 * RATE_HZ)))) % LAGS]
        if (turn != 0).any(axis=0).mean() < self.spread:
            return None
        power = np.linalg.svd(turn, compute_uv=False) ** 2
        if power.sum() ** 2 / max((power**2).sum(), 1e-9) < self.rank:
            return None
        return lag / RATE_HZ


# ---- live feeds of cells: (seconds, noise) -> cells

Y, X = np.mgrid[0 : CELLS[1], 0 : CELLS[0]].astype(np.float32)


def blob(x: float, y: float, wide: float, high: float, tone: float) -> Cells:
    return tone * np.exp(-(((X - x) / wide) ** 2) - ((Y - y) / high) ** 2)


def passers(rng: np.random.Generator, number: int, *, same_way: bool = False) -> Callable[[float], Cells]:
    ways = [(0 if same_way else rng.uniform(0, 200), rng.uniform(2, 7), rng.choice([-1, 1]), i) for i in range(number)]

    def at(t: float) -> Cells:
        picture = np.zeros_like(X)
        for phase, y, way, which in ways:
            speed = 2.0 if same_way else 1.0 + 0.4 * (which % 3)
            turn, within = divmod(speed * (t + phase), 34)
            walk = np.random.default_rng([which, int(turn)])
            y_now = 5.0 if same_way else y + walk.uniform(-1.5, 1.5)
            late = walk.uniform(0, 14)
            tone = walk.uniform(-60, 60)
            x = within - late - 2
            picture += blob(x if way > 0 else 15 - x, y_now + 0.2 * np.sin(t * 9), 0.9, 1.8, tone)
        return picture

    return at


def patch(share: float, period_s: float, seed: int, kind: str, positions: int = 6) -> Callable[[float], Cells]:
    """A screen or a machine over `share` of the picture that repeats itself exactly."""
    rng = np.random.default_rng(seed)
    columns = max(1, round(share * CELLS[0] * CELLS[1] / 8))
    sheets = rng.uniform(-50, 50, (positions, 8, columns)).astype(np.float32)

    def at(t: float) -> Cells:
        picture = np.zeros_like(X)
        turn = (t % period_s) / period_s * positions
        one, rest = int(turn) % positions, turn % 1 if kind == "machine" else 0
        picture[1:, 1 : 1 + columns] = (1 - rest) * sheets[one] + rest * sheets[(one + 1) % positions]
        return picture

    return at


def lamp(period_s: float) -> Callable[[float], Cells]:
    fall = blob(4, 2, 9, 6, 60.0)
    return lambda t: fall * float((t % period_s) < period_s / 2)


def stairs(t: float) -> Cells:
    return np.where((X > 4) & (X < 10), 25 * np.sin(2 * np.pi * (Y / 2 - t / 1.1)), 0).astype(np.float32)


def trees(t: float) -> Cells:
    sway = 1 + 0.3 * np.sin(t / 17)
    return 18 * sway * np.sin(X * 1.3 + 2 * np.sin(2 * np.pi * t / 4.5)) * np.sin(Y * 0.9)


def live(seed: int) -> dict[str, Callable[[float], Cells]]:
    rng = np.random.default_rng(seed)
    many, few = passers(rng, 8), passers(rng, 1, same_way=True)
    advert, machine = patch(0.12, 15, seed, "screen"), patch(0.35, 12, seed, "machine")
    return {
        "nothing happens": lambda t: np.zeros_like(X),
        "eight people": many,
        "one person, always the same way": few,
        "a lamp, 3 s": lamp(3),
        "a neon sign, 6 s": lamp(6),
        "an escalator and people": lambda t: stairs(t) + many(t),
        "an escalator": stairs,
        "trees in the wind, 4.5 s": trees,
        "a screen of 12 %, 15 s": advert,
        "that screen and one person": lambda t: advert(t) + few(t),
        "a screen of 40 %, 20 s": patch(0.40, 20, seed, "screen"),
        "a machine of 35 %, 12 s": machine,
        "a machine of 70 %, 12 s": patch(0.70, 12, seed, "machine"),
        "one of 70 %, 20 s, of 20 positions": patch(0.70, 20, seed, "machine", positions=20),
        "that machine and eight people": lambda t: machine(t) + many(t),
    }


def shown(scene: Callable[[float], Cells], seconds: float, rng: np.random.Generator) -> Iterator[Cells]:
    for number in range(int(seconds * RATE_HZ)):
        grain = rng.normal(0, 0.7, X.shape)
        yield (scene(number / RATE_HZ) + grain).ravel().astype(np.float32)


# ---- loops


def looped(scene: Callable[[float], Cells], turn_s: float) -> Callable[[float], Cells]:
    return lambda t: scene(50 + t % turn_s)


def encoded_again(path: Path, crf: int, turns: int = 6) -> tuple[list[Cells], float]:
    """The cells of a clip that was looped and went through H.264 once more, and the length of a turn in seconds."""
    with av.open(str(path)) as clip:
        rate = clip.streams.video[0].average_rate
        frames = [cv2.resize(each.to_ndarray(format="bgr24"), (320, 180)) for each in clip.decode(video=0)]
    coder = av.CodecContext.create("libx264", "w")
    coder.width, coder.height, coder.pix_fmt = 320, 180, "yuv420p"
    coder.time_base, coder.framerate = 1 / rate, rate
    coder.options = {"crf": str(crf), "preset": "veryfast", "g": "53"}
    decoder = av.CodecContext.create("h264", "r")
    packets = []
    for number in range(turns * len(frames)):
        frame = av.VideoFrame.from_ndarray(frames[number % len(frames)], format="bgr24")
        frame.pts = number
        packets += coder.encode(frame)
    packets += coder.encode(None)
    decoded = [each for packet in [*packets, None] for each in decoder.decode(packet)]
    found, due = [], 0.0
    for number, each in enumerate(decoded):
        if number / rate >= due:
            due += 1 / RATE_HZ
            small = cv2.resize(thumbnail(each.to_ndarray(format="bgr24")), CELLS, interpolation=cv2.INTER_AREA)
            found.append(small.astype(np.float32).ravel())
    return found, float(len(frames) / rate)


def alarms(feed: Iterator[Cells] | list[Cells], **limits: float) -> tuple[int, float | None, float | None]:
    """How many times an alarm begins, when the first does, and with which lag."""
    watched, began, first, lag, last = Repeats(**limits), 0, None, None, None
    for number, cells in enumerate(feed):
        found = watched.see(cells)
        if found is not None and last is None:
            began += 1
            if first is None:
                first, lag = number / RATE_HZ, found
        last = found
    return began, first, lag


LIMITS = {
    "strict": {"alike": 0.10, "spread": 0.60, "rank": 4.0},
    "middle": {"alike": 0.20, "spread": 0.35, "rank": 3.0},
    "lax": {"alike": 0.35, "spread": 0.10, "rank": 2.0},
}


def live_feeds(hours: float) -> None:
    print(f"live feeds: alarms in {hours:g} h, limits {', '.join(LIMITS)}")
    seconds, steps = 0.0, 0
    for name, scene in live(1).items():
        feed = list(shown(scene, hours * 3600, np.random.default_rng(2)))
        started = time.perf_counter()
        counts = [alarms(feed, **limits)[0] for limits in LIMITS.values()]
        seconds, steps = seconds + time.perf_counter() - started, steps + len(feed) * len(LIMITS)
        print(f"  {name:36}", *counts, flush=True)
    print(f"  {seconds / steps * 1e6:.0f} us a sample")


def loops_of_people() -> None:
    print("loops of people: seconds to the alarm, and its lag")
    for turn_s in (10.0, 30.1, 61.3):
        for kind in ("eight people", "one person, always the same way"):
            feed = list(shown(looped(live(1)[kind], turn_s), turn_s * 4 + 30, np.random.default_rng(3)))
            found = [alarms(feed, **limits)[1:] for limits in LIMITS.values()]
            print(f"  {turn_s:6} s of {kind:34}", *found, flush=True)


def loops_of_clips(folder: Path) -> None:
    print("clips, looped and encoded again: seconds to the alarm, and its lag")
    clips = [ROOT / "samples" / name / "clip.mp4" for name in ("office", "road")]
    if folder.exists():
        fixed = ("03_fixed_street_crowd", "06_indoor_corridor_camera", "08_fixed_indoor_backs_no_face")
        clips += [folder / f"{name}.mp4" for name in fixed]
    else:
        print(f"  without {folder}: it is not here", file=sys.stderr)
    for path in clips:
        for crf in (23, 30, 36):
            feed, turn_s = encoded_again(path, crf)
            found = [alarms(feed, **limits)[1:] for limits in LIMITS.values()]
            print(f"  {path.parent.name}/{path.stem:30} crf {crf}, {turn_s:.1f} s:", *found, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--clips", type=Path, default=ROOT.parent / "shared/eval/clips")
    given = parser.parse_args()
    live_feeds(given.hours)
    loops_of_people()
    loops_of_clips(given.clips)


if __name__ == "__main__":
    main()
