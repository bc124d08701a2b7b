"""The supported versions stand in the docs as in the adapters, and the matrix runs both ends of each range."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

from guard.integrations.registry import adapters

ROOT = Path(__file__).resolve().parents[2]
ROW = re.compile(r"^\| (?P<name>[\w.-]+) \| `(?P<distribution>[\w.-]+)` \| (?P<supported>[^|]+) \|$", re.MULTILINE)


def test_the_docs_list_the_range_of_every_adapter():
    rows = {row["name"]: row["supported"] for row in ROW.finditer((ROOT / "docs" / "integrations.md").read_text())}
    assert rows == {adapter.name: adapter.supported for adapter in adapters().values() if adapter.supported}


@pytest.mark.parametrize("adapter", [a for a in adapters().values() if a.supported], ids=lambda a: a.name)
def test_every_range_is_a_specifier(adapter):
    assert len(SpecifierSet(adapter.supported)) == 2


def test_the_matrix_pins_only_versions_within_the_ranges():
    entries = tomllib.loads((ROOT / "tests" / "integrations" / "matrix.toml").read_text())["entry"]
    ranges = {name: a.supported for a in adapters().values() for name in a.distributions if a.supported}
    pinned = [pin for entry in entries for pin in (*entry.get("pins", ()), *entry.get("alone", ())) if "==" in pin]
    tried = 0
    for pin in pinned:
        name, version = re.sub(r"\[.*\]", "", pin).split("==")
        if name in ranges:
            tried += 1
            assert SpecifierSet(ranges[name]).contains(version), pin
    assert tried > 20
