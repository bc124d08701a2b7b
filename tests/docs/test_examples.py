"""The examples of README and docs run as they stand.

In each page, in order: a `toml` block whose first line is a comment naming a file is written to it, `python` blocks
run in one namespace, and every `$ guard ...` line of a `console` block runs and must end with status 0 (or the one
that an `# exit N` at its end says). A page whose first line is ``<!-- needs: openai anthropic -->`` is skipped where
one of these modules is absent; where it ends in ``, in a process of its own -->``, its `python` blocks run in one,
after the others: they set up the whole process.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(?P<kind>toml|python|console)\n(?P<body>.*?)^```$", re.DOTALL | re.MULTILINE)
NEEDS = re.compile(r"\A<!-- needs: (?P<modules>[\w. ]+?)(?P<apart>, in a process of its own)? -->")
EXIT = re.compile(r"\s+#\s*exit (\d)\s*$")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_examples_of_a_page_run(page: Path, tmp_path: Path, monkeypatch):
    if not page.exists():
        pytest.fail(f"{page.name} is missing")
    needs = NEEDS.match(page.read_text())
    for module in needs["modules"].split() if needs else ():
        pytest.importorskip(module, reason=f"the examples of {page.name} need {module}")
    blocks = [(match["kind"], match["body"]) for match in BLOCK.finditer(page.read_text())]
    monkeypatch.chdir(tmp_path)
    samples = ROOT / "samples"
    if samples.is_dir():
        shutil.copytree(samples, tmp_path / "samples")
    if needs and needs["apart"]:
        code = "".join(body for kind, body in blocks if kind == "python")
        blocks = [*(block for block in blocks if block[0] != "python"), ("apart", code)]
    namespace: dict[str, object] = {"__name__": "__docs__"}
    for kind, body in blocks:
        if kind == "toml":
            named = re.match(r"#\s*(\S+\.toml)\b", body)
            if named:
                Path(named[1]).write_text(body)
        elif kind == "python":
            exec(compile(body, f"{page.name}: python block", "exec"), namespace)
        elif kind == "apart":
            apart(body)
        else:
            for line in body.splitlines():
                if line.startswith("$ guard"):
                    run(line[2:])


def apart(code: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr


def run(line: str) -> None:
    wanted = EXIT.search(line)
    arguments = shlex.split(EXIT.sub("", line))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", *arguments], capture_output=True, text=True, timeout=300, env=environment, check=False
    )
    assert done.returncode == int(wanted[1] if wanted else 0), f"{line}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr


def test_every_relative_link_leads_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_no_absolute_path_of_a_machine_stands_in_the_docs():
    for page in PAGES:
        assert not re.search(r"(?<![\w.])/(work|root|home|tmp)/", page.read_text()), page.name
