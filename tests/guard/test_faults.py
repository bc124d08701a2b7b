"""Every stage broken in turn: the service is reached 0 times, and there is a record or a refusal to start."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

import guard
from guard.testing import FakeClock, FakeDetector, MemoryLedger
from tests.conftest import BOX, OFFICE, POLICE

SLEEPLESS = POLICE.replace('id = "bodycam"', 'id = "bodycam"\nmax_age_s = 0.3')


class Service:
    def __init__(self):
        self.reached = 0

    def call(self, *args, **kwargs):
        self.reached += 1


@pytest.fixture
def service():
    return Service()


def describe(g, service):
    return g.source().protect(service.call, service="azure_openai")


def identify(g, service):
    return g.source().protect(service.call, action="identify", service="my-matcher")


class Slow(FakeDetector):
    def detect(self, image, **options):
        time.sleep(0.4)
        return super().detect(image, **options)


class Answers(FakeDetector):
    def __init__(self, answer):
        super().__init__()
        self.answer = answer

    def detect(self, image, **options):
        return self.answer


@pytest.mark.parametrize(
    "detector",
    [
        FakeDetector(error=RuntimeError("the network broke")),
        FakeDetector(error=MemoryError()),
        FakeDetector(error=guard.SourceError("grey mush")),
        FakeDetector(error=TimeoutError("too slow")),
        Answers(None),
        Answers([]),
        Answers(False),
        object(),
    ],
)
@pytest.mark.parametrize("detect", ["every-frame", "on-demand"])
def test_a_detector_that_fails_is_not_an_empty_picture(make_guard, picture, service, detector, detect):
    text = POLICE.replace('id = "bodycam"', f'id = "bodycam"\ndetect = "{detect}"')
    g = make_guard(text, detector=detector)
    call = describe(g, service)
    with g.source().frame(picture) as seen:
        with pytest.raises(guard.GuardFault) as caught:
            call(picture)
        with pytest.raises(guard.GuardFault):
            seen.faces  # noqa: B018
    with pytest.raises(guard.GuardFault):
        call(picture)
    assert service.reached == 0
    assert caught.value.decision.verdict is guard.Verdict.DENY
    assert caught.value.decision.fault
    assert g.ledger.verdicts() == ["fault", "fault"]


def test_a_failed_detector_leaves_a_policys_denial_a_denial(make_guard, picture, service):
    g = make_guard(detector=FakeDetector(error=RuntimeError("broken")))
    call = g.source().protect(service.call, action="identify", service="azure_openai")
    with g.source().frame(picture), pytest.raises(guard.Denied):
        call(picture)
    assert g.ledger.verdicts() == ["deny"]


def test_a_failed_detector_refuses_even_what_the_facts_allow(make_guard, picture, service):
    g = make_guard(OFFICE, detector=FakeDetector(error=RuntimeError("broken")))
    call = identify(g, service)
    with g.source().frame(picture), pytest.raises(guard.GuardFault):
        call(picture)
    assert service.reached == 0


def test_a_late_frame_cannot_be_judged(make_guard, picture, service):
    g = make_guard(OFFICE.replace('id = "door"', 'id = "door"\nmax_age_s = 0.3'))
    call = identify(g, service)
    with g.source().frame(picture):
        time.sleep(0.4)
        with pytest.raises(guard.GuardFault, match="max_age_s"):
            call(picture)
    assert service.reached == 0
    call(picture)
    assert service.reached == 1


def test_a_slow_detector_makes_the_frame_late(make_guard, picture, service):
    g = make_guard(SLEEPLESS, detector=Slow([BOX]))
    call = describe(g, service)
    with g.source().frame(picture), pytest.raises(guard.GuardFault, match="max_age_s"):
        call(picture)
    assert service.reached == 0


def test_a_ledger_that_refuses_refuses_the_call(make_guard, picture, service):
    ledger = MemoryLedger()
    g = make_guard(OFFICE, ledger=ledger)
    call = identify(g, service)
    ledger.fail = "disk full"
    with g.source().frame(picture) as seen, pytest.raises(guard.GuardFault, match="disk full"):
        call(picture)
    assert service.reached == 0
    assert ledger.verdicts() == ["fault"]
    assert [decision.fault is not None for decision in seen.decisions] == [True]
    ledger.fail = None
    call(picture)
    assert service.reached == 1


def test_a_ledger_that_raises_anything_refuses_the_call(make_guard, picture, service):
    class Broken(MemoryLedger):
        def record(self, entry):
            raise OSError(28, "No space left on device")

    g = make_guard(OFFICE, ledger=Broken())
    with pytest.raises(guard.GuardFault, match="No space"):
        identify(g, service)(picture)
    assert service.reached == 0


def test_a_slow_record_has_the_call_judged_again_and_then_refused(make_guard, picture, service):
    class Slow(MemoryLedger):
        rounds = 0

        def record(self, entry):
            self.rounds += entry.released
            if entry.released:
                time.sleep(self.waits.pop(0) if self.waits else 0)
            super().record(entry)

    text = OFFICE.replace('id = "door"', 'id = "door"\nmax_age_s = 0.5')
    ledger = Slow()
    g = make_guard(text, ledger=ledger)
    call = identify(g, service)
    ledger.waits = [0.6]
    call(picture)
    assert service.reached == 1
    assert ledger.rounds == 2
    assert ledger.verdicts() == ["allow"]
    ledger.waits = [0.6, 0.6]
    with pytest.raises(guard.GuardFault, match="max_age_s"):
        call(picture)
    assert service.reached == 1
    assert ledger.verdicts() == ["allow", "fault"]


def test_an_engine_that_raises_refuses(make_guard, picture, service, monkeypatch):
    g = make_guard(OFFICE)
    call = identify(g, service)
    monkeypatch.setattr(g, "engine", None)
    with pytest.raises(guard.GuardFault, match="failed while judging"):
        call(picture)
    assert service.reached == 0
    assert g.ledger.verdicts() == ["fault"]


@pytest.mark.parametrize("answer", [None, True, "allow", 0])
def test_a_column_that_answers_nonsense_refuses(make_guard, picture, service, monkeypatch, answer):
    g = make_guard(OFFICE)
    call = identify(g, service)
    monkeypatch.setattr(type(g.engine), "column", lambda *a: answer)
    with pytest.raises(guard.GuardFault):
        call(picture)
    assert service.reached == 0


def test_a_redaction_that_does_nothing_or_breaks_refuses(make_guard, picture, service, monkeypatch):
    import guard.vision

    g = make_guard()
    call = describe(g, service)
    for broken in (
        lambda image, faces: image,
        lambda image, faces: image[:2].copy(),
        lambda image, faces: None,
    ):
        monkeypatch.setattr(guard.vision, "redact", broken)
        with pytest.raises(guard.GuardFault):
            call(picture)
    assert service.reached == 0


def test_a_clock_set_back_to_1970_is_not_believed(make_guard, picture, service):
    clock = FakeClock(time.time_ns())
    g = make_guard(OFFICE, clock=clock)
    call = identify(g, service)
    call(picture)
    assert service.reached == 1
    clock.ns = 0
    face = g.source().protect(service.call, action="identify", service="azure_face")
    with pytest.raises(guard.Denied) as caught:
        face(picture)
    assert service.reached == 1
    assert caught.value.decision.at is None
    assert g.ledger.entries[-1].clock == "disbelieved"
    clock.ns = time.time_ns() + 3_600_000_000_000
    face(picture)
    assert service.reached == 2
    assert g.ledger.entries[-1].clock == "system"


def test_a_clock_earlier_than_the_last_record_is_not_believed(make_guard, picture, service, tmp_path):
    path = tmp_path / "decisions.db"
    later = time.time_ns() + 86_400 * 10**9
    g = make_guard(OFFICE, ledger=path, clock=FakeClock(later))
    identify(g, service)(picture)
    g.close()
    g = make_guard(OFFICE, ledger=path)
    with pytest.raises(guard.Denied):
        g.source().protect(service.call, action="identify", service="azure_face")(picture)
    assert service.reached == 1


def test_small_steps_back_of_the_clock_are_no_alarm(make_guard, picture, service):
    clock = FakeClock(time.time_ns())
    g = make_guard(OFFICE, clock=clock)
    call = identify(g, service)
    for _ in range(5):
        clock.ns -= 20_000_000
        call(picture)
    assert {entry.clock for entry in g.ledger.entries} == {"system"}


def test_a_verdict_ends_on_its_day(make_guard, picture, service):
    """The approval expires while the pipeline runs."""
    text = OFFICE.replace("2100-05-02T12:00:00Z", "2100-01-01T00:00:00Z")
    end = int(datetime(2100, 1, 1, tzinfo=UTC).timestamp()) * 10**9
    clock = FakeClock(end - 2_000_000_000)
    g = make_guard(text, clock=clock)
    call = g.source().protect(service.call, action="identify", service="azure_face")
    call(picture)
    clock.ns = end + 1_000_000
    with pytest.raises(guard.Denied) as caught:
        call(picture)
    assert caught.value.decision.lifted_by == ["limited_access_approval"]
    assert service.reached == 1


def test_a_given_day_stands_instead_of_the_clock(make_guard, picture, service):
    day = datetime(2021, 9, 1, 12, tzinfo=UTC)
    g = make_guard(POLICE.replace('timing = "real_time"', 'timing = "post_event"'), at=day)
    call = g.source().protect(service.call, action="identify", service="rekognition_compare")
    with pytest.raises(guard.Denied) as caught:
        call(picture)
    assert caught.value.decision.at == day
    assert g.ledger.entries[0].clock == "given"
    assert timedelta(0) == datetime.fromtimestamp(g.ledger.entries[0].at_ns / 1e9, UTC) - day


# ---- refusals to start


def test_a_changed_model_file_refuses_to_start(tmp_path: Path, monkeypatch):
    from guard.vision import models

    changed = tmp_path / "yunet_s.onnx"
    changed.write_bytes(models.read_model()[:-1] + b"x")
    monkeypatch.setattr(models, "_PLACES", (tmp_path,))
    config = tmp_path / "guard.toml"
    config.write_text(POLICE)
    with pytest.raises(guard.ConfigError, match="sha256"):
        guard.load(config)


@pytest.mark.parametrize(
    "damage", [lambda t: t[: len(t) // 2], lambda t: "", lambda t: t + "\nforbid (", lambda t: "\0"]
)
def test_a_damaged_policy_file_refuses_to_start(tmp_path: Path, damage):
    import guard.policy

    whole = next((Path(guard.policy.__file__).parent / "packs").rglob("microsoft_azure_openai_2024.cedar")).read_text()
    (tmp_path / "pack.cedar").write_text(damage(whole))
    config = tmp_path / "guard.toml"
    config.write_text('[policy]\npacks = ["pack.cedar"]\n' + POLICE)
    with pytest.raises(guard.PolicyError) as caught:
        guard.load(config, detector=FakeDetector())
    assert "pack" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("packs", ["[]", '["no_such_pack"]', '["missing.cedar"]', '"all"', "[3]"])
def test_no_policy_is_no_start(tmp_path: Path, packs):
    config = tmp_path / "guard.toml"
    config.write_text(f"[policy]\npacks = {packs}\n" + POLICE)
    with pytest.raises((guard.PolicyError, guard.ConfigError)):
        guard.load(config, detector=FakeDetector())


def test_a_ledger_that_cannot_be_opened_refuses_to_start(tmp_path: Path):
    blocker = tmp_path / "file"
    blocker.write_text("in the way")
    config = tmp_path / "guard.toml"
    config.write_text(POLICE + '\n[ledger]\npath = "file/decisions.db"\n')
    with pytest.raises(guard.LedgerError, match="cannot be written"):
        guard.load(config, detector=FakeDetector())
    config.write_text(POLICE + '\n[ledger]\npath = "file"\n')
    with pytest.raises(guard.LedgerError):
        guard.load(config, detector=FakeDetector())
    assert blocker.read_text() == "in the way"


def test_a_picture_of_the_wrong_kind_among_frames(make_guard, service):
    g = make_guard()
    with pytest.raises(guard.SourceError), g.source().frame(np.zeros((4, 4, 3), np.float64)):
        describe(g, service)(np.zeros((4, 4, 3), np.float64))
    assert service.reached == 0
