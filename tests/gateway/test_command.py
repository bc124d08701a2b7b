"""`guard gateway` as a process: it says where it listens, reads the policy again on SIGHUP, and ends on SIGTERM."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Empty, Queue

import pytest

pytest.importorskip("uvicorn", reason="the gateway needs frguard[gateway]")
pytest.importorskip("aiohttp", reason="the gateway needs frguard[gateway]")

from guard.ledger import summary
from tests.conftest import OFFICE
from tests.gateway import requests as made
from tests.gateway.running import TRUSTED, ask, upstream
from tests.guard.test_reload import LOOSE, STRICT
from tests.integrations.loopback import counting_server

ROOT = Path(__file__).resolve().parents[2]


class Lines:
    """What the process says on stderr, line by line, waited for."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._lines: Queue[str | None] = Queue()
        self.all: list[str] = []
        threading.Thread(target=self._read, args=(process,), daemon=True).start()

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        for line in process.stderr:
            self.all.append(line)
            self._lines.put(line)
        self._lines.put(None)

    def wait_for(self, text: str) -> str:
        with suppress(Empty):
            while (line := self._lines.get(timeout=60)) is not None:
                if text in line:
                    return line
        pytest.fail(f"{text!r} was never said: {self.all}")


@contextmanager
def serving(folder: Path, config: str) -> Iterator[tuple[subprocess.Popen[str], Lines]]:
    (folder / "guard.toml").write_text(config)
    process = subprocess.Popen(
        [sys.executable, "-m", "guard", "gateway", "--config", "guard.toml"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process, Lines(process)
    finally:
        process.kill()
        process.wait(20)
        if process.stderr is not None:
            process.stderr.close()


def test_it_serves_reloads_and_stops(tmp_path):
    with counting_server() as service:
        pack = tmp_path / "house.cedar"
        pack.write_text(LOOSE)
        config = '[policy]\npacks = ["house.cedar"]\n' + OFFICE + TRUSTED + upstream("azure_face", service.url)
        with serving(tmp_path, config) as (process, lines):
            address = lines.wait_for("the gateway listens on").split()[-1]
            assert ask(address, made.IDENTIFY, made.identify(), source="door").status == 200
            pack.write_text("forbid (")
            process.send_signal(signal.SIGHUP)
            lines.wait_for("not reloaded")
            assert ask(address, made.IDENTIFY, made.identify(), source="door").status == 200
            pack.write_text(STRICT)
            process.send_signal(signal.SIGHUP)
            lines.wait_for("is in force")
            assert ask(address, made.IDENTIFY, made.identify(), source="door").decision == "deny"
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
    assert summary(tmp_path / "decisions.db")["allow"] == 2
    assert summary(tmp_path / "decisions.db")["deny"] == 1
    assert service.requests == 2


def test_a_killed_gateway_lets_nothing_through(tmp_path):
    with counting_server() as service:
        config = OFFICE + TRUSTED + upstream("azure_face", service.url)
        with serving(tmp_path, config) as (process, lines):
            address = lines.wait_for("the gateway listens on").split()[-1]
            process.kill()
            process.wait(20)
            with pytest.raises(ConnectionError):
                ask(address, made.IDENTIFY, made.identify(), source="door")
        service.assert_untouched()


@pytest.mark.parametrize(
    ("config", "status", "says"),
    [
        (OFFICE, 3, "says nothing of a gateway"),
        (OFFICE + TRUSTED, 3, "nothing stands behind it"),
        (
            OFFICE
            + TRUSTED.replace("trusted = true", "").replace(
                "source_header", 'certificate = "no.pem"\nkey = "no.pem"\nclient_ca = "no.pem" #'
            )
            + upstream("openai", "http://127.0.0.1:9"),
            3,
            "certificates cannot be used",
        ),
    ],
)
def test_a_configuration_that_cannot_be_served_is_one_line(tmp_path, config, status, says):
    with serving(tmp_path, config) as (process, lines):
        lines.wait_for(says)
        assert process.wait(30) == status
    assert "Traceback" not in "".join(lines.all)


def test_an_address_that_is_taken_is_one_line(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        bind = f"127.0.0.1:{taken.getsockname()[1]}"
        config = OFFICE + TRUSTED.replace("127.0.0.1:0", bind) + upstream("openai", "http://127.0.0.1:9")
        with serving(tmp_path, config) as (process, lines):
            assert bind in lines.wait_for("cannot be had")
            assert process.wait(30) == 1


def test_a_socket_left_by_a_killed_gateway_is_taken_over_and_a_live_one_is_not(tmp_path):
    listener = '[[gateway.listener]]\nbind = "unix:guard.sock"\nserves = "proxy"\nsource_header = "x-guard-source"\n'
    config = OFFICE + listener + upstream("openai", "http://127.0.0.1:9", "localhost")
    for _ in range(2):
        with serving(tmp_path, config) as (_, lines):
            lines.wait_for("the gateway listens on")
            (tmp_path / "other").mkdir(exist_ok=True)
            second = config.replace("unix:guard.sock", f"unix:{tmp_path / 'guard.sock'}")
            with serving(tmp_path / "other", second) as (process, words):
                words.wait_for("cannot be had")
                assert process.wait(30) == 1
        assert (tmp_path / "guard.sock").is_socket()
    shutil.rmtree(tmp_path / "other")
