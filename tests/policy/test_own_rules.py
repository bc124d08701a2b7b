"""Own rules: a deployment may tighten, may replace the permit by its own, and may deny what no rule speaks of."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

import cedarpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.errors import ConfigError, PolicyError
from guard.facts import ACTIONS, IDENTITY_ACTIONS, VOCABULARY, Facts, Verdict
from guard.facts.places import outside
from guard.policy import Engine, Settings, lint, packs
from guard.policy.certainty import certainly
from guard.policy.monotone import complaints
from guard.policy.own import BY_DEFAULT_DENIED
from guard.policy.phrasing import phrases
from guard.policy.schema import schema
from tests.policy.test_properties import BUDGET, PLACES, REDUCIBLE, SMALL, calls, known_facts, severity

DATA = Path(__file__).parent / "data"
HOUSE = DATA / "house.cedar"
TOY = DATA / "toy.cedar"
OWN = Settings("own")
BY_DEFAULT = Settings(extra="deny-by-default")
PORTLAND = {"place.country": "US", "place.subdivision": "US-OR", "place.locality": "Portland"}
DOOR = {"operator.type": "private", "capture.mount": "fixed", **PORTLAND}
CASE = {"type": "case_approval", "issued": "2026-05-01T00:00:00Z", "expires": "2035-05-01T00:00:00Z"}

Known = Callable[..., Facts]
Write = Callable[..., Path]


@pytest.fixture(scope="module")
def house() -> Engine:
    """The house's permits, under the rules of the toy pack."""
    return Engine.load([HOUSE, TOY], OWN)


@pytest.fixture(scope="module")
def strict() -> Engine:
    """Two shipped packs; what neither speaks of is denied."""
    return Engine.load(["openai", "microsoft_azure_face"], BY_DEFAULT)


def rules(engine: Engine, facts: Facts, action: str | None, service: str | None, at: datetime | None) -> list[str]:
    ruling = engine.column(facts, action, service, at).ruling(1)
    assert ruling.fault is None
    return [reason.rule for reason in ruling.reasons]


# ---- base = "own"


def test_a_permit_is_refused_unless_the_base_is_own() -> None:
    for settings in (None, Settings(), BY_DEFAULT):
        with pytest.raises(PolicyError, match="may not permit") as caught:
            Engine.load([HOUSE, TOY], settings)
        assert caught.value.where == "house.cedar: HOUSE.door"
        assert 'base = "own"' in str(caught.value.mend)
    assert any("may not permit" in finding.what for finding in lint.check([HOUSE]))
    assert lint.check([HOUSE], permits=True) == []


def test_a_shipped_pack_never_permits() -> None:
    shipped = replace(packs.parse(HOUSE), path=packs.SHELF / "house.cedar")
    assert any("may not permit" in finding.what for finding in lint.findings(shipped, permits=True))


def test_a_path_that_leads_out_of_the_shelf_is_no_shipped_pack() -> None:
    """Shipped packs are held to their seal instead of the lint; a detour over their folder earns no such trust."""
    detour = packs.SHELF / Path(*[".."] * (len(packs.SHELF.resolve().parts) - 1)) / HOUSE.resolve().relative_to("/")
    assert detour.resolve() == HOUSE.resolve()
    with pytest.raises(PolicyError, match="may not permit"):
        Engine.load([detour])


def test_an_own_base_without_a_permit_is_refused() -> None:
    with pytest.raises(PolicyError, match="no pack permits anything"):
        Engine.load([TOY], OWN)


def test_what_a_permit_covers_is_allowed_and_the_shipped_permit_is_gone(
    house: Engine, known: Known, at: datetime
) -> None:
    assert "GUARD.permit" not in house.policies
    assert "GUARD.empty" in house.policies
    for action in ("verify", "identify", "detect", "redact"):
        facts = known({**DOOR, "operator.type": "public_nonle" if action in ("detect", "redact") else "private"})
        (fired,) = house.fired([(facts, action, "other", at)])
        assert not {rule for rule in fired if rule.startswith("GUARD.")}


@pytest.mark.parametrize("action", ACTIONS)
def test_what_no_permit_covers_is_denied_with_a_reason_and_no_fault(
    house: Engine, known: Known, at: datetime, action: str
) -> None:
    ruling = house.column(known({"capture.mount": "drone", "use.traits": ["race"]}), action, "openai", at).ruling(1)
    if action in ("detect", "redact"):
        assert ruling.verdict is Verdict.ALLOW
        return
    assert ruling.verdict is Verdict.DENY
    assert ruling.fault is None
    reason = ruling.reasons[-1]
    assert (reason.rule, reason.pack) == ("GUARD.unpermitted", "base")
    assert reason.title == "No permit of this deployment covers the call"
    assert reason.cite
    assert reason.effective == (None, None)


def test_forbids_of_every_pack_override_a_permit(house: Engine, known: Known, at: datetime) -> None:
    allowed = known(DOOR, [{**CASE, "type": "legal_mandate"}])
    assert rules(house, allowed, "identify", "other", at) == []
    assert rules(house, known(DOOR), "identify", "other", at) == ["TOY.portland"]


def test_cedar_itself_permits_only_by_the_permits_of_the_deployment(house: Engine, known: Known, at: datetime) -> None:
    """Should the generated forbids ever miss a gap, Cedar denies without a reason, and that is a fault."""
    gaps = [policy for policy in house.policies.values() if policy.rule != "GUARD.unpermitted"]
    from guard.policy.evaluation import Evaluator, Unanswered

    bare = Evaluator(gaps, schema())
    covered = house.request(known(DOOR), "verify", "other", at)
    assert bare.fired([covered]) == [frozenset()]
    with pytest.raises(Unanswered, match="Deny"):
        bare.fired([house.request(known(), "verify", "other", at)])


@pytest.mark.parametrize(
    ("action", "changes", "evidence", "lifted"),
    [
        ("verify", {"operator.type": None, "capture.mount": None}, [], ["operator.type", "capture.mount"]),
        ("verify", {**dict.fromkeys(PORTLAND)}, [], ["place.country"]),
        ("verify", {"place.subdivision": None, "place.locality": None}, [], ["place.subdivision"]),
        ("verify", {"place.locality": None}, [], ["place.locality"]),
        ("verify", {"capture.mount": "drone"}, [], []),
        ("identify", {"capture.mount": "drone"}, [], ["case_approval", "legal_mandate"]),
        ("identify", {"capture.mount": "drone"}, [CASE], ["legal_mandate"]),
        ("enrol", {}, [], []),
    ],
)
def test_what_would_make_a_permit_cover_the_call_is_named(
    house: Engine, known: Known, at: datetime, action: str, changes: Any, evidence: Any, lifted: list[str]
) -> None:
    facts = known({**DOOR, **changes}, evidence)
    assert house.column(facts, action, "other", at).ruling(1).lifted_by() == lifted


def test_a_verdict_ends_where_a_permit_ends(house: Engine, known: Known, at: datetime) -> None:
    facts = known({"capture.mount": "drone", "place.country": "SG"}, [CASE])
    column = house.column(facts, "identify", "other", at)
    assert column.ruling(1).verdict is Verdict.ALLOW
    assert column.valid_until == datetime(2030, 1, 1, tzinfo=UTC)
    assert rules(house, facts, "identify", "other", column.valid_until) == ["GUARD.unpermitted"]


def test_many_permits_are_one_branch_and_deny_all_the_same(write_pack: Write, known: Known, at: datetime) -> None:
    demand = '[Mount::"{0}"].containsAll(resource.mount) && [{1}].containsAll(resource.unsolicited)'
    text = write_pack().read_text().replace("forbid", "permit")
    several = "".join(
        text.replace("X.y", f"X.y{number}").replace("\n;", f"\nwhen {{ {demand.format(mount, 'false')} }};")
        for number, mount in enumerate([*VOCABULARY["capture.mount"], "fixed"] * 2)
    )
    engine = Engine.load([write_pack(text=several)], OWN)
    gaps = [id for id in engine.policies if id.startswith("GUARD.unpermitted/detect")]
    assert len(gaps) == 1
    assert rules(engine, known(), "detect", "other", at) == []
    assert rules(engine, known({"use.unsolicited": True}), "detect", "other", at) == ["GUARD.unpermitted"]
    unknown = engine.column(known({"use.unsolicited": None}), "detect", "other", at).ruling(1)
    assert unknown.lifted_by() == ["use.unsolicited"]


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ('when { resource.mount.contains(Mount::"fixed") }', "not knowing mount could make it permit"),
        ('when { resource.mount.containsAny([Mount::"fixed"]) }', "not knowing mount"),
        ('when { [Mount::"fixed"].containsAny(resource.mount) }', "not knowing mount"),
        ('unless { [Mount::"fixed"].containsAll(resource.mount) }', "not knowing mount"),
        ('unless { resource.held.contains(Evidence::"fria") }', "not knowing held"),
        ('when { resource.spent.contains(Evidence::"warrant") }', "not knowing spent"),
        ('when { resource.at.to >= datetime("2024-05-01T00:00:00.000Z") }', "not knowing at.to"),
        ('when { resource.at.from < datetime("2024-05-01T00:00:00.000Z") }', "not knowing at.from"),
        ("when { resource.threshold_ppm.max >= 990000 }", "not knowing threshold_ppm.max"),
        ('when { resource.place.within.contains("US") }', "not knowing place.within"),
        ('when { ["US", "US-OR"].containsAll(resource.place.within) }', "all it could be"),
        ('when { ["US"].containsAll(resource.operator.within) }', "all it could be"),
        ('when { resource.at.from > datetime("2024-05-01T00:00:00.000Z") }', "starts at an instant"),
        ('unless { resource.place.within.contains("outside US-XX") }', "'US-XX' is no place"),
        ('unless { resource.operator.within.contains("outside US-OR") }', "a country only"),
        ("when { resource has mount }", "`has`"),
    ],
)
def test_a_permit_that_ignorance_could_open_is_refused(body: str, what: str, write_pack: Write) -> None:
    path = write_pack(body)
    path.write_text(path.read_text().replace("forbid", "permit"))
    with pytest.raises(PolicyError) as caught:
        Engine.load([path, TOY], OWN)
    assert what in str(caught.value)
    assert "forbid what" not in str(caught.value.mend)


def test_a_rule_may_ask_for_what_could_be_outside_a_place(write_pack: Write, known: Known, at: datetime) -> None:
    engine = Engine.load([write_pack('when { resource.place.within.contains("outside EU") }')])
    assert rules(engine, known({"place.country": "FR"}), "detect", "other", at) == []
    for country in ("US", None):
        assert rules(engine, known({"place.country": country}), "detect", "other", at) == ["X.y"]


@pytest.mark.parametrize(
    ("place", "lies_outside"),
    [
        ((None, None, None), {"US", "EU", "US-OR", "US-OR/Portland", "US-PR"}),
        ((["US"], None, None), {"EU", "US-OR", "US-OR/Portland", "US-PR"}),
        ((["US"], ["US-OR"], None), {"EU", "US-OR/Portland", "US-PR"}),
        ((None, ["US-OR"], ["PORTLAND"]), {"EU", "US-PR"}),
        ((["US"], ["US-ME"], ["Portland"]), {"EU", "US-OR", "US-OR/Portland", "US-PR"}),
        ((["US"], ["US-OR", "US-ME"], ["Portland"]), {"EU", "US-OR", "US-OR/Portland", "US-PR"}),
        ((["US", "FR"], ["US-OR"], None), {"US", "EU", "US-OR", "US-OR/Portland", "US-PR"}),
        ((["PR"], None, None), {"EU", "US-OR", "US-OR/Portland"}),
        ((["FR", "DE"], None, None), {"US", "US-OR", "US-OR/Portland", "US-PR"}),
    ],
)
def test_outside_of_which_places_a_place_could_lie(place: Any, lies_outside: set[str]) -> None:
    assert outside(*place, ["US", "EU", "US-OR", "US-OR/Portland", "US-PR"]) == lies_outside


def test_ids_of_the_base_are_its_own(write_pack: Write) -> None:
    with pytest.raises(PolicyError, match="the base's"):
        Engine.load([write_pack("when { true }", id="GUARD.default")])


# ---- promise 2, for permits and for the default


@BUDGET
@given(facts=known_facts(), call=calls, data=st.data())
def test_not_knowing_never_makes_a_permit_fire(
    house: Engine, facts: Facts, call: tuple[str, str, datetime], data: st.DataObject
) -> None:
    action, service, at = call
    if data.draw(st.booleans()):
        facts = facts.replacing({**DOOR, "operator.country": "US", "use.traits": [], "subject.consent": "explicit"})
    never_less_strict(house, facts, action, service, at, data)


@BUDGET
@given(facts=known_facts(), call=calls, data=st.data())
def test_not_knowing_never_makes_a_rule_speak(
    strict: Engine, facts: Facts, call: tuple[str, str, datetime], data: st.DataObject
) -> None:
    never_less_strict(strict, facts, *call, data)


def never_less_strict(
    engine: Engine, facts: Facts, action: str, service: str, at: datetime, data: st.DataObject
) -> None:
    (before,) = engine.fired([(facts, action, service, at)])
    less = facts
    for name in data.draw(st.lists(st.sampled_from(REDUCIBLE), min_size=1, max_size=3, unique=True)):
        values = VOCABULARY.get(name)
        if values and name != "use.traits" and data.draw(st.booleans()):
            less = less.union(name, data.draw(st.frozensets(st.sampled_from(values), min_size=1)))
        else:
            less = less.replacing({name: None})
    for shorter, s, a in [
        (less, service, at),
        (less, None, at),
        (less, service, None),
        (less.replacing(evidence=[]), service, at),
    ]:
        (after,) = engine.fired([(shorter, action, s, a)])
        assert before <= after
        assert severity(engine, shorter, action, s, a, 1) >= severity(engine, facts, action, service, at, 1)


@BUDGET
@given(facts=known_facts(), call=calls, data=st.data())
def test_what_covers_partial_facts_covers_all_their_completions(
    house: Engine, facts: Facts, call: tuple[str, str, datetime], data: st.DataObject
) -> None:
    action, service, at = call
    names = data.draw(st.lists(st.sampled_from(SMALL), min_size=1, max_size=2, unique=True))
    partial = facts.replacing(dict.fromkeys(names))
    completions = [
        partial.replacing(dict(zip(names, chosen, strict=True)))
        for chosen in product(*(VOCABULARY[name] for name in names))
    ]
    places = [{**dict.fromkeys(PORTLAND), **place} for place in PLACES]
    nowhere = facts.replacing(dict.fromkeys(PORTLAND))
    for less, wholes in ((partial, completions), (nowhere, [nowhere.replacing(place) for place in places])):
        (fired,) = house.fired([(less, action, service, at)])
        each = house.fired([(whole, action, service, at) for whole in wholes])
        assert frozenset().union(*each) <= fired


def test_the_generated_rules_are_sound_cedar(house: Engine, strict: Engine) -> None:
    both = Engine.load([HOUSE, TOY], Settings("own", "deny-by-default"))
    for engine in (house, strict, both):
        made = {id: p for id, p in engine.policies.items() if id.startswith(("GUARD.unpermitted", "GUARD.default"))}
        assert not [complaint for policy in made.values() for complaint in complaints(policy.source["conditions"])]
        sources = {id: policy.source for id, policy in made.items()}
        text = cedarpy.policies_from_json_str(
            json.dumps({"templates": {}, "staticPolicies": sources, "templateLinks": []})
        )
        assert cedarpy.validate_policies(text, schema()).validation_passed


# ---- extra = "deny-by-default"


@pytest.mark.parametrize("action", ACTIONS)
def test_what_no_rule_speaks_of_is_denied_by_default(strict: Engine, known: Known, at: datetime, action: str) -> None:
    found = strict.column(known(), action, "ibm", at).ruling(1)
    assert IDENTITY_ACTIONS | {"attributes", "emotion", "categorise"} == BY_DEFAULT_DENIED
    if action in BY_DEFAULT_DENIED:
        assert found.verdict is Verdict.DENY
        (reason,) = found.reasons
        assert (reason.rule, reason.pack) == ("GUARD.default", "base")
        assert "deny-by-default" in reason.cite
        assert found.lifted_by() == []
    elif action == "vlm_describe":
        assert found.verdict is Verdict.REDACT
        assert [reason.rule for reason in found.reasons] == ["GUARD.default"]
    else:
        assert found.verdict is Verdict.ALLOW


def test_an_unnamed_call_is_redacted_where_naming_people_is_denied_by_default(
    strict: Engine, known: Known, at: datetime
) -> None:
    column = strict.column(known(), None, "google", at)
    assert column.no_face.verdict is Verdict.ALLOW
    assert column.with_faces.verdict is Verdict.REDACT
    stripped = strict.column(known({"use.names_stripped": True}), "vlm_describe", "google", at)
    assert stripped.with_faces.verdict is Verdict.ALLOW


def test_a_rule_that_is_met_speaks_all_the_same(strict: Engine, known: Known, at: datetime) -> None:
    """Evidence and consent are what lifts a rule; that it is lifted does not mean that nobody spoke."""
    approval = {"type": "limited_access_approval", "issued": "2026-05-01T00:00:00Z", "expires": "2035-05-01T00:00:00Z"}
    assert rules(strict, known({}, [approval]), "verify", "azure_face", at) == []
    assert rules(strict, known(), "verify", "azure_face", at) == ["MS-FACE.limited"]
    assert rules(strict, known(), "vlm_identify", "openai", at) == []
    assert rules(strict, known({}, [approval]), "verify", "azure_face", datetime(2020, 1, 1, tzinfo=UTC)) == [
        "GUARD.default"
    ]


def test_a_rule_that_may_not_be_the_case_does_not_speak(write_pack: Write, known: Known, at: datetime) -> None:
    """Not knowing where the camera hangs must not count as a rule of that place."""
    engine = Engine.load(
        [
            write_pack(
                'when { resource.place.within.contains("US-OR") } unless { resource.held.contains(Evidence::"pia") }'
            )
        ],
        BY_DEFAULT,
    )
    pia = [{"type": "pia", "issued": "2026-05-01T00:00:00Z", "expires": "2035-05-01T00:00:00Z"}]
    oregon = known(PORTLAND, pia)
    assert rules(engine, oregon, "identify", "other", at) == []
    assert rules(engine, known({}, pia), "identify", "other", at) == ["GUARD.default"]
    for part in ("place.country", "place.subdivision"):
        unknown = oregon.replacing(dict.fromkeys(PORTLAND)).replacing(
            {"place.country": "US"} if part == "place.subdivision" else {}
        )
        ruling = engine.column(unknown, "identify", "other", at).ruling(1)
        assert [reason.rule for reason in ruling.reasons] == ["GUARD.default"]
        assert ruling.lifted_by() == [part]


def test_a_permit_of_an_own_base_speaks_of_what_it_covers(known: Known, at: datetime) -> None:
    both = Engine.load([HOUSE], Settings("own", "deny-by-default"))
    assert rules(both, known(DOOR), "verify", "other", at) == []
    assert rules(both, known(), "verify", "other", at) == ["GUARD.unpermitted", "GUARD.default"]


@pytest.mark.parametrize(
    ("rule", "certain"),
    [
        ("true", "true"),
        ('resource.mount.contains(Mount::"fixed")', '[Mount::"fixed"].containsAll(resource.mount)'),
        ('[Mount::"fixed"].containsAny(resource.mount)', '[Mount::"fixed"].containsAll(resource.mount)'),
        (
            'resource.unsolicited.contains(true) || !([Mount::"file"].containsAll(resource.mount))',
            '[true].containsAll(resource.unsolicited) || !(resource.mount.containsAny([Mount::"file"]))',
        ),
        (
            'resource.operator.by_or_for.contains(Operator::"private")',
            '[Operator::"private"].containsAll(resource.operator["type"]) || '
            '[Operator::"private"].containsAll(resource.operator.acts_for)',
        ),
        (
            '!([Operator::"private"].containsAll(resource.operator.by_or_for))',
            '!(resource.operator["type"].containsAny([Operator::"private"]) && '
            'resource.operator.acts_for.containsAny([Operator::"private"]))',
        ),
        (
            'resource.place.within.containsAny(["US-OR", "EU"])',
            '!(resource.place.within.contains("outside US-OR")) || !(resource.place.within.contains("outside EU"))',
        ),
        ('resource.place.within.contains("outside EU")', '!(resource.place.within.contains("EU"))'),
        ('resource.traits.contains(Trait::"race")', "false"),
        ('!([Trait::"race"].containsAll(resource.traits))', "!(true)"),
        ("!(resource.traits.isEmpty())", "!(true)"),
        ("!(resource.mount.isEmpty())", "!(resource.mount.isEmpty())"),
        ("resource.held.isEmpty()", "true"),
        ('!(resource.held.contains(Evidence::"fria"))', "!(false)"),
        ('resource.spent.contains(Evidence::"warrant")', "false"),
        ('resource.subject.consent.contains(Consent::"none")', "true"),
        ('!([Consent::"explicit"].containsAll(resource.subject.consent))', "!(false)"),
        (
            'resource.at.to >= datetime("2024-05-01T00:00:00.000Z") && 990000 > resource.threshold_ppm.min',
            'resource.at.from >= datetime("2024-05-01T00:00:00.000Z") && 990000 > resource.threshold_ppm.max',
        ),
    ],
)
def test_could_be_becomes_must_be(rule: str, certain: str) -> None:
    def body(text: str) -> Any:
        tree = json.loads(cedarpy.policies_to_json_str(f"forbid (principal, action, resource) when {{ {text} }};"))
        return tree["staticPolicies"]["policy0"]["conditions"][0]["body"]

    assert certainly(body(rule)) == body(certain)


# ---- the settings


def test_the_settings_stand_in_the_digest() -> None:
    packs_in_use = [HOUSE, TOY]
    digests = {
        Engine.load([TOY]).digest,
        Engine.load([TOY], BY_DEFAULT).digest,
        Engine.load(packs_in_use, OWN).digest,
        Engine.load(packs_in_use, Settings("own", "deny-by-default")).digest,
    }
    assert len(digests) == 4
    assert Engine.load([TOY], Settings()).digest == Engine.load([TOY]).digest


@pytest.mark.parametrize(
    ("settings", "where", "mend"),
    [
        ({"base": "ovn"}, "policy.base", "did you mean 'own'?"),
        ({"extra": "deny-by-defualt"}, "policy.extra", "did you mean 'deny-by-default'?"),
        ({"extra": True}, "policy.extra", "known are 'none', 'deny-by-default'"),
    ],
)
def test_an_unknown_setting_is_refused_with_a_suggestion(settings: Any, where: str, mend: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Settings(**settings)
    assert (caught.value.where, caught.value.mend) == (where, mend)


# ---- in words


@pytest.mark.parametrize(
    ("body", "column", "text"),
    [
        ("", "what", "PERMITS every action"),
        ("", "unless", "nothing stands against it but a rule that forbids"),
        ('when { [Operator::"private"].containsAll(resource.operator["type"]) }', "who", "certainly run by private"),
        ('when { [Consent::"explicit"].containsAll(resource.subject.consent) }', "when", "consent: explicit"),
        ('unless { resource.place.within.contains("outside US-OR") }', "unless", "it could be: outside US-OR"),
        ('unless { resource.subject.consent.contains(Consent::"none") }', "unless", "the consent could be none"),
        ("when { resource.traits.isEmpty() }", "when", "isEmpty"),
    ],
)
def test_a_permit_in_words_says_that_it_permits(body: str, column: str, text: str, write_pack: Write) -> None:
    path = write_pack(body)
    path.write_text(path.read_text().replace("forbid", "permit"))
    (policy,) = packs.parse(path).policies
    assert any(text in phrase for phrase in getattr(phrases(policy.source), column))
