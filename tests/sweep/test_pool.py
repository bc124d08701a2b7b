"""Worker processes: they share the work, die alone, stop when asked, and leave nothing that counts when killed.

A kill in `make test`; GUARD_KILLS=40 (`make test-kill`) makes it more, all on one folder, and runs the rest.
"""

from __future__ import annotations

import errno
import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from itertools import count
from multiprocessing import Pipe
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from guard.errors import GuardError
from guard.ledger.verifying import verify
from guard.replay.stopping import Stop
from guard.sweep import pool, sweep
from guard.sweep.task import Outcome, Task
from guard.sweep.verifying import verify_sweep
from tests.sweep import hanging
from tests.sweep.conftest import POLICE, MakeOrder, archive, ledgers, record_counts

ROOT = Path(__file__).resolve().parents[2]
KILLS = int(os.environ.get("GUARD_KILLS", "1"))
long = pytest.mark.skipif("GUARD_KILLS" not in os.environ, reason="takes a while: `make test-kill` runs it")

pytestmark = pytest.mark.slow


def command(folder: Path, *arguments: str) -> list[str]:
    (folder / "guard.toml").write_text(POLICE)
    given = ["in", "--config", "guard.toml", "--service", "azure_openai", "--out", "out", *arguments]
    return [sys.executable, "-m", "guard", "sweep", *given]


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        command(folder, *arguments),
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(folder: Path) -> dict[str, object]:
    """Runs the sweep to its end; gives its summary."""
    done = start(folder, "--json")
    out, err = done.communicate(timeout=240)
    assert done.returncode == 0, err
    return dict(json.loads(out))


def children_of(parent: int) -> list[int]:
    """The worker processes of a sweep, as the kernel lists them."""
    try:
        found = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    except OSError:
        return []
    return [pid for pid in map(int, found) if alive(pid)]


def alive(pid: int) -> bool:
    """Whether a worker process still runs."""
    try:
        return "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return False


def until(condition: object, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.02)


def test_two_processes_do_what_one_does(tmp_path: Path, make_order: MakeOrder):
    archive(tmp_path / "in", 4)
    told: list[tuple[Path, float]] = []
    found = sweep([tmp_path / "in"], make_order(), workers=2, progress=lambda path, part: told.append((path, part)))
    assert found.files == {"found": 4, "broken": 0, "units": 4, "made": 4}
    assert sorted(record_counts(tmp_path / "out").values()) == [6, 7, 8, 9]
    assert sorted(path.name for path, part in told if part == 1.0) == [f"clip-{number:03}.mp4" for number in range(4)]


@long
def test_a_file_of_which_a_process_dies_stops_nothing(tmp_path: Path):
    """A worker is killed each time it takes the long clip up; the short ones are all decided."""
    archive(tmp_path / "in", 3)
    (clip,) = archive(tmp_path / "long", 1, frames=2500)
    os.rename(clip, tmp_path / "in/a-long.mp4")
    running = start(tmp_path, "--workers", "1", "--json")
    for _ in range(2):
        until(lambda: any((tmp_path / "out/parts").glob("*/decisions.db")))
        (worker,) = children_of(running.pid)
        os.kill(worker, signal.SIGKILL)
        for part in (tmp_path / "out/parts").glob("*/decisions.db"):
            part.unlink()
    out, err = running.communicate(timeout=120)
    found = json.loads(out)
    assert running.returncode == 1, err
    assert found["files"] == {"found": 4, "broken": 1, "units": 3, "made": 3}
    assert "died 2 times, by signal 9" in found["broken"][0]["reason"]
    assert sum(record_counts(tmp_path / "out").values()) == 6 + 7 + 8


def test_asked_to_stop_it_stops_and_goes_on_later(tmp_path: Path):
    archive(tmp_path / "in", 12, frames=150)
    running = start(tmp_path, "--workers", "2", "--json")
    until(lambda: ledgers(tmp_path / "out"))
    os.killpg(running.pid, signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 1, err
    assert "Traceback" not in err
    found = json.loads(out)
    assert found["interrupted"] is True
    assert 0 < found["files"]["units"] < 12
    assert list((tmp_path / "out").glob("parts*")) == []
    assert verify_sweep(tmp_path / "out").problems == []
    again = finish(tmp_path)
    assert again["files"] == {"found": 12, "broken": 0, "units": 12, "made": 12 - found["files"]["units"]}
    assert sorted(record_counts(tmp_path / "out").values()) == list(range(150, 162))


def test_a_process_that_did_its_task_unheard_ends_when_it_is_dismissed(tmp_path: Path, make_order: MakeOrder):
    (clip,) = archive(tmp_path / "in", 1)
    member = pool._Member(make_order())
    member.give(Task(clip))
    while not isinstance(member.connection.recv(), Outcome):
        pass
    assert member.task is not None  # as before the outcome was heard
    member.dismiss()
    member.wait()
    assert member.end == "with status 0"


@long
def test_nobody_is_left_behind_where_the_first_process_is_killed(tmp_path: Path):
    archive(tmp_path / "in", 4, frames=1500)
    running = start(tmp_path, "--workers", "2")
    until(lambda: len(children_of(running.pid)) == 2)
    workers = children_of(running.pid)
    running.kill()
    running.communicate()
    until(lambda: not any(alive(pid) for pid in workers))


def test_killed_at_any_instant_no_record_is_lost_or_doubled(tmp_path: Path):
    clips = max(6, KILLS)
    archive(tmp_path / "in", clips, frames=40)
    chance = random.Random(KILLS)
    for _ in range(KILLS):
        running = start(tmp_path, "--workers", "2")
        until(lambda running=running: running.poll() is not None or (tmp_path / "out/parts").exists())
        time.sleep(chance.random() * 1.5)
        workers = children_of(running.pid) if running.poll() is None else []
        for victim in workers if workers and chance.random() < 0.5 else [running.pid]:
            with suppress(ProcessLookupError):  # it came to its end just now
                os.kill(victim, signal.SIGKILL)
        running.communicate(timeout=240)
        for ledger in ledgers(tmp_path / "out"):
            assert verify(ledger).problems == []
    finish(tmp_path)
    assert sorted(record_counts(tmp_path / "out").values()) == [40 + number for number in range(clips)]
    checked = verify_sweep(tmp_path / "out")
    assert (checked.problems, checked.units) == ([], clips)
    assert list((tmp_path / "out").glob("parts*")) == []


def test_stopped_before_it_began_it_starts_nothing(tmp_path: Path, make_order: MakeOrder):
    archive(tmp_path / "in", 1)
    stop = Stop()
    stop.asked = True
    found = sweep([tmp_path / "in"], make_order(), workers=1, stop=stop)
    assert (found.interrupted, found.files["found"]) == (True, 0)


def test_a_decoder_that_hangs_stops_nothing(tmp_path: Path, make_order: MakeOrder, monkeypatch: pytest.MonkeyPatch):
    """Its process is killed, and the clip tried once more: one that hangs again counts as broken."""
    monkeypatch.setattr(pool, "_serve", hanging.serve)
    clips = archive(tmp_path / "in", 4)
    clips[2].rename(tmp_path / "in/hangs.mp4")
    clips[3].rename(tmp_path / "in/hangs-once.mp4")
    found = sweep([tmp_path / "in"], make_order(), workers=2, patience_s=5.0)
    assert found.files == {"found": 4, "broken": 1, "units": 3, "made": 3}
    ((path, reason),) = found.broken
    assert (path.name, reason) == (
        "hangs.mp4",
        "the process that read it was killed 2 times: no frame was done in 5 s",
    )
    assert sorted(record_counts(tmp_path / "out").values()) == [6, 7, 9]
    assert list((tmp_path / "out").glob("parts*")) == []


class Silent:
    """A member of a crew whose process is nowhere; `theirs` is its end of the pipe."""

    def __init__(self) -> None:
        self.connection, self.theirs = Pipe()
        self.task: Task | None = Task(Path("clip.mp4"))
        self.silent_s = 0.0
        self.killed = False

    def kill(self) -> None:
        self.killed = True


@pytest.fixture
def crew(monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Silent, list[float]]:
    """A crew of one that is patient for a minute, its only member, and what it said of its progress.

    From one look to the next an hour passes.
    """
    hours = count()
    monkeypatch.setattr(pool, "time", SimpleNamespace(monotonic=lambda: 3600.0 * next(hours)))
    monkeypatch.setattr(pool, "_POLL_S", 0.0)
    monkeypatch.setattr(pool, "_Member", lambda order: Silent())
    told: list[float] = []
    made: Any = pool._Crew(None, lambda path, part: told.append(part), 60.0)  # type: ignore[arg-type]
    made.hire(1)
    return made, made._members[0], told


def test_while_the_first_process_is_stopped_itself_nobody_is_silent(crew: tuple[Any, Silent, list[float]]):
    crowd, member, _ = crew
    looks = 0
    while not member.killed:
        assert list(crowd.listen()) == []
        looks += 1
    assert looks == 61


def test_every_sign_of_life_counts(crew: tuple[Any, Silent, list[float]]):
    crowd, member, told = crew
    for part in (0.0, 0.0, 0.5, 1.0):
        for _ in range(60):
            assert list(crowd.listen()) == []
        member.theirs.send(part)
    list(crowd.listen())
    assert not member.killed
    assert told == [0.0, 0.0, 0.5], "that all of it is done is said by whoever keeps the outcome"
    member.theirs.send(Outcome(Path("clip.mp4"), "made"))
    assert [outcome.status for outcome in crowd.listen()] == ["made"]
    assert member.task is None


def test_a_process_that_cannot_start_is_said(tmp_path: Path, make_order: MakeOrder, monkeypatch: pytest.MonkeyPatch):
    def full(self: object) -> None:
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    archive(tmp_path / "in", 1)
    monkeypatch.setattr("multiprocessing.context.SpawnProcess.start", full)
    with pytest.raises(GuardError, match="a worker process cannot start: Resource temporarily unavailable"):
        sweep([tmp_path / "in"], make_order(), workers=2)
