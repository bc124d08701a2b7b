"""Whatever the machine does to the file, a call without a record is a call that was not released."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest

import guard
from guard.ledger import Ledger, leaves, read
from guard.ledger.verifying import verify
from tests.ledger.test_ledger import _root, entry


def reachable(folder: Path) -> None:
    """Lets everybody into a folder of pytest's."""
    inside = Path(tempfile.gettempdir()).resolve()
    for parent in (folder, *folder.parents):
        if inside in parent.parents:
            parent.chmod(0o755)


def test_a_folder_that_cannot_be_written_lets_nothing_start(tmp_path: Path):
    """As somebody who is not root: root may write anywhere."""
    folder = tmp_path / "fixed"
    folder.mkdir(mode=0o555)
    script = textwrap.dedent(
        f"""
        import os, sys
        sys.path[:0] = {sys.path!r}
        import guard
        from guard.ledger import Ledger
        from cryptography.hazmat.primitives.asymmetric import ed25519
        if os.geteuid() == 0:
            os.setuid(65534)
        try:
            Ledger({str(folder / "d.db")!r})
        except guard.LedgerError as error:
            print("refused", error)
        """
    )
    reachable(tmp_path)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=_root(), timeout=60)
    assert done.stdout.startswith("refused"), done.stderr
    assert "cannot be written" in done.stdout
    assert list(folder.iterdir()) == []


def test_a_closed_ledger_is_read_where_nothing_can_be_written(tmp_path: Path):
    folder = tmp_path / "copy"
    folder.mkdir()
    with Ledger(folder / "d.db") as ledger:
        ledger.record(entry(1, "allow"))
    script = textwrap.dedent(
        f"""
        import os, pathlib, sys
        sys.path[:0] = {sys.path!r}
        pathlib.Path("/x").as_uri()  # what it imports may lie where only root may read
        from guard.ledger import read, summary
        from guard.ledger.verifying import verify
        if os.geteuid() == 0:
            os.setuid(65534)
        print(summary({str(folder / "d.db")!r})["total"], verify({str(folder / "d.db")!r}).verified)
        """
    )
    reachable(tmp_path)
    folder.chmod(0o555)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=_root(), timeout=60)
    folder.chmod(0o755)
    assert done.stdout == "1 True\n", done.stderr


def test_a_full_disk_is_not_asked_all_the_time(tmp_path: Path, monkeypatch):
    from guard.ledger.store import Store

    asked = []

    def full(self: Store) -> None:
        asked.append(1)
        raise sqlite3.OperationalError("database or disk is full")

    with Ledger(tmp_path / "d.db") as ledger:
        with monkeypatch.context() as disk:
            disk.setattr(Store, "begin", full)
            ledger.record(entry(1))
            with pytest.raises(guard.LedgerError):
                ledger.flush()
            time.sleep(1.2)
            assert len(asked) < 8
        ledger.flush()


def test_a_file_that_became_read_only_refuses(tmp_path: Path, monkeypatch):
    path = tmp_path / "d.db"
    with Ledger(path) as ledger:
        ledger.record(entry(1, "allow"))
        ledger._store._connection.execute("PRAGMA query_only = ON")
        with pytest.raises(guard.LedgerError, match="readonly"):
            ledger.record(entry(2, "allow"))
        ledger.record(entry(3, "allow"))  # the file was opened again
    assert {record["id"]: record["verdict"] for record in read(path)} == {
        "id-1": "allow",
        "id-2": "deny",
        "id-3": "allow",
    }
    assert verify(path).verified


@pytest.mark.parametrize("gone", ["moved", "removed", "replaced"])
def test_a_file_that_is_taken_away_is_noticed_before_the_next_release(tmp_path: Path, gone: str):
    path, kept = tmp_path / "d.db", tmp_path / "kept.db"
    with Ledger(path) as ledger:
        ledger.record(entry(1, "allow"))
        for suffix in ("", "-wal", "-shm"):
            with suppress(FileNotFoundError):
                os.rename(f"{path}{suffix}", f"{kept}{suffix}")
        if gone == "removed":
            for suffix in ("", "-wal", "-shm"):
                with suppress(FileNotFoundError):
                    os.unlink(f"{kept}{suffix}")
        if gone == "replaced":
            sqlite3.connect(path).close()
            path.touch()
        with pytest.raises(guard.LedgerError, match="moved or replaced"):
            ledger.record(entry(2, "allow"))
        ledger.record(entry(3, "allow"))
        with closing(sqlite3.connect(path)) as other:
            assert other.execute("SELECT id FROM records WHERE verdict = 'allow'").fetchall() == [("id-3",)]
    assert verify(path).problems == []
    assert [leaf["seq"] for leaf in leaves(path, kind="opened")] == [1]
    if gone == "moved":
        assert verify(kept).problems == []
        assert [record["id"] for record in read(kept)] == ["id-1"]


def test_a_damaged_file_lets_nothing_start(tmp_path: Path):
    path = tmp_path / "d.db"
    with Ledger(path) as ledger:
        ledger.record(entry(1, "allow"))
    data = bytearray(path.read_bytes())
    data[:200] = b"\xa5" * 200
    path.write_bytes(data)
    with pytest.raises(guard.LedgerError, match="cannot be written"):
        Ledger(path)
    assert path.read_bytes() == data


def test_a_page_that_is_damaged_at_run_time_never_releases_without_a_record(tmp_path: Path):
    path = tmp_path / "d.db"
    ledger = Ledger(path)
    for number in range(300):
        ledger.record(entry(number, purpose=f"{number}"))
    ledger.flush()
    ledger._store.tidy()
    size = path.stat().st_size
    with open(path, "r+b") as file:
        for at in range(4096, size, 8192):
            file.seek(at)
            file.write(b"\xa5" * 4096)
    released = []
    for number in range(1000, 1010):
        with suppress(guard.LedgerError):
            ledger.record(entry(number, "allow", purpose=f"{number}"))
            released.append(f"id-{number}")
    ledger.close()
    found = set()
    with suppress(guard.LedgerError):
        for record in read(path):
            found.add(record["id"])
    with closing(sqlite3.connect(path)) as raw, suppress(sqlite3.Error):
        for seq in raw.execute("SELECT seq FROM leaves ORDER BY seq DESC LIMIT 20").fetchall():
            with suppress(sqlite3.Error, TypeError):
                body = raw.execute("SELECT body FROM leaves WHERE seq = ?", seq).fetchone()[0]
                found.update(id for id in released if f'"{id}"' in body)
    assert set(released) <= found
    assert not verify(path).verified


def test_a_call_with_a_strange_frame_number_is_recorded(tmp_path: Path):
    """Anything else would leave a record that can never be written, and every call after it refused."""
    import numpy as np

    path = tmp_path / "d.db"
    with Ledger(path) as ledger:
        for number, frame in enumerate([np.int64(7), 2**70, -(2**70), "\ud800", None, True]):
            made = entry(number, "allow")
            made.decision = type(made.decision)(
                **{name: getattr(made.decision, name) for name in made.decision.__struct_fields__} | {"frame": frame}
            )
            ledger.record(made)
        odd = entry(99, "deny", fault="surrogate \ud800 in a text " + "x" * 1000)
        ledger.record(odd)
    records = list(read(path))
    assert [record["frame"] for record in records] == [7, None, None, None, None, 1, 99]
    assert len(records[-1]["fault"]) <= 300
    assert verify(path).verified
