"""Runs the adapters' tests against the oldest and the newest supported versions of each library.

Usage: python tests/matrix.py [NAME ...] [--keep]

`tests/integrations/matrix.toml` says which versions, and which tests; `alone` is installed without what it asks for.
Each entry gets an environment of its own on top of the one that this runs in: what the entry pins wins, everything else
is shared. An entry whose pins cannot be installed is a failure like any other.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "tests" / "integrations" / "matrix.toml"
FOLDER = ROOT / ".venv-matrix"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="entries of the table; all where none is named")
    parser.add_argument("--keep", action="store_true", help="keep the environments")
    arguments = parser.parse_args()
    entries = tomllib.loads(TABLE.read_text())["entry"]
    unknown = set(arguments.names) - {entry["name"] for entry in entries}
    if unknown:
        parser.error(f"no entry is called {', '.join(sorted(unknown))}")
    failed = []
    for entry in entries:
        if arguments.names and entry["name"] not in arguments.names:
            continue
        result = run(entry)
        pins = " ".join([*entry.get("pins", []), *entry.get("alone", [])])
        print(f"{entry['name']:28} {pins:70} {result}", flush=True)
        if not result.startswith("passed"):
            failed.append(entry["name"])
        if not arguments.keep:
            shutil.rmtree(FOLDER / entry["name"], ignore_errors=True)
    print(f"{len(failed)} failed: {', '.join(failed)}" if failed else "all passed")
    return bool(failed)


def run(entry: dict[str, list[str]]) -> str:
    """Makes the environment, runs the tests, and says how it went in a few words."""
    folder = FOLDER / str(entry["name"])
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    own = next((folder / "lib").glob("python*")) / "site-packages"
    (own / "base.pth").write_text(f"{ROOT}\n{sysconfig.get_path('purelib')}\n")
    install = [python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--prefer-binary"]
    for pins in (entry.get("pins", []), ["--no-deps", *entry.get("alone", [])]):
        if not pins or pins == ["--no-deps"]:
            continue
        installed = subprocess.run([*install, *pins], capture_output=True, text=True, check=False)
        if installed.returncode:
            return f"cannot be installed: {(installed.stderr.strip().splitlines() or ['no reason given'])[-1]}"
    files = sorted(str(path) for pattern in entry["tests"] for path in ROOT.glob(pattern))
    tests = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "default", *files]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(tests, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    summary = (done.stdout.strip().splitlines() or ["no output"])[-1]
    if done.returncode or " passed" not in summary:
        (FOLDER / f"{entry['name']}.log").write_text(done.stdout + done.stderr)
        return f"failed: {summary}"
    return f"passed: {summary}"


if __name__ == "__main__":
    sys.exit(main())
