"""insightface: one decision for each call, at the highest layer called; ONNX Runtime underneath is a backstop."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import guard
from guard.integrations.insightface import ADAPTER
from guard.integrations.onnxruntime import ADAPTER as ONNX_RUNTIME
from guard.integrations.watching import watch
from tests.conftest import OFFICE
from tests.integrations.local_sources import FRANCE, PORTLAND, frame, network
from tests.integrations.setting_up import cleaned

insightface = pytest.importorskip("insightface", reason="insightface is not installed")
model_zoo = insightface.model_zoo

pytestmark = pytest.mark.filterwarnings("ignore:`estimate` is deprecated:FutureWarning")  # of scikit-image, in it

PICTURE = np.random.default_rng(2).integers(0, 255, (240, 320, 3), dtype=np.uint8)
CROP = PICTURE[:112, :112]
POINTS = np.array([[38.3, 51.7], [73.5, 51.5], [56.0, 71.7], [41.5, 92.4], [70.7, 92.2]], np.float32)
VECTOR = np.ones(128, np.float32)


def module(name: str) -> Any:
    """A module of insightface that came with a later version, or needs more than the library."""
    try:
        return importlib.import_module(f"insightface.{name}")
    except ImportError as error:
        pytest.skip(f"insightface.{name} is not there: {error}")


_clean = cleaned()


@pytest.fixture
def street(make_guard):
    return make_guard(PORTLAND).source()


@pytest.fixture
def door(make_guard):
    return make_guard(OFFICE).source()


@pytest.fixture
def arcface(tmp_path: Path) -> Any:
    network(tmp_path / "m.onnx")
    return model_zoo.ArcFaceONNX(model_file=str(tmp_path / "m.onnx"))


def install() -> None:
    watch.add([ADAPTER, ONNX_RUNTIME])


def face() -> Any:
    return SimpleNamespace(kps=POINTS, bbox=np.array([0, 0, 112, 112], np.float32))


ARCFACE = {
    "get": lambda model: model.get(PICTURE, face()),
    "get_feat": lambda model: model.get_feat(CROP),
    "get_feat of many": lambda model: model.get_feat([CROP, CROP]),
    "forward": lambda model: model.forward(np.zeros((1, 3, 112, 112), np.float32)),
    "compute_sim": lambda model: model.compute_sim(VECTOR, VECTOR),
}


@pytest.mark.parametrize("way", ARCFACE)
def test_arcface_is_refused_and_recorded_once(way, arcface, street):
    install()
    with street.frame(frame()), pytest.raises(guard.Denied, match="insightface") as caught:
        ARCFACE[way](arcface)
    assert type(caught.value) is guard.Denied
    assert street.guard.ledger.verdicts() == ["deny"]


@pytest.mark.parametrize("way", [way for way in ARCFACE if way != "get_feat of many"])
def test_an_allowed_call_is_decided_once_with_onnx_runtime_beneath(way, arcface, door):
    wanted = ARCFACE[way](arcface)
    install()
    with door.frame(frame()):
        assert np.array_equal(ARCFACE[way](arcface), wanted)
    assert door.guard.ledger.verdicts() == ["allow"]


def test_the_session_underneath_is_guarded_by_itself(arcface, street):
    install()
    with street.frame(frame()), pytest.raises(guard.Denied, match="onnxruntime"):
        arcface.session.run(None, {"data": np.zeros((1, 3, 112, 112), np.float32)})


def test_a_model_is_refused_when_it_is_loaded(tmp_path, street):
    network(tmp_path / "w600k_r50.onnx")
    install()
    with street.frame(frame()), pytest.raises(guard.Denied):
        model_zoo.get_model(str(tmp_path / "w600k_r50.onnx"), providers=["CPUExecutionProvider"])


class Detector:
    def detect(self, picture: Any, **rest: Any) -> Any:
        return np.array([[0, 0, 112, 112, 0.9]] * 3, np.float32), np.stack([POINTS] * 3)


class Traits:
    def get(self, picture: Any, face: Any) -> None:
        face["age"] = 30


def analysis(**models: Any) -> Any:
    made = insightface.app.FaceAnalysis.__new__(insightface.app.FaceAnalysis)
    made.det_model, made.models, made.addons = Detector(), {"detection": Detector(), **models}, {}
    return made


def test_a_picture_with_three_faces_is_one_decision(arcface, door):
    app = analysis(recognition=arcface)
    install()
    with door.frame(frame()):
        assert len(app.get(PICTURE)) == 3
    assert door.guard.ledger.verdicts() == ["allow"]


def test_an_analysis_that_recognises_is_refused_whole(arcface, street):
    app = analysis(recognition=arcface)
    install()
    with street.frame(frame()), pytest.raises(guard.Denied, match="FaceAnalysis"):
        app.get(PICTURE)
    assert street.guard.ledger.verdicts() == ["deny"]


def test_an_analysis_that_only_detects_passes_unrecorded(street):
    app = analysis()
    install()
    with street.frame(frame()):
        assert len(app.get(PICTURE)) == 3
    assert street.guard.ledger.entries == []


def test_reading_attributes_is_judged_beside_recognition(arcface, make_guard, street):
    g = make_guard(OFFICE)
    app, reads = analysis(recognition=arcface, genderage=Traits()), analysis(genderage=Traits())
    install()
    with g.source().frame(frame()), g.source().intent("verify"):
        app.get(PICTURE)
    assert len(g.ledger.entries) == 1
    with street.frame(frame()):
        reads.get(PICTURE)  # allowed there, and recorded as what it is
    assert [entry.decision.action for entry in street.guard.ledger.entries] == ["attributes"]


def test_the_attribute_model_is_judged_on_its_own(door):
    made = model_zoo.Attribute.__new__(model_zoo.Attribute)
    install()
    with door.frame(frame()), pytest.raises(AttributeError):  # let through: it has no session
        made.get(PICTURE, face())
    assert [entry.decision.action for entry in door.guard.ledger.entries] == ["attributes"]


def test_references_handed_out_before_the_guard_are_refused(arcface, street):
    stored = arcface.get_feat
    mine = type("Mine", (model_zoo.ArcFaceONNX,), {"get_feat": lambda self, x: super(type(self), self).get_feat(x)})
    derived = mine.__new__(mine)
    derived.__dict__.update(arcface.__dict__)
    install()
    with street.frame(frame()):
        for call in (stored, derived.get_feat):
            with pytest.raises(guard.Denied):
                call(CROP)


def test_the_reference_matrix_is_a_gallery(street, door):
    matrix = module("app.person.matrix").ReferenceMatrix(128, "m")
    install()
    with street.frame(frame()):
        for call in (lambda: matrix.add("alice", VECTOR), lambda: matrix.match(VECTOR)):
            with pytest.raises(guard.Denied):
                call()
    assert [entry.decision.action for entry in street.guard.ledger.entries] == ["enrol", "identify"]
    with door.frame(frame()):
        matrix.add("alice", VECTOR)
        assert matrix.match(VECTOR)["person_id"] == "alice"
    assert door.guard.ledger.verdicts() == ["allow"] * 2


PERSONS = {
    "get": (lambda app: app.get(PICTURE), "identify"),
    "get_reid": (lambda app: app.get_reid(PICTURE), "identify"),
    "match": (lambda app: app.match([]), "identify"),
    "register": (lambda app: app.register("alice", PICTURE), "enrol"),
    "update": (lambda app: app.update([]), "enrol"),
}


@pytest.mark.parametrize("way", PERSONS)
def test_the_analysis_of_persons_is_refused(way, street):
    kind = module("app.person_analysis").PersonAnalysis
    install()
    call, action = PERSONS[way]
    with street.frame(frame()), pytest.raises(guard.Denied):
        call(kind.__new__(kind))
    assert [entry.decision.action for entry in street.guard.ledger.entries] == [action]


def test_person_re_identification_is_refused(street):
    kind = module("model_zoo.person_reid").PersonReID
    install()
    with street.frame(frame()), pytest.raises(guard.Denied):
        kind.__new__(kind).embed(PICTURE)


def test_naming_a_track_is_refused(street):
    recognition = module("app.privateframe.recognition")
    install()
    with street.frame(frame()), pytest.raises(guard.Denied):
        recognition.decide_track_identity([], {}, 0.4)


def test_the_desktop_application_s_gallery_is_refused(street):
    recognition = module("gui.core.recognition")
    install()
    with street.frame(frame()):
        for call in (
            lambda: recognition.search_gallery(VECTOR, []),
            lambda: recognition.compare_embeddings(VECTOR, VECTOR),
            lambda: recognition.identify_face(VECTOR, []),
        ):
            with pytest.raises(guard.Denied):
                call()


def test_traits_are_refused_where_they_are_forbidden(make_guard):
    source = make_guard(FRANCE).source()
    install()
    with source.frame(frame()):
        assert source.authorize("attributes", "self_hosted").verdict is guard.Verdict.ALLOW
        with pytest.raises(guard.Denied):
            analysis(genderage=Traits()).get(PICTURE)
        with pytest.raises(guard.Denied):
            model_zoo.Attribute.__new__(model_zoo.Attribute).get(PICTURE, face())
    assert [entry.decision.action for entry in source.guard.ledger.entries] == ["categorise"] * 2
