"""models/yunet_s.onnx is what its script makes, and it is the authors' network."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from guard.vision.models import YUNET_S
from guard.vision.picture import Picture

onnx = pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "models" / "yunet_s.onnx"
AUTHORS = ROOT.parent / "shared" / "models" / "yunet_s_dynamic.onnx"


@pytest.fixture(scope="module")
def export() -> ModuleType:
    pytest.importorskip("yuface")
    spec = importlib.util.spec_from_file_location("export_yunet", ROOT / "models" / "export_yunet.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def authors() -> Any:
    if not AUTHORS.is_file():
        pytest.skip("the authors' own export is not beside the repository")
    return onnx.load(AUTHORS)


def test_the_script_makes_the_committed_bytes_again_and_again(export: ModuleType) -> None:
    first, second = export.export(), export.export()
    assert first == second == MODEL.read_bytes()


def test_the_committed_bytes_are_the_pinned_ones() -> None:
    assert hashlib.sha256(MODEL.read_bytes()).hexdigest() == YUNET_S.sha256


def test_another_library_is_refused(export: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "libfacedetection.so").write_bytes(b"other weights")
    (tmp_path / "__init__.py").touch()
    spec = importlib.util.spec_from_file_location(
        "yuface", tmp_path / "__init__.py", submodule_search_locations=[str(tmp_path)]
    )
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(SystemExit, match=r"not the one of yuface 2023\.5\.1"):
        export.find_library()


def test_every_convolution_states_its_kernel() -> None:
    convolutions = [node for node in onnx.load(MODEL).graph.node if node.op_type == "Conv"]
    assert len(convolutions) == 35
    assert all(any(each.name == "kernel_shape" for each in node.attribute) for node in convolutions)


def test_inputs_and_outputs_are_named_and_shaped_as_the_authors_have_them(authors: Any) -> None:
    ours = onnx.load(MODEL)

    def surface(model: Any) -> dict[str, int]:
        values = [*model.graph.input, *model.graph.output]
        return {value.name: len(value.type.tensor_type.shape.dim) for value in values}

    assert surface(ours) == surface(authors)
    height, width = ours.graph.input[0].type.tensor_type.shape.dim[2:]
    assert height.dim_param
    assert width.dim_param


def test_weights_are_the_authors_rounded_to_three_digits(export: ModuleType, authors: Any) -> None:
    layers = {layer.name: layer for layer in export.read_layers(export.find_library())}
    theirs = {each.name: onnx.numpy_helper.to_array(each) for each in authors.graph.initializer}
    convolutions = [node for node in authors.graph.node if node.op_type == "Conv"]
    assert len(layers) == len(convolutions) == 53
    for name, node in zip(_in_order_of_use(export.LAYERS), convolutions, strict=True):
        layer = layers[name]
        for mine, other in ((layer.weights, theirs[node.input[1]]), (layer.biases, theirs[node.input[2]])):
            # Half a unit of the third significant digit is at most 0.5 % of the value.
            np.testing.assert_allclose(mine, other, rtol=0.00501, atol=1e-7, err_msg=name)


def test_every_layer_says_what_the_authors_say(authors: Any, export: ModuleType, astronaut: Picture) -> None:
    ours = onnx.load(MODEL)
    blob = np.ascontiguousarray(astronaut.transpose(2, 0, 1)[None], dtype=np.float32)
    # Convolutions run in the same order in both files up to the heads, which are merged in ours.
    order = _in_order_of_use(export.LAYERS)
    body = [name for name in order if not name.startswith("head.")]
    mine = _run(ours, [f"{name}.out" for name in body] + [f"heads.{n}.depthwise.out" for n in range(3)], blob)
    convolutions = [node.output[0] for node in authors.graph.node if node.op_type == "Conv"]
    theirs = dict(zip(order, _run(authors, convolutions, blob), strict=True))

    for name, values in zip(body, mine[: len(body)], strict=True):
        assert _difference(values, theirs[name]) < 0.03, name
    for level, values in enumerate(mine[len(body) :]):
        joined = np.concatenate([theirs[f"head.{kind}.{level}.depthwise"] for kind in export.HEADS], axis=1)
        assert values.shape == joined.shape
        for channel in range(values.shape[1]):
            assert _difference(values[:, channel], joined[:, channel]) < 0.05, (level, channel)


def test_opencv_loads_the_file_and_sees_the_same_face(astronaut: Picture) -> None:
    network = cv2.FaceDetectorYN.create(str(MODEL), "", (512, 512), 0.5, 0.45)
    _, faces = network.detect(astronaut)
    assert faces is not None
    np.testing.assert_allclose(faces[:, :4], [[178.3, 63.2, 89.4, 112.6]], atol=0.5)


def _in_order_of_use(layers: list[str]) -> list[str]:
    """The library stores the pyramid from fine to coarse; it is computed from coarse to fine."""
    neck = [name for name in layers if name.startswith("neck.")]
    start = layers.index(neck[0])
    pairs = [neck[index : index + 2] for index in range(0, len(neck), 2)]
    return layers[:start] + [name for pair in reversed(pairs) for name in pair] + layers[start + len(neck) :]


def _run(model: Any, names: list[str], blob: npt.NDArray[np.float32]) -> list[npt.NDArray[np.float32]]:
    watched = type(model)()
    watched.CopyFrom(model)
    del watched.graph.output[:]
    watched.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in names)
    session = ort.InferenceSession(watched.SerializeToString(), providers=["CPUExecutionProvider"])
    outputs: list[npt.NDArray[np.float32]] = session.run(names, {"input": blob})
    return outputs


def _difference(mine: npt.NDArray[np.float32], theirs: npt.NDArray[np.float32]) -> float:
    """Root mean square of the difference as a part of the spread of the layer."""
    return float(np.sqrt(np.mean((mine - theirs) ** 2)) / (theirs.std() + 1e-6))
