"""The record: on disk before a release, nothing lost, and a refusal where it cannot be written."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

import guard
from guard.ledger import Entry, Ledger, NullLedger, leaves, read, summary
from guard.ledger.store import Store
from guard.ledger.verifying import verify


def entry(
    number: int, verdict: str = "deny", fault: str | None = None, purpose: str = "research", again: bool = False
) -> Entry:
    decision = guard.Decision(
        id=f"id-{number}",
        at=None,
        source="cam",
        action="identify",
        service="self_hosted",
        verdict=guard.Verdict(verdict),
        faces=1,
        reasons=(guard.Reason(rule="R.1", pack="p", title="t", cite="c", sure="text"),),
        facts=guard.Facts.parse({"place": {"locality": purpose}, "evidence": []}),
        valid_until=None,
        fault=fault,
        latency_us=3.25,
        policy_digest="p1",
        frame=number,
    )
    return Entry(decision, 1_700_000_000_000_000_000 + number, judged_under=["cam"], again=again)


def test_a_release_is_on_disk_when_record_returns(tmp_path: Path):
    path = tmp_path / "d.db"
    with Ledger(path, policies={"p1": {"packs": ["all"], "base": "own", "extra": "none"}}) as ledger:
        ledger.record(entry(1, "allow"))
        with closing(sqlite3.connect(path)) as other:
            assert other.execute("SELECT id, verdict FROM records").fetchall() == [("id-1", "allow")]
        (record,) = read(path)
        assert record["policy"] == {"packs": ["all"], "base": "own", "extra": "none"}


@pytest.mark.parametrize(("options", "level"), [({}, 2), ({"durable": False}, 0)])
def test_every_commit_waits_for_the_disk_unless_the_ledger_need_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, bool], level: int
):
    real, levels = Store.commit, []

    def noted(self: Store) -> None:
        levels.append(self._connection.execute("PRAGMA synchronous").fetchone()[0])
        real(self)

    monkeypatch.setattr(Store, "commit", noted)
    with Ledger(tmp_path / "d.db", **options) as ledger:  # type: ignore[arg-type]
        ledger.record(entry(1, "allow"))
    assert set(levels) == {level}
    assert verify(tmp_path / "d.db").problems == []


def test_denials_are_committed_within_a_second_without_waiting_for_anybody(tmp_path: Path):
    path = tmp_path / "d.db"
    with Ledger(path) as ledger:
        ledger.record(entry(1))
        deadline = time.monotonic() + 1.0
        while summary(path)["total"] == 0 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert summary(path) == {"total": 1, "allow": 0, "redact": 0, "deny": 1, "fault": 0, "unenforced": 0}


def test_everything_is_written_at_close_in_order(tmp_path: Path):
    path = tmp_path / "d.db"
    with Ledger(path) as ledger:
        for number in range(1000):
            ledger.record(entry(number, purpose=f"{number}"))
    records = list(read(path))
    assert [record["frame"] for record in records] == list(range(1000))
    assert records[0]["facts"]["place"]["locality"] == "0"
    assert records[0]["rules"] == ["R.1"]
    assert records[0]["at"] == "2023-11-14T22:13:20.000000Z"


def test_a_second_verdict_on_the_same_call_replaces_the_first(tmp_path: Path):
    path = tmp_path / "d.db"
    with Ledger(path) as ledger:
        ledger.record(entry(1, "allow"))
        ledger.record(entry(1, "deny", "too late", again=True))
        ledger.record(entry(2, "allow"))
    assert [(r["id"], r["verdict"], r["fault"]) for r in read(path)] == [
        ("id-1", "deny", "too late"),
        ("id-2", "allow", None),
    ]
    assert summary(path) == {"total": 2, "allow": 1, "redact": 0, "deny": 1, "fault": 1, "unenforced": 0}


def test_reading_can_be_narrowed(tmp_path: Path):
    path = tmp_path / "d.db"
    with Ledger(path) as ledger:
        ledger.record(entry(1))
        ledger.record(entry(2, "redact"))
    assert [r["id"] for r in read(path, verdict="redact")] == ["id-2"]
    assert [r["id"] for r in read(path, source="other")] == []
    with pytest.raises(guard.LedgerError, match="no ledger"):
        list(read(tmp_path / "absent.db"))
    (tmp_path / "text.db").write_text("not a database, just a longer line of text" * 100)
    with pytest.raises(guard.LedgerError, match="cannot be read"):
        list(read(tmp_path / "text.db"))


def test_files_that_are_no_ledger_are_refused_and_left_alone(tmp_path: Path):
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE mine (x)")
        connection.commit()
    with pytest.raises(guard.LedgerError, match="something else"):
        Ledger(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
        connection.commit()
    with pytest.raises(guard.LedgerError, match="version 99"):
        Ledger(path)


def test_a_closed_ledger_takes_nothing(tmp_path: Path):
    ledger = Ledger(tmp_path / "d.db")
    ledger.close()
    ledger.close()
    with pytest.raises(guard.LedgerError, match="closed"):
        ledger.record(entry(1))


def test_a_null_ledger_releases_nothing():
    with pytest.raises(guard.LedgerError):
        NullLedger().record(entry(1, "allow"))
    NullLedger().flush()
    NullLedger().close()
    assert NullLedger().last_at_ns() == 0


def test_the_newest_believed_record_is_remembered(tmp_path: Path):
    path = tmp_path / "d.db"
    with Ledger(path) as ledger:
        assert ledger.last_at_ns() == 0
        ledger.record(entry(1))
        later = entry(2)
        later.at_ns, later.clock = 1_900_000_000_000_000_000, "given"
        ledger.record(later)
    with Ledger(path) as ledger:
        assert abs(ledger.last_at_ns() - 1_700_000_000_000_000_000) < 1_000_000_000


def test_eight_threads_lose_nothing(tmp_path: Path):
    path = tmp_path / "d.db"
    with Ledger(path) as ledger:

        def work(first: int) -> None:
            for number in range(first, first + 100):
                ledger.record(entry(number, "allow" if number % 10 == 0 else "deny"))

        threads = [threading.Thread(target=work, args=(first,)) for first in range(0, 800, 100)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert summary(path) == {"total": 800, "allow": 80, "redact": 0, "deny": 720, "fault": 0, "unenforced": 0}


def broken(*args, **kwargs):
    raise sqlite3.OperationalError("disk I/O error")


def test_while_the_disk_refuses_releases_are_refused_and_rows_wait(tmp_path: Path, caplog, monkeypatch):
    path = tmp_path / "d.db"
    with Ledger(path) as ledger:
        with monkeypatch.context() as disk:
            disk.setattr(Store, "begin", broken)
            with pytest.raises(guard.LedgerError, match="disk I/O error"):
                ledger.record(entry(1, "allow"))
            ledger.record(entry(2))
            with pytest.raises(guard.LedgerError):
                ledger.flush()
        ledger.record(entry(3, "allow"))
    rows = {record["id"]: (record["verdict"], record["fault"] is not None) for record in read(path)}
    assert rows == {"id-1": ("deny", True), "id-2": ("deny", False), "id-3": ("allow", False)}
    assert sum("cannot be written" in line for line in caplog.messages) == 1
    assert sum("can be written again" in line for line in caplog.messages) == 1


def test_a_row_that_could_not_be_kept_is_counted_in_the_record_too(tmp_path: Path, caplog, monkeypatch):
    import guard.ledger.writing as writing

    monkeypatch.setattr(writing, "_KEPT_LIMIT", 1)
    path = tmp_path / "d.db"
    with Ledger(path) as ledger:
        with monkeypatch.context() as disk:
            disk.setattr(Store, "begin", broken)
            for number in range(4):
                ledger.record(entry(number, purpose=f"{number}"))
            with pytest.raises(guard.LedgerError):
                ledger.flush()
        ledger.flush()
    assert any("2 refusals have no record" in line for line in caplog.messages)
    assert [leaf["calls"] for leaf in leaves(path, kind="lost")] == [2]
    assert summary(path)["total"] == 2


def test_a_caller_that_outruns_the_disk_waits_for_it(tmp_path: Path, monkeypatch):
    import guard.ledger.writing as writing

    monkeypatch.setattr(writing, "_QUEUE_LIMIT", 10)
    path = tmp_path / "d.db"
    with Ledger(path) as ledger:
        for number in range(200):
            ledger.record(entry(number))
    assert summary(path)["total"] == 200


def test_a_writer_that_does_not_answer_refuses_and_the_row_says_so(tmp_path: Path, monkeypatch):
    import guard.ledger.writing as writing

    monkeypatch.setattr(writing, "_RELEASE_SECONDS", 0.2)
    path = tmp_path / "d.db"
    blocker = sqlite3.connect(path, isolation_level=None)
    ledger = Ledger(path)
    try:
        blocker.execute("BEGIN IMMEDIATE")
        with pytest.raises(guard.LedgerError, match="did not answer"):
            ledger.record(entry(1, "allow"))
        blocker.execute("COMMIT")
    finally:
        blocker.close()
        monkeypatch.setattr(writing, "_RELEASE_SECONDS", 10.0)
        ledger.close()
    assert [(r["verdict"], r["fault"] is not None) for r in read(path)] == [("deny", True)]


def test_a_forked_child_writes_through_a_connection_of_its_own(tmp_path: Path):
    path = tmp_path / "d.db"
    script = textwrap.dedent(
        f"""
        import os, sys
        sys.path[:0] = {sys.path!r}
        import warnings; warnings.simplefilter("ignore")
        from pathlib import Path
        from tests.ledger.test_ledger import entry
        from guard.ledger import Ledger
        ledger = Ledger(Path({str(path)!r}))
        ledger.record(entry(1, "allow"))
        pid = os.fork()
        if pid == 0:
            ledger.record(entry(2, "allow"))
            ledger.record(entry(3))
            ledger.close()
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        ledger.record(entry(4, "allow"))
        ledger.close()
        """
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, cwd=_root())
    assert done.returncode == 0, done.stderr
    assert sorted(record["id"] for record in read(path)) == ["id-1", "id-2", "id-3", "id-4"]
    found = verify(path)
    assert (found.problems, found.sessions, found.open_sessions) == ([], 2, 0)


@pytest.mark.parametrize("kib", [8, 64, 200])
def test_a_file_size_limit_refuses_and_never_releases_without_a_row(tmp_path: Path, kib: int):
    """RLIMIT_FSIZE bites even as root, where a read-only folder would prove nothing."""
    path = tmp_path / "d.db"
    script = textwrap.dedent(
        f"""
        import resource, sys
        sys.path[:0] = {sys.path!r}
        from pathlib import Path
        import guard
        from tests.ledger.test_ledger import entry
        from guard.ledger import Ledger
        resource.setrlimit(resource.RLIMIT_FSIZE, ({kib} * 1024, {kib} * 1024))
        try:
            ledger = Ledger(Path({str(path)!r}))
        except guard.LedgerError as error:
            print("refused to start:", error)
            raise SystemExit(0)
        released = 0
        for number in range(2000):
            try:
                ledger.record(entry(number, "allow", purpose=str(number)))
                released += 1
            except guard.LedgerError:
                break
        else:
            raise SystemExit("the limit never bit")
        print("released", released)
        """
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, cwd=_root())
    assert done.returncode == 0, done.stderr
    if done.stdout.startswith("released"):
        released = int(done.stdout.split()[1])
        rows = [record for record in read(path) if record["verdict"] == "allow"]
        assert len(rows) >= released
        assert verify(path).problems == []
        assert [record["frame"] for record in rows[:released]] == list(range(released))
    else:
        assert "cannot be written" in done.stdout


def _root() -> str:
    return str(Path(__file__).resolve().parents[2])


def test_the_lag_is_the_age_of_the_oldest_entry_that_is_not_on_disk(tmp_path: Path):
    path = tmp_path / "d.db"
    blocker = sqlite3.connect(path, isolation_level=None)
    with Ledger(path) as ledger:
        assert ledger.lag_s() == 0.0
        ledger.record(entry(1, "allow"))
        assert ledger.lag_s() == 0.0
        blocker.execute("BEGIN IMMEDIATE")
        ledger.record(entry(2))
        time.sleep(0.3)
        ledger.record(entry(3))
        assert 0.3 <= ledger.lag_s() < 30
        blocker.execute("COMMIT")
        ledger.flush()
        assert ledger.lag_s() == 0.0
        ledger.record(entry(4))
        assert 0.0 <= ledger.lag_s() < 0.3
    blocker.close()
