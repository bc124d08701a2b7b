"""What-if: every record is decided again from what it holds, or counted apart with the reason; nothing is guessed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import guard
from guard.audit import Acceptance, load_acceptances, what_if
from guard.audit.whatif import UNDECIDED
from guard.cli import main
from guard.ledger import Ledger, read
from guard.testing import FakeClock, FakeDetector
from tests.conftest import BOX, OFFICE, POLICE

RULE = """@id("HOUSE.{id}")
@title("t")
@cite("c")
@sure("text")
@reviewed("2026-11-01")
forbid (principal, action == Action::"{action}", resource){when};
"""
SCRAPE = RULE.format(id="scrape", action="scrape", when="")
IDENTIFY = RULE.format(id="identify", action="identify", when="")
NAMING = RULE.format(id="naming", action="vlm_identify", when="")
DESCRIBING = RULE.format(id="describing", action="vlm_describe", when="")
LATER = RULE.format(
    id="later", action="identify", when='\nwhen { resource.at.to >= datetime("2027-03-01T00:00:00.000Z") }'
)
DRONES = RULE.format(id="drones", action="identify", when='\nwhen { resource.mount.contains(Mount::"drone") }')
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def ns(day: datetime) -> int:
    return int(day.timestamp()) * 10**9


class House:
    """A guard with one pack of its own and a real ledger; `ask` tries a call and does not mind what comes of it."""

    def __init__(self, make: Callable[..., guard.Guard], folder: Path) -> None:
        self._make, self._folder = make, folder
        self.ledger = folder / "decisions.db"
        self.clock = FakeClock(ns(NOW))

    def pack(self, name: str, *rules: str) -> str:
        path = self._folder / f"{name}.cedar"
        path.write_text("\n".join(rules or (SCRAPE,)))
        return str(path)

    @contextmanager
    def open(self, *rules: str, text: str = OFFICE, settings: str = "", **options: Any) -> Iterator[guard.Guard]:
        self.pack("house", *rules)
        options.setdefault("detector", FakeDetector([BOX]))
        name = options.pop("name", "guard.toml")
        text = f'[policy]\npacks = ["house.cedar"]\n{settings}\n{text}'
        with self._make(text, name=name, ledger=Ledger(self.ledger), clock=self.clock, **options) as g:
            yield g

    def ask(self, g: guard.Guard, action: str | None = "identify", service: str = "self_hosted", *args: Any) -> None:
        try:
            g.source().protect(lambda *_: None, action=action, service=service)(*args)
        except (guard.Denied, guard.GuardFault):
            return

    def what_if(self, *rules: str, **options: Any) -> Any:
        return what_if(read(self.ledger), [self.pack("other", *rules)], **options)

    def command(self, *arguments: str) -> int:
        return main(["ledger", "whatif", str(self.ledger), *arguments])


@pytest.fixture
def house(make_guard, tmp_path) -> House:
    return House(make_guard, tmp_path)


def flips(found: Any) -> list[tuple[Any, ...]]:
    return [(f.before.value, f.after.value, f.source, f.rules, f.calls) for f in found.flips]


def test_the_same_rules_change_nothing(house):
    with house.open(IDENTIFY) as g:
        for _ in range(3):
            house.ask(g)
        house.ask(g, "detect")
    found = house.what_if(IDENTIFY)
    assert (found.calls, found.unchanged, found.flips, dict(found.undecided)) == (4, 4, [], {})
    assert found.unaccepted == 0


def test_a_denial_that_would_be_allowed_is_listed_by_rule_and_source(house):
    with house.open(IDENTIFY) as g:
        for _ in range(3):
            house.ask(g)
    found = house.what_if(SCRAPE)
    assert flips(found) == [("deny", "allow", "door", ("HOUSE.identify",), 3)]
    (flip,) = found.flips
    assert (flip.action, flip.service, flip.laxer, flip.accepted) == ("identify", "self_hosted", True, False)
    assert flip.example in {record["id"] for record in read(house.ledger)}
    assert flip.first.startswith("2026-11-20T12:00:00")
    assert found.unaccepted == 3


def test_a_release_that_would_be_denied_is_listed_by_the_rule_that_would_forbid(house):
    with house.open(SCRAPE) as g:
        house.ask(g)
        house.ask(g)
    found = house.what_if(IDENTIFY)
    assert flips(found) == [("allow", "deny", "door", ("HOUSE.identify",), 2)]
    assert found.unaccepted == 0
    assert found.to_json()["flips"][0]["accepted"] is None


@pytest.mark.parametrize(
    ("before", "after", "laxer"),
    [("allow", "redact", False), ("redact", "allow", True), ("redact", "deny", False), ("deny", "redact", True)],
)
def test_redaction_counts_as_what_it_is(house, picture, before, after, laxer):
    rules = {"allow": SCRAPE, "redact": NAMING, "deny": DESCRIBING + NAMING}
    with house.open(rules[before]) as g, g.source().frame(picture):
        house.ask(g, None, "openai", picture)
    found = house.what_if(rules[after])
    if before in ("allow", "deny"):
        # Nobody had to look at the picture then; the record cannot say whether there was a face in it.
        assert dict(found.undecided) == {"faces": 1}
        return
    assert [(f.before.value, f.after.value, f.laxer) for f in found.flips] == [(before, after, laxer)]
    assert found.unaccepted == laxer


def test_faces_that_were_looked_for_are_enough(house, picture):
    """Redacted, empty and opaque calls under one rule, decided again under another of the same effect."""
    other = RULE.format(id="other", action="vlm_identify", when="")
    with house.open(NAMING) as g, g.source().frame(picture):
        house.ask(g, None, "openai", picture)
        house.ask(g, None, "openai", "no picture at all", object())
    with house.open(NAMING, detector=FakeDetector(), name="empty.toml") as g, g.source().frame(picture):
        house.ask(g, None, "openai", picture)
    assert [(r["verdict"], r["faces"], r["redactable"]) for r in read(house.ledger)] == [
        ("redact", 1, True), ("deny", None, False), ("allow", 0, True),
    ]  # fmt: skip
    found = house.what_if(other)
    assert (found.unchanged, found.flips, dict(found.undecided)) == (3, [], {})
    assert flips(house.what_if(SCRAPE)) == [
        ("redact", "allow", "door", ("HOUSE.naming",), 1),
        ("deny", "allow", "door", ("HOUSE.naming",), 1),
    ]


def test_what_could_not_be_redacted_then_is_not_redacted_now(house, picture):
    from guard.gate import Call

    with house.open(NAMING) as g, g.source().frame(picture), pytest.raises(guard.Denied):
        Call(g.source(), (None,), "openai", (picture,), {}, rewritable=False).pass_through()
    (record,) = read(house.ledger)
    assert (record["verdict"], record["faces"], record["redactable"]) == ("deny", 1, False)
    assert house.what_if(RULE.format(id="other", action="vlm_identify", when="")).unchanged == 1


def test_another_day_is_judged_where_one_is_named(house):
    with house.open(LATER) as g:
        house.ask(g)
    assert house.what_if(LATER).unchanged == 1
    found = house.what_if(LATER, at=datetime(2027, 3, 1, tzinfo=UTC))
    assert flips(found) == [("allow", "deny", "door", ("HOUSE.later",), 1)]
    assert found.to_json()["at"] == "2027-03-01T00:00:00Z"
    assert house.what_if(LATER, at=datetime(2027, 2, 28, 23, 59, 59, tzinfo=UTC)).unchanged == 1


def test_each_call_is_judged_on_its_own_day(house):
    with house.open(SCRAPE) as g:
        house.ask(g)
        house.clock.ns = ns(datetime(2027, 3, 1, tzinfo=UTC))
        house.ask(g)
    found = house.what_if(LATER)
    assert (found.unchanged, flips(found)) == (1, [("allow", "deny", "door", ("HOUSE.later",), 1)])


def test_a_clock_that_was_not_believed_leaves_the_day_unknown(house):
    with house.open(SCRAPE) as g:
        house.clock.ns = ns(NOW) - 30 * 86_400 * 10**9
        house.ask(g)
    (record,) = read(house.ledger)
    assert record["clock"] == "disbelieved"
    assert flips(house.what_if(LATER)) == [("allow", "deny", "door", ("HOUSE.later",), 1)]


def test_a_run_of_denials_that_crosses_the_day_is_not_split_by_guess(house):
    with house.open(IDENTIFY) as g:
        house.clock.ns = ns(datetime(2027, 3, 1, tzinfo=UTC)) - 10**9
        house.ask(g)
        house.clock.ns += 2 * 10**9
        house.ask(g)
    assert [record["count"] for record in read(house.ledger)] == [2]
    assert dict(house.what_if(LATER).undecided) == {"day": 2}
    assert house.what_if(LATER, at=NOW).undecided.total() == 0


def test_a_fault_is_counted_apart(house, picture):
    with house.open(NAMING, detector=FakeDetector(error=RuntimeError("broken"))) as g, g.source().frame(picture):
        house.ask(g, None, "openai", picture)
    found = house.what_if(SCRAPE)
    assert (dict(found.undecided), found.flips) == ({"fault": 1}, [])


def test_facts_that_are_gone_or_changed_are_counted_apart(house):
    with house.open(IDENTIFY) as g:
        house.ask(g)
    (record,) = read(house.ledger)
    pack = [house.pack("other", SCRAPE)]
    for facts in (None, {}, {"place": 3}, {**record["facts"], "capture": {"mount": "drone"}}):
        assert dict(what_if([{**record, "facts": facts}], pack).undecided) == {"facts": 1}, facts


def test_settings_that_are_unknown_are_counted_apart_unless_named(house):
    with house.open(IDENTIFY) as g:
        house.ask(g)
    (record,) = ({**r, "policy": None} for r in read(house.ledger))
    pack = [house.pack("other", SCRAPE)]
    assert dict(what_if([record], pack).undecided) == {"settings": 1}
    assert dict(what_if([record], pack, base="shipped").undecided) == {"settings": 1}
    assert len(what_if([record], pack, base="shipped", extra="none").flips) == 1


def test_settings_are_those_of_each_call_unless_named(house):
    with house.open(SCRAPE, settings='extra = "deny-by-default"') as g:
        house.ask(g)
    with house.open(SCRAPE) as g:
        house.ask(g)
    found = house.what_if(SCRAPE)
    assert found.unchanged == 2
    assert [policy["extra"] for policy in found.policies] == ["deny-by-default", "none"]
    assert flips(house.what_if(SCRAPE, extra="none")) == [("deny", "allow", "door", ("GUARD.default",), 1)]
    assert flips(house.what_if(SCRAPE, extra="deny-by-default")) == [("allow", "deny", "door", ("GUARD.default",), 1)]


def test_packs_under_which_nothing_could_be_judged_are_counted_apart(house, monkeypatch):
    from guard.policy.evaluation import Unanswered

    with house.open(SCRAPE) as g:
        house.ask(g)

    def broken(*_: Any, **__: Any) -> Any:
        raise Unanswered("no answer")

    monkeypatch.setattr("guard.policy.evaluation.Evaluator.fired", broken)
    assert dict(house.what_if(IDENTIFY).undecided) == {"refused": 1}


# ---- several judges, several actions


TWO = OFFICE + OFFICE.partition("[[source]]")[1] + OFFICE.partition("[[source]]")[2].partition("[services]")[0].replace(
    'id = "door"', 'id = "drone"'
).replace('mount = "fixed"', 'mount = "drone"')  # fmt: skip


def test_every_source_that_judged_judges_again(house, picture):
    with house.open(SCRAPE, text=TWO) as g:
        call = g.source("door").protect(lambda probe: None, action="identify", service="self_hosted")
        with g.source("drone").frame(picture):
            call(picture)
    (record,) = read(house.ledger)
    assert record["judged_under"] == ["door", "drone"]
    assert len(record["judged_facts"]) == 2
    assert flips(house.what_if(DRONES)) == [("allow", "deny", record["source"], ("HOUSE.drones",), 1)]
    assert house.what_if(SCRAPE).unchanged == 1


def test_a_judge_whose_facts_are_gone_leaves_it_open_unless_another_denies(house, picture):
    with house.open(IDENTIFY, text=TWO) as g:
        call = g.source("door").protect(lambda probe: None, action="identify", service="self_hosted")
        with g.source("drone").frame(picture), pytest.raises(guard.Denied):
            call(picture)
    (record,) = read(house.ledger)
    (other,) = set(record["judged_facts"]) - {record["facts_digest"]}
    record["judged_facts"][other] = None
    assert dict(what_if([record], [house.pack("other", SCRAPE)]).undecided) == {"facts": 1}
    assert what_if([record], [house.pack("other", IDENTIFY)]).unchanged == 1


def test_every_action_that_the_call_could_be_is_judged_again(house):
    from guard.gate import Call

    with house.open(SCRAPE) as g:
        Call(g.source(), ("identify", "verify"), "self_hosted", (), {}).pass_through()
    (record,) = read(house.ledger)
    assert record["judged_actions"] == ["identify", "verify"]
    verify = RULE.format(id="verify", action="verify", when="")
    assert flips(house.what_if(verify)) == [("allow", "deny", "door", ("HOUSE.verify",), 1)]
    assert flips(house.what_if(IDENTIFY)) == [("allow", "deny", "door", ("HOUSE.identify",), 1)]


# ---- accepting


def test_a_change_is_accepted_where_every_rule_of_it_is_listed_for_its_source(house):
    second = RULE.format(id="second", action="identify", when="")
    with house.open(IDENTIFY + second) as g:
        house.ask(g)
    first, more = Acceptance("door", "HOUSE.identify"), Acceptance("door", "HOUSE.second", "identify", "self_hosted")
    assert house.what_if(SCRAPE, accepted=[first]).unaccepted == 1
    assert house.what_if(SCRAPE, accepted=[more]).unaccepted == 1
    found = house.what_if(SCRAPE, accepted=[first, more])
    assert (found.unaccepted, found.flips[0].accepted, found.unused) == (0, True, [])


@pytest.mark.parametrize(
    "other",
    [
        Acceptance("gate", "HOUSE.identify"),
        Acceptance("door", "HOUSE.other"),
        Acceptance("door", "HOUSE.identify", action="verify"),
        Acceptance("door", "HOUSE.identify", service="openai"),
    ],
)
def test_what_is_listed_for_something_else_accepts_nothing_and_is_said(house, other):
    with house.open(IDENTIFY) as g:
        house.ask(g)
    found = house.what_if(SCRAPE, accepted=[other])
    assert (found.unaccepted, found.unused) == (1, [other])


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("accept = 3", "accept.toml: accept", "list of tables"),
        ("[[accpet]]", "accept.toml.accpet", "no key"),
        ('[[accept]]\nrule = "R"', "accept.toml: accept[0]", "names no source"),
        ('[[accept]]\nsource = "s"', "accept.toml: accept[0]", "names no rule"),
        ('[[accept]]\nsource = "s"\nrule = "R"\nactoin = "x"', "accept.toml: accept[0].actoin", "no key"),
        ('[[accept]]\nsource = "s"\nrule = "R"\naction = "idntify"', "accept.toml: accept[0].action", "no action"),
        ('[[accept]]\nsource = "s"\nrule = "R"\nservice = "me"', "accept.toml: accept[0].service", "no service"),
        ('[[accept]]\nsource = ""\nrule = "R"', "accept.toml: accept[0].source", "a text"),
        ('[[accept]]\nsource = "s"\nrule = 1', "accept.toml: accept[0].rule", "a text"),
        ("[[accept", None, "not TOML"),
        (None, None, "cannot be read"),
    ],
)
def test_a_file_that_is_wrong_is_refused(tmp_path, text, where, what):
    path = tmp_path / "accept.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(guard.ConfigError, match=what) as caught:
        load_acceptances(path)
    assert caught.value.mend
    if where is not None:
        assert caught.value.where == where


# ---- the command


@pytest.fixture
def denied(house) -> House:
    with house.open(IDENTIFY) as g:
        house.ask(g)
        house.ask(g)
    return house


def test_the_command_ends_with_2_where_nobody_has_accepted_the_change(denied, capsys, tmp_path):
    loose, accept = denied.pack("loose", SCRAPE), tmp_path / "accept.toml"
    assert denied.command("--policy", loose) == 2
    out = capsys.readouterr().out
    assert "2 calls in 1 records, decided again each on its own day" in out
    assert "deny -> allow  2 calls  door: identify at self_hosted  HOUSE.identify" in out
    assert "NOT ACCEPTED" in out
    accept.write_text('[[accept]]\nsource = "door"\nrule = "HOUSE.identify"\nwhy = "section 4 was repealed"\n')
    assert denied.command("--policy", loose, "--accept", str(accept)) == 0
    assert "accepted" in capsys.readouterr().out
    assert denied.command("--policy", denied.pack("same", IDENTIFY)) == 0


def test_the_command_gives_one_json_object(denied, capsys):
    assert denied.command("--policy", denied.pack("loose", SCRAPE), "--at", "2027-01-01T00:00:00Z", "--json") == 2
    found = json.loads(capsys.readouterr().out)
    assert set(found) == {
        "schema", "ledger", "policies", "at", "records", "calls", "unchanged", "flips", "undecided", "unaccepted",
        "unused_acceptances",
    }  # fmt: skip
    assert found["schema"] == "guard.ledger-whatif/1"
    assert (found["records"], found["calls"], found["unaccepted"], found["undecided"]) == (1, 2, 2, {})
    assert found["flips"][0] | {"first": "", "last": "", "example": ""} == {
        "from": "deny", "to": "allow", "source": "door", "action": "identify", "service": "self_hosted",
        "rules": ["HOUSE.identify"], "calls": 2, "records": 1, "first": "", "last": "", "example": "",
        "accepted": False,
    }  # fmt: skip
    assert found["policies"][0]["packs"] == ["loose"]


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["--policy", "no_such_pack"], 3, "no_such_pack"),
        (["--policy", "all", "--at", "tomorrow"], 1, "--at"),
        (["--policy", "all", "--accept", "absent.toml"], 1, "--accept"),
        (["--policy", "all", "--base", "onw"], 1, "--base"),
        ([], 1, "--policy"),
    ],
)
def test_a_mistake_is_one_line(denied, capsys, arguments, status, says):
    assert denied.command(*arguments) == status
    err = capsys.readouterr().err
    assert says in err
    assert err.count("\n") == 1


def test_a_file_that_is_no_ledger_could_not_be_asked(tmp_path, capsys):
    assert main(["ledger", "whatif", str(tmp_path / "absent.db"), "--policy", "all"]) == 1
    assert "no ledger" in capsys.readouterr().err


def test_the_words_for_what_was_not_decided_are_all_explained():
    assert all(text and not text.endswith(".") for text in UNDECIDED.values())


def test_the_shipped_packs_decide_a_police_ledger_as_they_did(make_guard, tmp_path, picture):
    """End to end, with nothing of a test's own: 45 packs, four kinds of call, the frame's faces."""
    path = tmp_path / "decisions.db"
    with make_guard(POLICE, ledger=Ledger(path)) as g, g.source().frame(picture):
        for action, service in (
            ("identify", "azure_openai"), ("verify", "rekognition_compare"), ("vlm_describe", "openai"),
            (None, "google"), ("detect", "self_hosted"),
        ):  # fmt: skip
            try:
                g.source().protect(lambda probe: None, action=action, service=service)(picture)
            except guard.Denied:
                continue
    start = time.monotonic()
    found = what_if(read(path), ["all"])
    assert (found.calls, found.unchanged, dict(found.undecided)) == (5, 5, {})
    assert {policy["digest"] for policy in found.policies} == {record["policy_digest"] for record in read(path)}
    assert time.monotonic() - start < 60
    ibm = what_if(read(path), ["ibm"])
    assert {flip.rules for flip in ibm.flips if flip.before is guard.Verdict.DENY}
    assert ibm.unaccepted > 0
