"""A rule in words says what the rule asks, whatever form it has; a pack in a line says what it covers."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from guard.errors import PolicyError
from guard.policy.listing import cards, packs_named, summary
from guard.policy.packs import parse

NOW = datetime(2026, 11, 22, tzinfo=UTC)

RULE = """// Sample: one rule.
//
// Covers: nothing real. Leaves out everything.

@id("OWN.rule/branch")
@rule("OWN.rule")
@title("A title")
@cite("A source, 1 January 2026")
@sure("text")
@reviewed("2026-11-22")
forbid (principal, action in [Action::"identify", Action::"enrol"], resource)
when { %s }
%s;
"""


@pytest.fixture
def write(tmp_path: Path):
    def write(when: str, unless: str = "", name: str = "own") -> Path:
        path = tmp_path / f"{name}.cedar"
        path.write_text(RULE % (when, unless))
        return path

    return write


@pytest.mark.parametrize(
    ("when", "column", "words"),
    [
        ('resource.operator.by_or_for.contains(Operator::"us_police")', "who", "by or for US state or local police"),
        ('resource.operator["type"].contains(Operator::"private")', "who", "run by private companies"),
        ('resource.operator.acts_for.contains(Operator::"private")', "who", "on behalf of private companies"),
        ('resource.operator.within.contains("FR")', "who", "operators from FR"),
        ('resource.service.contains(Service::"azure_face")', "what", "on Azure Face"),
        ('resource.traits.containsAny([Trait::"race", Trait::"union"])', "what", "traits: race or union"),
        ("resource.subject.targeted.contains(false)", "what", "anyone who passes is searched"),
        ("resource.subject.minor.contains(true)", "who", "minors"),
        ("resource.threshold_ppm.min < 990000", "what", "match threshold below 99%"),
        ('resource.place.within.contains("US-OR/Portland")', "where", "US-OR/Portland"),
        ('resource.place.control.contains(Control::"wild")', "where", "uncontrolled place"),
        (
            'resource.mount.containsAny([Mount::"body_worn", Mount::"drone"])',
            "where",
            "body-worn camera or drone camera",
        ),
        ('resource.at.to >= datetime("2024-05-01T00:00:00.000Z")', "when", "from 2024-05-01 on"),
        ('resource.at.from < datetime("2023-01-01T00:00:00.000Z")', "when", "before 2023-01-01"),
        ('resource.at.to >= datetime("2024-05-01T06:30:00.000Z")', "when", "from 2024-05-01T06:30:00Z on"),
        ('resource.purpose.contains(Purpose::"victim")', "when", "purpose: victim"),
        ("resource.offence.max_years.min < 4", "when", "offence with a maximum below 4 years"),
        ("resource.offence.serious.contains(false)", "when", "offence not serious"),
        ('resource.spent.contains(Evidence::"urgency_request")', "when", "urgency request refused or too late"),
        ('resource.subject.consent.contains(Consent::"none")', "unless", "consent (informed or better)"),
        (
            'resource.subject.consent.containsAny([Consent::"none", Consent::"informed", Consent::"explicit"])',
            "unless",
            "consent (written release)",
        ),
        (
            'resource.subject.consent.containsAny([Consent::"none", Consent::"informed", Consent::"explicit",'
            ' Consent::"written_release"])',
            "when",
            "whatever the consent",
        ),
        ('resource.held.contains(Evidence::"warrant")', "when", "while this is on file: warrant"),
        ('!resource.held.contains(Evidence::"warrant")', "unless", "warrant"),
        ('!(resource.held.contains(Evidence::"human_review:2"))', "unless", "human review (2)"),
        (
            'resource.timing.contains(Timing::"real_time") || resource.timing.contains(Timing::"post_event")',
            "when",
            "real time, or after the event",
        ),
    ],
)
def test_a_condition_stands_in_its_column_in_words(write, when: str, column: str, words: str):
    (card,) = cards(parse(write(when)))
    assert words in getattr(card.words, column)


@pytest.mark.parametrize(
    ("unless", "words"),
    [
        ('resource.held.contains(Evidence::"warrant")', "warrant"),
        (
            'resource.held.containsAny([Evidence::"warrant", Evidence::"exigency_record:imminent_harm"])',
            "warrant or exigency record (imminent harm)",
        ),
        ('[Purpose::"missing_person"].containsAll(resource.purpose)', "missing person"),
        ("[true].containsAll(resource.unsolicited)", "the result was not asked for"),
        (
            '[Consent::"explicit", Consent::"written_release"].containsAll(resource.subject.consent)',
            "consent: explicit or written release",
        ),
        ('resource.held.contains(Evidence::"warrant") && resource.held.contains(Evidence::"fria")', "warrant and fria"),
    ],
)
def test_an_exception_stands_under_unless(write, unless: str, words: str):
    (card,) = cards(parse(write('resource.service.contains(Service::"ibm")', f"unless {{ {unless} }}")))
    assert card.words.unless == (words,)


def test_what_a_rule_does_not_ask_is_said_too(write):
    (card,) = cards(parse(write('resource.service.contains(Service::"ibm")')))
    assert card.words.who == ("anybody",)
    assert card.words.where == ("anywhere",)
    assert card.words.when == ("at any time",)
    assert card.words.unless == ()
    assert card.words.what == ("identify or enrol", "on IBM")


@pytest.mark.parametrize(
    ("when", "shown"),
    [
        ("resource.place.control == resource.place.control", "=="),
        ('[Control::"wild"].contains(Control::"wild")', "contains"),
        ("resource.traits.isEmpty()", "isEmpty"),
        ("!resource.traits.isEmpty()", "isEmpty"),
        ('!([Control::"wild"].containsAll([Control::"wild"]))', "containsAll"),
    ],
)
def test_a_form_without_words_of_its_own_is_printed_and_not_left_out(write, when: str, shown: str):
    (card,) = cards(parse(write(when)))
    assert shown in f"{card.words.when} {card.words.unless}"


def test_every_condition_of_every_shipped_rule_has_words():
    for pack in packs_named(["all"]):
        for card in cards(pack):
            said = [*card.words.who, *card.words.what, *card.words.where, *card.words.when, *card.words.unless]
            assert not [words for words in said if "{" in words or "Var" in words], card.id


def test_a_pack_in_a_line(write):
    file = write(
        'resource.service.contains(Service::"ibm") && resource.place.within.contains("FR") &&'
        ' resource.at.to >= datetime("2027-12-02T00:00:00.000Z")'
    )
    one = summary(parse(file), NOW)
    assert (one.name, one.layer, one.title) == ("own", "own", "Sample: one rule")
    assert (one.rules, one.branches, one.sure) == (("OWN.rule",), 1, {"text": 1})
    assert one.covers == "FR; IBM"
    assert one.next_change == datetime(2027, 12, 2, tzinfo=UTC)
    assert one.due == ()
    assert one.to_json()["next_change"] == "2027-12-02T00:00:00Z"


def test_a_pack_that_names_neither_place_nor_service_covers_everything(write):
    assert summary(parse(write('resource.mount.contains(Mount::"drone")')), NOW).covers == "everywhere"


def test_a_rule_that_nobody_reviewed_for_a_year_is_due(write):
    pack = parse(write('resource.service.contains(Service::"ibm")'))
    assert summary(pack, datetime(2027, 11, 22, tzinfo=UTC)).due == ()
    assert summary(pack, datetime(2027, 11, 23, tzinfo=UTC)).due == ("OWN.rule",)
    assert summary(pack, datetime(2026, 11, 23, tzinfo=UTC)).next_change is None


def test_shipped_packs_stand_under_the_folder_of_their_layer():
    (pack,) = packs_named(["openai"])
    assert summary(pack, NOW).layer == "vendor"


def test_a_pack_that_does_not_exist_is_refused_with_a_suggestion():
    with pytest.raises(PolicyError, match="openai"):
        packs_named(["openay"])
