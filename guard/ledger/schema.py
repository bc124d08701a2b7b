"""The tables, and how they are opened.

WAL with ``synchronous = FULL``: a commit that returned is on disk, and a reader never blocks the writer.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

__all__ = ["COLUMNS", "SCHEMA_VERSION", "connect", "prepare"]

SCHEMA_VERSION = 2

COLUMNS = (
    "id",
    "at",
    "clock",
    "source",
    "frame",
    "captured_at",
    "action",
    "service",
    "verdict",
    "fault",
    "faces",
    "rules",
    "judged_under",
    "policy_digest",
    "facts_digest",
    "latency_us",
)

_TABLES = """
CREATE TABLE IF NOT EXISTS facts (
  digest TEXT PRIMARY KEY,
  json   TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS policies (
  digest TEXT PRIMARY KEY,
  packs  TEXT NOT NULL,
  base   TEXT NOT NULL DEFAULT 'shipped',
  extra  TEXT NOT NULL DEFAULT 'none'
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS records (
  seq           INTEGER PRIMARY KEY AUTOINCREMENT,
  id            TEXT NOT NULL UNIQUE,
  at            TEXT NOT NULL,
  clock         TEXT NOT NULL CHECK (clock IN ('system', 'given', 'disbelieved')),
  source        TEXT,
  frame         INTEGER,
  captured_at   TEXT,
  action        TEXT,
  service       TEXT,
  verdict       TEXT NOT NULL CHECK (verdict IN ('allow', 'redact', 'deny')),
  fault         TEXT,
  faces         INTEGER,
  rules         TEXT NOT NULL,
  judged_under  TEXT NOT NULL,
  policy_digest TEXT NOT NULL,
  facts_digest  TEXT NOT NULL REFERENCES facts (digest),
  latency_us    REAL NOT NULL
);
"""


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """Opens the file. Raises `sqlite3.Error`; callers turn that into a `LedgerError`."""
    if read_only:
        return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5.0)
    connection = sqlite3.connect(path, timeout=5.0, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
    except BaseException:
        connection.close()
        raise
    return connection


def prepare(connection: sqlite3.Connection) -> None:
    """Makes the tables, and proves by a committed write that this file can be written at all."""
    found = connection.execute("PRAGMA user_version").fetchone()[0]
    if found not in (0, 1, SCHEMA_VERSION):
        raise sqlite3.DatabaseError(f"it is of ledger version {found}, this guard writes version {SCHEMA_VERSION}")
    if found == 0 and connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        raise sqlite3.DatabaseError("it is an SQLite file of something else, not a ledger")
    connection.execute("BEGIN IMMEDIATE")
    try:
        if found == 1:
            connection.execute("ALTER TABLE policies ADD COLUMN base TEXT NOT NULL DEFAULT 'shipped'")
            connection.execute("ALTER TABLE policies ADD COLUMN extra TEXT NOT NULL DEFAULT 'none'")
        for statement in _TABLES.split(";"):
            if statement.strip():
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # a failed COMMIT may have ended it, and its own error is the one to hear
            connection.execute("ROLLBACK")
        raise
