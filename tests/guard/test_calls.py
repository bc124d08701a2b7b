"""A guarded call runs only inside an allowed decision made for that very call."""

from __future__ import annotations

import asyncio
import functools
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import guard
from guard.testing import FakeDetector
from tests.conftest import OFFICE, POLICE


class Matcher:
    """Counts how often it was reached; that is what a promise is held to."""

    def __init__(self) -> None:
        self.reached = 0
        self.got: list[object] = []

    def search(self, frame: object, top: int = 1) -> str:
        self.reached += 1
        self.got.append(frame)
        return f"match {top}"

    async def search_later(self, frame: object) -> str:
        return self.search(frame)

    def __call__(self, frame: object) -> str:
        return self.search(frame)


@pytest.fixture
def matcher():
    return Matcher()


def test_a_forbidden_call_is_denied_and_never_reached(make_guard, picture, matcher):
    cam = make_guard().source("bodycam")
    search = cam.protect(matcher.search, action="identify", service="azure_openai")
    with cam.frame(picture, index=3) as seen, pytest.raises(guard.Denied) as caught:
        search(picture)
    assert matcher.reached == 0
    decision = caught.value.decision
    assert decision.verdict is guard.Verdict.DENY
    assert decision.frame == 3
    assert {"MS-COC.us-police", "MS-AOAI.us-police"} & {reason.rule for reason in decision.reasons}
    assert seen.decisions == [decision]
    assert "azure_openai" in str(caught.value)


def test_an_allowed_call_runs_once_and_gives_its_result(make_guard, picture, matcher):
    g = make_guard(OFFICE)
    cam = g.source()
    search = cam.protect(matcher.search, action="identify", service="my-matcher")
    with cam.frame(picture):
        assert search(picture, top=5) == "match 5"
    assert matcher.reached == 1
    assert g.ledger.verdicts() == ["allow"]
    assert g.ledger.entries[0].decision.faces == 1


def test_every_attempt_leaves_exactly_one_record(make_guard, picture, matcher):
    g = make_guard()
    cam = g.source()
    search = cam.protect(matcher.search, action="identify", service="azure_openai")
    for _ in range(5):
        with cam.frame(picture), pytest.raises(guard.Denied):
            search(picture)
    assert g.ledger.verdicts() == ["deny"] * 5
    assert len({entry.id for entry in g.ledger.entries}) == 5


def test_without_a_frame_the_facts_alone_decide(make_guard, picture, matcher):
    allowed = make_guard(OFFICE).source().protect(matcher.search, action="identify", service="my-matcher")
    assert allowed(picture) == "match 1"
    denied = make_guard(POLICE).source().protect(matcher.search, action="identify", service="azure_openai")
    with pytest.raises(guard.Denied):
        denied(picture)
    assert matcher.reached == 1


def test_decorator_method_partial_and_callable_object(make_guard, picture, matcher):
    cam = make_guard().source()

    @cam.protect(service="azure_openai", action="identify")
    def search(frame):
        """finds"""
        return matcher.search(frame)

    class Pipeline:
        @cam.protect(service="azure_openai", action="verify")
        def step(self, frame):
            return matcher.search(frame)

        @cam.protect(service="azure_openai", action="verify")
        @classmethod
        def shared(cls, frame):
            return matcher.search(frame)

        @cam.protect(service="azure_openai", action="verify")
        @staticmethod
        def plain(frame):
            return matcher.search(frame)

    partial = cam.protect(functools.partial(matcher.search, top=2), service="azure_openai", action="enrol")
    instance = cam.protect(matcher, service="azure_openai", action="identify")
    assert search.__doc__ == "finds"
    for call in (search, Pipeline().step, Pipeline.shared, Pipeline().plain, partial, instance):
        with pytest.raises(guard.Denied):
            call(picture)
    assert matcher.reached == 0


def test_coroutines_are_judged_like_calls(make_guard, picture, matcher):
    police, office = make_guard(POLICE, name="p.toml"), make_guard(OFFICE, name="o.toml")

    async def run():
        denied = police.source().protect(matcher.search_later, action="identify", service="azure_openai")
        allowed = office.source().protect(matcher.search_later, action="identify", service="my-matcher")
        with police.source().frame(picture), pytest.raises(guard.Denied):
            await denied(picture)
        with office.source().frame(picture):
            return await allowed(picture)

    assert asyncio.run(run()) == "match 1"
    assert matcher.reached == 1
    assert police.ledger.verdicts() == ["deny"]
    assert office.ledger.verdicts() == ["allow"]


class Ways:
    """Seven ways in which a call can end, each set up anew: (guard, action, service, what must come of it)."""

    def __init__(self, make_guard):
        self.make_guard = make_guard

    def forbidden(self):
        return self.make_guard(POLICE, name="forbidden.toml"), "identify", "azure_openai", "Denied"

    def allowed(self):
        return self.make_guard(OFFICE, name="allowed.toml"), "identify", "my-matcher", "match 1"

    def redacted(self):
        return self.make_guard(POLICE, name="redacted.toml"), "vlm_describe", "azure_openai", "match 1"

    def a_broken_detector(self):
        detector = FakeDetector(error=RuntimeError("broken"))
        return self.make_guard(OFFICE, name="detector.toml", detector=detector), "identify", "my-matcher", "GuardFault"

    def a_full_disk(self):
        g = self.make_guard(OFFICE, name="disk.toml")
        g.ledger.fail = "disk full"
        return g, "identify", "my-matcher", "GuardFault"

    def a_broken_engine(self):
        g = self.make_guard(OFFICE, name="engine.toml")
        g.engine = None
        return g, "identify", "my-matcher", "GuardFault"

    def a_closed_guard(self):
        g = self.make_guard(OFFICE, name="closed.toml")
        g.close()
        return g, "identify", "my-matcher", "GuardFault"


@pytest.mark.parametrize("kind", ["call", "coroutine"])
@pytest.mark.parametrize("way", [name for name in vars(Ways) if not name.startswith("_")])
def test_calls_and_coroutines_end_alike(make_guard, picture, matcher, way, kind):
    g, action, service, comes = getattr(Ways(make_guard), way)()
    cam = g.source()

    def call():
        return cam.protect(matcher.search, action=action, service=service)(picture)

    def coroutine():
        return asyncio.run(cam.protect(matcher.search_later, action=action, service=service)(picture))

    try:
        with cam.frame(picture):
            came = {"call": call, "coroutine": coroutine}[kind]()
    except guard.GuardError as error:
        came = type(error).__name__
    assert came == comes
    assert matcher.reached == (comes == "match 1")
    if way == "redacted":
        assert not np.array_equal(np.asarray(matcher.got[0]), picture)


def test_forty_tasks_of_two_sources_are_not_mixed_up(make_guard, picture, matcher):
    police, office = make_guard(POLICE, name="p.toml"), make_guard(OFFICE, name="o.toml")
    results = []

    async def one(number):
        g, service = (police, "azure_openai") if number % 2 else (office, "my-matcher")
        cam = g.source()
        frame = picture.copy()
        call = cam.protect(matcher.search_later, action="identify", service=service)
        with cam.frame(frame):
            await asyncio.sleep(0)
            try:
                results.append((number, await call(frame)))
            except guard.Denied:
                results.append((number, "denied"))

    async def run():
        await asyncio.gather(*(one(number) for number in range(40)))

    asyncio.run(run())
    assert sorted(results) == [(n, "denied" if n % 2 else "match 1") for n in range(40)]


def test_threads_get_the_same_answers(make_guard, picture, matcher):
    g = make_guard()
    cam = g.source()
    search = cam.protect(matcher.search, action="identify", service="azure_openai")

    def attempt(_):
        with cam.frame(picture):
            try:
                return search(picture)
            except guard.Denied:
                return "denied"

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(attempt, range(200))) == {"denied"}
    assert len(g.ledger.entries) == 200


def test_a_thread_without_a_frame_still_has_the_callables_source(make_guard, picture, matcher):
    cam = make_guard().source()
    search = cam.protect(matcher.search, action="identify", service="azure_openai")
    raised = []

    def run():
        try:
            search(picture)
        except guard.Denied as denied:
            raised.append(denied)

    with cam.frame(picture):
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    assert len(raised) == 1


def test_inside_another_sources_frame_the_stricter_stands(make_guard, picture, matcher):
    police, office = make_guard(POLICE, name="p.toml").source(), make_guard(OFFICE, name="o.toml").source()
    search = office.protect(matcher.search, action="identify", service="azure_face")
    assert search(picture) == "match 1"
    with police.frame(picture.copy()), pytest.raises(guard.Denied) as caught:
        search(picture)
    assert caught.value.decision.source == "bodycam"
    with police.frame(picture.copy()), office.frame(picture.copy()), pytest.raises(guard.Denied):
        search(picture)
    assert office.guard.ledger.entries[-1].judged_under == ["door", "bodycam"]
    assert matcher.reached == 1


def test_a_picture_of_another_source_is_judged_under_it_too(make_guard, picture, matcher):
    police, office = make_guard(POLICE, name="p.toml").source(), make_guard(OFFICE, name="o.toml").source()
    search = office.protect(matcher.search, action="identify", service="azure_face")
    with police.frame(picture):
        pass
    for carried in (picture, picture[10:90, 10:90], [picture], {"a": (picture,)}):
        with pytest.raises(guard.Denied) as caught:
            search(carried)
        assert caught.value.decision.source == "bodycam"
    assert matcher.reached == 0
    del carried, caught
    assert search(picture.copy()) == "match 1"


def test_frames_nest_and_reset(make_guard, picture, matcher):
    cam = make_guard(OFFICE).source()
    search = cam.protect(matcher.search, action="identify", service="my-matcher")
    with cam.frame(picture, index=1), cam.frame(picture, index=2):
        search(picture)
    search(picture)
    assert [entry.decision.frame for entry in cam.guard.ledger.entries] == [2, None]


def test_a_guarded_call_inside_a_guarded_call(make_guard, picture, matcher):
    cam = make_guard(OFFICE).source()
    inner = cam.protect(matcher.search, action="identify", service="my-matcher")
    outer = cam.protect(inner, action="verify", service="my-matcher")
    with cam.frame(picture):
        assert outer(picture) == "match 1"
    assert [entry.decision.action for entry in cam.guard.ledger.entries] == ["verify", "identify"]


def test_an_error_of_the_callee_is_the_callers(make_guard, picture):
    cam = make_guard(OFFICE).source()

    def broken(frame):
        raise KeyError("theirs")

    with pytest.raises(KeyError, match="theirs"):
        cam.protect(broken, action="identify", service="my-matcher")(picture)


def test_a_missing_action_is_refused_except_towards_a_vision_language_service(make_guard, matcher):
    cam = make_guard(OFFICE).source()
    for service in ("my-matcher", "azure_face", "rekognition_compare", "ibm", "axon_body", "other"):
        with pytest.raises(guard.ConfigError, match="must say what it does"):
            cam.protect(matcher.search, service=service)
    for service in ("azure_openai", "microsoft_ai", "openai", "google", "anthropic"):
        cam.protect(matcher.search, service=service)


def test_unknown_actions_and_services_are_refused_at_once(make_guard, matcher):
    cam = make_guard(OFFICE).source()
    with pytest.raises(guard.ConfigError, match="no action"):
        cam.protect(matcher.search, action="identifi", service="my-matcher")
    with pytest.raises(guard.ConfigError, match="no service"):
        cam.protect(matcher.search, action="identify", service="my-macher")
    with pytest.raises(guard.ConfigError, match="cannot be called"):
        cam.protect(5, action="identify", service="my-matcher")


def test_a_closed_guard_refuses(make_guard, picture, matcher):
    g = make_guard(OFFICE)
    search = g.source().protect(matcher.search, action="identify", service="my-matcher")
    g.close()
    with pytest.raises(guard.GuardFault, match="closed"):
        search(picture)
    assert matcher.reached == 0


def test_a_denial_survives_pickling(make_guard, picture, matcher):
    search = make_guard().source().protect(matcher.search, action="identify", service="azure_openai")
    with pytest.raises(guard.Denied) as caught:
        search(picture)
    again = pickle.loads(pickle.dumps(caught.value))
    assert type(again) is guard.Denied
    assert again.decision.verdict is guard.Verdict.DENY
    assert again.decision.lifted_by == caught.value.decision.lifted_by
    assert str(again) == str(caught.value)


def test_the_intent_names_what_the_call_does_not(make_guard, picture, matcher):
    cam = make_guard().source()
    describe = cam.protect(matcher.search, service="azure_openai")
    with cam.frame(picture), cam.intent("identify"), pytest.raises(guard.Denied) as caught:
        describe(picture)
    assert caught.value.decision.action == "identify"
    with pytest.raises(guard.ConfigError), cam.intent("identifi"):
        pass


def test_faces_of_a_frame(make_guard, picture):
    cam = make_guard().source()
    with cam.frame(picture) as seen:
        assert len(seen.faces) == 1
        assert seen.faces.boxes.dtype == np.float32
        assert seen.faces.boxes.shape == (1, 4)
        assert set(seen.timings) == {"hook", "detect"}


def test_on_demand_runs_the_detector_only_when_asked(make_guard, picture, matcher):
    g = make_guard(POLICE.replace('id = "bodycam"', 'id = "bodycam"\ndetect = "on-demand"'))
    cam = g.source()
    search = cam.protect(matcher.search, action="identify", service="azure_openai")
    with cam.frame(picture) as seen:
        with pytest.raises(guard.Denied):
            search(picture)
        assert g.detector.seen == 0
        assert len(seen.faces) == 1
        assert len(seen.faces) == 1
    assert g.detector.seen == 1


def test_what_cannot_be_a_frame_is_refused(make_guard, picture):
    cam = make_guard().source()
    for wrong in (None, "x.jpg", [[1, 2]], picture.astype(np.float32), picture.astype(np.uint16), picture[:0],
                  np.zeros((2, 3, 4, 3), np.uint8), np.zeros((4, 4, 2), np.uint8)):  # fmt: skip
        with pytest.raises(guard.SourceError, match="the frame is"), cam.frame(wrong):
            pass
    for right in (picture[..., 0], np.dstack([picture, picture[..., :1]]), picture[::2, ::3], picture[::-1]):
        with cam.frame(right) as seen:
            assert len(seen.faces) == 1


def test_a_capture_instant_needs_a_zone(make_guard, picture):
    from datetime import datetime

    with pytest.raises(guard.ConfigError, match="zone"):
        make_guard().source().frame(picture, at=datetime(2026, 1, 1))
