"""`guard init`: what it asks matters, what it does not ask does not, and what it writes says what was answered."""

from __future__ import annotations

import errno
import io
import json
import stat
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import guard
from guard.cli import main
from guard.config import load_config
from guard.errors import ConfigError, GuardError
from guard.facts import VOCABULARY, Facts, Verdict
from guard.init import Call, Interview, as_toml, read_answer, write_new
from guard.init.answers import FLAGS, QUESTIONS, as_groups
from guard.init.dialogue import NOTHING, Dialogue, in_words
from guard.policy import Engine
from guard.policy.engine import judged_as
from guard.testing import MemoryLedger

AT = datetime(2026, 11, 22, 12, tzinfo=UTC)
Run = Callable[..., tuple[int, str, str]]

PLANS = {
    "office": ({"operator": {"type": "private"}, "place": {"country": "US"}}, [("identify", "self_hosted")]),
    "chain": (
        {"operator": {"type": "private"}, "place": {"country": "US", "subdivision": "US-IL"}},
        [("identify", "azure_face"), ("vlm_describe", "openai")],
    ),
    "police": ({"operator": {"type": "nonus_police"}, "place": {"country": "FR"}}, [("identify", "self_hosted")]),
}
SAID = {"place.subdivision": "US-IL", "operator.acts_for": "self", "use.timing": "post_event"}


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine.load()


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        status = main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run


OFFICE = ["--operator", "private", "--country", "SG", "--action", "identify", "--service", "self_hosted"]


def plan(engine: Engine, name: str) -> Interview:
    groups, calls = PLANS[name]
    return Interview(engine, Facts.parse(groups), [Call(*call) for call in calls], AT)


def outcome(interview: Interview, facts: Facts) -> list[tuple[Verdict, list[frozenset[str]]]]:
    """What the engine says of every call, asked afresh: the verdict, and the branches of rules that forbid."""
    engine = interview.engine
    return [
        (
            engine.column(facts, *call, AT).with_faces.verdict,
            engine.fired([(facts, action, call.service, AT) for action in judged_as(call.action)]),
        )
        for call in interview.calls
    ]


def rules_of(engine: Engine, found: list[tuple[Verdict, list[frozenset[str]]]]) -> set[str]:
    return {engine.policies[id].rule for _, sets in found for ids in sets for id in ids}


def talk(answers: dict[str, str], told: list[str]) -> Dialogue:
    """A dialogue whose questions are answered by the fact that they name; what is not in `answers` stays unknown."""

    def ask(_: str) -> str:
        name = next(line for line in reversed(told) if "  [" in line).partition("  [")[2].partition("]")[0]
        return answers.get(name, "")

    return Dialogue(ask, told.append)


@pytest.mark.parametrize("name", PLANS)
def test_every_asked_fact_changes_a_verdict_or_the_rules_and_says_how(engine: Engine, name: str):
    interview, skipped, asked = plan(engine, name), set[str](), 0
    while questions := interview.questions(skipped):
        question, asked = questions[0], asked + 1
        before = outcome(interview, interview.facts)
        changed = []
        for option in question.options:
            after = outcome(interview, interview.facts.replacing({question.name: option.value}))
            changed.append(after != before)
            turned = {one.call: (one.before, one.after) for one in option.change.turned}
            for call, (old, _), (new, _) in zip(interview.calls, before, after, strict=True):
                assert turned.get(call, (old, old)) == (old, new)
            assert set(option.change.left) == rules_of(engine, after)
            assert set(option.change.silenced) == rules_of(engine, before) - rules_of(engine, after)
            assert bool(option.change.turned + option.change.silenced + option.change.eased) is changed[-1]
        assert any(changed)
        if question.name in SAID:
            interview = interview.knowing(interview.facts.replacing({question.name: SAID[question.name]}))
        else:
            skipped.add(question.name)
    assert asked > 2


@pytest.mark.parametrize("name", PLANS)
def test_a_fact_that_is_not_asked_changes_no_verdict(engine: Engine, name: str):
    interview = plan(engine, name)
    asked = {question.name for question in interview.questions()}
    quiet = [fact for fact in VOCABULARY if fact not in asked and interview.facts.known(fact) is None]
    assert quiet
    for fact in quiet:
        if fact.startswith("use.offence."):
            continue  # under another purpose than a criminal investigation there is none
        for value in VOCABULARY[fact]:
            changed = outcome(interview, interview.facts.replacing({fact: value}))
            assert [verdict for verdict, _ in changed] == list(interview.verdicts.values())


def test_the_most_influential_fact_comes_first(engine: Engine):
    influences = [question.influence for question in plan(engine, "office").questions()]
    assert influences == sorted(influences, reverse=True)
    assert plan(engine, "office").questions()[0].name == "place.subdivision"


def test_nothing_is_asked_for_a_call_that_nothing_lifts(engine: Engine):
    facts = Facts.parse({"operator": {"type": "us_police", "acts_for": "self"}, "place": {"country": "US"}})
    call = Call("identify", "azure_face")
    interview = Interview(engine, facts, [call], AT)
    assert interview.lost == {call}
    assert interview.questions() == []
    assert engine.column(facts, *call, AT).with_faces.lifted_by() == []


def test_what_only_a_record_lifts_is_not_lost_and_not_asked_for(engine: Engine):
    facts = Facts.parse({"operator": {"type": "private", "acts_for": "self"}, "place": {"country": "SG"}})
    facts = facts.replacing({"use.timing": "post_event", "capture.mount": "fixed"})
    interview = Interview(engine, facts, [Call("identify", "azure_face")], AT)
    assert interview.lost == frozenset()
    assert interview.questions() == []
    assert engine.column(facts, "identify", "azure_face", AT).with_faces.lifted_by() == ["limited_access_approval"]


def test_a_description_is_asked_whether_names_are_removed(engine: Engine):
    facts = Facts.parse({"operator": {"type": "private", "acts_for": "self"}, "place": {"country": "SG"}})
    interview = Interview(engine, facts, [Call("vlm_describe", "azure_openai")], AT)
    assert interview.verdicts == {Call("vlm_describe", "azure_openai"): Verdict.REDACT}
    (question,) = interview.questions()
    assert question.name == "use.names_stripped"
    turned = {option.value: [one.after for one in option.change.turned] for option in question.options}
    assert turned == {True: [Verdict.ALLOW], False: []}


def test_a_call_that_no_rule_forbids_needs_no_answer(engine: Engine):
    interview = Interview(engine, Facts(), [Call("redact", "self_hosted")], AT)
    assert interview.questions() == []


def test_a_dialogue_asks_until_nothing_matters_and_says_what_each_answer_changes(engine: Engine):
    told: list[str] = []
    skipped: set[str] = set()
    dialogue = talk({**SAID, "subject.consent": "written_release"}, told)
    interview = dialogue.go_on(plan(engine, "chain"), skipped)
    assert interview.questions(skipped) == []
    assert len(dialogue.asked) == len(set(dialogue.asked)) > 2
    assert skipped == {name for name in dialogue.asked if interview.facts.known(name) is None}
    assert sum(line.startswith("  -> ") for line in told) == len(dialogue.asked)
    assert f"  -> {NOTHING}" not in told  # each of these answers is the best there is


def test_an_answer_that_cannot_be_used_is_one_line_and_asked_again(engine: Engine):
    told: list[str] = []
    lines = iter(["fixd", "9", "fixed"])
    dialogue = Dialogue(lambda _: next(lines), told.append)
    options = VOCABULARY["capture.mount"]
    assert dialogue.value("capture.mount", Facts(), options) == ("fixed",)
    assert told[0] == "  'fixd' is no value of capture.mount; did you mean 'fixed'?"
    assert len(told) == 2


def test_words_are_asked_for_until_there_is_one():
    told: list[str] = []
    lines = iter(["", "identfy", "2, identify"])
    dialogue = Dialogue(lambda _: next(lines), told.append)
    assert dialogue.words("Which?", ("detect", "redact", "identify")) == ["redact", "identify"]
    assert told[-1] == "  'identfy' is not known here; did you mean 'identify'?"


@pytest.mark.parametrize(
    ("name", "text", "values"),
    [
        ("capture.mount", "fixed, 1", ("fixed", "body_worn")),
        ("capture.mount", "Body-Worn", ("body_worn",)),
        ("subject.minor", "no", (False,)),
        ("subject.minor", "1", (True,)),
        ("use.threshold", "0.99", (0.99,)),
        ("use.traits", "none", ()),
        ("use.traits", "race, gender", ("race", "gender")),
        ("place.country", "fr", ("FR",)),
        ("place.subdivision", "ca", ("US-CA",)),
        ("place.subdivision", "US-OR", ("US-OR",)),
        ("capture.mount", "unknown", None),
        ("capture.mount", " ", None),
    ],
)
def test_answers(name: str, text: str, values: tuple[Any, ...] | None):
    facts = Facts.parse({"place": {"country": "US"}})
    options = [value for value in VOCABULARY.get(name, ()) if name != "use.traits"]
    assert read_answer(name, text, facts, options=options) == values


@pytest.mark.parametrize(
    ("name", "text", "mend"),
    [
        ("place.country", "UK", "did you mean 'GB'?"),
        ("place.subdivision", "US-IX", "did you mean"),
        ("place.subdivision", "CA-QC", "correct the country or the subdivision"),
        ("place.locality", "San Fransisco", "did you mean 'San Francisco'?"),
        ("use.threshold", "high", "write one, such as 0.99"),
        ("use.threshold", "7", "a number from 0 to 1"),
        ("subject.minor", "perhaps", "one of true, false"),
    ],
)
def test_answers_that_cannot_be_used(name: str, text: str, mend: str):
    with pytest.raises(ConfigError) as caught:
        read_answer(name, text, Facts.parse({"place": {"country": "US"}}), where="--x")
    assert caught.value.where == "--x"
    assert mend in (caught.value.mend or "")


def test_every_fact_on_which_a_rule_can_hinge_has_a_question(engine: Engine):
    asked = {fact for policy in engine.policies.values() for fact in policy.asked.facts} - {"service", "use.at"}
    assert asked <= set(QUESTIONS)
    assert set(FLAGS) <= set(QUESTIONS)


FACTS = [
    {"operator": {"type": "private"}},
    {"use": {"traits": [], "threshold": 0.5, "purpose": "other"}, "place": {"country": {"any_of": ["FR", "DE"]}}},
    {"use": {"purpose": "criminal_investigation", "offence": {"max_years": 4, "serious": True}}},
    {
        "place": {"country": "US", "locality": 'A "quoted" \\ place\x7f'},
        "subject": {"minor": {"any_of": [True, False]}},
    },
]


@pytest.mark.parametrize("groups", FACTS, ids=range(len(FACTS)))
def test_what_is_written_says_what_was_known(tmp_path: Path, groups: dict[str, Any]):
    facts = Facts.parse(groups)
    assert Facts.parse(as_groups(facts)) == facts
    path = tmp_path / "guard.toml"
    write_new(path, as_toml('door "1"\x7f', facts, AT, ["a note"]), facts)
    (source,) = load_config(path).sources.values()
    assert (source.id, source.facts) == ('door "1"\x7f', facts)
    with guard.load(path, ledger=MemoryLedger()) as loaded:
        assert loaded.source().decide("redact", "self_hosted").verdict is Verdict.ALLOW


def test_a_file_that_would_say_something_else_is_not_written(tmp_path: Path):
    path = tmp_path / "guard.toml"
    with pytest.raises(GuardError, match="would not say what was answered"):
        write_new(path, as_toml("door", Facts(), AT), Facts.parse({"capture": {"mount": "fixed"}}))
    assert list(tmp_path.iterdir()) == []


def test_flags_alone_write_a_file_that_loads_and_decides(run: Run, tmp_path: Path):
    status, out, err = run("init", *OFFICE, "--mount", "fixed", "--fact", "subject.consent=explicit", "--yes")
    assert (status, err) == (0, "")
    assert "identify on self_hosted: " in out
    (source,) = load_config(tmp_path / "guard.toml").sources.values()
    declared = {"operator": {"type": "private"}, "place": {"country": "SG"}, "capture": {"mount": "fixed"}}
    assert source.facts == Facts.parse({**declared, "subject": {"consent": "explicit"}})
    assert run("decide", "--config", "guard.toml", "--action", "identify")[0] == 0


def test_what_still_matters_is_named_with_its_flag_and_nothing_else(run: Run, tmp_path: Path, engine: Engine):
    arguments = ["init", "--operator", "private", "--country", "US", "--action", "identify", "--service", "self_hosted"]
    status, out, _ = run(*arguments, "--json")
    said = json.loads(out)
    assert (status, said["schema"], said["path"]) == (0, "guard.init/1", "guard.toml")
    (source,) = load_config(tmp_path / "guard.toml").sources.values()
    assert said["facts"] == source.facts.to_json()
    open_facts = Interview(engine, source.facts, [Call("identify", "self_hosted")], datetime.now(UTC)).questions()
    assert [one["name"] for one in said["unknown"]] == [question.name for question in open_facts]
    assert {"place.subdivision": "--subdivision"}.items() <= {o["name"]: o["flag"] for o in said["unknown"]}.items()
    (row,) = said["verdicts"]
    assert (row["verdict"], row["action"], row["service"]) == ("deny", "identify", "self_hosted")
    assert row["unknown"] == [question.name for question in open_facts]
    assert row["lifted_by"] is None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--operator", "privat", "--country", "SG"], "did you mean 'private'?"),
        (["--country", "SG"], "--operator"),
        (["--operator", "private", "--country", "Singapore"], "ISO 3166-1"),
        ([*OFFICE[:4], "--action", "identfy"], "did you mean 'identify'?"),
        ([*OFFICE[:6], "--service", "azure"], "--service"),
        ([*OFFICE[:6]], "--service"),
        ([*OFFICE, "--fact", "subject.consnet=explicit"], "did you mean subject.consent=...?"),
        ([*OFFICE, "--fact", "subject.consent=maybe"], "none, informed, explicit, written_release"),
        ([*OFFICE, "--subdivision", "US-CA"], "correct the country or the subdivision"),
        ([*OFFICE, "--source", " "], "--source"),
        ([*OFFICE, "--nonsense"], "--nonsense"),
    ],
)
def test_a_wrong_answer_is_one_line_and_1_and_writes_nothing(run: Run, tmp_path: Path, arguments: list[str], said: str):
    status, out, err = run("init", "--yes", *arguments)
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert said in err
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there_stays_as_it_was(run: Run, tmp_path: Path):
    path = tmp_path / "guard.toml"
    path.write_text("mine")
    status, out, err = run("init", *OFFICE, "--yes")
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert "--force" in err
    assert path.read_text() == "mine"
    with pytest.raises(GuardError, match="there already"):  # made while the questions were answered
        write_new(path, as_toml("door", Facts(), AT), Facts())
    assert [file.name for file in tmp_path.iterdir()] == ["guard.toml"]
    assert path.read_text() == "mine"
    assert run("init", *OFFICE, "--yes", "--force")[0] == 0
    assert load_config(path).sources


def test_where_there_are_no_hard_links_nothing_is_overwritten_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr("os.link", refuse)
    path = tmp_path / "guard.toml"
    write_new(path, as_toml("door", Facts(), AT), Facts())
    assert load_config(path).sources.keys() == {"door"}
    with pytest.raises(GuardError, match="there already"):
        write_new(path, as_toml("other", Facts(), AT), Facts())
    assert load_config(path).sources.keys() == {"door"}


def test_a_dangling_link_is_something_that_is_there(run: Run, tmp_path: Path):
    (tmp_path / "guard.toml").symlink_to(tmp_path / "elsewhere")
    assert run("init", *OFFICE, "--yes")[0] == 1
    assert not (tmp_path / "elsewhere").exists()


def test_a_folder_that_is_not_there_is_one_line(run: Run):
    status, _, err = run("init", *OFFICE, "--yes", "--out", "no/such/guard.toml")
    assert (status, err.count("\n")) == (1, 1)
    assert "cannot be written" in err


def test_the_file_is_as_readable_as_any_other(run: Run, tmp_path: Path):
    (tmp_path / "other").write_text("")
    assert run("init", *OFFICE, "--yes")[0] == 0
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("other", "guard.toml")}
    assert len(modes) == 1


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    def type_(text: str) -> None:
        monkeypatch.setattr(sys, "stdin", Terminal(text))

    return type_


def test_questions_at_a_terminal(run: Run, tmp_path: Path, typed: Callable[[str], None]):
    typed("privat\nprivate\nUS\nidentify\n11\nIL\nself\n" + "\n" * 20)
    status, out, _ = run("init", "--source", "door-1")
    assert status == 0
    assert "did you mean 'private'?" in out
    assert "In which state or province?" in out
    assert "no longer forbid" in out
    (source,) = load_config(tmp_path / "guard.toml").sources.values()
    assert source.id == "door-1"
    facts = {"operator": {"type": "private", "acts_for": "self"}, "place": {"country": "US", "subdivision": "US-IL"}}
    assert source.facts == Facts.parse(facts)


def test_a_flag_that_says_unknown_is_not_asked_again(run: Run, typed: Callable[[str], None]):
    typed("\n" * 20)
    status, out, _ = run("init", *OFFICE[:2], "--country", "US", *OFFICE[4:], "--subdivision", "unknown")
    assert status == 0
    assert "In which state" not in out.partition("Verdicts")[0]


def test_breaking_off_writes_nothing(run: Run, tmp_path: Path, typed: Callable[[str], None]):
    typed("private\n")
    assert run("init")[0] == 130
    assert list(tmp_path.iterdir()) == []


def test_a_change_in_words(engine: Engine):
    interview = plan(engine, "office")
    later = interview.knowing(interview.facts.replacing({"place.subdivision": "US-AK"}))
    said = in_words(interview.change_to(later))
    assert said.startswith("identify on self_hosted: deny -> allow; ")
    assert said.endswith("rules no longer forbid, left: none")
    assert in_words(interview.change_to(interview)) == NOTHING
