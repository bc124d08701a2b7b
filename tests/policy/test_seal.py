"""The shipped rules are loaded as they were released, or not at all."""

from __future__ import annotations

import runpy
import shutil
from pathlib import Path

import pytest

from guard.errors import PolicyError
from guard.policy import Engine, seal


@pytest.fixture
def room(tmp_path: Path) -> Path:
    copy = tmp_path / "policy"
    shutil.copytree(seal.ROOM, copy, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


def some_pack(room: Path) -> Path:
    return sorted((room / "packs").rglob("*.cedar"))[0]


def test_the_rules_of_this_checkout_are_sealed() -> None:
    """After a change to a shipped pack, the schema or the base rules: ``python -m guard.policy``."""
    seal.check()


def test_a_copy_is_sound_and_line_ends_do_not_count(room: Path) -> None:
    seal.check(room)
    pack = some_pack(room)
    pack.write_bytes(pack.read_bytes().replace(b"\n", b"\r\n"))
    seal.check(room)


def test_a_pack_cut_off_between_two_rules_is_refused(room: Path) -> None:
    pack = max((room / "packs").rglob("*.cedar"), key=lambda path: path.stat().st_size)
    text = pack.read_text()
    pack.write_text(text[: text.index("};") + 3])
    with pytest.raises(PolicyError, match="not as it was released"):
        seal.check(room)


@pytest.mark.parametrize("name", ["base.cedar", "guard.cedarschema"])
def test_base_rules_and_schema_are_sealed_too(room: Path, name: str) -> None:
    (room / name).write_text((room / name).read_text() + "// changed\n")
    with pytest.raises(PolicyError, match="not as it was released"):
        seal.check(room)
    (room / name).unlink()
    with pytest.raises(PolicyError, match="missing"):
        seal.check(room)


def test_a_pack_that_is_gone_is_missed(room: Path) -> None:
    some_pack(room).unlink()
    with pytest.raises(PolicyError, match="missing"):
        seal.check(room)


def test_a_pack_that_was_slipped_in_is_refused(room: Path) -> None:
    shutil.copy(some_pack(room), room / "packs" / "mine.cedar")
    with pytest.raises(PolicyError, match="not part of the release"):
        seal.check(room)


def test_a_room_without_a_seal_is_refused(room: Path) -> None:
    (room / "SHA256SUMS").unlink()
    with pytest.raises(PolicyError, match="seal"):
        seal.check(room)


def test_sealing_again_accepts_the_rules_as_they_are(room: Path) -> None:
    some_pack(room).unlink()
    seal.write(room)
    seal.check(room)


def test_the_engine_asks_for_the_seal(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    some_pack(room).unlink()
    original = seal.check
    monkeypatch.setattr(seal, "check", lambda: original(room))
    with pytest.raises(PolicyError, match="missing"):
        Engine.load()


def test_the_command_seals(room: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    original = seal.write
    monkeypatch.setattr(seal, "write", lambda: original(room))
    runpy.run_module("guard.policy.__main__")
    assert capsys.readouterr().out.strip() == str(room / "SHA256SUMS")
