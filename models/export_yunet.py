"""Make ``yunet_s.onnx`` from the weights inside the ``yuface==2023.5.1`` wheel (BSD-3, by the network's
authors).

    pip install yuface==2023.5.1 onnx
    python models/export_yunet.py            # writes models/yunet_s.onnx and prints its sha256

The wheel's shared library exports ``param_pConvInfo``: 53 records, one a convolution, in the order of
`LAYERS`. Nothing of the library is executed; its arrays are read through ctypes. The same weights give the
same bytes: the file holds no date, path or version of a tool.

The network (YuNet: A Tiny Millisecond-level Face Detector, Machine Intelligence Research, 2023): a backbone
of depthwise-separable convolutions at strides 2 to 32, a feature pyramid over strides 8, 16 and 32, and at
each of the three four heads (class, objectness, box, five landmarks). Input ``input``: float32 N x 3 x H x
W, BGR, 0 to 255, H and W multiples of 32. Outputs as in the authors' own export, so that OpenCV's
``FaceDetectorYN`` loads the file: ``cls_S``, ``obj_S`` (after the sigmoid), ``bbox_S``, ``kps_S``, each N x
(H/S * W/S) x channels.
"""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

#: sha256 of ``yuface/libfacedetection.so`` in yuface-2023.5.1: other bytes may carry other weights.
LIBRARY_SHA256 = "7fc3c140b563f449ce7cb5bd102ece650681e5bfeffc87efe79272be1932c4f4"
STRIDES = (8, 16, 32)
#: Heads and their channels, in the order of the outputs.
HEADS = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}
SIGMOID_HEADS = frozenset({"cls", "obj"})
OPSET = 11
IR_VERSION = 6

_BLOCKS = [f"backbone.model{stage}.{part}" for stage in range(1, 6) for part in ("conv1", "conv2")]
_UNITS = [
    "backbone.model0.conv2",
    *_BLOCKS,
    *(f"neck.lateral.{level}" for level in range(3)),
    *(f"head.{kind}.{level}" for kind in ("cls", "bbox", "obj", "kps") for level in range(3)),
]
#: The convolutions in the library's order: one dense layer, then pointwise and depthwise by turns.
LAYERS = [
    "backbone.model0.conv1",
    *(f"{unit}.{half}" for unit in _UNITS for half in ("pointwise", "depthwise")),
]


class _ConvInfo(ctypes.Structure):
    _fields_ = (
        ("channels", ctypes.c_int),
        ("filters", ctypes.c_int),
        ("depthwise", ctypes.c_bool),
        ("pointwise", ctypes.c_bool),
        ("relu", ctypes.c_bool),
        ("weights", ctypes.POINTER(ctypes.c_float)),
        ("biases", ctypes.POINTER(ctypes.c_float)),
    )


@dataclass(frozen=True)
class Layer:
    """One convolution. `weights`: float32 filters x channels-per-group x k x k; `biases`: float32 filters."""

    name: str
    weights: npt.NDArray[np.float32]
    biases: npt.NDArray[np.float32]
    depthwise: bool
    relu: bool


def find_library() -> Path:
    """The shared library of the installed wheel. Raises SystemExit when it is absent or not the known one."""
    spec = importlib.util.find_spec("yuface")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("yuface is not installed: pip install yuface==2023.5.1")
    library = Path(spec.submodule_search_locations[0]) / "libfacedetection.so"
    if not library.is_file():
        raise SystemExit(f"{library.name} is not in the installed yuface: pip install yuface==2023.5.1 (Linux wheel)")
    if hashlib.sha256(library.read_bytes()).hexdigest() != LIBRARY_SHA256:
        raise SystemExit(f"{library.name} is not the one of yuface 2023.5.1: pip install yuface==2023.5.1")
    return library


def read_layers(library: Path) -> list[Layer]:
    """Copies the 53 convolutions out of the library, brought into the ONNX layout."""
    records = (_ConvInfo * len(LAYERS)).in_dll(ctypes.CDLL(str(library)), "param_pConvInfo")
    return [_layer(name, record) for name, record in zip(LAYERS, records, strict=True)]


def _layer(name: str, record: _ConvInfo) -> Layer:
    filters, channels = record.filters, record.channels
    if name == LAYERS[0]:
        # Height-width-channel order, 27 values padded to 32 for the library's vector code.
        flat = _copy(record.weights, filters * 32).reshape(filters, 32)[:, :27]
        weights = flat.reshape(filters, 3, 3, 3).transpose(0, 3, 1, 2)
    elif record.depthwise:
        weights = _copy(record.weights, 9 * filters).reshape(9, filters).T.reshape(filters, 1, 3, 3)
    else:
        weights = _copy(record.weights, filters * channels).reshape(filters, channels, 1, 1)
    return Layer(
        name=name,
        weights=np.ascontiguousarray(weights, dtype="<f4"),
        biases=_copy(record.biases, filters),
        depthwise=bool(record.depthwise),
        relu=bool(record.relu),
    )


def _copy(pointer: ctypes._Pointer[ctypes.c_float], count: int) -> npt.NDArray[np.float32]:
    return np.ctypeslib.as_array(pointer, (count,)).astype("<f4", copy=True)


class _Graph:
    """Collects nodes and initializers; each method appends one operation and returns its output's name."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        self.layers = {layer.name: layer for layer in layers}
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def constant(self, name: str, values: npt.NDArray[np.generic]) -> str:
        kind = helper.np_dtype_to_tensor_dtype(values.dtype)
        tensor = helper.make_tensor(name, kind, values.shape, values.tobytes(), raw=True)
        self.initializers.append(tensor)
        return name

    def add(self, kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, list(inputs), [output], name=output, **attributes))
        return output

    def conv(self, name: str, source: str, stride: int = 1) -> str:
        layer = self.layers[name]
        filters, _, height, width = layer.weights.shape
        output = self.add(
            "Conv",
            [
                source,
                self.constant(f"{name}.weight", layer.weights),
                self.constant(f"{name}.bias", layer.biases),
            ],
            f"{name}.out",
            dilations=[1, 1],
            group=filters if layer.depthwise else 1,
            kernel_shape=[height, width],
            pads=[height // 2, width // 2, height // 2, width // 2],
            strides=[stride, stride],
        )
        return self.add("Relu", [output], f"{name}.relu") if layer.relu else output

    def unit(self, name: str, source: str) -> str:
        """A depthwise-separable convolution as YuNet has it: pointwise first, then depthwise."""
        return self.conv(f"{name}.depthwise", self.conv(f"{name}.pointwise", source))

    def halve(self, source: str) -> str:
        return self.add("MaxPool", [source], f"{source}.pool", kernel_shape=[2, 2], strides=[2, 2])

    def double_and_add(self, coarse: str, fine: str) -> str:
        doubled = self.add(
            "Resize",
            [coarse, "no_region", "twice"],
            f"{coarse}.up",
            coordinate_transformation_mode="asymmetric",
            mode="nearest",
            nearest_mode="floor",
        )
        return self.add("Add", [fine, doubled], f"{coarse}.sum")

    def heads(self, level: int, source: str) -> None:
        """The four heads of one level as one: 16 filters, split into class, objectness, box and landmarks.

        The library runs them one by one. Their filters neither share nor mix anything, so the values are the same; 16
        channels fill the vector registers that 1, 1, 4 and 10 leave half empty (6 to 8 % of the whole run).
        """
        stride = STRIDES[level]
        raw = self.conv(f"heads.{level}.depthwise", self.conv(f"heads.{level}.pointwise", source))
        rows = self.add("Transpose", [raw], f"heads.{level}.rows", perm=[0, 2, 3, 1])
        cells = self.add("Reshape", [rows, "cells_by_channels"], f"heads.{level}.cells")
        outputs = [f"{kind}_{stride}" + (".raw" if kind in SIGMOID_HEADS else "") for kind in HEADS]
        self.nodes.append(
            helper.make_node("Split", [cells], outputs, name=f"heads.{level}.split", axis=2, split=list(HEADS.values()))
        )
        for kind in sorted(SIGMOID_HEADS):
            self.add("Sigmoid", [f"{kind}_{stride}.raw"], f"{kind}_{stride}")


def merge_heads(layers: Sequence[Layer]) -> list[Layer]:
    """The layers with the 24 of the heads merged into 6: ``heads.LEVEL.pointwise`` and
    ``heads.LEVEL.depthwise``."""
    known = {layer.name: layer for layer in layers}
    merged = [layer for layer in layers if not layer.name.startswith("head.")]
    for level in range(len(STRIDES)):
        for half in ("pointwise", "depthwise"):
            parts = [known[f"head.{kind}.{level}.{half}"] for kind in HEADS]
            merged.append(
                Layer(
                    name=f"heads.{level}.{half}",
                    weights=np.concatenate([part.weights for part in parts]),
                    biases=np.concatenate([part.biases for part in parts]),
                    depthwise=parts[0].depthwise,
                    relu=parts[0].relu,
                )
            )
    return merged


def build(layers: Sequence[Layer]) -> onnx.ModelProto:
    """The network as an ONNX model, checked."""
    graph = _Graph(merge_heads(layers))
    graph.constant("no_region", np.zeros(0, "<f4"))
    graph.constant("twice", np.array([1, 1, 2, 2], "<f4"))
    graph.constant("cells_by_channels", np.array([0, -1, sum(HEADS.values())], "<i8"))

    features = graph.unit("backbone.model0.conv2", graph.conv("backbone.model0.conv1", "input", stride=2))
    levels: list[str] = []
    for stage in range(1, 6):
        # The library halves before stages 1, 3, 4 and 5: strides 4, 8, 16, 32.
        if stage != 2:
            features = graph.halve(features)
        features = graph.unit(f"backbone.model{stage}.conv1", features)
        features = graph.unit(f"backbone.model{stage}.conv2", features)
        if stage >= 3:
            levels.append(features)

    for level in (2, 1, 0):
        if level < 2:
            levels[level] = graph.double_and_add(levels[level + 1], levels[level])
        levels[level] = graph.unit(f"neck.lateral.{level}", levels[level])
        graph.heads(level, levels[level])

    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "yunet_s",
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 3, "height", "width"])],
            [
                helper.make_tensor_value_info(
                    f"{kind}_{stride}", TensorProto.FLOAT, ["batch", f"cells_{stride}", HEADS[kind]]
                )
                for kind in HEADS
                for stride in STRIDES
            ],
            graph.initializers,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="frguard models/export_yunet.py",
        producer_version="1",
    )
    model.doc_string = "YuNet-s, weights of yuface 2023.5.1, BSD-3-Clause, Copyright (c) 2023-2025 Shiqi Yu"
    onnx.checker.check_model(model, full_check=True)
    return model


def export(library: Path | None = None) -> bytes:
    """The bytes of ``yunet_s.onnx``."""
    model = build(read_layers(library or find_library()))
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def main() -> None:
    parser = argparse.ArgumentParser(description="Write yunet_s.onnx from the installed yuface wheel.")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("yunet_s.onnx"))
    path: Path = parser.parse_args().out
    data = export()
    path.write_bytes(data)
    print(f"{hashlib.sha256(data).hexdigest()}  {path}  {len(data)} bytes")


if __name__ == "__main__":
    main()
