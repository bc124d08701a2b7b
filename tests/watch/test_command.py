"""`guard watch` as a command: one line for a mistake, one JSON object, and an end that leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

pytest.importorskip("uvicorn", reason="the live page needs frguard[watch]")

from guard.cli import main
from guard.ledger import summary
from tests.conftest import OFFICE, POLICE
from tests.watch.running import write_noise

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    (tmp_path / "guard.toml").write_text(POLICE)
    (tmp_path / "clip.mp4").write_bytes(b"never opened")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "no source has a feed"),
        (["--feed", "bodycam"], "--feed"),
        (["--feed", "bodycan=clip.mp4"], "did you mean 'bodycam'"),
        (["--feed", "bodycam=clap.mp4"], "there is no such clip"),
        (["--feed", "bodycam=clip.mp4", "--action", "identity"], "--action"),
        (["--feed", "bodycam=clip.mp4", "--service", "azure"], "--service"),
        (["--feed", "bodycam=clip.mp4", "--rate", "0"], "--rate"),
        (["--feed", "bodycam=clip.mp4", "--host", "0.0.0.0", "--no-token"], "--no-token"),
        (["--feed", "bodycam=clip.mp4", "--host", "192.0.2.1"], "this address cannot be had"),
    ],
)
def test_a_mistake_is_one_line(folder, capsys, arguments, said):
    status = main(["watch", "--config", "guard.toml", *arguments])
    err = [line for line in capsys.readouterr().err.splitlines() if "key" not in line and "WARNING" not in line]
    assert status == 1
    assert len(err) == 1
    assert said in err[0]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_is_and_ends_with_everything_written(tmp_path, number):
    write_noise(tmp_path / "clip.mp4")
    (tmp_path / "guard.toml").write_text(f'{OFFICE}\n[watch]\nfeeds = {{ "door" = "clip.mp4" }}\n')
    process = subprocess.Popen(
        [sys.executable, "-m", "guard", "watch", "--config", "guard.toml", "--port", "0", "--json"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "}\n")
        found = json.loads("".join(lines) + "}")
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        with opener.open(found["url"], timeout=20) as page:
            assert page.status == 200
            assert "token" not in page.url
        with opener.open(page.url + "events", timeout=20) as events:
            while b'"allow"' not in events.readline():
                pass
            process.send_signal(number)
            out, err = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait(20)
    assert (process.returncode, out) == (0, "")
    assert "Traceback" not in err
    assert (found["schema"], found["sources"]) == ("guard.watch/1", ["door"])
    assert summary(tmp_path / "decisions.db")["allow"] >= 1
