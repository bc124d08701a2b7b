"""deepface on ONNX Runtime: the facade, the modules under it and the networks; one decision for each call."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import guard
from guard.integrations.deepface import ADAPTER
from guard.integrations.onnxruntime import ADAPTER as ONNX_RUNTIME
from guard.integrations.opencv import ADAPTER as OPENCV
from guard.integrations.watching import watch
from tests.conftest import OFFICE
from tests.integrations.local_sources import FRANCE, PORTLAND, frame, network

PICTURE = np.random.default_rng(2).integers(0, 255, (112, 112, 3), dtype=np.uint8)
OTHER = np.random.default_rng(3).integers(0, 255, (112, 112, 3), dtype=np.uint8)
SKIP = {"detector_backend": "skip", "enforce_detection": False}
FACE = {"model_name": "ArcFace", **SKIP}

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def deepface(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The library, with stand-ins for the networks that it would download."""
    home = tmp_path_factory.mktemp("home")
    weights = home / ".deepface" / "weights"
    weights.mkdir(parents=True)
    crops = {"picture": ("N", 112, 112, 3), "vector": ("N", 512)}
    network(weights / "arcface_weights.onnx", **crops)
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch.setenv("DEEPFACE_HOME", str(home))
        pytest.importorskip("deepface", reason="deepface is not installed")
        try:
            yield importlib.import_module("deepface.DeepFace")
        except ImportError as error:
            pytest.skip(f"deepface does not load here: {error}")


@pytest.fixture(autouse=True)
def _clean(deepface: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("guard.guard._latest", None)
    deepface.modeling.__dict__.pop("cached_models", None)
    yield
    guard.uninstall()


@pytest.fixture
def street(make_guard):
    return make_guard(PORTLAND).source()


@pytest.fixture
def door(make_guard):
    return make_guard(OFFICE).source()


@pytest.fixture
def folder(tmp_path: Path) -> str:
    people = tmp_path / "people"
    people.mkdir()
    cv2.imwrite(str(people / "alice.png"), PICTURE)
    return str(people)


def install() -> None:
    watch.add([ADAPTER, ONNX_RUNTIME, OPENCV])


CALLS = {
    "represent": (lambda lib, people: lib.represent(PICTURE, **FACE), "identify"),
    "verify": (lambda lib, people: lib.verify(PICTURE, OTHER, **FACE), "verify"),
    "find": (lambda lib, people: lib.find(PICTURE, people, silent=True, **FACE), "identify"),
    "verify under the facade": (lambda lib, people: lib.verification.verify(PICTURE, OTHER, **FACE), "verify"),
    "represent under the facade": (lambda lib, people: lib.representation.represent(PICTURE, **FACE), "identify"),
    "represent a batch": (lambda lib, people: lib.represent([PICTURE, OTHER], **FACE), "identify"),
    "distance": (lambda lib, people: lib.verification.find_distance([1.0, 0.0], [0.0, 1.0], "cosine"), "identify"),
    "cosine": (lambda lib, people: lib.verification.find_cosine_distance([1.0, 0.0], [0.0, 1.0]), "identify"),
    "forward": (lambda lib, people: network_of(lib).forward(PICTURE[None] / 255), "identify"),
}

DENIED = {
    **CALLS,
    "find, storing nothing": (
        lambda lib, people: lib.find(PICTURE, people, refresh_database=False, silent=True, **FACE),
        "identify",
    ),
    "register": (lambda lib, people: lib.register(PICTURE, **FACE), "enrol"),
    "search": (lambda lib, people: lib.search(PICTURE, **FACE), "identify"),
    "identify": (lambda lib, people: lib.identify(PICTURE, 1, **FACE), "identify"),
    "build_index": (lambda lib, people: lib.build_index(model_name="ArcFace"), "enrol"),
    "stream": (lambda lib, people: lib.stream(people), "identify"),
    "build_model": (lambda lib, people: lib.build_model("ArcFace"), "identify"),
}

_networks: dict[int, Any] = {}


def network_of(lib: Any) -> Any:
    """The network as `build_model` handed it out before the guard was there."""
    return _networks[id(lib)]


@pytest.fixture
def held(deepface: Any) -> Any:
    _networks[id(deepface)] = deepface.build_model("ArcFace")
    deepface.modeling.__dict__.pop("cached_models", None)
    return _networks[id(deepface)]


@pytest.mark.parametrize("way", DENIED)
def test_every_identity_call_is_refused_and_recorded_once(way, deepface, held, folder, street):
    install()
    call, action = DENIED[way]
    with street.frame(frame()), pytest.raises(guard.Denied) as caught:
        call(deepface, folder)
    assert type(caught.value) is guard.Denied
    assert street.guard.ledger.verdicts() == ["deny"]
    assert street.guard.ledger.entries[0].decision.action == action
    assert [path.name for path in Path(folder).iterdir()] == ["alice.png"]  # nothing was stored


@pytest.mark.parametrize("way", CALLS)
def test_an_allowed_call_is_decided_once(way, deepface, held, folder, door):
    install()
    with door.frame(frame()):
        CALLS[way][0](deepface, folder)
    assert door.guard.ledger.verdicts() == ["allow"]


@pytest.mark.parametrize("refresh", [None, True, False])
def test_finding_somebody_enrols_too_unless_nothing_is_to_be_stored(refresh, deepface, folder, street, monkeypatch):
    asked: list[Any] = []
    adapter = importlib.import_module("guard.integrations.deepface")
    real = adapter.judging
    monkeypatch.setattr(adapter, "judging", lambda *args: asked.append(args[1] + args[3]) or real(*args))
    install()
    named = {} if refresh is None else {"refresh_database": refresh}
    with street.frame(frame()), pytest.raises(guard.Denied):
        deepface.find(PICTURE, folder, silent=True, **named, **FACE)
    assert asked == [("identify",) if refresh is False else ("identify", "enrol")]


def test_what_is_found_is_what_deepface_finds(deepface, folder, door):
    install()
    with door.frame(frame()):
        found = deepface.find(PICTURE, folder, silent=True, return_type="dict", **FACE)
    assert found[0][0]["identity"].endswith("alice.png")


def test_references_from_before_the_guard_are_refused(deepface, street):
    represent, verify = deepface.represent, deepface.verify
    install()
    with street.frame(frame()):
        with pytest.raises(guard.Denied):
            represent(PICTURE, **FACE)
        with pytest.raises(guard.Denied):
            verify(PICTURE, OTHER, **FACE)


@pytest.mark.parametrize("given", ["path", "base64", "file"])
def test_pictures_by_path_text_and_file_are_refused(given, deepface, folder, street):
    import base64

    path = Path(folder) / "alice.png"
    text = "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()
    install()
    with street.frame(frame()), path.open("rb") as file, pytest.raises(guard.Denied):
        deepface.represent({"path": str(path), "base64": text, "file": file}[given], **FACE)


def test_a_network_is_refused_before_it_is_loaded_or_downloaded(deepface, street, monkeypatch):
    install()
    asked: list[str] = []
    weights = importlib.import_module("deepface.commons.weight_utils")
    monkeypatch.setattr(weights, "download_weights_if_necessary", lambda file_name, **rest: asked.append(file_name))
    client = importlib.import_module("deepface.models.facial_recognition.onnx.Facenet")
    with street.frame(frame()):
        for make in (lambda: deepface.build_model("Facenet512"), client.FaceNet512dClient):
            with pytest.raises(guard.Denied):
                make()
    assert asked == []


def test_finding_faces_passes_unrecorded(deepface, street):
    install()
    with street.frame(frame()):
        assert len(deepface.extract_faces(PICTURE, **SKIP)) == 1
    assert street.guard.ledger.entries == []


ANALYSES = {
    ("emotion",): "emotion",
    ("age",): "attributes",
    ("race",): "categorise",
    ("gender", "age"): "categorise",
    "race": "categorise",
    ("something new",): "categorise",
}


@pytest.mark.parametrize("asked", ANALYSES)
def test_what_is_read_from_a_face_is_judged_as_what_it_is(asked, deepface, make_guard, monkeypatch):
    source = make_guard(FRANCE).source()
    monkeypatch.setattr(deepface.demography.modeling, "build_model", lambda *args, **named: 1 / 0)
    install()
    with source.frame(frame()):
        if ANALYSES[asked] == "categorise":
            with pytest.raises(guard.Denied):
                deepface.analyze(PICTURE, actions=asked, silent=True, **SKIP)
        else:
            with pytest.raises(ZeroDivisionError):  # let through, to a network that is not there
                deepface.analyze(PICTURE, actions=asked, silent=True, **SKIP)
    assert source.guard.ledger.entries[0].decision.action == ANALYSES[asked]
    assert len(source.guard.ledger.entries) == 1


def test_analysing_reads_everything_unless_it_is_told_what(deepface, make_guard):
    source = make_guard(FRANCE).source()
    install()
    with source.frame(frame()):
        for call in (
            lambda: deepface.analyze(PICTURE, silent=True, **SKIP),
            lambda: deepface.demography.analyze(PICTURE, ("race",), **SKIP),
            lambda: deepface.analyze(img_path=PICTURE, actions=["race"], **SKIP),
        ):
            with pytest.raises(guard.Denied):
                call()
    assert [entry.decision.action for entry in source.guard.ledger.entries] == ["categorise"] * 3


def test_a_stream_is_judged_at_its_start_and_at_every_recognition(deepface, door, street, monkeypatch):
    install()

    def everything(*args: Any, **named: Any) -> None:
        with street.frame(frame()):
            deepface.represent(PICTURE, **FACE)

    monkeypatch.setattr("deepface.modules.streaming.build_demography_models", everything)
    monkeypatch.setattr("deepface.modules.streaming.build_facial_recognition_model", everything)
    with door.frame(frame()), pytest.raises(guard.Denied) as caught:
        deepface.stream("people")
    assert caught.value.decision.source == "bodycam"
