"""OpenCV: SFace, and the recognisers of the contrib wheels, before and after the guard."""

from __future__ import annotations

import functools
import operator
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import guard
from guard.integrations.opencv import ADAPTER
from guard.integrations.threads import ADAPTER as THREADS
from guard.integrations.watching import watch
from tests.conftest import OFFICE
from tests.integrations.local_sources import PORTLAND, frame, network
from tests.integrations.setting_up import cleaned

CROP = np.random.default_rng(1).integers(0, 255, (112, 112, 3), dtype=np.uint8)
VECTOR = np.ones((1, 128), np.float32)

needs_contrib = pytest.mark.skipif(
    not hasattr(getattr(cv2, "face", None), "FaceRecognizer"), reason="cv2.face is in the contrib wheels alone"
)


_clean = cleaned()


@pytest.fixture
def model(tmp_path: Path) -> str:
    pytest.importorskip("onnx")
    network(tmp_path / "m.onnx")
    return str(tmp_path / "m.onnx")


@pytest.fixture
def street(make_guard):
    return make_guard(PORTLAND).source()


@pytest.fixture
def door(make_guard):
    return make_guard(OFFICE).source()


def install() -> None:
    watch.add([ADAPTER, THREADS])


# No object of a subclass is made: OpenCV frees such wrongly, guarded or not, and the process ends.
MAKE = {
    "create": lambda model: cv2.FaceRecognizerSF.create(model, ""),
    "the function": lambda model: cv2.FaceRecognizerSF_create(model, ""),
    "the constructor": lambda model: cv2.FaceRecognizerSF(model, ""),
    "a subclass's create": lambda model: type("Mine", (cv2.FaceRecognizerSF,), {}).create(model, ""),
}

USE = {
    "feature": lambda made: made.feature(CROP),
    "match": lambda made: made.match(VECTOR, VECTOR),
    "match by the other measure": lambda made: made.match(VECTOR, VECTOR, cv2.FaceRecognizerSF_FR_NORM_L2),
    "unbound": lambda made: cv2.FaceRecognizerSF.feature(made, CROP),
    "a partial": lambda made: functools.partial(cv2.FaceRecognizerSF.feature, made)(CROP),
    "by its name": lambda made: operator.methodcaller("feature", CROP)(made),
    "out of the class": lambda made: vars(cv2.FaceRecognizerSF)["feature"].__get__(made)(CROP),
    "by keyword": lambda made: made.match(face_feature1=VECTOR, face_feature2=VECTOR),
}


@pytest.mark.parametrize("way", MAKE)
def test_a_recogniser_is_refused_when_it_is_made(way, model, street):
    install()
    with street.frame(frame()), pytest.raises(guard.Denied, match=r"cv2\.FaceRecognizerSF"):
        MAKE[way](model)
    assert street.guard.ledger.verdicts() == ["deny"]


@pytest.mark.parametrize("way", USE)
def test_one_that_was_made_before_the_guard_is_refused_too(way, model, street):
    made = cv2.FaceRecognizerSF.create(model, "")
    install()
    with street.frame(frame()), pytest.raises(guard.Denied) as caught:
        USE[way](made)
    assert type(caught.value) is guard.Denied
    assert not isinstance(caught.value, cv2.error)
    assert street.guard.ledger.verdicts() == ["deny"]


@pytest.mark.parametrize("way", USE)
def test_an_allowed_call_gives_what_opencv_gives_and_is_recorded_once(way, model, door):
    wanted = USE[way](cv2.FaceRecognizerSF.create(model, ""))
    install()
    made = cv2.FaceRecognizerSF.create(model, "")
    with door.frame(frame()):
        assert np.array_equal(USE[way](made), wanted)
    assert door.guard.ledger.verdicts() == ["allow"] * 2  # made, used


def test_finding_and_aligning_a_face_passes_unrecorded(model, street):
    made = cv2.FaceRecognizerSF.create(model, "")
    install()
    face = np.array([[10, 10, 60, 60, 25, 30, 55, 30, 40, 45, 28, 58, 52, 58, 0.9]], np.float32)
    with street.frame(frame()):
        assert made.alignCrop(frame(), face).shape == (112, 112, 3)
    assert street.guard.ledger.entries == []


def test_it_is_made_before_the_first_frame_where_some_source_may_use_it(model, door, make_guard):
    install()
    made = cv2.FaceRecognizerSF.create(model, "")
    assert [entry.decision.source for entry in door.guard.ledger.entries] == ["door"]
    with pytest.raises(guard.Denied):
        made.feature(CROP)  # nobody knows whose picture this is
    make_guard(PORTLAND, name="p.toml")
    with pytest.raises(guard.Denied):
        cv2.FaceRecognizerSF.create(model, "")


def test_another_source_s_picture_is_judged_by_that_source_too(model, door, street):
    made = cv2.FaceRecognizerSF.create(model, "")
    install()
    theirs = frame()
    with street.frame(theirs):
        pass
    with door.frame(frame()):
        assert made.feature(CROP).shape == (1, 128)
        with pytest.raises(guard.Denied) as caught:
            made.feature(theirs[:112, :112])
    assert caught.value.decision.source == "bodycam"


def test_the_picture_that_was_handed_in_stays_as_it_was(model, door):
    made = cv2.FaceRecognizerSF.create(model, "")
    install()
    crop = CROP.copy()
    with door.frame(frame()):
        made.feature(crop)
    assert np.array_equal(crop, CROP)
    assert crop.flags.writeable


def test_threads_keep_the_source(model, street):
    made = cv2.FaceRecognizerSF.create(model, "")
    install()
    found: list[Any] = []

    def use() -> None:
        try:
            found.append(made.feature(CROP))
        except guard.Denied as denied:
            found.append(denied.decision.source)

    with street.frame(frame()):
        thread = threading.Thread(target=use)
        thread.start()
        thread.join()
        with ThreadPoolExecutor(1) as pool:
            pool.submit(use).result()
    assert found == ["bodycam"] * 2


def test_a_hook_that_was_taken_out_is_put_back_and_uninstall_gives_all_back(model, street):
    before = [cv2.FaceRecognizerSF.feature, cv2.FaceRecognizerSF_create, cv2.FaceRecognizerSF.create]
    made = cv2.FaceRecognizerSF.create(model, "")
    install()
    cv2.FaceRecognizerSF.feature = before[0]
    assert {item.state for item in guard.verify() if item.name == "opencv"} == {"guarded"}
    with street.frame(frame()), pytest.raises(guard.Denied):
        made.feature(CROP)
    guard.uninstall()
    assert [cv2.FaceRecognizerSF.feature, cv2.FaceRecognizerSF_create, cv2.FaceRecognizerSF.create] == before
    assert made.feature(CROP).shape == (1, 128)


@pytest.mark.parametrize("order", ["install, import", "import, install", "reload", "import anew"])
def test_the_order_of_import_and_install_does_not_matter(order, model, tmp_path):
    if order == "import anew":
        plain = "import cv2, sys; del sys.modules['cv2']; import cv2"
        if subprocess.run([sys.executable, "-c", plain], capture_output=True, check=False).returncode:
            pytest.skip(f"OpenCV {cv2.__version__} cannot be imported anew, guarded or not")
    (tmp_path / "guard.toml").write_text(PORTLAND)
    steps = {
        "install, import": "guard.install('opencv'); import cv2",
        "import, install": "import cv2; guard.install('opencv')",
        "reload": "import cv2, importlib; guard.install('opencv'); importlib.reload(cv2)",
        "import anew": "import cv2, sys; guard.install('opencv'); del sys.modules['cv2']; import cv2",
    }[order]
    code = textwrap.dedent(f"""
        import guard
        {steps}
        import numpy
        from guard.testing import MemoryLedger
        g = guard.load({str(tmp_path / "guard.toml")!r}, ledger=MemoryLedger())
        with g.source().frame(numpy.zeros((120, 160, 3), numpy.uint8)):
            for make in (cv2.FaceRecognizerSF.create, cv2.FaceRecognizerSF_create, cv2.FaceRecognizerSF):
                try:
                    make({model!r}, "")
                except guard.Denied:
                    print("denied")
    """)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["denied"] * 3


# ---- cv2.dnn


def net(tmp_path: Path, width: int = 128, **shape: Any) -> Any:
    network(tmp_path / "net.onnx", vector=(1, width), **shape)
    return cv2.dnn.readNetFromONNX(str(tmp_path / "net.onnx"))


def run(made: Any, size: int = 112, outputs: Any = None) -> Any:
    made.setInput(cv2.dnn.blobFromImage(frame(), 1 / 255, (size, size)))
    return made.forward() if outputs is None else made.forward(outputs)


@pytest.mark.parametrize("outputs", [None, "out", ["out"]])
def test_a_vector_that_cv2_dnn_made_of_a_face_is_thrown_away(outputs, tmp_path, street):
    made = net(tmp_path)
    install()
    with street.frame(frame()), pytest.raises(guard.Denied, match=r"cv2\.dnn"):
        run(made, outputs=outputs)
    assert street.guard.ledger.verdicts() == ["deny"]


def test_an_allowed_one_is_what_opencv_gives_and_recorded_once(tmp_path, door):
    made = net(tmp_path)
    wanted = run(made)
    install()
    with door.frame(frame()):
        assert np.array_equal(run(made), wanted)
    assert door.guard.ledger.verdicts() == ["allow"]


@pytest.mark.parametrize(("width", "size"), [(10, 112), (1000, 224), (512, 224), (3, 96)])
def test_other_networks_of_cv2_dnn_are_untouched(width, size, tmp_path, street):
    made = net(tmp_path, width, picture=(1, 3, size, size))
    install()
    with street.frame(frame()):
        assert run(made, size).shape == (1, width)
    assert street.guard.ledger.entries == []


def test_what_a_network_of_cv2_dnn_was_fed_with_last_counts(tmp_path, street):
    made = net(tmp_path, picture=(1, 3, 112, 112))
    other = net(tmp_path, 1000, picture=(1, 3, 224, 224))
    install()
    with street.frame(frame()):
        for _ in range(2):
            run(other, 224)
            with pytest.raises(guard.Denied):
                run(made)


# ---- cv2.face


@pytest.fixture
def lbph() -> Any:
    made = cv2.face.LBPHFaceRecognizer_create()
    made.train([CROP[..., 0], CROP[..., 1]], np.array([1, 2]))
    return made


CONTRIB = {
    "predict": lambda made: made.predict(CROP[..., 0]),
    "predict_label": lambda made: made.predict_label(CROP[..., 0]),
    "predict_collect": lambda made: made.predict_collect(CROP[..., 0], cv2.face.StandardCollector.create()),
    "train": lambda made: made.train([CROP[..., 0]], np.array([1])),
    "update": lambda made: made.update([CROP[..., 0]], np.array([3])),
}


@needs_contrib
@pytest.mark.parametrize("way", CONTRIB)
def test_the_recognisers_of_contrib_are_refused(way, lbph, street):
    install()
    with street.frame(frame()), pytest.raises(guard.Denied):
        CONTRIB[way](lbph)
    wanted = "enrol" if way in ("train", "update") else "identify"
    assert [entry.decision.action for entry in street.guard.ledger.entries] == [wanted]


@needs_contrib
@pytest.mark.parametrize("way", CONTRIB)
def test_the_recognisers_of_contrib_work_where_they_are_allowed(way, lbph, door):
    install()
    with door.frame(frame()):
        CONTRIB[way](lbph)
    assert door.guard.ledger.verdicts() == ["allow"]


@needs_contrib
@pytest.mark.parametrize("kind", ["EigenFaceRecognizer_create", "FisherFaceRecognizer_create"])
def test_every_recogniser_of_contrib_is_covered(kind, street):
    made = getattr(cv2.face, kind)()
    install()
    with street.frame(frame()), pytest.raises(guard.Denied):
        made.train([CROP[..., 0], CROP[..., 1]], np.array([1, 2]))
