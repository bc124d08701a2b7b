"""ONNX Runtime: a network that makes vectors of faces is recognised when its session is made and when it is run.

The hooks are on the C++ class underneath `onnxruntime.InferenceSession`: whatever runs a network passes there, its own
subclasses and ``session._sess`` included. What a session was taken for is remembered for as long as it lives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from guard.integrations.face_models import (
    Kind,
    Tensor,
    is_known_file,
    is_named,
    is_pinned_detector,
    kind_of,
    shows_a_face_crop,
)
from guard.integrations.hooks import Adapter, Hook
from guard.integrations.local import EMBED, judging, preparation

__all__ = ["ADAPTER"]

_MODULE = "onnxruntime.capi.onnxruntime_pybind11_state"

_models: WeakKeyDictionary[Any, str | bytes] = WeakKeyDictionary()
"""What a session was made from, until it is known what it is."""

_kinds: WeakKeyDictionary[Any, tuple[Kind, str]] = WeakKeyDictionary()
_bound: WeakKeyDictionary[Any, list[Any]] = WeakKeyDictionary()
"""The shapes of the inputs that were bound to an `IOBinding`."""


def _init(original: Callable[..., Any]) -> Callable[..., Any]:
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        models = [item for item in (*args, *kwargs.values()) if isinstance(item, (str, bytes))]
        if models:
            _models[self] = models[0]

    return init


def _initialize(original: Callable[..., Any]) -> Callable[..., Any]:
    """A session is of no use before this; what is refused here was never handed out."""

    def initialize_session(self: Any, *args: Any, **kwargs: Any) -> Any:
        done = original(self, *args, **kwargs)
        kind, name = _kind(self)
        if kind is Kind.FACE_EMBEDDING:
            with preparation(name):
                return done
        return done

    return initialize_session


def _run(original: Callable[..., Any]) -> Callable[..., Any]:
    def run(self: Any, *args: Any, **kwargs: Any) -> Any:
        kind, name = _kinds.get(self) or _kind(self)
        if kind is Kind.OTHER or (kind is Kind.BY_SIZE and not _may_feed_a_face((*args, *kwargs.values()))):
            return original(self, *args, **kwargs)
        with judging(name, EMBED, (args, kwargs)) as (args, kwargs):
            return original(self, *args, **kwargs)

    return run


def _kind(session: Any) -> tuple[Kind, str]:
    """What the session is taken for, and how it is called in messages."""
    model = _models.pop(session, "")
    stem = Path(model).stem if isinstance(model, str) else ""
    name = f"onnxruntime: {stem or 'a model'}, taken for a network that makes vectors of faces"
    try:
        inputs = [Tensor.of(meta.name, meta.shape) for meta in session.inputs_meta]
        outputs = [Tensor.of(meta.name, meta.shape) for meta in session.outputs_meta]
        texts = [stem, *_metadata(session), *(tensor.name for tensor in (*inputs, *outputs))]
        kind = kind_of(inputs, outputs, is_named(texts))
    except Exception:  # noqa: BLE001 - a network that cannot be looked at could be any
        kind = Kind.FACE_EMBEDDING
    if kind is not Kind.FACE_EMBEDDING and is_known_file(model):
        kind = Kind.FACE_EMBEDDING
    if kind is not Kind.OTHER and is_pinned_detector(model):
        kind = Kind.OTHER
    _kinds[session] = kind, name
    return kind, name


def _metadata(session: Any) -> Iterator[str]:
    meta = session.model_meta
    for field in ("graph_name", "description", "graph_description", "domain", "producer_name"):
        yield str(getattr(meta, field, ""))
    for key, value in dict(getattr(meta, "custom_metadata_map", {})).items():
        yield f"{key} {value}"


def _may_feed_a_face(args: tuple[Any, ...]) -> bool:
    """Whether a picture of the size of an aligned face is among what is fed; where no picture is seen, it may be."""
    shapes = [shape for item in args for shape in _shapes(item)]
    pictures = [shape for shape in shapes if len(shape) == 4]
    return not pictures or any(shows_a_face_crop(shape) for shape in pictures)


def _shapes(item: Any) -> Iterator[tuple[int, ...]]:
    kind = type(item).__name__
    if kind == "SessionIOBinding":
        yield from _bound.get(item, ())
        return
    parts = item.values() if isinstance(item, dict) else item if kind == "OrtValueVector" else (item,)
    for part in parts:
        shape = getattr(part, "shape", None)
        if callable(shape) and not isinstance(part, type):
            shape = shape()
        if isinstance(shape, (list, tuple)):
            yield tuple(shape)


def _bind(original: Callable[..., Any]) -> Callable[..., Any]:
    def bind_input(self: Any, *args: Any, **kwargs: Any) -> Any:
        done = original(self, *args, **kwargs)
        shapes = _bound.setdefault(self, [])
        for item in (*args, *kwargs.values()):
            if isinstance(item, (list, tuple)):
                shapes.append(tuple(item))
            else:
                shapes.extend(_shapes(item))
        return done

    return bind_input


def _clear(original: Callable[..., Any]) -> Callable[..., Any]:
    def clear_binding_inputs(self: Any, *args: Any, **kwargs: Any) -> Any:
        done = original(self, *args, **kwargs)
        _bound.pop(self, None)
        return done

    return clear_binding_inputs


ADAPTER = Adapter(
    name="onnxruntime",
    distributions=("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino", "onnxruntime-directml"),
    supported=">=1.18,<2",
    hooks=(
        Hook(_MODULE, "InferenceSession.__init__", _init),
        Hook(_MODULE, "InferenceSession.initialize_session", _initialize),
        *(
            Hook(_MODULE, f"InferenceSession.{method}", _run)
            for method in ("run", "run_async", "run_with_iobinding", "run_with_ort_values", "run_with_ortvaluevector")
        ),
        Hook(_MODULE, "SessionIOBinding.bind_input", _bind),
        Hook(_MODULE, "SessionIOBinding.bind_ortvalue_input", _bind),
        Hook(_MODULE, "SessionIOBinding.clear_binding_inputs", _clear),
    ),
    note="networks are recognised by shape, names and sha256; one that hides all three is not",
)
