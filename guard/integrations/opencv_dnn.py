"""`cv2.dnn`: a network that turned an aligned face into a vector, by the shapes of what went in and came out.

OpenCV says nothing of a network's shapes before it has run. So the vector is made and then judged, before anybody has
it; where that is denied it is thrown away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

from guard.integrations.face_models import Kind, Tensor, kind_of, shows_a_face_crop
from guard.integrations.hooks import Hook
from guard.integrations.local import EMBED, judging

__all__ = ["hooks"]

_fed: dict[int, tuple[Any, ...]] = {}
"""What each network was fed with last, where it may be a face. A network takes no weak reference; its id is reused only
by one that is fed before it runs."""


def hooks(cv2: ModuleType) -> Iterator[Hook]:
    """The hooks of `cv2.dnn.Net`, where this build of OpenCV has it."""
    if not hasattr(cv2, "dnn_Net"):
        return
    yield Hook("cv2", "dnn_Net.setInput", _set_input)
    for method in ("forward", "forwardAndRetrieve"):
        yield Hook("cv2", f"dnn_Net.{method}", _forward)
    yield Hook("cv2", "dnn_Net.forwardAsync", _forward_async, required=False)


def _set_input(original: Callable[..., Any]) -> Callable[..., Any]:
    def set_input(self: Any, blob: Any, *args: Any, **kwargs: Any) -> Any:
        shape = tuple(getattr(blob, "shape", ()))
        if not shape or shows_a_face_crop(shape):
            _fed[id(self)] = shape
        elif len(shape) == 4:
            _fed.pop(id(self), None)
        return original(self, blob, *args, **kwargs)

    return set_input


def _forward(original: Callable[..., Any]) -> Callable[..., Any]:
    def forward(self: Any, *args: Any, **kwargs: Any) -> Any:
        made = original(self, *args, **kwargs)
        fed = _fed.get(id(self))
        if fed is None:
            return made
        outputs = [Tensor.of("", shape) for shape in _shapes(made)]
        if kind_of([Tensor.of("", fed)], outputs, False) is Kind.OTHER:
            return made
        with judging("cv2.dnn.Net, taken for a network that makes vectors of faces", EMBED):
            return made

    return forward


def _forward_async(original: Callable[..., Any]) -> Callable[..., Any]:
    """What it gives shows its shape to nobody: it is judged by what went in."""

    def forward_async(self: Any, *args: Any, **kwargs: Any) -> Any:
        if id(self) not in _fed:
            return original(self, *args, **kwargs)
        with judging("cv2.dnn.Net.forwardAsync, fed with what may be a face", EMBED):
            return original(self, *args, **kwargs)

    return forward_async


def _shapes(made: Any) -> Iterator[tuple[int, ...]]:
    if isinstance(made, (list, tuple)):
        for item in made:
            yield from _shapes(item)
    else:
        yield tuple(getattr(made, "shape", ()))
