"""The lint finds what the validator lets through, and proves that ignorance silences no rule."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cedarpy
import pytest

from guard.policy import Engine, lint, packs
from guard.policy.lint import Finding, check
from guard.policy.tree import conjuncts, dates, literals, path, reach, read, walk

DATA = Path(__file__).parent / "data"
Write = Callable[..., Path]

WHEN = "when {{ {} }}"
START = 'resource.at.to >= datetime("2024-05-01T00:00:00.000Z")'


@pytest.mark.parametrize(
    ("body", "what"),
    [
        # Forms that the engine does not read.
        ("when { resource has mount }", "`has`"),
        ('when { "x" like "a*" }', "`like`"),
        ("when { if true then true else false }", "`if-then-else`"),
        ("when { resource.threshold_ppm.min + 1 > 0 }", "one end of an interval"),
        ("when { resource.threshold_ppm.min < resource.threshold_ppm.max }", "one end of an interval"),
        ("when { resource.unsolicited == [true] }", "`==`"),
        ('when { resource == Call::"0" }', "`==`"),
        ('when { resource.operator["type"].containsAny(resource.operator.acts_for) }', "one fact against literals"),
        ("when { [true].contains(true) }", "one fact against literals"),
        ("when { resource.unsolicited.containsAny([]) }", "empty set"),
        ("unless { [].containsAll(resource.held) }", "empty set"),
        # What not knowing would silence.
        ('when { [Purpose::"victim"].containsAll(resource.purpose) }', "not knowing purpose"),
        ('when { !resource.mount.contains(Mount::"fixed") }', "not knowing mount"),
        ('unless { resource.mount.contains(Mount::"fixed") }', "not knowing mount"),
        ('unless { !resource.held.contains(Evidence::"fria") }', "not knowing held"),
        ('when { resource.held.contains(Evidence::"fria") }', "not knowing held"),
        ('unless { resource.spent.contains(Evidence::"warrant") }', "not knowing spent"),
        ("when { resource.mount.isEmpty() }", "not knowing mount"),
        ("when { resource.threshold_ppm.min > 5 }", "not knowing threshold_ppm.min"),
        ("when { resource.offence.max_years.max < 4 }", "not knowing offence.max_years.max"),
        ("unless { resource.threshold_ppm.max >= 990000 }", "not knowing threshold_ppm.max"),
        ('when { resource.at.from >= datetime("2024-05-01T00:00:00.000Z") }', "not knowing at.from"),
        ('when { resource.at.to < datetime("2024-05-01T00:00:00.000Z") }', "not knowing at.to"),
        # Dates.
        ('when { resource.at.to > datetime("2024-05-01T00:00:00.000Z") }', "starts at an instant"),
        ('when { resource.at.from <= datetime("2024-05-01T00:00:00.000Z") }', "starts at an instant"),
        # Rules that never match.
        ("when { false }", "never matches"),
        (f'when {{ {START} && resource.at.from < datetime("2024-01-01T00:00:00.000Z") }}', "ends before it starts"),
        ('when { resource.mount.contains(Mount::"fixed") && resource.mount.contains(Mount::"file") }', "never matches"),
        ("when { resource.unsolicited.contains(true) } unless { [true].containsAll(resource.unsolicited) }", "never"),
        ('when { resource.purpose.containsAll([Purpose::"victim", Purpose::"other"]) }', "several things at once"),
        # Places that are nowhere.
        ('when { resource.place.within.contains("US-XX") }', "'US-XX' is no place"),
        ('when { resource.place.within.containsAny(["US", "US-OR/Portlnd"]) }', "'US-OR/Portlnd' is no place"),
        ('when { resource.operator.within.contains("US-OR") }', "a country only"),
        # What the validator finds.
        ('when { resource.mount.contains(Mount::"fxed") }', "fxed"),
        ("when { resource.weather.contains(1) }", "weather"),
        ("when { resource.mount }", "X.y"),
    ],
)
def test_a_rule_that_says_what_it_must_not_is_found(body: str, what: str, write_pack: Write) -> None:
    found = check([write_pack(body)])
    errors = [finding for finding in found if finding.level == "error"]
    assert any(what in str(finding) for finding in errors), [str(finding) for finding in found]
    assert all(finding.file == "mine.cedar" and finding.rule == "X.y" and finding.mend for finding in errors)


@pytest.mark.parametrize(
    "body",
    [
        "when { true }",
        f"when {{ {START} }}",
        'when { datetime("2024-05-01") <= resource.at.to && resource.at.from < datetime("2025-05-01") }',
        'when { resource.mount.contains(Mount::"fixed") || resource.timing.contains(Timing::"real_time") }',
        'when { [Mount::"fixed"].containsAny(resource.mount) }',
        'when { resource.mount.containsAll([Mount::"fixed"]) }',
        'when { ![Purpose::"victim"].containsAll(resource.purpose) }',
        'unless { [Purpose::"victim"].containsAll(resource.purpose) }',
        'unless { resource.held.contains(Evidence::"fria") && !resource.spent.contains(Evidence::"warrant") }',
        "when { resource.held.isEmpty() }",
        "when { resource.threshold_ppm.min < 990000 && resource.offence.max_years.max >= 4 }",
        "unless { resource.threshold_ppm.min >= 990000 }",
        "unless { 990000 <= resource.threshold_ppm.min }",
        'when { resource.place.within.contains("US") && resource.place.within.contains("US-OR/Portland") }',
        'when { resource.operator.within.contains("EU") }',
        'when { resource.spent.contains(Evidence::"urgency_request") }',
    ],
)
def test_a_rule_that_is_sound_is_left_alone(body: str, write_pack: Write) -> None:
    assert check([write_pack(body)]) == []


def test_a_rule_that_asks_of_a_fact_twice_is_warned_of_and_loads(write_pack: Write) -> None:
    file = write_pack(
        'when { resource.mount.containsAny([Mount::"fixed", Mount::"file"]) } '
        'unless { [Mount::"file"].containsAll(resource.mount) }'
    )
    (finding,) = check([file])
    assert finding.level == "warning"
    assert "twice" in finding.what
    assert Engine.load([file])


def test_scopes_name_neither_principal_nor_resource(write_pack: Write) -> None:
    text = write_pack().read_text()
    for scope, what in [
        ('principal == Guard::"guard", action, resource', "principal"),
        ('principal, action, resource == Call::"0"', "resource"),
        ("principal, action in [], resource", "no action"),
    ]:
        found = check([write_pack(text=text.replace("principal, action, resource", scope))])
        assert any(what in finding.what for finding in found), found


def test_findings_in_several_files_are_all_given(write_pack: Write, tmp_path: Path) -> None:
    one = write_pack("when { false }", name="one")
    two = write_pack("when { true }", name="two")
    three = write_pack(text="forbid", name="three")
    found = check([one, str(two), three, tmp_path / "none.cedar"])
    assert [(f.file.rpartition("/")[2], f.rule) for f in found] == [
        ("one.cedar", "X.y"),
        ("three.cedar", ""),
        ("none.cedar", ""),
        ("two.cedar", "X.y"),
    ]
    assert "one holds a rule of this id" in found[-1].what


def test_the_validator_can_say_no_without_a_word(write_pack: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    pack = packs.parse(write_pack("when { true }"))
    for said, rule in [
        ({"validation_passed": False, "errors": []}, ""),
        ({"validation_passed": False, "errors": [{"policy_id": "elsewhere", "error": "odd"}]}, "elsewhere"),
    ]:
        monkeypatch.setattr(cedarpy, "validate_policies", lambda *_, said=said: cedarpy.ValidationResult(said))
        (finding,) = lint.findings(pack)
        assert finding.rule == rule


def test_a_token_of_evidence_that_does_not_exist_is_found_even_without_a_schema(write_pack: Write) -> None:
    pack = packs.parse(write_pack('unless { resource.held.contains(Evidence::"warant") }'))
    assert any("'warant' is no evidence" in str(finding) for lint_ in lint.LINTS for finding in lint_(pack))


def test_a_finding_reads_as_one_line() -> None:
    assert str(Finding("a.cedar", "X.y", "wrong", "mend it")) == "a.cedar: X.y: wrong; mend it"
    assert str(Finding("a.cedar", "", "wrong", "mend it")) == "a.cedar: wrong; mend it"


def test_the_shipped_packs_and_the_toy_pack_have_no_finding() -> None:
    assert check([*packs.shipped().values(), DATA / "toy.cedar"]) == []


# ---- reading the tree


def parsed(write_pack: Write, body: str) -> packs.Policy:
    return packs.parse(write_pack(body)).policies[0]


def test_what_a_rule_asks_is_read_from_it(write_pack: Write) -> None:
    policy = parsed(
        write_pack,
        'when { (resource.service.contains(Service::"ibm") || resource.service.contains(Service::"openai")) && '
        'resource.service.containsAny([Service::"openai", Service::"google"]) && '
        'resource.place.within.contains("US") && resource.threshold_ppm.min < 5 && resource.offence.max_years.min < 4 '
        f'&& {START} && resource.at.from < datetime("2025-05-01") }} '
        'unless { resource.held.contains(Evidence::"fria") } unless { resource.spent.isEmpty() }',
    )
    asked = policy.asked
    assert asked.services == {"openai"}
    assert asked.places == {"US"}
    assert (asked.held, asked.spent) == ({"fria"}, frozenset())
    assert (asked.threshold_ppm, asked.years) == ({5}, {4})
    assert [str(instant.date()) for instant in asked.instants] == ["2024-05-01", "2025-05-01"]
    assert [str(end and end.date()) for end in asked.effective] == ["2024-05-01", "2025-05-01"]
    assert {"use.threshold", "place.locality", "use.offence.max_years", "use.purpose", "use.at"} <= asked.facts
    assert policy.concerns("identify", "openai")
    assert policy.concerns("identify", None)
    assert not policy.concerns("identify", "ibm")


@pytest.mark.parametrize(
    ("body", "services", "effective"),
    [
        ("when { true }", None, [None, None]),
        (
            'when { resource.service.contains(Service::"ibm") || resource.mount.contains(Mount::"file") }',
            None,
            [None, None],
        ),
        (f'when {{ {START} || resource.at.to >= datetime("2023-01-01") }}', None, ["2023-01-01", None]),
        (f"when {{ {START} || resource.unsolicited.contains(true) }}", None, [None, None]),
        (
            'when { resource.at.from < datetime("2023-01-01") || resource.at.from < datetime("2024-01-01") }',
            None,
            [None, "2024-01-01"],
        ),
    ],
)
def test_alternatives_widen_what_a_rule_reaches(
    body: str, services: object, effective: list[str | None], write_pack: Write
) -> None:
    asked = parsed(write_pack, body).asked
    assert asked.services == services
    assert [end and str(end.date()) for end in asked.effective] == effective


def test_the_reader_of_the_tree_takes_anything() -> None:
    resource = {".": {"left": {"Var": "resource"}, "attr": "mount"}}
    assert path(resource) == "mount"
    assert path({".": {"left": {"Var": "context"}, "attr": "mount"}}) is None
    assert path({"Var": "resource"}) is None
    assert path("text") is None
    assert literals({"Set": [{"Value": 1}, {"Value": {"__entity": {"type": "T", "id": "x"}}}]}) == [1, "x"]
    assert literals(5) == literals({"Var": "resource"}) == []
    assert dates({"Value": 1}) == dates(5) == []
    assert conjuncts(5) == [5]
    assert reach(5, "mount") is None
    assert list(walk(5)) == [5]
    assert read([{"kind": "when", "body": 5}]).paths == frozenset()
    assert read([{"kind": "when", "body": {"Unknown": None}}]).services is None


WORDS = """
@id("OWN-1.drone")
@title("No identification from drones")
@cite("own rule book, 1")
@sure("text")
@reviewed("2026-11-22")
forbid (principal, action == Action::"identify", resource is Call)
when { resource.mount.contains(Mount::"drone") };
"""


@pytest.mark.parametrize(
    ("right", "wrong", "mend"),
    [
        ('Mount::"drone"', 'Mount::"dron"', 'did you mean Mount::"drone"?'),
        ('Mount::"drone"', 'Mount::"zzzz"', "known are body_worn, vehicle"),
        ('Action::"identify"', 'Action::"identfy"', 'did you mean Action::"identify"?'),
        ("resource.mount", "resource.mout", "did you mean mount?"),
        ("resource.mount", "resource.qqqqqqq", "the facts are at.from"),
        ('Mount::"drone"', 'Zzzz::"drone"', "guard.cedarschema"),
    ],
)
def test_a_word_outside_the_vocabulary_is_answered_with_the_nearest(
    tmp_path: Path, right: str, wrong: str, mend: str
) -> None:
    file = tmp_path / "own.cedar"
    file.write_text(WORDS.replace(right, wrong))
    finding = check([file])[0]
    assert finding.rule == "OWN-1.drone"
    assert mend in finding.mend
    assert "policy0" not in finding.what
