"""What a sweep promises: every clip once, whatever else lies in the folder, and never twice."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from guard.errors import ConfigError, GuardError, SourceError
from guard.facts import Faces
from guard.ledger import read
from guard.ledger.keys import public_key
from guard.ledger.verifying import verify
from guard.replay.clip import BrokeOff
from guard.replay.stopping import Stop
from guard.sweep import Order, sweep
from guard.sweep import folder as folder_module
from guard.sweep.folder import Folder
from guard.sweep.memory import Memory
from guard.sweep.running import _cores
from guard.sweep.task import Outcome, Task
from guard.sweep.unit import Worker, on_one_core
from guard.sweep.verifying import verify_sweep
from guard.testing import FakeDetector
from guard.vision import Detector
from tests.replay.conftest import write_clip
from tests.sweep.conftest import OFFICE, POLICE, MakeOrder, Sweep, archive, in_process, ledgers, record_counts


def test_every_clip_has_a_ledger_of_its_own_with_every_call(tmp_path: Path, swept: Sweep):
    archive(tmp_path / "in", 3, frames=6)
    found = swept(tmp_path / "in", actions=("identify", "verify"))
    assert found.files == {"found": 3, "broken": 0, "units": 3, "made": 3}
    assert (found.frames, found.complete) == (6 + 7 + 8, True)
    assert {kind: counts["denied"] for kind, counts in found.calls.items()} == {
        ("identify", "azure_openai"): 21,
        ("verify", "azure_openai"): 21,
    }
    for unit in tmp_path.glob("out/units/*/*"):
        assert {path.name for path in unit.iterdir()} == {"decisions.db", "decisions.db.pub", "unit.json"}
    assert sorted(record_counts(tmp_path / "out").values()) == [12, 14, 16]
    for ledger in ledgers(tmp_path / "out"):
        checked = verify(ledger, public_keys=[public_key(tmp_path / "out/sweep.pub")])
        assert (checked.problems, checked.unsealed, checked.open_sessions) == ([], 0, 0)


def test_a_second_run_does_nothing_again(tmp_path: Path, swept: Sweep, monkeypatch: pytest.MonkeyPatch):
    archive(tmp_path / "in", 2)
    first = swept(tmp_path / "in")
    before = {ledger: ledger.stat().st_mtime_ns for ledger in ledgers(tmp_path / "out")}
    monkeypatch.setattr("guard.sweep.unit.decide_clip", None)
    second = swept(tmp_path / "in")
    assert second.files == {"found": 2, "broken": 0, "units": 2, "made": 0}
    assert (second.calls, second.reasons, second.frames) == (first.calls, first.reasons, first.frames)
    assert {ledger: ledger.stat().st_mtime_ns for ledger in ledgers(tmp_path / "out")} == before


def test_an_unchanged_file_is_not_even_read_again(tmp_path: Path, swept: Sweep, monkeypatch: pytest.MonkeyPatch):
    (clip,) = archive(tmp_path / "in", 1)
    swept(tmp_path / "in")
    monkeypatch.setattr("guard.sweep.unit.content_of", None)
    assert swept(tmp_path / "in").files["units"] == 1
    os.utime(clip)
    assert swept(tmp_path / "in").files["broken"] == 1


def test_without_its_state_a_sweep_finds_what_is_done(tmp_path: Path, swept: Sweep):
    archive(tmp_path / "in", 2)
    swept(tmp_path / "in")
    (tmp_path / "out/state.db").unlink()
    assert swept(tmp_path / "in").files == {"found": 2, "broken": 0, "units": 2, "made": 0}


def test_what_a_record_depends_on_makes_other_units(tmp_path: Path, swept: Sweep):
    archive(tmp_path / "in", 1)
    more = POLICE + '\n[[source]]\nid = "other"\n# and a comment\n'
    orders = [
        (POLICE, {}, 1),
        (more, {"source": "bodycam"}, 0),
        (POLICE, {"services": ("self_hosted",)}, 1),
        (POLICE, {"at": datetime(2024, 5, 2, tzinfo=UTC)}, 1),
        (POLICE.replace("body_worn", "fixed"), {}, 1),
        (POLICE.replace("microsoft_azure_openai_2024", "ibm"), {}, 1),
        (POLICE.replace("[policy]", '[policy]\nmode = "shadow"'), {}, 1),
        (POLICE.replace('id = "bodycam"', 'id = "bodycam"\nmin_face_px = 20'), {}, 1),
    ]
    made = [swept(tmp_path / "in", text=text, **options).files["made"] for text, options, _ in orders]
    assert made == [expected for _, _, expected in orders]


def test_a_seal_belongs_to_what_a_unit_is_named_by(tmp_path: Path, swept: Sweep):
    (clip,) = archive(tmp_path / "in", 1)
    swept(tmp_path / "in")
    clip.with_name(clip.name + ".seal.json").write_text("{}")
    again = swept(tmp_path / "in")
    assert again.files["made"] == 1
    (record,) = [found for ledger in ledgers(tmp_path / "out") for found in read(ledger) if found["contradicted"]]
    assert "its seal does not hold" in record["contradicted"][0]
    assert record["facts"]["capture"]["mount"] is None


def test_the_same_content_counts_once(tmp_path: Path, swept: Sweep):
    (clip,) = archive(tmp_path / "in", 1)
    (tmp_path / "in/copy.mp4").write_bytes(clip.read_bytes())
    os.link(clip, tmp_path / "in/hard.mp4")
    os.symlink(clip, tmp_path / "in/soft.mp4")
    found = swept(tmp_path / "in", clip, tmp_path / "in")
    assert found.files == {"found": 4, "broken": 0, "units": 1, "made": 1}
    assert found.frames == 6
    assert sum(record_counts(tmp_path / "out").values()) == 6


def test_what_is_seen_of_one_clip_is_nothing_to_the_next(tmp_path: Path, swept: Sweep):
    clips = archive(tmp_path / "in", 2)
    clips[0].with_name(clips[0].name + ".seal.json").write_text("{}")
    swept(tmp_path / "in")
    stated = {record["contradicted"] != [] for ledger in ledgers(tmp_path / "out") for record in read(ledger)}
    assert stated == {True, False}


def test_a_broken_file_is_listed_and_stops_nothing(tmp_path: Path, swept: Sweep):
    archive(tmp_path / "in", 2)
    (tmp_path / "in/a.mp4").write_bytes(b"")
    (tmp_path / "in/b.mp4").write_bytes(b"no video at all" * 100)
    os.symlink(tmp_path / "nowhere.mp4", tmp_path / "in/c.mp4")
    found = swept(tmp_path / "in", tmp_path / "absent")
    assert found.files == {"found": 6, "broken": 4, "units": 2, "made": 2}
    assert not found.complete
    reasons = {path.name: reason for path, reason in found.broken}
    assert "empty" in reasons["a.mp4"]
    assert "it is no video" in reasons["b.mp4"]
    assert "cannot be read" in reasons["c.mp4"]
    assert "no such file or folder" in reasons["absent"]
    assert all("\n" not in reason for reason in reasons.values())


def test_a_name_so_long_that_it_can_have_no_seal_stops_nothing(tmp_path: Path, swept: Sweep):
    write_clip(tmp_path / f"{'x' * 250}.mp4")
    found = swept(tmp_path)
    assert found.files == {"found": 1, "broken": 0, "units": 1, "made": 1}


def test_a_broken_file_is_tried_again(tmp_path: Path, swept: Sweep):
    path = tmp_path / "in/clip.mp4"
    path.parent.mkdir()
    path.write_bytes(b"half a clip")
    assert swept(path).files["broken"] == 1
    path.unlink()
    write_clip(path)
    found = swept(path)
    assert (found.files, found.broken) == ({"found": 1, "broken": 0, "units": 1, "made": 1}, [])


def test_a_clip_that_breaks_off_is_decided_up_to_there(tmp_path: Path, swept: Sweep):
    path = write_clip(tmp_path / "clip.mp4", frames=60, size=(320, 240), options={"movflags": "+faststart"})
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.7)])
    found = swept(path)
    assert (found.files["units"], found.broke_off, found.complete) == (1, 1, False)
    assert 0 < found.frames < 60
    assert sum(record_counts(tmp_path / "out").values()) == found.frames


def test_nothing_to_sweep_is_said(tmp_path: Path, swept: Sweep):
    (tmp_path / "in").mkdir()
    with pytest.raises(SourceError, match="nothing to sweep"):
        swept(tmp_path / "in")


def test_allowed_calls_reach_the_stand_in_and_are_recorded(tmp_path: Path, swept: Sweep):
    archive(tmp_path / "in", 1)
    found = swept(tmp_path / "in", text=OFFICE, services=("my-matcher",))
    (counts,) = found.calls.values()
    assert counts["allowed"] == counts["reached_service"] == counts["attempted"] == 6


def test_redaction_leaves_a_copy_and_looks_at_every_frame_once(
    tmp_path: Path, swept: Sweep, monkeypatch: pytest.MonkeyPatch
):
    looked = []
    real = Detector.detect
    monkeypatch.setattr(Detector, "detect", lambda self, image, **how: (looked.append(1), real(self, image, **how))[1])
    archive(tmp_path / "in", 1)
    swept(tmp_path / "in", redact=True)
    assert len(looked) == 6
    (copy,) = tmp_path.glob("out/units/*/*/redacted.mp4")
    from guard.replay.clip import open_clip

    clip = open_clip(copy)
    assert len(list(clip.frames())) == 6
    clip.close()


def test_a_clip_that_is_written_to_meanwhile_does_not_count(
    tmp_path: Path, swept: Sweep, monkeypatch: pytest.MonkeyPatch
):
    (clip,) = archive(tmp_path / "in", 1)
    from guard.sweep import unit

    real = unit.decide_clip

    def slowly(*arguments: object, **options: object) -> object:
        with clip.open("ab") as file:
            file.write(b"more")
        return real(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(unit, "decide_clip", slowly)
    found = swept(tmp_path / "in")
    assert found.files == {"found": 1, "broken": 1, "units": 0, "made": 0}
    assert "changed while it was read" in found.broken[0][1]
    assert ledgers(tmp_path / "out") == []


def test_records_that_are_not_complete_do_not_count(tmp_path: Path, swept: Sweep, monkeypatch: pytest.MonkeyPatch):
    archive(tmp_path / "in", 1)
    from guard.ledger import Ledger

    real, dropped = Ledger.record, []

    def forgetful(self: Ledger, entry: object) -> None:
        if dropped:
            real(self, entry)  # type: ignore[arg-type]
        dropped.append(entry)

    monkeypatch.setattr(Ledger, "record", forgetful)
    with pytest.raises(GuardError, match="5 of 6 calls were recorded"):
        swept(tmp_path / "in")
    assert ledgers(tmp_path / "out") == []


@pytest.mark.parametrize("error", [OSError(28, "no room"), sqlite3.OperationalError("disk is full")])
def test_a_disk_that_fails_ends_the_sweep_and_marks_no_clip_as_broken(
    tmp_path: Path, swept: Sweep, monkeypatch: pytest.MonkeyPatch, error: Exception
):
    archive(tmp_path / "in", 2)

    def full(*arguments: object) -> None:
        raise error

    monkeypatch.setattr("guard.sweep.unit.verify", full)
    with pytest.raises(GuardError, match="the sweep ended early"):
        swept(tmp_path / "in")
    assert (tmp_path / "out/index.jsonl").read_text() == ""


def test_a_defect_that_a_file_brings_out_stops_nothing(tmp_path: Path, swept: Sweep, monkeypatch: pytest.MonkeyPatch):
    archive(tmp_path / "in", 1)
    monkeypatch.setattr("guard.sweep.unit.decide_clip", None)
    found = swept(tmp_path / "in")
    assert found.files["broken"] == 1
    assert found.broken[0][1].startswith("unexpected TypeError:")


def test_of_two_attempts_at_one_unit_the_first_stands(tmp_path: Path, make_order: MakeOrder):
    (clip,) = archive(tmp_path / "in", 1)
    order = make_order()
    other = Worker(order)
    folder = Folder(order.out)
    outcomes = []

    def meanwhile(part: float) -> None:
        if part and not outcomes:  # 0 is said before anybody looked whether it is done
            outcomes.append(other.take(clip))

    outcomes.append(Worker(order).take(clip, progress=meanwhile))
    assert [outcome.status for outcome in outcomes] == ["made", "there"]
    assert len({outcome.unit for outcome in outcomes}) == 1
    assert list(record_counts(order.out).values()) == [6]
    assert list(order.out.glob("parts/*")) == []
    assert folder.done(str(outcomes[0].unit)) is not None


@pytest.mark.parametrize("at", [0.0, 0.5])
def test_asked_to_stop_a_unit_leaves_nothing(tmp_path: Path, make_order: MakeOrder, at: float):
    """While the file is read for its digest, and while it is decided."""
    (clip,) = archive(tmp_path / "in", 1)
    with clip.open("ab") as file:
        file.write((3 << 20).to_bytes(4, "big") + b"free" + bytes((3 << 20) - 8))
    stop, order = Stop(), make_order()

    def ask(part: float) -> None:
        stop.asked = stop.asked or part >= at

    with pytest.raises(KeyboardInterrupt):
        Worker(order).take(clip, progress=ask, stop=stop)
    assert list(order.out.glob("parts/*")) == list(order.out.glob("units/*")) == []


@pytest.mark.parametrize("error", [BrokeOff("the clip broke off"), None])
def test_a_clip_without_a_frame_is_broken(
    tmp_path: Path, swept: Sweep, monkeypatch: pytest.MonkeyPatch, error: Exception | None
):
    def read(*arguments: object) -> Iterator[object]:
        if error is not None:
            raise error
        yield from ()

    archive(tmp_path / "in", 1)
    monkeypatch.setattr("guard.replay.container.ContainerClip._read", read)
    found = swept(tmp_path / "in")
    assert found.files == {"found": 1, "broken": 1, "units": 0, "made": 0}
    assert found.broken[0][1].startswith("the clip broke off" if error else "the clip gives no frame")


def test_what_is_no_file_is_broken(tmp_path: Path, swept: Sweep):
    os.mkfifo(tmp_path / "pipe.mp4")
    found = swept(tmp_path / "pipe.mp4")
    assert "it is no file" in found.broken[0][1]


def test_a_folder_that_cannot_be_read_is_listed(tmp_path: Path, swept: Sweep, monkeypatch: pytest.MonkeyPatch):
    """Its permissions do not stop whoever runs these tests as root."""
    archive(tmp_path / "in", 1)
    (tmp_path / "in/secret").mkdir()
    real = os.scandir

    def scan(folder: Path) -> object:
        if str(folder).endswith("secret"):
            raise PermissionError(13, "Permission denied")
        return real(folder)

    monkeypatch.setattr(os, "scandir", scan)
    found = swept(tmp_path / "in")
    assert found.files == {"found": 2, "broken": 1, "units": 1, "made": 1}
    assert "the folder cannot be read: Permission denied" in found.broken[0][1]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"actions": ()}, "nothing would be tried"),
        ({"services": ()}, "nothing would be tried"),
        ({"actions": (None,), "services": ("self_hosted",)}, "a call to self_hosted must say what it does"),
        ({"source": "nobody"}, "no source is called 'nobody'"),
    ],
)
def test_an_order_that_cannot_be_is_said(make_order: MakeOrder, options: dict[str, Any], said: str):
    with pytest.raises(ConfigError, match=said):
        make_order(**options)


def test_of_several_sources_one_has_to_be_named(make_order: MakeOrder):
    with pytest.raises(ConfigError, match=r"several sources.*bodycam, other"):
        make_order(POLICE + '\n[[source]]\nid = "other"\n')


def test_a_process_without_the_key_of_the_environment_is_said(
    tmp_path: Path, make_order: MakeOrder, monkeypatch: pytest.MonkeyPatch
):
    """As on another machine of a cluster."""
    make_order()
    monkeypatch.setenv("GUARD_LEDGER_KEY", (tmp_path / "out/sweep.key").read_text())
    order = make_order(out=tmp_path / "other")
    assert order.key is None
    Worker(order)
    monkeypatch.delenv("GUARD_LEDGER_KEY")
    with pytest.raises(ConfigError, match="GUARD_LEDGER_KEY is not set in this process"):
        Worker(order)


def test_what_a_killed_run_left_half_done_is_gone_and_never_counted(tmp_path: Path, swept: Sweep):
    archive(tmp_path / "in", 1)
    half = tmp_path / "out/parts/half"
    half.mkdir(parents=True)
    (half / "decisions.db").write_bytes(b"half")
    assert swept(tmp_path / "in").files["made"] == 1
    assert not half.exists()
    assert len(ledgers(tmp_path / "out")) == 1


def test_one_sweep_at_a_time_works_in_a_folder(tmp_path: Path, make_order: MakeOrder):
    archive(tmp_path / "in", 1)
    order = make_order()
    with Folder(order.out).alone(), pytest.raises(GuardError, match="another sweep is at work"):
        sweep([tmp_path / "in"], order, execute=in_process)


def test_a_configuration_that_changed_meanwhile_is_not_mixed_in(tmp_path: Path, make_order: MakeOrder):
    archive(tmp_path / "in", 1)
    order = make_order()
    make_order(POLICE.replace("body_worn", "fixed"))
    with pytest.raises(ConfigError, match="changed while the sweep ran"):
        sweep([tmp_path / "in"], order, execute=in_process)


def test_the_key_of_the_ledgers_is_one_and_private(tmp_path: Path, swept: Sweep):
    archive(tmp_path / "in", 2)
    swept(tmp_path / "in")
    assert (tmp_path / "out/sweep.key").stat().st_mode & 0o077 == 0
    assert list(tmp_path.glob("out/units/**/*.key")) == []
    assert len({tuple(verify(ledger).keys[0].split("+")[2:]) for ledger in ledgers(tmp_path / "out")}) == 1


def test_the_index_names_every_unit_with_its_paths(tmp_path: Path, swept: Sweep):
    clips = archive(tmp_path / "in", 2)
    (tmp_path / "in/z.mp4").write_bytes(b"")
    swept(clips[0])
    swept(tmp_path / "in")
    lines = [json.loads(line) for line in (tmp_path / "out/index.jsonl").read_text().splitlines()]
    assert sorted(path for line in lines for path in line.get("paths", [])) == [str(clip) for clip in clips]
    assert [line["path"] for line in lines if "broken" in line] == [str(tmp_path / "in/z.mp4")]


def test_the_largest_of_the_next_files_is_taken_first(
    tmp_path: Path, make_order: MakeOrder, monkeypatch: pytest.MonkeyPatch
):
    """Of at most so many that are looked at ahead: here two, of which the third is not."""
    for name, size in {"a": 1, "b": 2, "c": 3, "d": 1}.items():
        (tmp_path / f"{name}.mp4").write_bytes(bytes(size))
    os.symlink(tmp_path / "nowhere", tmp_path / "e.mp4")
    taken = []

    def execute(tasks: Iterator[Task], order: Order, **options: object) -> Iterator[Outcome]:
        for task in tasks:
            taken.append(task.path.stem)
            yield Outcome(task.path, "broken", reason="so")

    for ahead, order in ((1, "bcade"), (1000, "cbade")):
        taken.clear()
        monkeypatch.setattr("guard.sweep.running._AHEAD", ahead)
        sweep([tmp_path], make_order(), execute=execute)
        assert "".join(taken) == order


def test_a_path_that_is_named_twice_is_taken_once(tmp_path: Path, make_order: MakeOrder):
    (clip,) = archive(tmp_path / "in", 1)
    told: list[tuple[Path, float]] = []
    order = make_order()
    sweep([clip, tmp_path / "in", clip], order, execute=in_process, progress=lambda *part: told.append(part))
    assert told == [(clip, 1.0)]


def test_the_first_process_loads_no_library_that_decodes(tmp_path: Path):
    """Or the others would wait for it."""
    code = "import sys, guard.cli.sweep; print({'numpy', 'cv2', 'av', 'onnxruntime'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_a_process_keeps_to_one_core():
    before = cv2.getNumThreads()
    try:
        on_one_core()
        assert cv2.getNumThreads() == 1
    finally:
        cv2.setNumThreads(before)


def test_what_is_done_after_anybody_listened_is_in_the_index(tmp_path: Path, make_order: MakeOrder):
    """Processes that are asked to stop, or that work beside one that failed, may just come to their end."""
    stop = Stop()

    def stopped(tasks: Iterator[Task], order: Order, **options: object) -> Iterator[Outcome]:
        worker = Worker(order)
        first, second, third = tasks
        yield worker.take(first.path)
        worker.take(second.path)
        stop.asked = True

    def failed(tasks: Iterator[Task], order: Order, **options: object) -> Iterator[Outcome]:
        worker = Worker(order)
        made = [worker.take(task.path) for task in tasks]
        yield Outcome(made[0].path, "failed", reason="the disk is full")

    archive(tmp_path / "in", 3)
    found = sweep([tmp_path / "in"], make_order(), execute=stopped, stop=stop)
    assert (found.interrupted, found.files) == (True, {"found": 2, "broken": 0, "units": 2, "made": 2})
    assert verify_sweep(tmp_path / "out").problems == []
    with pytest.raises(GuardError, match="the disk is full"):
        sweep([tmp_path / "in"], make_order(), execute=failed)
    checked = verify_sweep(tmp_path / "out")
    assert (checked.problems, checked.units) == ([], 3)
    assert sweep([tmp_path / "in"], make_order(), execute=in_process).files["units"] == 3


def test_all_of_a_unit_is_on_disk_before_it_has_its_name(tmp_path: Path, swept: Sweep, monkeypatch: pytest.MonkeyPatch):
    """Its ledger does not wait for the disk while it is made, so it is waited for then."""
    done: list[str] = []
    sync, rename = folder_module._sync, os.rename

    def synced(path: Path) -> None:
        done.append(path.name)
        sync(path)

    def renamed(path: Path, target: Path) -> None:
        done.append(target.parent.parent.name)
        rename(path, target)

    monkeypatch.setattr(folder_module, "_sync", synced)
    monkeypatch.setattr(os, "rename", renamed)
    archive(tmp_path / "in", 1)
    swept(tmp_path / "in")
    at = done.index("units")
    assert set(done[:at]) >= {"decisions.db", "decisions.db.pub", "unit.json"}
    (unit,) = tmp_path.glob("out/units/*/*")
    assert done[at + 1] == unit.parent.name


def test_a_folder_that_cannot_be_locked_is_said(tmp_path: Path, swept: Sweep):
    archive(tmp_path / "in", 1)
    (tmp_path / "out/sweep.lock").mkdir(parents=True)
    with pytest.raises(GuardError, match="the folder cannot be used: Is a directory"):
        swept(tmp_path / "in")


@pytest.mark.parametrize("text", ["[]", "{}", '{"unit": "another"}', "{"])
def test_a_unit_that_cannot_be_read_is_neither_counted_nor_made_again(tmp_path: Path, swept: Sweep, text: str):
    archive(tmp_path / "in", 1)
    swept(tmp_path / "in")
    (unit,) = tmp_path.glob("out/units/*/*/unit.json")
    unit.write_text(text)
    with pytest.raises(GuardError, match=r"a unit cannot be read: .*; remove it, to have it made again"):
        swept(tmp_path / "in")


def test_an_index_that_cannot_be_written_is_said(tmp_path: Path, swept: Sweep):
    archive(tmp_path / "in", 1)
    (tmp_path / "out/index.jsonl.part").mkdir(parents=True)
    with pytest.raises(GuardError, match=r"the sweep ended early: .*Is a directory"):
        swept(tmp_path / "in")


def test_a_state_that_cannot_be_written_is_said(tmp_path: Path, swept: Sweep, monkeypatch: pytest.MonkeyPatch):
    def full(*arguments: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    archive(tmp_path / "in", 1)
    monkeypatch.setattr("guard.sweep.state.State.add", full)
    with pytest.raises(GuardError, match="the sweep ended early: database or disk is full"):
        swept(tmp_path / "in")
    (tmp_path / "out/state.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(GuardError, match="the state of the sweep cannot be used"):
        swept(tmp_path / "in")


def test_there_is_a_core_on_every_system(monkeypatch: pytest.MonkeyPatch):
    assert _cores() == len(os.sched_getaffinity(0))
    monkeypatch.delattr(os, "sched_getaffinity")
    assert _cores() == os.cpu_count()


def test_memory_keeps_one_nobody_for_all_frames_without_faces():
    picture, later = np.zeros((32, 32, 3), np.uint8), np.ones((32, 32, 3), np.uint8)
    memory = Memory(None, min_face_px=32, face_score=0.5)  # type: ignore[arg-type]
    for each in (picture, later):
        memory.keep(each, Faces(np.empty((0, 4), np.float32), np.empty(0, np.float32)))
    asked = {"min_face_px": 32, "face_score": 0.5}
    assert memory.detect(picture, **asked) is memory.detect(later, **asked)


def test_a_picture_that_is_not_the_next_one_kept_is_looked_at_anew():
    picture, other = np.zeros((32, 32, 3), np.uint8), np.ones((32, 32, 3), np.uint8)
    seen = Faces(np.array([[1, 1, 9, 9]], np.float32), np.ones(1, np.float32))
    memory = Memory(FakeDetector([(2, 2, 8, 8)]), min_face_px=32, face_score=0.5)  # type: ignore[arg-type]
    memory.keep(picture, seen)
    assert memory.detect(other, min_face_px=32, face_score=0.5) != seen
    assert memory.detect(picture, min_face_px=24, face_score=0.5) != seen
    assert memory.detect(picture, min_face_px=32, face_score=0.5) is seen
