"""Ten thousand cameras share a few hundred sets of facts: each set is read once and each column compiled once, on first
use. How long that takes is measured by benchmarks/policy.py and asserted nowhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from guard.errors import ConfigError
from guard.guard import load_for_questions
from guard.policy.evaluation import Evaluator, Question

FACT_SETS = [
    f'place = {{ country = "FR", access = "{a}" }}\n'
    'evidence = [{ type = "fria", issued = 2026-01-01T00:00:00Z, covers = { "use.purpose" = "research" } }]'
    for a in ("public", "workplace", "airport", "school")
]


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[Question]:
    """Every question that Cedar is asked from here on."""
    asked: list[Question] = []
    fired = Evaluator.fired

    def counting(self: Evaluator, questions: Sequence[Question], *rest: Any, **named: Any) -> list[frozenset[str]]:
        asked.extend(questions)
        return fired(self, questions, *rest, **named)

    monkeypatch.setattr(Evaluator, "fired", counting)
    return asked


def write(folder: Path, sources: Sequence[str]) -> Path:
    path = folder / "guard.toml"
    entries = [f'[[source]]\nid = "camera-{number}"\n{facts}' for number, facts in enumerate(sources)]
    path.write_text('[operator]\ntype = "private"\n' + "\n".join(entries) + "\n", encoding="utf-8")
    return path


def test_identical_sets_compile_once_and_nothing_before_its_first_use(tmp_path: Path, compiled: list[Question]) -> None:
    with load_for_questions(write(tmp_path, FACT_SETS * 15)) as guard:
        assert compiled == []
        verdicts = {source.authorize("identify", "self_hosted").verdict for source in guard.sources.values()}
        assert len(compiled) == len(FACT_SETS)
        assert {action for action, _ in compiled} == {"identify"}
        assert verdicts == {"deny"}
        for source in guard.sources.values():
            source.authorize("identify", "self_hosted")
        assert len(compiled) == len(FACT_SETS)
        guard.source("camera-7").authorize("detect", "openai")
        assert len(compiled) == len(FACT_SETS) + 1


def test_sources_that_state_the_same_share_their_facts(tmp_path: Path) -> None:
    with load_for_questions(write(tmp_path, FACT_SETS * 3)) as guard:
        facts = [source.facts for source in guard.sources.values()]
    assert len({id(one) for one in facts}) == len(FACT_SETS)
    assert [one.could_be("place.access") for one in facts[:4]] == [one.could_be("place.access") for one in facts[4:8]]
    assert len({one.digest for one in facts}) == len(FACT_SETS)


def test_facts_in_another_order_are_read_twice_and_compile_once(tmp_path: Path, compiled: list[Question]) -> None:
    one, other = 'place = { country = "FR", access = "public" }', 'place = { access = "public", country = "FR" }'
    with load_for_questions(write(tmp_path, [one, other])) as guard:
        for source in guard.sources.values():
            source.authorize("identify", "self_hosted")
    assert len(compiled) == 1


@pytest.mark.parametrize(
    ("last", "wrong"),
    [
        ("use = { unsolicited = 1 }", "use.unsolicited"),
        ('capture = { at = "2026-01-01" }', "capture.at"),
        ("capture = { at = 2026-01-01T00:00:00 }", "capture.at"),
    ],
)
def test_what_merely_resembles_a_source_read_before_is_read_again(tmp_path: Path, last: str, wrong: str) -> None:
    like = ["use = { unsolicited = true }", "capture = { at = 2026-01-01T00:00:00Z }"]
    with pytest.raises(ConfigError) as raised:
        load_for_questions(write(tmp_path, [*like, last]))
    assert raised.value.where == f"guard.toml: source[2].{wrong}"
