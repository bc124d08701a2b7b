"""The same sweep on a local Ray, whose processes are killed meanwhile: the same records, none lost, none doubled."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from guard.errors import GuardError
from guard.replay.stopping import Stop
from guard.sweep.verifying import verify_sweep
from tests.sweep.conftest import POLICE, MakeOrder, archive, record_counts

pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("default")]

KILLS = 4


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """A Ray of two cores on loopback."""
    if find_spec("ray") is None:
        pytest.skip("ray is not installed: pip install 'frguard[ray]'")
    from guard.sweep.ray import connected

    with connected(workers=2):
        yield


def workers() -> list[int]:
    """Processes of Ray that work on a task of ours, or wait for one: Ray names them so."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                line = (folder / "cmdline").read_bytes()
            except OSError:
                continue
            if line.startswith(b"ray::") and b"_take" in line:
                found.append(int(folder.name))
    return found


def test_the_same_records_as_here(cluster: None, tmp_path: Path, make_order: MakeOrder):
    from guard.sweep.ray import sweep

    archive(tmp_path / "in", 5)
    (tmp_path / "in/broken.mp4").write_bytes(b"")
    told: list[tuple[Path, float]] = []
    found = sweep([tmp_path / "in"], make_order(), progress=lambda path, part: told.append((path, part)))
    assert found.files == {"found": 6, "broken": 1, "units": 5, "made": 5}
    assert "empty" in found.broken[0][1]
    assert len(told) == 6
    assert sorted(record_counts(tmp_path / "out").values()) == [6, 7, 8, 9, 10]
    again = sweep([tmp_path / "in"], make_order())
    assert again.files == {"found": 6, "broken": 1, "units": 5, "made": 0}


@contextmanager
def killing(out: Path, most: int) -> Iterator[list[int]]:
    """Inside, processes that have a unit in the making are killed, now and then, up to `most`; gives whom it killed."""
    chance, killed, over = random.Random(4), [], threading.Event()

    def kill() -> None:
        while len(killed) < most and not over.is_set():
            working = workers() if any((out / "parts").glob("*/decisions.db")) else []
            if working:
                victim = chance.choice(working)
                os.kill(victim, signal.SIGKILL)
                killed.append(victim)
            time.sleep(0.3 + chance.random())

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        yield killed
    finally:
        over.set()
        killer.join()


def test_workers_killed_in_mid_run_lose_and_double_nothing(cluster: None, tmp_path: Path, make_order: MakeOrder):
    from guard.sweep.ray import sweep

    archive(tmp_path / "in", 10, frames=300)
    with killing(tmp_path / "out", 4) as killed:
        found = sweep([tmp_path / "in"], make_order())
    assert len(killed) >= 2
    assert found.files == {"found": 10, "broken": 0, "units": 10, "made": 10}
    assert sorted(record_counts(tmp_path / "out").values()) == list(range(300, 310))
    checked = verify_sweep(tmp_path / "out")
    assert (checked.problems, checked.units) == ([], 10)


def test_a_file_of_which_every_process_dies_counts_as_broken(cluster: None, tmp_path: Path, make_order: MakeOrder):
    from guard.sweep.ray import sweep

    archive(tmp_path / "in", 1, frames=4000)
    with killing(tmp_path / "out", 100) as killed:
        found = sweep([tmp_path / "in"], make_order())
    assert len(killed) == 4
    assert found.files == {"found": 1, "broken": 1, "units": 0, "made": 0}
    assert "died 4 times" in found.broken[0][1]


def test_asked_to_stop_it_stops(cluster: None, tmp_path: Path, make_order: MakeOrder):
    from guard.sweep.ray import sweep

    archive(tmp_path / "in", 8, frames=100)
    stop = Stop()

    def after_the_first(path: Path, part: float) -> None:
        stop.asked = True

    found = sweep([tmp_path / "in"], make_order(), progress=after_the_first, stop=stop)
    assert found.interrupted
    assert 0 < found.files["units"] < 8
    assert sweep([tmp_path / "in"], make_order()).files["units"] == 8


def test_what_comes_back_is_one_small_row_a_file(cluster: None, tmp_path: Path, make_order: MakeOrder):
    from guard.sweep import ray as module

    archive(tmp_path / "in", 3)
    rows: list[int] = []
    real = module._outcome

    def weighed(path: Path, said: str) -> Any:
        rows.append(len(said))
        return real(path, said)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_outcome", weighed)
        module.sweep([tmp_path / "in"], make_order())
    assert len(rows) == 3
    assert max(rows) < 1000


def test_a_decoder_that_hangs_stops_nothing(
    cluster: None, tmp_path: Path, make_order: MakeOrder, monkeypatch: pytest.MonkeyPatch
):
    """Its process ends itself, and Ray runs the task again, up to three times."""
    from guard.sweep import ray as module

    clips = archive(tmp_path / "in", 3)
    clips[1].rename(tmp_path / "in/hangs.mp4")
    clips[2].rename(tmp_path / "in/hangs-once.mp4")
    monkeypatch.setattr(module, "_take", _take_and_hang)
    found = module.sweep([tmp_path / "in"], make_order(), patience_s=3.0)
    assert found.files == {"found": 3, "broken": 1, "units": 2, "made": 2}
    ((path, reason),) = found.broken
    assert path.name == "hangs.mp4"
    assert reason == "the process that read it died 4 times, or finished no frame in 3 s"


def _take_and_hang(row: dict[str, Any], order: Any, patience_s: float) -> dict[str, Any]:
    """Every task of its own process: the decoder hangs from the first one on."""
    from guard.replay.container import ContainerClip
    from guard.sweep import ray as module
    from tests.sweep.hanging import hang_up

    if ContainerClip._packets.__module__ != hang_up.__module__:
        hang_up()
    return module._take(row, order, patience_s)


def test_where_a_port_is_silent_ray_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, cluster: None):
    """Something listens there and says nothing: Ray itself would wait for minutes."""
    from guard.sweep import ray as module

    monkeypatch.setattr(module, "_ANSWER_S", 8.0)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"127.0.0.1:{listening.getsockname()[1]}"
        with pytest.raises(GuardError, match="does not answer: nothing came within 8 s"):
            module.check_answers(address)


def test_where_nobody_listens_the_command_ends_with_one_line(tmp_path: Path, cluster: None):
    archive(tmp_path / "in", 1)
    (tmp_path / "guard.toml").write_text(POLICE)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        command = [sys.executable, "-m", "guard", "sweep", "in", "--config", "guard.toml", "--ray", address]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stdout == ""
    assert [line for line in done.stderr.splitlines() if "key" not in line] == [
        f"guard: the Ray cluster does not answer: Connection refused ({address}); start it with `ray start`, or name "
        "`local`"
    ]


def test_an_address_at_which_a_cluster_answers(cluster: None):
    import ray

    from guard.sweep.ray import check_answers

    check_answers(ray.get_runtime_context().gcs_address)
