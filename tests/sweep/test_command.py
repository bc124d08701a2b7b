"""`guard sweep` on the command line: what it prints, and with which status it ends."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from rich.progress import Progress, TaskID

from guard.cli import main
from guard.cli.sweep import _progress
from guard.errors import GuardError
from guard.replay.stopping import Stop
from guard.sweep import sweep
from tests.sweep.conftest import POLICE, MakeOrder, archive, in_process

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """Runs `guard sweep` in the test's folder, without processes of its own; gives status, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("guard.cli.sweep.run_sweep", partial(sweep, execute=in_process))

    def go(*arguments: str, text: str = POLICE) -> tuple[int, str, str]:
        Path("guard.toml").write_text(text)
        status = main(["sweep", *arguments])
        said = capfd.readouterr()
        return status, said.out, said.err

    return go


USUAL = ("in", "--config", "guard.toml", "--service", "azure_openai", "--out", "out")


def test_a_denial_is_a_result(command: Command, tmp_path: Path):
    archive(tmp_path / "in", 2)
    status, out, _ = command(*USUAL)
    assert status == 0
    assert "identify at azure_openai" in out
    assert "2 files: 2 done now, 0 before, 0 the same as another, 0 broken" in out
    assert "MS-AOAI.us-police: 13 calls" in out


def test_json_is_one_object(command: Command, tmp_path: Path):
    archive(tmp_path / "in", 1)
    status, out, _ = command(*USUAL, "--action", "identify", "--action", "verify", "--json")
    found = json.loads(out)
    assert (status, found["schema"]) == (0, "guard.sweep/1")
    assert [(calls["action"], calls["denied"]) for calls in found["calls"]] == [("identify", 6), ("verify", 6)]
    assert found["broken"] == []


def test_a_broken_file_ends_with_1_and_one_line_and_the_normal_object(command: Command, tmp_path: Path):
    archive(tmp_path / "in", 1)
    (tmp_path / "in/broken.mp4").write_bytes(b"")
    status, out, err = command(*USUAL, "--json")
    assert status == 1
    assert json.loads(out)["files"] == {"found": 2, "broken": 1, "units": 1, "made": 1}
    (line,) = [line for line in err.splitlines() if line.startswith("guard:")]
    assert "broken.mp4" in line
    assert "empty" in line


def test_shadow_mode_is_said(command: Command, tmp_path: Path):
    archive(tmp_path / "in", 1)
    _, out, _ = command(*USUAL, text=POLICE.replace("[policy]", '[policy]\nmode = "shadow"'))
    assert "SHADOW MODE" in out


def test_verify_checks_everything_and_fails_with_2(command: Command, tmp_path: Path):
    archive(tmp_path / "in", 2)
    command(*USUAL)
    status, out, _ = command("--verify", "--out", "out", "--public-key", "out/sweep.pub")
    assert (status, out) == (0, "verified: 13 calls in 2 units\n")
    with open("out/index.jsonl", "a") as file:
        file.write("\n")
    status, out, _ = command("--verify", "--out", "out", "--json")
    found = json.loads(out)
    assert (status, found["schema"], found["verified"]) == (2, "guard.sweep-verify/1", False)


def test_verify_says_what_is_wrong(command: Command, tmp_path: Path):
    archive(tmp_path / "in", 1)
    command(*USUAL)
    (tmp_path / "out/index.jsonl").write_text("")
    status, out, _ = command("--verify", "--out", "out")
    assert (status, out.splitlines()[0]) == (2, "NOT VERIFIED: 0 calls in 0 units")
    assert "index.jsonl is not the one that was signed" in out
    assert "no --public-key was given" in out


def test_of_several_sources_one_has_to_be_named(command: Command, tmp_path: Path):
    status, _, err = command(*USUAL, text=POLICE + '\n[[source]]\nid = "other"\n')
    assert (status, "name one of: bodycam, other" in err) == (1, True)


def test_that_it_was_interrupted_is_said(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def stopped(*arguments: Any, stop: Stop, **options: Any) -> Any:
        stop.asked = True
        return sweep(*arguments, stop=stop, execute=in_process, **options)

    archive(tmp_path / "in", 1)
    monkeypatch.setattr("guard.cli.sweep.run_sweep", stopped)
    monkeypatch.setattr("guard.sweep.running.clips", lambda *arguments, **options: iter(()))
    status, out, _ = command(*USUAL)
    assert (status, "interrupted: run it again" in out) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        ([], 1, "--config are needed"),
        (["in"], 1, "--config are needed"),
        (["in", "--config", "absent.toml"], 3, "no such file"),
        (["in", "--config", "guard.toml", "--action", "recognise"], 1, "--action"),
        (["in", "--config", "guard.toml", "--service", "nobody"], 1, "--service"),
        (["in", "--config", "guard.toml", "--source", "other"], 1, "no source is called 'other'"),
        (["in", "--config", "guard.toml", "--at", "yesterday"], 1, "--at"),
        (["in", "--config", "guard.toml", "--out", "guard.toml/below"], 1, "folder cannot be made"),
        (["in", "--config", "guard.toml", "--workers", "0"], 1, "workers"),
        (["in", "--config", "guard.toml", "--patience", "0"], 1, "patience"),
        (["in", "--config", "guard.toml", "--patience", "nan"], 1, "patience"),
        (["in", "--config", "guard.toml"], 1, "nothing to sweep"),
        (["--verify", "--out", "absent"], 1, "cannot be read"),
    ],
)
def test_a_mistake_is_one_line(command: Command, tmp_path: Path, arguments: list[str], status: int, said: str):
    (tmp_path / "in").mkdir()
    found, _, err = command(*arguments)
    (line,) = [line for line in err.splitlines() if line.startswith("guard:")]
    assert (found, said in line) == (status, True), err


def test_on_a_terminal_clips_are_counted_while_they_are_decided(
    tmp_path: Path, make_order: MakeOrder, monkeypatch: pytest.MonkeyPatch
):
    """A part of a clip counts until all of it does, each once."""
    one, other = archive(tmp_path / "in", 2)
    order = make_order()
    counted = threading.Event()
    told: list[dict[str, Any]] = []

    def update(self: Progress, task: TaskID, **said: Any) -> None:
        told.append(said)
        if "total" in said:
            counted.set()

    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(Progress, "update", update)
    with _progress([tmp_path / "in"], order) as tell:
        assert tell is not None
        assert counted.wait(60)
        for path, part in ((one, 0.5), (other, 0.25), (one, 1.0), (other, 1.0)):
            tell(path, part)
    sizes = one.stat().st_size, other.stat().st_size
    assert told[0] == {"total": sum(sizes), "description": "2 clips"}
    assert [said["completed"] for said in told[1:]] == pytest.approx(
        [sizes[0] / 2, sizes[0] / 2 + sizes[1] / 4, sizes[0] + sizes[1] / 4, sum(sizes)]
    )


@pytest.mark.parametrize(("arguments", "patience_s"), [((), 600), (("--patience", "30"), 30)])
def test_how_long_a_process_may_be_silent_can_be_said(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], patience_s: int
):
    said: list[dict[str, Any]] = []

    def sweeps(*paths: object, **options: Any) -> None:
        said.append(options)
        raise GuardError("that is all")

    (tmp_path / "in").mkdir()
    for where, options in (("guard.cli.sweep.run_sweep", ()), ("guard.sweep.ray.sweep", ("--ray", "local"))):
        monkeypatch.setattr(where, sweeps)
        assert command(*USUAL, *options, *arguments)[0] == 1
    assert [options["patience_s"] for options in said] == [patience_s, patience_s]
