"""Tells a network that makes vectors of faces from others, by what its file says of itself.

Face recognition networks take one small square picture, an aligned face (ArcFace and SFace 112 px, Facenet 160,
OpenFace 96), and give one vector of 128 to 1024 numbers. Detectors, landmarks, attributes and segmentation give other
shapes, classifiers and general picture encoders take larger pictures. A name that says so is enough beside the vector.
"""

from __future__ import annotations

import enum
import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Kind", "Tensor", "is_known_file", "is_named", "is_pinned_detector", "kind_of", "shows_a_face_crop"]

Shape = Sequence["int | str | None"]


class Kind(enum.Enum):
    """What a network is taken for."""

    FACE_EMBEDDING = "makes vectors of faces"
    BY_SIZE = "makes vectors of faces where it is fed with pictures of their size"
    OTHER = "something else"


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or output: its name and shape; what is no positive int in the shape is not fixed."""

    name: str
    shape: tuple[int | None, ...]

    @classmethod
    def of(cls, name: str, shape: Shape | None) -> Tensor:
        """From what ONNX Runtime says of it, with names or None for dimensions that are not fixed."""
        return cls(name, tuple(size if isinstance(size, int) and size > 0 else None for size in shape or ()))


_CROP_PX = range(96, 221)
"""Sides of the square that an aligned face is cut to; from 224 on begin classifiers and general encoders."""

_WIDTHS = range(64, 1025, 32)
"""Lengths of the vector. Counts of classes (10, 100, 365, 1000) and landmarks (212, 1404) are others."""

_WIDEST = 4096
"""The longest vector of a face network that says its name: VGG-Face's."""

_NARROW = 4
"""What stands beside the vector in some: its length, a quality."""

_NAMES = re.compile(
    r"arcface|(?<![a-z])sface|facenet|adaface|magface|cosface|sphereface|curricularface|elasticface|edgeface|topofr"
    r"|ghostface|openface|deepid|vgg[-_ ]?face|lvface|insightface|w600k|glintr?\d+|webface|ms1m|casia[-_ ]?web"
    r"|(?<![a-z])i[-_ ]?resnet\d+|face[-_ ]?(?:rec(?![a-z])|recog|id(?![a-z])|emb|feat|match|verif)"
    r"|(?<![a-z])re[-_ ]?id(?![a-z])|(?<![a-z])osnet",
    re.IGNORECASE,
)

_FILES: dict[int, str] = {
    24_227_283: "f6abbfff9575e3041db692c1e29d782e995191888477fd59ebc81202d99fc63b",  # SFace
    38_696_080: "a9279be00242f4240ba4de7b6b93837fdd5a17b98d2f278f63711d55b65b4312",  # SFace
    38_696_353: "0ba9fbfa01b5270c96627c4ef784da859931e02f04419c829e83484087c34e79",  # SFace, December 2021
    9_896_933: "2b0e941e6f16cc048c20aee0c8e31f569118f65d702914540f7bfdc14048d78a",  # the same in int8
    10_667_852: "fb143eea07838aa532d1c95df5f69899974ea0140e1fba05e94204be13ed74ee",  # the same in int8, blocks
    13_616_099: "9cc6e4a75f0e2bf0b1aed94578f144d15175f357bdc05e815e5c4a02b319eb4f",  # w600k_mbf
    174_383_860: "4c06341c33c2ca1f86781dab0e829f88ad5b64be9fba56e56bc9ebdefc619e43",  # w600k_r50
    260_665_334: "4ab1d6435d639628a6f3e5008dd4f929edf4c4124b1a7169e1048f9fef534cdf",  # glintr100
}
"""sha256 of published networks by the size of their file: only a file of such a size is read for its sum."""


def kind_of(inputs: Iterable[Tensor], outputs: Iterable[Tensor], named: bool) -> Kind:
    """What the network is taken for; `named` where a name of its file or in it says that it recognises faces."""
    pictures = _pictures(tuple(inputs))
    width = _vector(tuple(outputs))
    if len(pictures) != 1 or width == 0:
        return Kind.OTHER
    if named and (width is None or width <= _WIDEST):
        return Kind.FACE_EMBEDDING
    if width is not None and width not in _WIDTHS:
        return Kind.OTHER
    sides = _sides(pictures[0].shape)
    if sides is None:
        return Kind.OTHER
    if None in sides:
        return Kind.BY_SIZE if all(side is None or side in _CROP_PX for side in sides) else Kind.OTHER
    return Kind.FACE_EMBEDDING if _is_crop(sides) else Kind.OTHER


def shows_a_face_crop(shape: Shape) -> bool:
    """Whether a picture of that shape, N x 3 x H x W or N x H x W x 3, may be an aligned face."""
    sides = _sides(tuple(size if isinstance(size, int) else None for size in shape))
    return sides is not None and _is_crop(sides)


def is_named(texts: Iterable[str]) -> bool:
    """Whether one of the names (of the file, the graph, its tensors) is that of a face recognition network."""
    return any(_NAMES.search(text) for text in texts)


def is_known_file(model: str | bytes) -> bool:
    """Whether the file of that path, or of those bytes, is a published face recognition network."""
    try:
        size = len(model) if isinstance(model, bytes) else Path(model).stat().st_size
        if size not in _FILES:
            return False
        data = model if isinstance(model, bytes) else Path(model).read_bytes()
    except OSError:
        return False
    return hashlib.sha256(data).hexdigest() == _FILES[size]


def is_pinned_detector(model: str | bytes) -> bool:
    """Whether these are, byte for byte, the guard's own detector."""
    from guard.vision.models import YUNET_S

    return isinstance(model, bytes) and hashlib.sha256(model).hexdigest() == YUNET_S.sha256


def _pictures(inputs: Sequence[Tensor]) -> Sequence[Tensor]:
    """The inputs that may be pictures; one without a shape is a switch where there is a picture beside it."""
    return [tensor for tensor in inputs if len(tensor.shape) == 4] or [item for item in inputs if not item.shape]


def _vector(outputs: Sequence[Tensor]) -> int | None:
    """The length of the one vector among the outputs; None where it is not fixed, 0 where there is no such vector."""
    wide = []
    for tensor in outputs:
        sizes = [size for size in tensor.shape[1:] if size != 1] if len(tensor.shape) > 1 else [None]
        if len(sizes) > 1:
            return 0
        if sizes and (sizes[0] is None or sizes[0] > _NARROW):
            wide.append(sizes[0])
    if len(wide) != 1:
        return 0
    return wide[0] if wide[0] is None or wide[0] >= _WIDTHS.start else 0


def _sides(shape: tuple[int | None, ...]) -> tuple[int | None, int | None] | None:
    """Height and width of a colour picture, None each where it is not fixed; None for anything else."""
    if not shape:
        return None, None
    if len(shape) != 4:
        return None
    if shape[1] == 3 or (shape[1] is None and shape[3] != 3):
        return shape[2], shape[3]
    return (shape[1], shape[2]) if shape[3] in (3, None) else None


def _is_crop(sides: tuple[int | None, int | None]) -> bool:
    return sides[0] == sides[1] and sides[0] in _CROP_PX
