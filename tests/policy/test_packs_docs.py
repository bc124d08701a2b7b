"""The table of rules in docs/policies.md is the packs' own."""

from __future__ import annotations

import re
from pathlib import Path

from guard.policy.listing import packs_named

PAGE = Path(__file__).resolve().parents[2] / "docs" / "policies.md"
ROW = re.compile(r"^\| `(?P<pack>[a-z0-9_]+)` \| `(?P<rule>[^`]+)` \| [^|]+ \| (?P<sure>[a-z, ]+) \|$", re.MULTILINE)


def test_every_rule_stands_in_the_table_with_its_pack_and_its_marks_and_no_other():
    told = [(row["pack"], row["rule"], row["sure"]) for row in ROW.finditer(PAGE.read_text(encoding="utf-8"))]
    held = [
        (pack.name, rule.id, ", ".join(dict.fromkeys(branch.sure for branch in rule.branches)))
        for pack in packs_named(["all"])
        for rule in pack.rules
    ]
    assert told == held
