"""The tables, and how they are opened.

WAL with ``synchronous = FULL``: a commit that returned is on disk, and a reader never blocks the writer (a file that
counts only once all of it was synced does without, see `guard.guard.open_ledger`). What the file
says is said in leaves; every other value in it is derived from them or signed, and `verify` derives it again.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from guard.errors import LedgerError

__all__ = ["SCHEMA_VERSION", "connect", "is_ledger", "objects", "open_to_read", "prepare"]

SCHEMA_VERSION = 3

# leaves: body = the JSON, NULL where it was pruned; hash = its RFC 6962 leaf hash; kind is not stored.
# superseded: records whose place a later one took, as that one says.
# pending: statements that still grow; each becomes a leaf. tree: the Merkle frontier, so that appending reads one row.
_TABLES = """
CREATE TABLE leaves (
  seq  INTEGER PRIMARY KEY,
  body TEXT,
  hash BLOB NOT NULL,
  kind TEXT GENERATED ALWAYS AS (json_extract(body, '$.kind')) VIRTUAL
);
CREATE INDEX leaves_of_other_kinds ON leaves (kind) WHERE kind <> 'call';
CREATE TABLE superseded (
  seq INTEGER PRIMARY KEY,
  by  INTEGER NOT NULL
);
CREATE TABLE pending (
  session TEXT NOT NULL,
  name    TEXT NOT NULL,
  body    TEXT NOT NULL,
  PRIMARY KEY (session, name)
) WITHOUT ROWID;
CREATE TABLE checkpoints (
  number INTEGER PRIMARY KEY,
  note   TEXT NOT NULL
);
CREATE TABLE tree (
  one    INTEGER PRIMARY KEY CHECK (one = 1),
  size   INTEGER NOT NULL,
  peaks  BLOB NOT NULL,
  sealed INTEGER NOT NULL
);
CREATE VIEW records AS
  SELECT
    seq,
    json_extract(body, '$.id') AS id,
    json_extract(body, '$.count') AS count,
    json_extract(body, '$.at') AS at,
    json_extract(body, '$.until') AS until,
    json_extract(body, '$.source') AS source,
    json_extract(body, '$.action') AS action,
    json_extract(body, '$.service') AS service,
    json_extract(body, '$.verdict') AS verdict,
    json_extract(body, '$.fault') AS fault,
    json_extract(body, '$.rules') AS rules,
    body
  FROM (
    SELECT seq, body FROM leaves WHERE kind = 'call'
      AND seq NOT IN (SELECT seq FROM superseded)
    UNION ALL
    SELECT NULL, body FROM pending WHERE json_extract(body, '$.kind') = 'call'
  );
"""


def connect(path: Path, *, read_only: bool = False, durable: bool = True) -> sqlite3.Connection:
    """Opens the file. Raises `sqlite3.Error`; callers turn that into a `LedgerError`.

    Where it is not `durable`, a commit does not wait for the disk.
    """
    if read_only:
        return _connect_to_read(path)
    # One thread at a time uses it: whoever opens the ledger first, its writer from then on.
    connection = sqlite3.connect(path, timeout=5.0, isolation_level=None, check_same_thread=False)
    try:
        connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'OFF'}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA wal_autocheckpoint = 0")  # the writer does it, when nobody waits for the disk
    except BaseException:
        connection.close()
        raise
    return connection


def _connect_to_read(path: Path) -> sqlite3.Connection:
    def opened(options: str) -> sqlite3.Connection:
        return sqlite3.connect(f"{path.absolute().as_uri()}?{options}", uri=True, timeout=5.0, isolation_level=None)

    connection = opened("mode=ro")
    try:
        connection.execute("PRAGMA schema_version")
    except sqlite3.OperationalError:
        connection.close()
        if Path(f"{path}-wal").exists():
            raise
        # A closed ledger in a folder where nothing can be written, an auditor's copy: nobody else writes it either.
        connection = opened("mode=ro&immutable=1")
    except BaseException:
        connection.close()
        raise
    return connection


def is_ledger(connection: sqlite3.Connection) -> bool:
    """Whether the file holds a ledger of this version; False where it is empty.

    Raises `sqlite3.DatabaseError` for any other file: an older version is neither read nor changed.
    """
    found = connection.execute("PRAGMA user_version").fetchone()[0]
    if found == SCHEMA_VERSION:
        return True
    if found:
        raise sqlite3.DatabaseError(
            f"it is of ledger version {found}, this guard knows version {SCHEMA_VERSION} only; it was left as it is"
        )
    if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        raise sqlite3.DatabaseError("it is an SQLite file of something else, not a ledger")
    return False


def prepare(connection: sqlite3.Connection) -> bool:
    """Makes the tables where the file is empty, inside the transaction that is open; says whether it did."""
    if is_ledger(connection):
        return False
    for statement in _statements():
        connection.execute(statement)
    connection.execute("INSERT INTO tree VALUES (1, 0, x'', 0)")
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    return True


def objects() -> dict[str, str]:
    """Every table, index and view of a ledger by name, with the SQL that made it."""
    return {statement.split()[2]: statement for statement in _statements()}


def open_to_read(path: Path) -> sqlite3.Connection:
    """A connection that cannot write. Raises `LedgerError` where there is no ledger of this version."""
    try:
        if not path.is_file():
            raise LedgerError("there is no ledger", where=str(path), mend="name the file that [ledger] path gives")
        connection = connect(path, read_only=True)
        try:
            if not is_ledger(connection):
                raise sqlite3.DatabaseError("it is empty")
        except BaseException:
            connection.close()
            raise
    except (sqlite3.Error, OSError) as error:
        raise LedgerError(f"the ledger cannot be read: {error}", where=str(path)) from error
    return connection


def _statements() -> list[str]:
    return [statement.strip() for statement in _TABLES.split(";") if statement.strip()]
