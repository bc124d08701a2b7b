"""The packages of guard are rooms: each may be read with what it stands on, and none leans on what stands on it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import guard

ROOT = Path(guard.__file__).parent
ROOMS = {folder.name for folder in ROOT.iterdir() if (folder / "__init__.py").exists()}


def imported(node: ast.AST) -> Iterator[str]:
    """Modules that are imported where the code runs, functions included; what only types need does not count."""
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        return
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module is not None:
        yield from (f"{node.module}.{alias.name}" for alias in node.names)
    for child in ast.iter_child_nodes(node):
        yield from imported(child)


def stands_on(room: str) -> set[str]:
    names = (
        name for file in (ROOT / room).rglob("*.py") for name in imported(ast.parse(file.read_text(encoding="utf-8")))
    )
    return {parts[1] for parts in (name.split(".") for name in names) if parts[0] == "guard"} & ROOMS - {room}


def test_no_room_leans_on_one_that_leans_on_it():
    under = {room: stands_on(room) for room in ROOMS}
    assert "replay" in under["report"]
    settled: set[str] = set()
    while ready := {room for room in ROOMS - settled if under[room] <= settled}:
        settled |= ready
    assert not {room: sorted(under[room] - settled) for room in sorted(ROOMS - settled)}
