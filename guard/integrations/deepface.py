"""deepface: verification, search, enrolment, and the attributes that it reads from faces.

The hooks are on the modules under the facade `deepface.DeepFace`, which hands on to them. Extracting faces passes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from guard.integrations.face_models import is_named
from guard.integrations.hooks import Adapter, Hook
from guard.integrations.local import COMPARE, EMBED, carrying, comparing, judging, preparation

__all__ = ["ADAPTER"]

_READS = {
    "age": ("attributes",),
    "emotion": ("emotion",),
    "gender": ("attributes", "categorise"),
    "race": ("attributes", "categorise"),
}
_MODELS = "deepface.models.facial_recognition"


def _find(original: Callable[..., Any]) -> Callable[..., Any]:
    """`find` searches a folder, and stores the references that it makes of it unless it is told not to."""

    def find(*args: Any, **kwargs: Any) -> Any:
        stores = kwargs.get("refresh_database", True) is not False
        name = "deepface.find"
        with judging(name, ("identify",), (args, kwargs), ("enrol",) if stores else ()) as (args, kwargs):
            return original(*args, **kwargs)

    return find


def _stream(original: Callable[..., Any]) -> Callable[..., Any]:
    """`stream` runs for hours: it is judged when it starts, and every recognition in it again."""

    def analysis(*args: Any, **kwargs: Any) -> Any:
        with judging("deepface.stream", ("identify",)):
            pass
        return original(*args, **kwargs)

    return analysis


def _analyze(original: Callable[..., Any]) -> Callable[..., Any]:
    def analyze(img_path: Any, *args: Any, **kwargs: Any) -> Any:
        read = _actions_of(kwargs.get("actions", args[0] if args else tuple(_READS)))
        with judging("deepface.analyze", read[:1], img_path, read[1:]) as img_path:
            return original(img_path, *args, **kwargs)

    return analyze


def _actions_of(asked: Any) -> Sequence[str]:
    """The actions of the vocabulary; for a trait that is not known here, all of them."""
    names = (asked,) if isinstance(asked, str) else tuple(asked)
    every = tuple(action for read in _READS.values() for action in read)
    found = [action for name in names for action in _READS.get(name, every)]
    return tuple(dict.fromkeys(found or every))


def _build_model(original: Callable[..., Any]) -> Callable[..., Any]:
    def build_model(task: Any, *args: Any, **kwargs: Any) -> Any:
        if task != "facial_recognition":
            return original(task, *args, **kwargs)
        with preparation("deepface.build_model"):
            return original(task, *args, **kwargs)

    return build_model


def _build_session(original: Callable[..., Any]) -> Callable[..., Any]:
    """Loads a network; a refusal further down would reach the caller as a `ValueError` that blames the file."""

    def build_session(file_name: Any, *args: Any, **kwargs: Any) -> Any:
        if not is_named([str(file_name)]):
            return original(file_name, *args, **kwargs)
        with preparation("deepface.build_session"):
            return original(file_name, *args, **kwargs)

    return build_session


def _model(path: str, attribute: str) -> Hook:
    return Hook(f"{_MODELS}.{path}", attribute, carrying(f"deepface.{attribute}"))


ADAPTER = Adapter(
    name="deepface",
    distributions=("deepface",),
    supported=">=0.0.102,<0.1",
    hooks=(
        Hook("deepface.modules.representation", "represent", carrying("deepface.represent", EMBED)),
        Hook("deepface.modules.verification", "verify", carrying("deepface.verify", ("verify",))),
        Hook("deepface.modules.verification", "find_distance", comparing("deepface.find_distance", COMPARE)),
        Hook("deepface.modules.verification", "find_cosine_distance", comparing("deepface.find_cosine_distance")),
        Hook("deepface.modules.verification", "find_angular_distance", comparing("deepface.find_angular_distance")),
        Hook("deepface.modules.verification", "find_euclidean_distance", comparing("deepface.find_euclidean_distance")),
        Hook("deepface.modules.recognition", "find", _find),
        Hook("deepface.modules.datastore", "register", carrying("deepface.register", ("enrol",))),
        Hook("deepface.modules.datastore", "search", carrying("deepface.search", ("identify",))),
        Hook("deepface.modules.datastore", "identify", carrying("deepface.identify", COMPARE)),
        Hook("deepface.modules.datastore", "build_index", comparing("deepface.build_index", ("enrol",))),
        Hook("deepface.modules.streaming", "analysis", _stream),
        Hook("deepface.modules.demography", "analyze", _analyze),
        Hook("deepface.modules.modeling", "build_model", _build_model),
        Hook("deepface.commons.onnx_utils", "build_session", _build_session),
        # The networks themselves, as `build_model` hands them out.
        Hook("deepface.models.FacialRecognition", "FacialRecognition.forward", carrying("deepface.forward")),
        _model("dlib.Dlib", "DlibClient.forward"),
        _model("onnx.OnnxFacialRecognition", "OnnxFacialRecognition.forward"),
        _model("onnx.VGGFace", "VggFaceClient.forward"),
        _model("onnx.Buffalo_L", "Buffalo_L.forward"),
        _model("pytorch.TorchFacialRecognition", "TorchFacialRecognition.forward"),
        _model("pytorch.VGGFace", "VggFaceClient.forward"),
        _model("tf.VGGFace", "VggFaceClient.forward"),
    ),
    note="vectors that are compared with numpy are not seen",
)
