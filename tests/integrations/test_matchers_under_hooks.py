"""guard's own detector and matchers work under `guard.install`: what replay was allowed is not asked again."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import guard
from guard.matchers import open_matcher
from guard.replay.clip import open_clip
from guard.replay.run import replay
from guard.testing import MemoryLedger
from tests.conftest import OFFICE, POLICE
from tests.integrations.local_sources import PORTLAND, network

MATCHERS = [
    "sface",
    pytest.param(
        "face_recognition",
        marks=pytest.mark.skipif(
            importlib.util.find_spec("dlib") is None or importlib.util.find_spec("face_recognition_models") is None,
            reason="the extra frguard[dlib] is not installed",
        ),
    ),
]


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("guard.guard._latest", None)
    guard.install()
    yield
    guard.uninstall()


@pytest.fixture
def portrait(tmp_path: Path) -> Path:
    """A folder with one picture in which there is a face."""
    data = pytest.importorskip("skimage.data", reason="scikit-image has the picture")
    folder = tmp_path / "gallery"
    folder.mkdir()
    cv2.imwrite(str(folder / "astronaut.png"), np.ascontiguousarray(data.astronaut()[..., ::-1]))
    return folder


def run(portrait: Path, tmp_path: Path, text: str, matcher: str, service: str) -> Any:
    pytest.importorskip("onnx")
    config, model = tmp_path / "guard.toml", tmp_path / "m.onnx"
    config.write_text(text)
    network(model)
    with guard.load(config, ledger=MemoryLedger()) as g:
        far_end = open_matcher(matcher, gallery=portrait, model=model)
        (tmp_path / "out").mkdir()
        clip = open_clip(portrait / "astronaut.png")
        result = replay(clip, g, g.source(), action="identify", service=service, matcher=far_end, out=tmp_path / "out")
        return result, g.ledger.verdicts(), far_end


@pytest.mark.parametrize("matcher", MATCHERS)
@pytest.mark.parametrize("service", ["self_hosted", "azure_face"])
def test_an_allowed_replay_matches_and_leaves_one_record_a_frame(matcher, service, portrait, tmp_path):
    result, verdicts, far_end = run(portrait, tmp_path, OFFICE, matcher, service)
    assert result.people == {"astronaut": 1}
    assert verdicts == ["allow"]
    assert far_end.reached == 1


@pytest.mark.parametrize("matcher", MATCHERS)
def test_a_denied_replay_runs_to_its_end_and_reaches_nothing(matcher, portrait, tmp_path):
    result, verdicts, far_end = run(portrait, tmp_path, POLICE, matcher, "azure_face")
    assert result.frames == 1
    assert result.calls[0].denied == 1
    assert verdicts == ["deny"]
    assert far_end.reached == 0
    assert not far_end.enrolled


@pytest.mark.parametrize("matcher", MATCHERS)
def test_a_matcher_that_is_called_past_protect_is_judged(matcher, portrait, tmp_path, make_guard):
    pytest.importorskip("onnx")
    network(tmp_path / "m.onnx")
    street = make_guard(PORTLAND)
    far_end = open_matcher(matcher, gallery=portrait, model=tmp_path / "m.onnx")
    picture = cv2.imread(str(portrait / "astronaut.png"))
    with street.source().frame(picture), pytest.raises(guard.Denied):
        far_end.search(picture)
    assert street.ledger.verdicts() == ["deny"]
    assert not far_end.enrolled
