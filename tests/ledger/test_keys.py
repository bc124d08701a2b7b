"""The key that signs: named, in the environment, or made beside the ledger and said."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest

import guard
from guard.ledger import Ledger, leaves
from guard.ledger.keys import ENVIRONMENT, public_key
from guard.ledger.verifying import verify
from guard.policy.bundle import new_key
from tests.ledger.test_ledger import _root, entry


def test_a_key_is_made_for_its_owner_alone_and_said(tmp_path: Path, caplog):
    with Ledger(tmp_path / "d.db"):
        pass
    key = tmp_path / "d.db.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert "d.db.key was made" in caplog.text
    caplog.clear()
    before = key.read_bytes()
    with Ledger(tmp_path / "d.db"):
        pass
    assert caplog.text == ""
    assert key.read_bytes() == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["d.db", "d.db.key", "d.db.pub"]


def test_a_key_may_be_named_or_stand_in_the_environment(tmp_path: Path, monkeypatch, caplog):
    private, public = new_key()
    (tmp_path / "named.key").write_bytes(private)
    (tmp_path / "named.pub").write_bytes(public)
    with Ledger(tmp_path / "a.db", key=tmp_path / "named.key") as ledger:
        ledger.record(entry(1))
    monkeypatch.setenv(ENVIRONMENT, private.decode())
    with Ledger(tmp_path / "b.db") as ledger:
        ledger.record(entry(1))
    for name in ("a.db", "b.db"):
        assert verify(tmp_path / name, public_keys=[public_key(tmp_path / "named.pub")]).verified
        assert (tmp_path / f"{name}.pub").read_bytes() == public
        assert not (tmp_path / f"{name}.key").exists()
    assert caplog.text == ""


def test_the_configuration_names_the_key_and_the_pace(tmp_path: Path):
    private, public = new_key()
    (tmp_path / "k.key").write_bytes(private)
    (tmp_path / "k.pub").write_bytes(public)
    config = tmp_path / "guard.toml"
    config.write_text('[ledger]\nkey = "k.key"\ncheckpoint_seconds = 5\ncheckpoint_records = 7\n[[source]]\nid = "a"\n')
    from guard.testing import FakeDetector

    guard.load(config, packs=["ibm"], detector=FakeDetector()).close()
    (opened,) = leaves(tmp_path / "decisions.db", kind="opened")
    assert (opened["checkpoint_seconds"], opened["checkpoint_records"]) == (5.0, 7)
    assert verify(tmp_path / "decisions.db", public_keys=[public_key(tmp_path / "k.pub")]).verified


def test_a_key_that_is_none_lets_nothing_start(tmp_path: Path):
    (tmp_path / "bad.key").write_text("hello")
    for key in ("bad.key", "absent.key"):
        with pytest.raises(guard.LedgerError, match="key"):
            Ledger(tmp_path / "d.db", key=tmp_path / key)
    with pytest.raises(guard.LedgerError, match="no Ed25519 public key"):
        public_key(tmp_path / "bad.key")


def test_a_new_key_is_named_in_the_record_and_the_old_one_still_counts(tmp_path: Path):
    path = tmp_path / "d.db"
    with Ledger(path) as ledger:
        ledger.record(entry(1))
    old = public_key(tmp_path / "d.db.pub")
    private, _ = new_key()
    (tmp_path / "new.key").write_bytes(private)
    with Ledger(path, key=tmp_path / "new.key") as ledger:
        ledger.record(entry(2))
    new = public_key(tmp_path / "d.db.pub")
    assert len(verify(path).keys) == 2
    assert verify(path).verified
    assert verify(path, public_keys=[old, new]).verified
    assert not verify(path, public_keys=[old]).verified


def test_processes_that_start_at_once_agree_on_one_key(tmp_path: Path):
    script = (
        f"import sys; sys.path[:0] = {sys.path!r}\n"
        "from pathlib import Path\n"
        "from tests.ledger.test_ledger import entry\n"
        "from guard.ledger import Ledger\n"
        f"with Ledger(Path({str(tmp_path / 'd.db')!r})) as ledger:\n"
        "    for number in range(50):\n"
        "        ledger.record(entry(number, 'allow' if number % 5 == 0 else 'deny'))\n"
    )
    children = [
        subprocess.Popen([sys.executable, "-c", script], cwd=_root(), stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    for child in children:
        _, err = child.communicate(timeout=120)
        assert child.returncode == 0, err
    found = verify(tmp_path / "d.db", public_keys=[public_key(tmp_path / "d.db.pub")])
    assert found.problems == []
    assert (found.calls, found.sessions, found.open_sessions, len(found.keys)) == (200, 4, 0, 1)
