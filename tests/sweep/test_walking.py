"""Which files are taken up: videos, once, whatever the folder looks like."""

from __future__ import annotations

import os
from pathlib import Path

from guard.errors import SourceError
from guard.sweep.walking import clips


def found(*paths: Path, out: Path) -> list[str]:
    return [
        f"error: {each.what}" if isinstance(each, SourceError) else each.name for each in clips(paths, leave_out=out)
    ]


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_videos_below_a_folder_in_the_order_of_their_names(tmp_path: Path):
    touch(tmp_path / "b/2.MOV", tmp_path / "b/1.mp4", tmp_path / "a.mkv", tmp_path / "notes.txt", tmp_path / "c.jpg")
    assert found(tmp_path, out=tmp_path / "out") == ["a.mkv", "1.mp4", "2.MOV"]


def test_hidden_things_and_what_the_sweep_wrote_itself_are_passed_over(tmp_path: Path):
    touch(
        tmp_path / ".hidden.mp4", tmp_path / ".cache/a.mp4", tmp_path / "out/units/ab/redacted.mp4", tmp_path / "x.mp4"
    )
    assert found(tmp_path, out=tmp_path / "out") == ["x.mp4"]
    assert found(tmp_path / "out", out=tmp_path / "out") == []


def test_a_file_that_is_named_is_taken_whatever_it_is_called(tmp_path: Path):
    touch(tmp_path / ".recording")
    assert found(tmp_path / ".recording", out=tmp_path / "out") == [".recording"]


def test_links_make_no_loop(tmp_path: Path):
    touch(tmp_path / "a/clip.mp4")
    os.symlink(tmp_path, tmp_path / "a/again")
    os.symlink(tmp_path / "a/clip.mp4", tmp_path / "a/link.mp4")
    os.symlink(tmp_path / "a", tmp_path / "folder.mp4")
    assert found(tmp_path, out=tmp_path / "out") == ["clip.mp4", "link.mp4"]


def test_pipes_are_passed_over_and_links_that_lead_nowhere_are_not(tmp_path: Path):
    os.mkfifo(tmp_path / "live.mp4")
    os.symlink(tmp_path / "live.mp4", tmp_path / "to-a-pipe.mp4")
    os.symlink(tmp_path / "gone.mp4", tmp_path / "broken.mp4")
    assert found(tmp_path, out=tmp_path / "out") == ["broken.mp4"]


def test_what_is_not_there_is_said(tmp_path: Path):
    assert found(tmp_path / "nowhere", out=tmp_path / "out") == ["error: there is no such file or folder"]


def test_names_of_any_bytes_are_found(tmp_path: Path):
    (tmp_path / os.fsdecode(b"caf\xe9.mp4")).touch()
    assert len(found(tmp_path, out=tmp_path / "out")) == 1
