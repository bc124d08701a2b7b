"""facenet-pytorch, with a stand-in of its class: torch is too heavy to be a test's dependency."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import guard
from guard.integrations.facenet_pytorch import ADAPTER
from guard.integrations.watching import watch
from tests.conftest import OFFICE
from tests.integrations.local_sources import PORTLAND, frame

MODULE = '''
reached = []


class Module:
    """As torch.nn.Module: calling it calls forward."""

    def __call__(self, *args, **kwargs):
        return self.forward(*args, **kwargs)


class InceptionResnetV1(Module):
    def __init__(self, pretrained=None, classify=False):
        self.classify = classify

    def forward(self, x):
        """Vectors, or logits of identities."""
        reached.append(x)
        return [0.0] * 512


class MTCNN(Module):
    def forward(self, img):
        return img
'''


@pytest.fixture
def facenet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    models = tmp_path / "facenet_pytorch" / "models"
    models.mkdir(parents=True)
    (models / "__init__.py").touch()
    (models / "inception_resnet_v1.py").write_text(MODULE)
    (tmp_path / "facenet_pytorch" / "__init__.py").write_text(
        "from .models.inception_resnet_v1 import InceptionResnetV1, MTCNN\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("guard.guard._latest", None)
    importlib.invalidate_caches()
    yield importlib.import_module("facenet_pytorch")
    guard.uninstall()
    for name in [name for name in sys.modules if name.partition(".")[0] == "facenet_pytorch"]:
        del sys.modules[name]


@pytest.fixture
def reached(facenet: Any) -> list[Any]:
    found: list[Any] = sys.modules["facenet_pytorch.models.inception_resnet_v1"].reached
    return found


WAYS = {
    "called": lambda lib, made: made(np.zeros((1, 3, 160, 160), np.float32)),
    "forward": lambda lib, made: made.forward(np.zeros((1, 3, 160, 160), np.float32)),
    "unbound": lambda lib, made: lib.InceptionResnetV1.forward(made, x=None),
    "a classifier": lambda lib, made: lib.InceptionResnetV1(classify=True)(None),
    "a subclass": lambda lib, made: type("Mine", (lib.InceptionResnetV1,), {})()(None),
}


@pytest.mark.parametrize("way", WAYS)
def test_making_vectors_is_refused(way, facenet, reached, make_guard):
    source = make_guard(PORTLAND).source()
    made = facenet.InceptionResnetV1()
    stored = made.forward
    watch.add([ADAPTER])
    with source.frame(frame()):
        with pytest.raises(guard.Denied):
            WAYS[way](facenet, made)
        with pytest.raises(guard.Denied):
            stored(None)
    assert reached == []
    assert source.guard.ledger.verdicts() == ["deny"] * 2


@pytest.mark.parametrize("way", WAYS)
def test_an_allowed_call_is_recorded_once(way, facenet, reached, make_guard):
    source = make_guard(OFFICE).source()
    watch.add([ADAPTER])
    with source.frame(frame()):
        assert len(WAYS[way](facenet, facenet.InceptionResnetV1())) == 512
    assert len(reached) == 1
    assert source.guard.ledger.verdicts() == ["allow"]


def test_finding_faces_passes_unrecorded(facenet, make_guard):
    source = make_guard(PORTLAND).source()
    watch.add([ADAPTER])
    with source.frame(frame()):
        assert facenet.MTCNN()("picture") == "picture"
    assert source.guard.ledger.entries == []
