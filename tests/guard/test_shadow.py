"""Shadow mode: everything is judged and recorded, nothing is enforced, and every record says so."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import guard
from guard.cli import main
from guard.explaining import explain
from guard.ledger import Ledger, read
from guard.testing import FakeDetector, MemoryLedger
from tests.conftest import BOX, OFFICE, POLICE

SHADOW = '[policy]\nmode = "shadow"\n'


class OnRelease(MemoryLedger):
    """Does something the moment a release is on its way to the disk."""

    def __init__(self) -> None:
        super().__init__()
        self.then: list[Callable[[], object]] = []

    def record(self, entry):
        super().record(entry)
        if entry.released and self.then:
            self.then.pop(0)()


class Service:
    def __init__(self):
        self.got = []

    def call(self, *args, **kwargs):
        self.got.append((args, kwargs))
        return "somebody"


@pytest.fixture
def service():
    return Service()


def said(g: guard.Guard) -> list[tuple[str, bool, bool]]:
    """Verdict, whether it was a fault, and whether it was enforced, of every record."""
    return [(entry.verdict, entry.fault is not None, entry.enforced) for entry in g.ledger.entries]


def put_mode(g: guard.Guard, mode: str) -> None:
    path = g.config.path
    other = "shadow" if mode == "enforce" else "enforce"
    path.write_text(path.read_text().replace(f'mode = "{other}"', f'mode = "{mode}"'))
    g.reload()


def test_the_default_is_to_enforce(make_guard):
    assert make_guard().mode == "enforce"
    assert make_guard('[policy]\nmode = "enforce"\n' + POLICE).mode == "enforce"


def test_a_misspelt_mode_is_refused(make_guard):
    with pytest.raises(guard.ConfigError, match="did you mean 'shadow'") as caught:
        make_guard('[policy]\nmode = "shadw"\n' + POLICE)
    assert caught.value.where == "guard.toml: policy.mode"


def test_a_forbidden_call_is_made_and_its_record_says_that_nothing_was_enforced(make_guard, picture, service):
    g = make_guard(SHADOW + POLICE)
    call = g.source().protect(service.call, action="identify", service="azure_openai")
    with g.source().frame(picture, index=7) as seen:
        assert call(picture, k=1) == "somebody"
    assert service.got == [((picture,), {"k": 1})]
    assert said(g) == [("deny", False, False)]
    (decision,) = seen.decisions
    assert (decision.verdict, decision.enforced, decision.frame) == (guard.Verdict.DENY, False, 7)
    assert "MS-COC.us-police" in {reason.rule for reason in decision.reasons}


def test_the_verdict_is_the_one_that_would_be_enforced(make_guard, picture, service):
    """One table of calls under both modes: same verdicts, same rules, same faces, same policy digest."""
    calls = [
        ("identify", "azure_openai"),
        ("detect", "self_hosted"),
        ("vlm_describe", "openai"),
        (None, "azure_openai"),
    ]
    found = []
    for text in (POLICE, SHADOW + POLICE):
        g = make_guard(text)
        for action, name in calls:
            call = g.source().protect(service.call, action=action, service=name)
            with g.source().frame(picture), contextlib.suppress(guard.Denied):
                call(picture)
        found.append([entry.decision for entry in g.ledger.entries])
    for enforced, shadow in zip(*found, strict=True):
        assert (enforced.verdict, enforced.reasons, enforced.faces, enforced.policy_digest) == (
            shadow.verdict, shadow.reasons, shadow.faces, shadow.policy_digest,
        )  # fmt: skip
        assert (enforced.enforced, shadow.enforced) == (True, False)
    assert {decision.verdict.value for decision in found[0]} == {"allow", "redact", "deny"}


def test_what_would_be_redacted_goes_out_as_it_is(make_guard, picture, service):
    g = make_guard(SHADOW + POLICE)
    call = g.source().protect(service.call, service="azure_openai")
    before = picture.copy()
    with g.source().frame(picture):
        call("who?", picture)
    assert service.got[0][0][1] is picture
    assert (picture == before).all()
    assert picture.flags.writeable
    assert said(g) == [("redact", False, False)]


def test_an_allowed_call_is_recorded_as_not_enforced_too(make_guard, picture, service):
    g = make_guard(SHADOW + OFFICE)
    g.source().protect(service.call, action="identify", service="my-matcher")(picture)
    assert said(g) == [("allow", False, False)]


def test_coroutines_are_let_through_alike(make_guard):
    g = make_guard(SHADOW + POLICE)

    async def search(probe):
        return probe

    call = g.source().protect(search, action="identify", service="azure_face")
    assert asyncio.run(call(3)) == 3
    assert said(g) == [("deny", False, False)]


@pytest.mark.parametrize(
    "detector", [FakeDetector(error=RuntimeError("broken")), FakeDetector(error=guard.SourceError("mush")), object()]
)
def test_a_fault_is_recorded_as_a_fault_and_let_through(make_guard, picture, service, detector):
    g = make_guard(SHADOW + POLICE, detector=detector)
    call = g.source().protect(service.call, service="azure_openai")
    with g.source().frame(picture):
        call(picture)
    assert len(service.got) == 1
    assert said(g) == [("deny", True, False)]
    assert g.ledger.verdicts() == ["fault"]


def test_a_late_frame_is_a_fault_and_let_through(make_guard, picture, service):
    g = make_guard(SHADOW + OFFICE.replace('id = "door"', 'id = "door"\nmax_age_s = 0.05'))
    call = g.source().protect(service.call, action="identify", service="my-matcher")
    with g.source().frame(picture):
        time.sleep(0.1)
        call(picture)
    assert len(service.got) == 1
    assert said(g) == [("deny", True, False)]


def test_a_record_that_takes_too_long_is_a_fault_and_let_through(make_guard, picture, service):
    class Slow(MemoryLedger):
        def record(self, entry):
            time.sleep(0.08)
            super().record(entry)

    g = make_guard(SHADOW + OFFICE.replace('id = "door"', 'id = "door"\nmax_age_s = 0.05'), ledger=Slow())
    g.source().protect(service.call, action="identify", service="my-matcher")(picture)
    assert len(service.got) == 1
    assert said(g) == [("deny", True, False)]


def test_a_call_that_breaks_before_its_judges_are_known_is_refused(make_guard, picture, service, monkeypatch):
    import guard.gate

    g = make_guard(SHADOW + POLICE)
    call = g.source().protect(service.call, action="identify", service="azure_openai")

    def broken(*_):
        raise RuntimeError("broken")

    monkeypatch.setattr(guard.gate.Call, "_find_judges", broken)
    with pytest.raises(guard.GuardFault):
        call(picture)
    monkeypatch.undo()
    monkeypatch.setattr(g, "engine", None)
    with pytest.raises(guard.GuardFault):
        call(picture)
    assert service.got == []
    assert said(g) == [("deny", True, True)] * 2


@pytest.mark.parametrize("text", [POLICE, OFFICE])
def test_a_call_that_cannot_be_recorded_is_refused(make_guard, picture, service, text):
    """A roll-out without a record shows nothing."""
    ledger = MemoryLedger()
    g = make_guard(SHADOW + text, ledger=ledger)
    call = g.source().protect(service.call, action="identify", service="self_hosted")
    ledger.fail = "disk full"
    with pytest.raises(guard.GuardFault, match="disk full") as caught:
        call(picture)
    assert service.got == []
    assert caught.value.decision.enforced
    assert said(g) == [("deny", True, True)]


def test_a_closed_guard_lets_nothing_through(make_guard, picture, service):
    g = make_guard(SHADOW + POLICE)
    call = g.source().protect(service.call, action="identify", service="azure_openai")
    g.close()
    with pytest.raises(guard.GuardFault, match="closed"):
        call(picture)
    assert service.got == []


def test_a_denial_is_on_disk_before_the_call_is_made(make_guard, tmp_path):
    path = tmp_path / "decisions.db"
    g = make_guard(SHADOW + POLICE, ledger=Ledger(path))
    found = []
    call = g.source().protect(lambda: found.extend(read(path)), action="identify", service="azure_openai")
    call()
    (record,) = found
    assert (record["verdict"], record["fault"], record["enforced"]) == ("deny", None, False)


def test_the_record_of_an_enforced_call_says_so_too(make_guard, tmp_path, picture):
    path = tmp_path / "decisions.db"
    g = make_guard(OFFICE, ledger=Ledger(path))
    g.source().protect(lambda probe: None, action="identify", service="my-matcher")(picture)
    g.close()
    assert [record["enforced"] for record in read(path)] == [True]


# ---- two guards, two modes


@pytest.mark.parametrize("inner", ["shadow", "enforce"])
def test_one_judge_that_enforces_is_enough(make_guard, picture, service, inner):
    shadow = make_guard(SHADOW + POLICE, name="shadow.toml")
    enforcing = make_guard(POLICE, name="enforce.toml")
    own, other = (shadow, enforcing) if inner == "shadow" else (enforcing, shadow)
    call = own.source().protect(service.call, action="identify", service="azure_openai")
    with other.source().frame(picture), pytest.raises(guard.Denied) as caught:
        call(picture)
    assert service.got == []
    assert caught.value.decision.enforced
    assert said(own) == [("deny", False, True)]


def test_two_judges_in_shadow_mode_enforce_nothing(make_guard, picture, service):
    first = make_guard(SHADOW + POLICE, name="first.toml")
    second = make_guard(SHADOW + OFFICE, name="second.toml")
    call = second.source().protect(service.call, action="identify", service="azure_openai")
    with first.source().frame(picture):
        call(picture)
    assert len(service.got) == 1
    assert said(second) == [("deny", False, False)]


# ---- going over to enforcing, and back


def test_a_reload_changes_the_mode_and_not_the_digest(make_guard, picture, service):
    g = make_guard(SHADOW + POLICE)
    digest = g.policy_digest
    call = g.source().protect(service.call, action="identify", service="azure_openai")
    call(1)
    put_mode(g, "enforce")
    with pytest.raises(guard.Denied):
        call(2)
    put_mode(g, "shadow")
    call(3)
    assert [args[0] for args, _ in service.got] == [1, 3]
    assert said(g) == [("deny", False, False), ("deny", False, True), ("deny", False, False)]
    assert g.policy_digest == digest


@pytest.mark.parametrize("later", [False, True])
def test_a_decision_in_flight_is_void_once_the_mode_is_enforce(make_guard, later):
    ledger, reached = OnRelease(), []
    g = make_guard(SHADOW + POLICE, ledger=ledger)

    async def search(probe):
        reached.append(probe)

    call = g.source().protect(search if later else reached.append, action="identify", service="azure_openai")
    ledger.then = [lambda: put_mode(g, "enforce")]
    with pytest.raises(guard.Denied):
        asyncio.run(call(1)) if later else call(1)
    assert reached == []
    assert said(g) == [("deny", False, True)]


def test_a_decision_in_flight_is_made_again_once_the_mode_is_shadow(make_guard, picture, service):
    ledger = OnRelease()
    patient = POLICE.replace('id = "bodycam"', 'id = "bodycam"\nmax_age_s = 600')  # a reload takes its time
    g = make_guard('[policy]\nmode = "enforce"\n' + patient, ledger=ledger)
    call = g.source().protect(service.call, service="azure_openai")
    ledger.then = [lambda: put_mode(g, "shadow")]
    with g.source().frame(picture):
        call(picture)
    assert service.got[0][0][0] is picture
    assert said(g) == [("redact", False, False)]


def test_a_mode_that_changes_for_ever_refuses_the_call(make_guard, service):
    ledger = OnRelease()
    g = make_guard(SHADOW + OFFICE, ledger=ledger)
    ledger.then = [lambda m=m: put_mode(g, m) for m in ["enforce", "shadow"] * 20]
    with pytest.raises(guard.GuardFault, match="reloaded again and again"):
        g.source().protect(service.call, action="identify", service="my-matcher")(1)
    assert service.got == []
    assert said(g) == [("deny", True, True)]


# ---- saying it


def test_loading_and_reloading_into_shadow_mode_warn(make_guard, caplog):
    def warnings() -> list[str]:
        return [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING and "shadow" in r.getMessage()]

    make_guard()
    assert warnings() == []
    g = make_guard(SHADOW + POLICE)
    assert warnings() == [
        "guard.toml: policy.mode is shadow: calls are judged and recorded, and made whatever the verdict"
    ]
    caplog.clear()
    put_mode(g, "enforce")
    assert warnings() == []
    put_mode(g, "shadow")
    assert len(warnings()) == 2


def test_a_decision_says_so_in_words_and_in_json(make_guard):
    enforced = make_guard(POLICE).source().decide("identify", "azure_openai")
    shadow = make_guard(SHADOW + POLICE).source().decide("identify", "azure_openai")
    assert "enforced" not in enforced.to_json()
    assert shadow.to_json()["enforced"] is False
    assert "Shadow mode" not in explain(enforced)
    assert "Shadow mode: the verdict is recorded and not enforced" in explain(shadow)


def test_the_command_that_shows_the_record_says_so(make_guard, tmp_path, capsys):
    path = tmp_path / "decisions.db"
    g = make_guard(SHADOW + POLICE, ledger=Ledger(path))
    g.source().protect(lambda: None, action="identify", service="azure_openai")()
    g.close()
    assert main(["ledger", "show", str(path)]) == 0
    out = capsys.readouterr().out
    assert "1 of them not enforced: the calls were made whatever the verdict" in out
    assert "deny, not enforced" in out
    assert main(["ledger", "show", str(path), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["counts"]["unenforced"] == 1


# ---- a signed set may forbid it


@pytest.fixture
def signed(tmp_path: Path) -> Callable[[str], Path]:
    """Signs the pack ibm for a mode and gives a guard.toml that is held to it."""

    def sign(mode: str) -> Path:
        (tmp_path / "team.key").unlink(missing_ok=True)
        (tmp_path / "team.pub").unlink(missing_ok=True)
        assert main(["policy", "keygen", "--out", str(tmp_path / "team")]) == 0
        out, key = str(tmp_path / "set.bundle"), str(tmp_path / "team.key")
        assert main(["policy", "sign", "ibm", "--mode", mode, "--key", key, "--out", out]) == 0
        path = tmp_path / "guard.toml"
        path.write_text(
            '[policy]\npacks = ["ibm"]\nmode = "enforce"\nbundle = "set.bundle"\npublic_key = "team.pub"\n' + OFFICE
        )
        return path

    return sign


def load(path: Path) -> guard.Guard:
    return guard.load(path, detector=FakeDetector([BOX]), ledger=MemoryLedger())


def test_a_set_signed_to_be_enforced_is_refused_in_shadow_mode(signed):
    path = signed("enforce")
    with load(path) as g:
        with pytest.raises(guard.PolicyError, match="may only be enforced"):
            put_mode(g, "shadow")
        assert g.mode == "enforce"
    with pytest.raises(guard.PolicyError, match="may only be enforced"):
        load(path)


def test_a_set_signed_for_shadow_mode_may_be_enforced_as_well(signed):
    path = signed("shadow")
    with load(path) as g:
        assert g.mode == "enforce"
        put_mode(g, "shadow")
        assert g.mode == "shadow"


def test_a_bundle_that_says_nothing_of_modes_is_one_to_be_enforced(tmp_path, signed, monkeypatch):
    from guard.policy import bundle

    whole = bundle.manifest_of
    silent = {"base": "shipped", "extra": "none"}
    monkeypatch.setattr(bundle, "manifest_of", lambda *a: {**whole(*a), "settings": silent})
    path = signed("enforce")
    with load(path) as g, pytest.raises(guard.PolicyError, match="may only be enforced"):
        put_mode(g, "shadow")


def test_a_mode_that_nobody_knows_is_not_signed(tmp_path, capsys):
    assert main(["policy", "sign", "ibm", "--mode", "off", "--key", "k", "--out", "o"]) == 1
    assert "--mode" in capsys.readouterr().err
