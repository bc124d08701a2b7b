"""The cases that counsel wrote, kept beside the repository: skipped with a message where they are not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from guard.policy import Engine
from guard.policy.cases import read
from guard.policy.packs import parse, shipped

SHARED = Path(__file__).resolve().parents[3] / "shared" / "policy" / "cases.json"
NO_RULE = {"AWS-ST.missing", "AXON-2019"}
"""Ids that a case may name although no rule bears them: an exception, and a commitment that is no rule."""

pytestmark = pytest.mark.skipif(not SHARED.is_file(), reason="the shared cases do not lie beside this repository")


def test_every_case_of_our_rules_passes():
    engine = Engine.load(["all"])
    ours = {rule.id for file in shipped().values() for rule in parse(file).rules} | NO_RULE
    cases = [case for case in read(SHARED) if ours.issuperset(case.because)]
    failed = [outcome.to_json() for case in cases if not (outcome := case.judge(engine)).passed]
    assert failed == []
    assert len(cases) >= 64
