"""ONNX Runtime: networks that make vectors of faces are refused when made and when run, and no others are touched."""

from __future__ import annotations

import copy
import functools
import hashlib
import operator
import pickle
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from onnxruntime.capi import onnxruntime_pybind11_state as native

import guard
from guard.integrations import face_models
from guard.integrations.face_models import Kind
from guard.integrations.onnxruntime import ADAPTER, _kinds
from guard.integrations.watching import watch
from tests.conftest import OFFICE, POLICE
from tests.integrations.local_sources import PORTLAND, frame, network
from tests.integrations.setting_up import cleaned

CPU = ["CPUExecutionProvider"]
CROP = np.zeros((1, 3, 112, 112), np.float32)


_clean = cleaned()


@pytest.fixture
def street(make_guard):
    return make_guard(PORTLAND).source()


@pytest.fixture
def door(make_guard):
    return make_guard(OFFICE).source()


def install() -> None:
    watch.add([ADAPTER])


def session(model: str | bytes, **options: Any) -> ort.InferenceSession:
    return ort.InferenceSession(model, providers=CPU, **options)


def kind(data: bytes, tmp_path: Path, name: str = "model") -> Kind:
    """What a network is taken for when it is loaded from a file of that name."""
    path = tmp_path / f"{name}.onnx"
    path.write_bytes(data)
    made = session(str(path))
    return _kinds[made._sess][0]


FACES = {
    "sface": {},
    "arcface": {"vector": (1, 512)},
    "arcface with a batch": {"picture": ("N", 3, 112, 112), "vector": ("N", 512)},
    "facenet": {"picture": (1, 160, 160, 3), "vector": (1, 512)},
    "facenet with a switch": {"picture": ("N", 160, 160, 3), "vector": ("N", 128), "switch": True},
    "openface": {"picture": (1, 3, 96, 96), "vector": (1, 128)},
    "adaface with the vector's length": {"vector": (1, 512), "beside": {"norm": (1, 3)}},
    "a vector on four axes": {"vector": (1, 512, 1, 1)},
    "a vector of a length that is not fixed": {"vector": (1, "D"), "width": 256},
    "named, with pictures of any size": {"picture": (1, 3, "H", "W"), "vector": (1, 512), "graph": "iresnet50"},
    "named in its metadata": {"picture": (1, 3, 224, 224), "vector": (1, 512), "metadata": {"loss": "CosFace"}},
    "vgg-face by an output's name": {
        "picture": (1, 224, 224, 3),
        "vector": (1, 4096),
        "names": ("x", "vgg_face_descriptor"),
    },
    "person re-identification": {"picture": (1, 3, 256, 128), "vector": (1, 256), "names": ("data", "reid_embedding")},
}

OTHERS = {
    "resnet": {"picture": (1, 3, 224, 224), "vector": (1, 1000)},
    "clip": {"picture": (1, 3, 224, 224), "vector": (1, 512)},
    "a classifier of crops": {"vector": (1, 10)},
    "a classifier of crops with 100 classes": {"vector": (1, 100)},
    "landmarks": {"picture": (1, 3, 192, 192), "vector": (1, 212)},
    "age and gender": {"picture": (1, 3, 96, 96), "vector": (1, 3)},
    "anti-spoofing": {"picture": (1, 3, 80, 80), "vector": (1, 3)},
    "a detector": {"picture": (1, 3, 640, 640), "vector": (1, 128, 1, 1), "beside": {"boxes": (1, 3, 1, 1)}},
    "a number": {"vector": (1, 1)},
    "named, but no vector": {"vector": (1, 3), "graph": "arcface_quality"},
    "oblong": {"picture": (1, 3, 112, 96), "vector": (1, 512)},
}


@pytest.mark.parametrize("name", FACES)
def test_networks_that_make_vectors_of_faces_are_recognised(name, tmp_path, door):
    install()
    assert kind(network(**FACES[name]), tmp_path) is Kind.FACE_EMBEDDING


@pytest.mark.parametrize("name", OTHERS)
def test_other_networks_are_not(name, tmp_path):
    install()
    assert kind(network(**OTHERS[name]), tmp_path) is Kind.OTHER


@pytest.mark.parametrize(
    ("name", "taken"),
    [
        ("w600k_r50", True),
        ("facenet512_weights", True),
        ("face_recognition_sface_2021dec", True),
        ("glintr100", True),
        ("person_reid", True),
        ("face-embedder", True),
        ("resnet50-v2-7", False),
        ("surface_normals", False),
        ("posenet", False),
        ("ai_resnet50", False),
        ("face_detection_yunet_2023mar", False),
        ("face_rectifier", False),
        ("predict_ready", False),
    ],
)
def test_a_file_s_name_counts_beside_a_vector(name, taken, tmp_path, door):
    install()
    data = network(picture=(1, 3, 224, 224), vector=(1, 512))
    assert kind(data, tmp_path, name) is (Kind.FACE_EMBEDDING if taken else Kind.OTHER)


def test_a_published_file_is_recognised_by_its_sum(tmp_path, monkeypatch, door):
    data = network(picture=(1, 3, 300, 300), vector=(1, 1000))
    monkeypatch.setitem(face_models._FILES, len(data), hashlib.sha256(data).hexdigest())
    install()
    assert kind(data, tmp_path) is Kind.FACE_EMBEDDING
    assert _kinds[session(data)._sess][0] is Kind.FACE_EMBEDDING
    other = network(picture=(1, 3, 300, 300), vector=(1, 1000), graph="h")
    assert len(other) == len(data)
    assert kind(other, tmp_path) is Kind.OTHER


def test_a_session_is_refused_when_it_is_made_from_a_file_or_from_bytes(tmp_path, street):
    install()
    data = network(tmp_path / "m.onnx")
    for model in (data, str(tmp_path / "m.onnx"), tmp_path / "m.onnx"):
        with street.frame(frame()), pytest.raises(guard.Denied, match="a network that makes vectors of faces"):
            session(model)
    assert street.guard.ledger.verdicts() == ["deny"] * 3


def test_outside_of_every_frame_it_is_made_where_some_source_may_use_it(make_guard):
    install()
    ohio = POLICE[POLICE.index("[[source]]") :].replace("bodycam", "ohio")
    both = make_guard(PORTLAND + ohio)
    session(network())
    assert both.ledger.entries[0].decision.source == "ohio"
    with both.source("bodycam").frame(frame()), pytest.raises(guard.Denied):
        session(network())
    street = make_guard(PORTLAND, name="p.toml")
    with pytest.raises(guard.Denied) as caught:
        session(network())
    assert caught.value.decision.source == "bodycam"
    assert street.ledger.verdicts() == ["deny"]


def test_with_no_guard_loaded_neither_is_made_nor_run(tmp_path):
    made = session(network())
    other = session(network(vector=(1, 10)))
    install()
    with pytest.raises(guard.GuardFault, match="no guard is loaded"):
        session(network())
    with pytest.raises(guard.GuardFault, match="no guard is loaded"):
        made.run(None, {"data": CROP})
    assert other.run(None, {"data": CROP})[0].shape == (1, 10)
    assert session(network(vector=(1, 10))).run(None, {"data": CROP})


def binding_of(made: ort.InferenceSession, feed: Any = CROP) -> Any:
    binding = made.io_binding()
    binding.bind_cpu_input("data", feed)
    binding.bind_output("out")
    return binding


def run_async(made: ort.InferenceSession) -> Any:
    done, found = threading.Event(), []
    made.run_async(None, {"data": CROP}, lambda results, state, error: (found.append(results), done.set()), None)
    assert done.wait(30)
    return found[0]


def with_values(made: ort.InferenceSession, feed: Any = CROP) -> Any:
    return made.run_with_ort_values(["out"], {"data": ort.OrtValue.ortvalue_from_numpy(feed)})


def with_vector(made: ort.InferenceSession, feed: Any = CROP) -> Any:
    feeds, fetches = native.OrtValueVector(), native.OrtValueVector()
    feeds.push_back(ort.OrtValue.ortvalue_from_numpy(feed)._ortvalue)
    cpu = native.OrtDevice(native.OrtDevice.cpu(), native.OrtDevice.default_memory(), 0)
    made.run_with_ortvaluevector(ort.RunOptions(), ["data"], feeds, ["out"], fetches, [cpu])
    return list(fetches)


WAYS = {
    "run": lambda made: made.run(None, {"data": CROP}),
    "run, by name": lambda made: made.run(["out"], {"data": CROP}, ort.RunOptions()),
    "the base class": lambda made: ort.InferenceSession.run(made, None, {"data": CROP}),
    "the C++ class": lambda made: native.InferenceSession.run(made._sess, ["out"], {"data": CROP}, None),
    "the C++ object": lambda made: made._sess.run(["out"], {"data": CROP}, None),
    "a partial": lambda made: functools.partial(ort.InferenceSession.run, made, None)({"data": CROP}),
    "by its name": lambda made: operator.methodcaller("run", None, {"data": CROP})(made),
    "a copy": lambda made: copy.copy(made).run(None, {"data": CROP}),
    "run_async": run_async,
    "run_with_iobinding": lambda made: made.run_with_iobinding(binding_of(made)),
    "run_with_ort_values": with_values,
    "run_with_ortvaluevector": with_vector,
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_run_one_is_refused(way, street):
    made = session(network())  # from before the guard
    stored = made.run
    install()
    with street.frame(frame()):
        with pytest.raises(guard.Denied) as caught:
            WAYS[way](made)
        with pytest.raises(guard.Denied):
            stored(None, {"data": CROP})
    assert street.guard.ledger.verdicts() == ["deny"] * 2
    assert caught.value.decision.source == "bodycam"
    assert type(caught.value) is guard.Denied


@pytest.mark.parametrize("way", WAYS)
def test_an_allowed_one_runs_and_is_recorded_once(way, door):
    made = session(network())
    install()
    with door.frame(frame()):
        WAYS[way](made)
    assert door.guard.ledger.verdicts() == ["allow"]


class Mine(ort.InferenceSession):
    """As insightface's: pickled by its path."""

    def __init__(self, path: str) -> None:
        super().__init__(path, providers=CPU)
        self.path = path

    def __getstate__(self) -> Any:
        return {"path": self.path}

    def __setstate__(self, state: Any) -> None:
        self.__init__(state["path"])  # type: ignore[misc]

    def run(self, *args: Any, **kwargs: Any) -> Any:
        return super().run(*args, **kwargs)


def test_subclasses_and_sessions_that_come_out_of_a_pickle_are_refused(tmp_path, street, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "Mine", Mine, raising=False)
    network(tmp_path / "m.onnx")
    made = Mine(str(tmp_path / "m.onnx"))
    install()
    with street.frame(frame()):
        with pytest.raises(guard.Denied):
            made.run(None, {"data": CROP})
        with pytest.raises(guard.Denied):
            Mine(str(tmp_path / "m.onnx"))
        with pytest.raises(guard.Denied):
            Mine.__new__(Mine).__setstate__(made.__getstate__())


def test_a_session_that_is_made_again_for_other_providers_is_refused(tmp_path, street, door):
    install()
    with door.frame(frame()):
        made = session(network(tmp_path / "w600k.onnx", picture=(1, 3, 224, 224), vector=(1, 512)))
    with door.frame(frame()):
        made = session(str(tmp_path / "w600k.onnx"))
        made.set_providers(CPU)
    assert _kinds[made._sess][0] is Kind.FACE_EMBEDDING
    with street.frame(frame()), pytest.raises(guard.Denied):
        made.run(None, {"data": np.zeros((1, 3, 224, 224), np.float32)})


def test_what_is_made_without_the_python_class_is_refused(street, tmp_path):
    install()
    options = native.get_default_session_options()
    with street.frame(frame()):
        made = native.InferenceSession(options, network(), False, False)
        with pytest.raises(guard.Denied):
            made.initialize_session([], [], set())
        with pytest.raises(guard.Denied):
            made.run(["out"], {"data": CROP}, None)


ANY = {"picture": ("N", 3, "H", "W"), "vector": ("N", 512)}


@pytest.mark.parametrize("way", ["run", "iobinding", "values", "vector"])
def test_one_for_pictures_of_any_size_counts_by_what_it_is_fed(way, street):
    install()
    run = {
        "run": lambda made, feed: made.run(None, {"data": feed}),
        "iobinding": lambda made, feed: made.run_with_iobinding(binding_of(made, feed)),
        "values": with_values,
        "vector": with_vector,
    }[way]
    made = session(network(**ANY))
    assert _kinds[made._sess][0] is Kind.BY_SIZE
    with street.frame(frame()):
        run(made, np.zeros((1, 3, 224, 224), np.float32))
        run(made, np.zeros((1, 3, 480, 640), np.float32))
        for batch in (1, 7):
            with pytest.raises(guard.Denied):
                run(made, np.zeros((batch, 3, 112, 112), np.float32))
    assert street.guard.ledger.verdicts() == ["deny"] * 2


def test_a_binding_whose_inputs_were_never_seen_may_hold_a_face(street):
    made = session(network(**ANY))
    binding = binding_of(made, np.zeros((1, 3, 480, 640), np.float32))
    install()
    with street.frame(frame()):
        with pytest.raises(guard.Denied):
            made.run_with_iobinding(binding)
        binding.clear_binding_inputs()
        binding.bind_input("data", "cpu", 0, np.float32, (1, 3, 112, 112), CROP.ctypes.data)
        with pytest.raises(guard.Denied):
            made.run_with_iobinding(binding)
        binding.clear_binding_inputs()
        feed = ort.OrtValue.ortvalue_from_numpy(np.zeros((1, 3, 480, 640), np.float32))
        binding.bind_ortvalue_input("data", feed)
        made.run_with_iobinding(binding)


def test_a_network_that_cannot_be_looked_at_is_taken_for_one(street, monkeypatch):
    made = session(network(vector=(1, 10)))
    install()
    monkeypatch.setattr("guard.integrations.onnxruntime.kind_of", lambda *args: 1 / 0)
    with street.frame(frame()), pytest.raises(guard.Denied):
        made.run(None, {"data": CROP})


def test_the_guard_s_own_detector_is_never_taken_for_one(tmp_path):
    from guard.vision import models

    data = models.read_model()
    install()
    assert kind(data, tmp_path, "arcface") is Kind.OTHER
    assert _kinds[session(data)._sess][0] is Kind.OTHER


def test_the_guard_s_own_detector_works_and_leaves_no_record(make_guard):
    """In a process of its own: the detector's session is made once, under the hooks."""
    code = textwrap.dedent(f"""
        import guard, numpy, pathlib, tempfile
        guard.install("onnxruntime")
        path = pathlib.Path(tempfile.mkdtemp(), "guard.toml")
        path.write_text({PORTLAND!r})
        from guard.testing import MemoryLedger
        with guard.load(path, ledger=MemoryLedger()) as g:
            with g.source().frame(numpy.zeros((240, 320, 3), numpy.uint8)) as seen:
                print(len(seen.faces), len(g.ledger.entries))
    """)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "0"]


def test_one_decision_for_a_call_that_is_part_of_an_allowed_one(door):
    install()
    made = session(network())
    identify = door.protect(lambda: made.run(None, {"data": CROP}), action="identify", service="self_hosted")
    detect = door.protect(lambda: made.run(None, {"data": CROP}), action="detect", service="self_hosted")
    del door.guard.ledger.entries[:]
    with door.frame(frame()):
        identify()
        assert [entry.decision.action for entry in door.guard.ledger.entries] == ["identify"]
        detect()
    assert [entry.decision.action for entry in door.guard.ledger.entries] == ["identify", "detect", "identify"]


def test_what_the_call_is_for_may_be_said(door):
    install()
    made = session(network())
    with door.frame(frame()), door.intent("verify"):
        made.run(None, {"data": CROP})
    assert door.guard.ledger.entries[-1].decision.action == "verify"


def test_uninstall_gives_the_library_back(street):
    before = native.InferenceSession.run
    install()
    assert native.InferenceSession.run is not before
    guard.uninstall()
    assert native.InferenceSession.run is before
    assert session(network()).run(None, {"data": CROP})


def test_a_hook_that_was_taken_out_is_put_back(street):
    made = session(network())
    install()
    native.InferenceSession.run = native.InferenceSession.run.__wrapped__
    assert {coverage.state for coverage in guard.verify()} == {"guarded"}
    with street.frame(frame()), pytest.raises(guard.Denied):
        made.run(None, {"data": CROP})


def test_the_refusal_survives_a_pickle(street):
    install()
    with street.frame(frame()), pytest.raises(guard.Denied) as caught:
        session(network())
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value)
