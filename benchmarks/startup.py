"""How long `import guard` takes beyond a bare interpreter, and how much memory a process with the hook needs.

Usage: python benchmarks/startup.py [--runs 15]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

HOOK = """
import tempfile, pathlib, numpy as np, guard
folder = pathlib.Path(tempfile.mkdtemp())
(folder / "guard.toml").write_text('[[source]]\\nid = "a"\\n')
frame = np.random.default_rng(0).integers(0, 255, (1080, 1920, 3), dtype=np.uint8)
with guard.load(folder / "guard.toml") as g:
    cam = g.source()
    search = cam.protect(lambda f: None, action="identify", service="azure_openai")
    for _ in range(30):
        with cam.frame(frame) as seen:
            try:
                search(frame)
            except guard.Denied:
                pass
status = pathlib.Path("/proc/self/status").read_text()
print(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=15)
    runs = parser.parse_args().runs
    bare, loaded, numpy = [], [], []
    for _ in range(runs):
        bare.append(seconds("pass"))
        loaded.append(seconds("import guard"))
        numpy.append(seconds("import numpy"))
    base = statistics.median(bare)
    print(f"bare interpreter      {base * 1000:7.1f} ms")
    print(f"import guard, beyond  {(statistics.median(loaded) - base) * 1000:7.1f} ms")
    print(f"import numpy, beyond  {(statistics.median(numpy) - base) * 1000:7.1f} ms (for comparison)")
    peaks = [int(output(HOOK)) / 1000 for _ in range(3)]
    print(f"hook at 1920x1080, default min_face_px: peak memory {statistics.median(peaks):.0f} MB")


def seconds(code: str) -> float:
    start = time.perf_counter()
    output(code)
    return time.perf_counter() - start


def output(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return done.stdout


if __name__ == "__main__":
    main()
