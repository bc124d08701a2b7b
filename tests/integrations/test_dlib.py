"""dlib and face_recognition: descriptors, encodings and their comparison, through every reference handed out."""

from __future__ import annotations

import importlib.util
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import guard
from guard.integrations.dlib import ADAPTER as DLIB
from guard.integrations.face_recognition import ADAPTER as FACE_RECOGNITION
from guard.integrations.watching import watch
from tests.conftest import OFFICE
from tests.integrations.local_sources import PORTLAND, frame
from tests.integrations.setting_up import cleaned

dlib = pytest.importorskip("dlib", reason="the extra frguard[dlib] is not installed")

PICTURE = np.random.default_rng(2).integers(0, 255, (150, 150, 3), dtype=np.uint8)
BOX = (20, 120, 120, 20)
A, B = np.zeros(128), np.ones(128)


_clean = cleaned()


@pytest.fixture
def street(make_guard):
    return make_guard(PORTLAND).source()


@pytest.fixture
def door(make_guard):
    return make_guard(OFFICE).source()


@pytest.fixture(scope="module")
def networks() -> tuple[Any, Any]:
    """The landmark predictor and the recognition network of the models package."""
    spec = importlib.util.find_spec("face_recognition_models")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("the extra frguard[dlib] is not installed")
    folder = Path(spec.submodule_search_locations[0]) / "models"
    return (
        dlib.shape_predictor(str(folder / "shape_predictor_5_face_landmarks.dat")),
        dlib.face_recognition_model_v1(str(folder / "dlib_face_recognition_resnet_model_v1.dat")),
    )


@pytest.fixture(scope="module")
def face_recognition() -> Any:
    pytest.importorskip("face_recognition_models", reason="the extra frguard[dlib] is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its models import pkg_resources
        return pytest.importorskip("face_recognition", reason="face_recognition is not installed")


def install() -> None:
    watch.add([DLIB, FACE_RECOGNITION])


def shapes(predictor: Any) -> Any:
    found = dlib.full_object_detections()
    found.append(predictor(PICTURE, dlib.rectangle(20, 20, 120, 120)))
    return found


DESCRIBE = {
    "a landmark": lambda p, n: n.compute_face_descriptor(PICTURE, p(PICTURE, dlib.rectangle(20, 20, 120, 120))),
    "landmarks": lambda p, n: n.compute_face_descriptor(PICTURE, shapes(p)),
    "a chip": lambda p, n: n.compute_face_descriptor(PICTURE),
    "chips": lambda p, n: n.compute_face_descriptor([PICTURE, PICTURE]),
    "a batch": lambda p, n: n.compute_face_descriptor([PICTURE], [shapes(p)]),
    "by keyword": lambda p, n: n.compute_face_descriptor(face_img=PICTURE),
    "unbound": lambda p, n: dlib.face_recognition_model_v1.compute_face_descriptor(n, PICTURE),
}


@pytest.mark.parametrize("way", DESCRIBE)
def test_every_overload_of_the_descriptor_is_refused(way, networks, street):
    install()
    with street.frame(frame()), pytest.raises(guard.Denied) as caught:
        DESCRIBE[way](*networks)
    assert type(caught.value) is guard.Denied
    assert street.guard.ledger.verdicts() == ["deny"]


@pytest.mark.parametrize("way", ["a landmark", "a chip"])
def test_an_allowed_descriptor_is_dlib_s_own_and_recorded_once(way, networks, door):
    wanted = np.asarray(DESCRIBE[way](*networks))
    install()
    with door.frame(frame()):
        assert np.array_equal(np.asarray(DESCRIBE[way](*networks)), wanted)
    assert door.guard.ledger.verdicts() == ["allow"]


def test_landmarks_and_chips_pass_unrecorded(networks, street):
    predictor, _ = networks
    install()
    with street.frame(frame()):
        found = predictor(PICTURE, dlib.rectangle(20, 20, 120, 120))
        assert dlib.get_face_chip(PICTURE, found).shape == (150, 150, 3)
    assert street.guard.ledger.entries == []


def test_sorting_descriptors_into_people_is_refused(street):
    install()
    with street.frame(frame()), pytest.raises(guard.Denied):
        dlib.chinese_whispers_clustering([dlib.vector(list(A)), dlib.vector(list(B))], 0.5)


def test_the_compiled_module_under_the_package_is_guarded(networks, street):
    compiled = importlib.import_module("_dlib_pybind11")
    install()
    with street.frame(frame()), pytest.raises(guard.Denied):
        compiled.face_recognition_model_v1.compute_face_descriptor(networks[1], PICTURE)


def test_a_view_of_another_source_s_frame_is_judged_by_that_source(networks, door, street):
    install()
    theirs = np.ascontiguousarray(np.random.default_rng(4).integers(0, 255, (150, 150, 3), dtype=np.uint8))
    with street.frame(theirs):
        pass
    with door.frame(frame()), pytest.raises(guard.Denied) as caught:
        networks[1].compute_face_descriptor(theirs[:])
    assert caught.value.decision.source == "bodycam"


CALLS = {
    "face_encodings": lambda lib: lib.face_encodings(PICTURE, [BOX]),
    "face_encodings by keyword": lambda lib: lib.face_encodings(face_image=PICTURE, known_face_locations=[BOX]),
    "compare_faces": lambda lib: lib.compare_faces([A, B], A),
    "face_distance": lambda lib: lib.face_distance([A, B], A),
    "api": lambda lib: lib.api.face_distance([A], B),
}


@pytest.mark.parametrize("way", CALLS)
def test_face_recognition_is_refused(way, face_recognition, street):
    install()
    with street.frame(frame()), pytest.raises(guard.Denied):
        CALLS[way](face_recognition)
    assert street.guard.ledger.verdicts() == ["deny"]


@pytest.mark.parametrize("way", CALLS)
def test_an_allowed_call_of_face_recognition_is_decided_once(way, face_recognition, door):
    wanted = CALLS[way](face_recognition)
    install()
    with door.frame(frame()):
        found = CALLS[way](face_recognition)
    assert np.array_equal(found, wanted)
    assert door.guard.ledger.verdicts() == ["allow"]


def test_references_from_before_the_guard_are_refused(face_recognition, street):
    held = {"compare": face_recognition.compare_faces, "encode": partial(face_recognition.face_encodings, PICTURE)}
    install()
    with street.frame(frame()):
        with pytest.raises(guard.Denied):
            held["compare"]([A], B)
        with pytest.raises(guard.Denied):
            held["encode"]([BOX])


def test_finding_faces_passes_unrecorded(face_recognition, street):
    install()
    with street.frame(frame()):
        assert face_recognition.face_locations(PICTURE) == []
        assert len(face_recognition.face_landmarks(PICTURE, [BOX])) == 1
    assert street.guard.ledger.entries == []


def test_thousands_of_known_faces_are_compared(face_recognition, door, street):
    install()
    known = [A] * 30_000
    with street.frame(frame()):
        pass
    with door.frame(frame()):
        assert len(face_recognition.compare_faces(known, B)) == 30_000
