"""The engine loads packs whole or not at all, and every refusal names the file and the remedy."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from guard.errors import PolicyError
from guard.facts import ACTIONS, EVIDENCE_TOKENS, SERVICES, VOCABULARY, Facts
from guard.policy import Engine, packs, schema
from guard.policy.tree import FACTS_OF

DATA = Path(__file__).parent / "data"


def test_the_shipped_packs_load_and_say_what_they_are() -> None:
    loaded = Engine.load()
    assert {pack.name for pack in loaded.packs} == set(packs.shipped())
    assert loaded.reviewed == max(pack.reviewed for pack in loaded.packs)
    assert len(loaded.digest) == 64
    assert loaded.digest == Engine.load(["all"]).digest
    assert all(pack.notes and pack.rules for pack in loaded.packs)
    assert all(rule.branches for rule in loaded.rules.values())


def test_the_order_in_which_packs_are_named_does_not_matter() -> None:
    one, two = "openai", "ibm"
    assert Engine.load([one, two]).digest == Engine.load([two, one, one]).digest != Engine.load([one]).digest
    assert Engine.load("openai").digest == Engine.load(["openai"]).digest


def test_the_digest_changes_with_one_letter(write_pack: Callable[..., Path]) -> None:
    first = Engine.load([write_pack("when { true }")]).digest
    assert Engine.load([write_pack("when { true }", id="X.z")]).digest != first


@pytest.mark.parametrize("named", [[], ()])
def test_no_pack_at_all_is_refused(named: Any) -> None:
    with pytest.raises(PolicyError, match="no policy pack"):
        Engine.load(named)


def test_an_empty_shelf_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="no policy pack"):
        Engine.load(["all"], shelf=tmp_path)


def test_packs_without_a_rule_are_refused(toy: Engine) -> None:
    base = packs.parse(packs.BASE, "base")
    with pytest.raises(PolicyError, match="no rule is loaded"):
        Engine([], base)


@pytest.mark.parametrize(
    ("name", "mend"), [("opnai", "did you mean 'openai'?"), ("xyzzy", "guard policy list"), ("no/such.cedar", "path")]
)
def test_a_pack_that_is_not_there_is_refused(name: str, mend: str) -> None:
    with pytest.raises(PolicyError) as caught:
        Engine.load([name])
    assert mend in str(caught.value)


def test_two_packs_of_one_name_are_refused(write_pack: Callable[..., Path], tmp_path: Path) -> None:
    mine = write_pack("when { true }", name="openai")
    with pytest.raises(PolicyError, match="two packs"):
        Engine.load(["openai", mine])
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "openai.cedar").write_text(mine.read_text())
    with pytest.raises(PolicyError, match="two packs"):
        packs.shipped(tmp_path)
    assert Engine.load([mine, mine])


def test_one_id_in_two_packs_is_refused(write_pack: Callable[..., Path]) -> None:
    mine = write_pack("when { true }", id="TOY.patrol")
    with pytest.raises(PolicyError, match=r"TOY\.patrol stands in toy and in mine"):
        Engine.load([DATA / "toy.cedar", mine])


GOOD = '@id("X.y") @title("t") @cite("c") @sure("text") @reviewed("2026-11-01") forbid (principal, action, resource);'


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "no rule"),
        ("// only a comment\n", "no rule"),
        (GOOD[:-5], "does not parse"),
        (GOOD.replace("resource)", "resource == ?resource)"), "templates"),
        (GOOD.replace("principal,", "principal == ?principal,"), "templates"),
        (GOOD.replace('@id("X.y")', ""), "no @id"),
        (GOOD.replace('@title("t")', '@title("")'), "no @title"),
        (GOOD.replace('@cite("c")', ""), "no @cite"),
        (GOOD.replace('@sure("text")', ""), "no @sure"),
        (GOOD.replace('@reviewed("2026-11-01")', ""), "no @reviewed"),
        (GOOD.replace("X.y", "x y"), "is no id"),
        (GOOD.replace("X.y", "X.y/Z"), "is no id"),
        (GOOD.replace('@id("X.y")', '@id("X.y/z") @rule("X.q")'), "belongs to X.q"),
        (GOOD.replace('"text"', '"certain"'), "no mark of sureness"),
        (GOOD.replace("2026-11-01", "2026-13-01"), "is no day"),
        (GOOD.replace("forbid", "permit"), "may not permit"),
        (GOOD.replace(";", ' when { resource.mont.contains(Mount::"fixed") };'), "mont"),
        (GOOD.replace(";", ' when { resource.mount.contains(Mount::"fxed") };'), "fxed"),
        (GOOD.replace("action,", 'action == Action::"identfy",'), "identfy"),
        (GOOD + GOOD, "twice"),
        (GOOD.replace(";", " when { resource.threshold_ppm.max * 2 > 5 };"), "interval"),
    ],
)
def test_a_pack_that_is_not_sound_is_refused_with_its_file(
    text: str, what: str, write_pack: Callable[..., Path]
) -> None:
    with pytest.raises(PolicyError) as caught:
        Engine.load([write_pack(text=text)])
    assert what in str(caught.value)
    assert "mine.cedar" in str(caught.value.where)
    assert caught.value.mend
    assert "\n" not in str(caught.value)


def test_a_pack_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "broken.cedar"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(PolicyError, match="cannot be read"):
        Engine.load([path])
    with pytest.raises(PolicyError, match="cannot be read"):
        Engine.load([tmp_path])


def test_a_pack_cut_off_inside_a_rule_is_refused(write_pack: Callable[..., Path]) -> None:
    text = (DATA / "toy.cedar").read_text()
    inside = [text.index("forbid (") + 20, text.index("unless {") + 8, len(text) // 2, len(text) - 3]
    for end in inside:
        with pytest.raises(PolicyError):
            Engine.load([write_pack(text=text[:end])])


def test_a_schema_that_cannot_be_read_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    schema.schema.cache_clear()
    broken = tmp_path / "guard.cedarschema"
    for text in (None, "entity Guard"):
        if text is not None:
            broken.write_text(text)
        monkeypatch.setattr(schema, "FILE", broken)
        with pytest.raises(PolicyError, match="schema"):
            schema.schema()
    monkeypatch.undo()
    schema.schema.cache_clear()


def test_the_schema_and_the_vocabulary_are_one() -> None:
    text = schema.FILE.read_text()
    for values in (*VOCABULARY.values(), SERVICES, ACTIONS, sorted(EVIDENCE_TOKENS)):
        for value in values:
            assert value == "self" or isinstance(value, bool) or f'"{value}"' in text
    declared = json.loads(json.dumps(text)).split("entity Evidence enum [")[1].split("]")[0]
    assert {part.strip().strip('"') for part in declared.split(",")} == EVIDENCE_TOKENS


def test_every_attribute_of_the_schema_is_known_to_the_reader(known: Callable[..., Facts]) -> None:
    from guard.policy.request import call

    def paths(node: dict[str, Any], prefix: str = "") -> set[str]:
        found: set[str] = set()
        for key, value in node.items():
            found |= paths(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}"}
        return found

    assert paths(call(known(), None, None, (), (), frozenset())) == set(FACTS_OF)
