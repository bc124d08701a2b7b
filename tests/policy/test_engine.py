"""The engine: it loads whole or not at all, decides, says until when, and calls a fault a fault."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cedarpy
import pytest

from guard.errors import ConfigError, GuardFault, PolicyError
from guard.facts import ACTIONS, EVIDENCE_TOKENS, SERVICES, VLM_SERVICES, VOCABULARY, Facts, Verdict
from guard.policy import Column, Engine, Ruling, engine, evaluation, packs, schema
from guard.policy.columns import Column as Cell
from guard.policy.evaluation import Evaluator, Unanswered
from guard.policy.tree import FACTS_OF

DATA = Path(__file__).parent / "data"
DAY = timedelta(days=1)


def verdict(engine: Engine, facts: Facts, action: str, at: datetime | None, service: str | None = "self_hosted") -> str:
    return str(engine.column(facts, action, service, at).ruling(1).verdict)


# ---- loading


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


# ---- deciding


def test_a_rule_forbids_from_its_start_until_before_its_end(toy: Engine, known: Callable[..., Facts]) -> None:
    facts = known({"place.country": "US", "place.subdivision": "US-CA", "capture.mount": "body_worn"})
    start, end = datetime(2020, 1, 1, tzinfo=UTC), datetime(2023, 1, 1, tzinfo=UTC)
    tick = timedelta(milliseconds=1)
    found = [verdict(toy, facts, "detect", at) for at in (start - tick, start, end - tick, end)]
    assert found == ["allow", "deny", "deny", "allow"]
    column = toy.column(facts, "detect", "self_hosted", start + DAY)
    assert (column.valid_from, column.valid_until) == (start, end)
    (reason,) = column.ruling(None).reasons
    assert (reason.rule, reason.pack, reason.sure, reason.effective) == ("TOY.window", "toy", "memory", (start, end))


def test_a_verdict_is_valid_until_the_next_rule_or_record_begins_or_ends(
    toy: Engine, known: Callable[..., Facts], at: datetime
) -> None:
    record = {"type": "warrant", "issued": "2026-05-01T00:00:00Z", "expires": "2026-07-01T00:00:00Z"}
    other = {"type": "fria", "issued": "2026-05-20T00:00:00Z", "expires": "2026-06-20T00:00:00Z"}
    notice = {"type": "notice_posted", "issued": "2026-05-01T00:00:00Z", "expires": "2026-09-01T00:00:00Z"}
    facts = known({"place.country": "DE"}, [record, other, notice])
    column = toy.column(facts, "identify", "self_hosted", at)
    assert column.ruling(3).verdict is Verdict.ALLOW
    # `fria` is asked for by no rule of this call, so its end does not matter; the notice is 30 days old on 31 May.
    assert column.valid_from == datetime(2026, 5, 31, tzinfo=UTC)
    assert column.valid_until == datetime(2026, 7, 1, tzinfo=UTC)
    assert column.covers(at)
    assert not column.covers(column.valid_until)
    later = toy.column(facts, "identify", "self_hosted", column.valid_until)
    assert later.ruling(3).verdict is Verdict.DENY
    assert [reason.rule for reason in later.ruling(3).reasons] == ["TOY.union"]


def test_a_rule_with_several_branches_is_one_reason(toy: Engine, known: Callable[..., Facts], at: datetime) -> None:
    (reason,) = toy.column(known({"place.country": "DE"}), "identify", "self_hosted", at).ruling(0).reasons
    assert reason.rule == "TOY.union"
    assert reason.effective == (datetime(2025, 2, 2, tzinfo=UTC), None)
    early = toy.column(known({"place.country": "DE"}), "identify", "self_hosted", at - 180 * DAY)
    assert early.ruling(0).reasons[0].title.endswith("an order")


def test_an_unknown_time_is_any_time(toy: Engine, known: Callable[..., Facts], at: datetime) -> None:
    facts = known({"place.country": "US", "place.subdivision": "US-CA", "capture.mount": "body_worn"})
    column = toy.column(facts, "detect", "self_hosted", None)
    assert column.ruling(None).verdict is Verdict.DENY
    assert column.timeless
    assert column.covers(None)
    assert not column.covers(at)
    assert not toy.column(facts, "detect", "self_hosted", at).covers(None)


def test_an_unknown_service_is_any_service(toy: Engine, known: Callable[..., Facts], at: datetime) -> None:
    facts = known({"subject.minor": True})
    assert verdict(toy, facts, "track", at, "google") == "allow"
    assert verdict(toy, facts, "track", at, None) == "deny"


def test_two_portlands_are_two_places(toy: Engine, known: Callable[..., Facts], at: datetime) -> None:
    oregon = known({"place.country": "US", "place.subdivision": "US-OR", "place.locality": "Portland"})
    maine = oregon.replacing({"place.subdivision": "US-ME"})
    assert verdict(toy, oregon, "identify", at) == "deny"
    assert verdict(toy, maine, "identify", at) == "allow"
    assert verdict(toy, oregon.replacing({"place.subdivision": None}), "identify", at) == "deny"


def test_acting_for_oneself_is_acting_as_what_one_is(toy: Engine, known: Callable[..., Facts], at: datetime) -> None:
    patrol = {"capture.mount": "vehicle", "place.control": "wild", "use.timing": "real_time"}
    assert verdict(toy, known({**patrol, "operator.acts_for": "us_police"}), "identify", at) == "deny"
    assert verdict(toy, known({**patrol, "operator.type": "nonus_police"}), "identify", at) == "deny"
    assert verdict(toy, known(patrol), "identify", at) == "allow"


def test_a_threshold_is_compared_exactly(toy: Engine, known: Callable[..., Facts], at: datetime) -> None:
    for threshold, expected in ((0.99, "allow"), (0.9899999, "deny"), (None, "deny"), (1, "allow")):
        facts = known({"operator.type": "us_federal_le", "use.threshold": threshold})
        assert verdict(toy, facts, "verify", at) == expected


@pytest.mark.parametrize(
    ("action", "service", "stripped", "no_face", "with_faces"),
    [
        ("vlm_describe", "openai", False, "allow", "redact"),
        ("vlm_describe", "openai", None, "allow", "redact"),
        ("vlm_describe", "openai", True, "allow", "allow"),
        ("vlm_describe", "google", False, "allow", "allow"),
        ("vlm_describe", None, False, "allow", "redact"),
        (None, "openai", True, "allow", "redact"),
        (None, "openai", False, "allow", "redact"),
        (None, "google", None, "allow", "allow"),
        (None, None, None, "allow", "redact"),
        ("vlm_identify", "openai", True, "deny", "deny"),
    ],
)
def test_a_description_is_redacted_where_asking_for_names_is_denied(
    toy: Engine,
    known: Callable[..., Facts],
    at: datetime,
    action: str | None,
    service: str | None,
    stripped: bool | None,
    no_face: str,
    with_faces: str,
) -> None:
    column = toy.column(known({"use.names_stripped": stripped}), action, service, at)
    assert (column.ruling(0).verdict, column.ruling(2).verdict) == (no_face, with_faces)
    assert column.ruling(None) is column.ruling(2) is column.with_faces
    assert column.hinges_on_faces is (no_face != with_faces)
    assert bool(column.ruling(2).reasons) is (with_faces != "allow")
    if with_faces == "redact":
        assert column.ruling(2).lifted_by() == []


def test_a_description_that_is_itself_forbidden_is_denied_with_and_without_faces(
    toy: Engine, known: Callable[..., Facts], at: datetime
) -> None:
    column = toy.column(known({"place.access": "school"}), None, "openai", at)
    assert column.ruling(0).verdict is column.ruling(5).verdict is Verdict.DENY
    assert not column.hinges_on_faces


@pytest.mark.parametrize(
    ("action", "service", "at"),
    [
        ("identfy", "openai", datetime(2026, 1, 1, tzinfo=UTC)),
        ("identify", "opnai", datetime(2026, 1, 1, tzinfo=UTC)),
        (None, "self_hosted", datetime(2026, 1, 1, tzinfo=UTC)),
        ("identify", "openai", datetime(2026, 1, 1)),
    ],
)
def test_a_word_that_does_not_exist_is_an_error_and_no_verdict(
    toy: Engine, action: str | None, service: str, at: datetime
) -> None:
    with pytest.raises(ConfigError):
        toy.column(Facts(), action, service, at)


def test_only_a_vision_language_service_takes_an_unnamed_call(toy: Engine) -> None:
    for service in SERVICES:
        if service in VLM_SERVICES:
            assert toy.column(Facts(), None, service, None)
        else:
            with pytest.raises(ConfigError, match="must say what it does"):
                toy.column(Facts(), None, service, None)


# ---- keeping


def test_a_column_is_compiled_once_and_again_after_its_end(
    toy: Engine, known: Callable[..., Facts], at: datetime
) -> None:
    facts = known({"place.country": "DE"})
    first = toy.column(facts, "identify", "self_hosted", at)
    assert toy.column(facts, "identify", "self_hosted", at + DAY) is first
    assert toy.column(known({"place.country": "DE"}), "identify", "self_hosted", at) is first
    assert toy.column(facts, "identify", "self_hosted", at - 1000 * DAY) is not first
    assert toy.column(facts, "identify", "self_hosted", at) is first


def test_the_kept_columns_are_bounded(monkeypatch: pytest.MonkeyPatch, known: Callable[..., Facts]) -> None:
    monkeypatch.setattr(engine, "_KEPT_COLUMNS", 2)
    small = Engine.load([DATA / "toy.cedar"])
    for number in range(5):
        small.column(known({"use.threshold": number / 10}), "detect", "other", None)
    assert len(small._columns) == 2


def test_the_kept_subsets_are_bounded(
    monkeypatch: pytest.MonkeyPatch, toy: Engine, known: Callable[..., Facts], at: datetime
) -> None:
    monkeypatch.setattr(evaluation, "_KEPT_SUBSETS", 1)
    fresh = Evaluator(tuple(toy.policies.values()), schema.schema())
    question = toy.request(known({"place.country": "DE"}), "identify", "other", at)
    for among in ({"TOY.union/order"}, {"TOY.union/notice"}, {"TOY.union/order"}):
        assert fresh.fired([question], among) == [among]
    assert len(fresh._subsets) == 1


def test_eight_threads_get_the_same_answers(known: Callable[..., Facts], at: datetime) -> None:
    shared = Engine.load([DATA / "toy.cedar"])
    cases = [
        (known({"place.country": country, "capture.mount": mount}), action)
        for country in ("DE", "GB", "US")
        for mount in ("fixed", None)
        for action in ("identify", "vlm_describe", "detect")
    ]

    def answers(_: int) -> list[tuple[str, list[str], list[Any]]]:
        found = []
        for facts, action in cases:
            ruling = shared.column(facts, action, "openai", at).ruling(1)
            found.append((str(ruling.verdict), [reason.rule for reason in ruling.reasons], ruling.lifted_by()))
        return found

    with ThreadPoolExecutor(8) as pool:
        first, *rest = pool.map(answers, range(8))
    assert all(other == first for other in rest)
    assert {entry[0] for entry in first} == {"allow", "deny", "redact"}


def test_rulings_and_columns_cannot_be_changed(toy: Engine, at: datetime) -> None:
    column = toy.column(Facts(), "identify", "openai", at)
    for thing, name in ((column, "no_face"), (column.no_face, "verdict")):
        with pytest.raises(AttributeError):
            setattr(thing, name, None)
        with pytest.raises(AttributeError):
            delattr(thing, name)
    assert "deny" in repr(column.no_face)
    assert "broken" in repr(Ruling(Verdict.DENY, fault="broken"))


def test_the_public_names_are_the_ones_used_here() -> None:
    assert Column is Cell


# ---- faults


def answer(decision: str, reasons: list[str], errors: list[str]) -> cedarpy.AuthzResult:
    return cedarpy.AuthzResult({"decision": decision, "diagnostics": {"reason": reasons, "errors": errors}})


@pytest.mark.parametrize(
    "given",
    [
        [answer("Allow", ["GUARD.permit"], ["while evaluating policy X: overflow"])],
        [answer("Allow", [], [])],
        [answer("Allow", ["GUARD.permit", "OTHER.permit"], [])],
        [answer("Deny", [], [])],
        [answer("Deny", ["GUARD.permit"], [])],
        [answer("Deny", ["NOBODY.knows"], [])],
        [answer("NoDecision", [], [])],
        [],
        ValueError("no entities"),
        TypeError("no text"),
    ],
)
def test_an_answer_that_does_not_count_is_a_denial_with_a_fault(given: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh = Engine.load([DATA / "toy.cedar"])

    def answers(*_: object) -> list[cedarpy.AuthzResult]:
        if isinstance(given, Exception):
            raise given
        return list(given)

    monkeypatch.setattr(cedarpy, "is_authorized_batch", answers)
    for action in ("detect", "identify", "vlm_describe", None):
        for faces in (0, 1, None):
            ruling = fresh.column(Facts(), action, "openai", None).ruling(faces)
            assert ruling.verdict is Verdict.DENY
            assert ruling.fault
            assert ruling.reasons == ()
            assert ruling.lifted_by() == []


def test_a_forbid_that_errors_does_not_become_an_allow(write_pack: Callable[..., Path], known: Any) -> None:
    """Cedar skips a rule that errors. The lint keeps such a rule out; should one slip in, the answer is a fault."""
    overflow = "when { resource.threshold_ppm.max + 9223372036854775807 > 0 }"
    pack = packs.parse(write_pack(overflow))
    with pytest.raises(PolicyError):
        Engine.load([pack.path])
    slipped_in = Engine([pack], packs.parse(packs.BASE, "base"))
    ruling = slipped_in.column(known(), "detect", "other", None).ruling(0)
    assert ruling.verdict is Verdict.DENY
    assert "could not be evaluated" in str(ruling.fault)


def test_a_request_that_breaks_the_schema_is_unanswered(toy: Engine, at: datetime) -> None:
    action, attributes = toy.request(Facts(), "identify", "openai", at)
    whole = toy.fired_with([(action, attributes)])
    assert whole[0]
    for broken in (
        {**attributes, "mount": [{"type": "Mount", "id": "tripod"}]},
        {**attributes, "mount": "fixed"},
        {**attributes, "at": {"from": "soon", "to": "late"}},
        {**attributes, "extra": []},
        {name: value for name, value in attributes.items() if name != "mount"},
    ):
        with pytest.raises(Unanswered):
            toy.fired_with([(action, broken)])
    with pytest.raises(Unanswered, match="no action"):
        toy.fired_with([("identfy", attributes)])
    assert issubclass(Unanswered, GuardFault)
    assert toy.fired_with([]) == []


def test_every_empty_set_is_refused_by_the_base_rules(toy: Engine, known: Callable[..., Facts], at: datetime) -> None:
    action, attributes = toy.request(known(), "detect", "other", at)
    assert toy.fired_with([(action, attributes)]) == [frozenset()]

    def emptied(node: dict[str, Any], path: list[str]) -> dict[str, Any]:
        head, *rest = path
        return {**node, head: emptied(node[head], rest) if rest else []}

    for name in set(FACTS_OF) - {"held", "spent", "traits"}:
        if not name.endswith((".min", ".max", ".from", ".to")):
            assert toy.fired_with([(action, emptied(attributes, name.split(".")))]) == [{"GUARD.empty"}], name
    for name in ("held", "spent", "traits"):
        assert toy.fired_with([(action, {**attributes, name: []})]) == [frozenset()]


def test_an_entity_without_the_permit_is_not_allowed(toy: Engine, known: Callable[..., Facts], at: datetime) -> None:
    rules = [policy for policy in toy.policies.values() if policy.id != "GUARD.permit"]
    bare = Evaluator(rules, schema.schema())
    with pytest.raises(Unanswered, match="Deny"):
        bare.fired([toy.request(known(), "detect", "other", at)])


def test_evidence_that_contradicts_itself_is_a_fault_and_not_a_denial_by_policy(
    toy: Engine, known: Callable[..., Facts], at: datetime
) -> None:
    facts = known({}, [{"type": "urgency_request", "issued": "2026-06-01T20:00:00Z", "delay_hours": 3}])
    ruling = toy.column(facts, "identify", "other", at).ruling(1)
    assert ruling.verdict is Verdict.DENY
    assert "delay_hours" in str(ruling.fault)
    sound = toy.column(facts, "identify", "other", at + timedelta(hours=5)).ruling(1)
    assert sound.fault is None


def test_a_ruling_with_a_fault_is_always_a_denial() -> None:
    with pytest.raises(ValueError, match="denial"):
        Ruling(Verdict.ALLOW, fault="broken")
