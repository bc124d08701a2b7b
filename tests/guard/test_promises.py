"""The four promises of the README over random sources, calls, pictures and faults.

The second one, that ignorance forbids, is held to the engine itself in tests/policy.
"""

from __future__ import annotations

import time
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import guard
from guard.clock import Clock
from guard.config import Config, SourceConfig
from guard.facts import ACTIONS, IDENTITY_ACTIONS, SERVICES, VLM_SERVICES, Facts
from guard.guard import Guard
from guard.policy import Engine
from guard.testing import FakeDetector, MemoryLedger

FACES = np.random.default_rng(3).integers(1, 255, (60, 80, 3), dtype=np.uint8)
EMPTY = np.zeros((60, 80, 3), np.uint8)


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine.load()


def fact(*values: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from([None, *values])


PARTIES = ("us_police", "us_federal_le", "nonus_police", "private", "individual", "public_nonle")
sources = st.fixed_dictionaries(
    {
        "operator": st.fixed_dictionaries(
            {"type": fact(*PARTIES), "acts_for": fact("self", *PARTIES), "country": fact("US", "SG", "FR")}
        ),
        "place": st.fixed_dictionaries(
            {
                "country": fact("US", "SG", "FR"),
                "control": fact("controlled", "wild"),
                "access": fact("public", "workplace", "police_facility"),
            }
        ),
        "capture": st.fixed_dictionaries({"mount": fact("body_worn", "vehicle", "fixed", "file")}),
        "use": st.fixed_dictionaries(
            {
                "timing": fact("real_time", "post_event"),
                "purpose": fact("access_control", "missing_person", "criminal_investigation", "marketing"),
                "output": fact("lead_only", "automatic_decision"),
                "names_stripped": fact(True, False),
                "traits": st.sampled_from([[], ["race"], ["age_range"]]),
            }
        ),
        "subject": st.fixed_dictionaries({"consent": fact("none", "explicit", "written_release")}),
        "evidence": st.sampled_from(
            [
                [],
                [
                    {
                        "type": "limited_access_approval",
                        "issued": "2020-01-01T00:00:00Z",
                        "expires": "2100-01-01T00:00:00Z",
                    }
                ],
            ]
        ),
    }
)
services = st.sampled_from(SERVICES if isinstance(SERVICES, tuple) else sorted(SERVICES))


def make(engine: Engine, groups: dict[str, Any], detector: Any, *, detect: Any = "every-frame") -> Guard:
    source = SourceConfig("cam", Facts.parse(groups), detect, 32, 0.5, 5.0)
    config = Config(Path("guard.toml"), ("all",), MappingProxyType({"cam": source}), {}, None)
    return Guard(config, engine, MemoryLedger(), Clock(read=time.time_ns), detector=detector)


def sees(image: Any) -> Any:
    return [[10, 10, 40, 40]] if image.any() else []


@given(
    groups=sources,
    action=st.sampled_from(ACTIONS if isinstance(ACTIONS, tuple) else sorted(ACTIONS)),
    service=services,
    picture=st.sampled_from([FACES, EMPTY]),
    detect=st.sampled_from(["every-frame", "on-demand"]),
    fault=st.sampled_from([None, None, "detector", "ledger", "engine"]),
    named=st.booleans(),
    framed=st.booleans(),
)
@settings(max_examples=400, deadline=None)
def test_a_call_runs_only_inside_its_own_allowed_recorded_decision(
    engine, groups, action, service, picture, detect, fault, named, framed
):
    """Promises 1 and 4: reached exactly when an allowed or redacted record of this very call is there."""
    detector = FakeDetector(sees, error=RuntimeError("broken") if fault == "detector" else None)
    with make(engine, groups, detector, detect=detect) as g:
        cam, ledger = g.source(), g.ledger
        got: list[Any] = []
        named = named or service not in VLM_SERVICES
        call = cam.protect(got.append, action=action if named else None, service=service)
        if fault == "ledger":
            ledger.fail = "disk full"
        if fault == "engine":
            g.engine = None
        for attempts in (1, 2):
            before = len(got)
            refused: guard.GuardError | None = None
            try:
                if framed:
                    with cam.frame(picture):
                        call(picture)
                else:
                    call(picture)
            except (guard.Denied, guard.GuardFault) as error:
                refused = error
            entry = ledger.entries[-1]
            assert len(ledger.entries) == attempts
            assert len({kept.id for kept in ledger.entries}) == attempts
            assert (len(got) == before + 1) == entry.released == (refused is None)
            if refused is not None:
                assert refused.decision is not None
                assert refused.decision.verdict is guard.Verdict.DENY
                assert isinstance(refused, guard.GuardFault) == (entry.fault is not None)
            if fault in ("ledger", "engine"):
                assert refused is not None
            if entry.verdict == "redact":
                assert not np.array_equal(got[-1], picture)
            elif refused is None:
                assert np.array_equal(got[-1], picture)
        ledger.fail = None  # the last count of frames is written, too


@given(groups=sources, action=st.sampled_from(sorted(IDENTITY_ACTIONS)), service=services)
@settings(max_examples=300, deadline=None)
def test_what_the_detector_sees_never_moves_an_identity_action(engine, groups, action, service):
    """Promise 3: no face, many faces and an unknown number of faces give one and the same verdict."""
    verdicts = set()
    picture = FACES.copy()
    for detector in (FakeDetector(sees), FakeDetector([[0, 0, 9, 9]] * 3), FakeDetector(())):
        with make(engine, groups, detector) as g:
            cam = g.source()
            for faces in (0, 1, None):
                verdicts.add(cam.authorize(action, service, faces=faces).verdict)
            call = cam.protect(lambda picture: "reached", action=action, service=service)
            with cam.frame(picture):
                try:
                    verdicts.add(guard.Verdict.ALLOW if call(picture) == "reached" else None)
                except guard.Denied:
                    verdicts.add(guard.Verdict.DENY)
    assert len(verdicts) == 1


@given(groups=sources, service=st.sampled_from(sorted(VLM_SERVICES)))
@settings(max_examples=150, deadline=None)
def test_a_face_never_leaves_unless_naming_people_would_be_allowed(engine, groups, service):
    """Promise 3, second half: with a face seen, the original goes out only where `vlm_identify` is allowed."""
    with make(engine, groups, FakeDetector(sees)) as g:
        cam = g.source()
        got: list[Any] = []
        call = cam.protect(got.append, service=service)
        picture = FACES.copy()  # an array that was a frame of another source would be judged under that one too
        try:
            call(picture)
        except guard.Denied:
            return
        original = np.array_equal(got[0], picture)
        assert original == (cam.authorize("vlm_identify", service).verdict is guard.Verdict.ALLOW)
