"""Sources for libraries that recognise faces in this process, and frames and networks to try them with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tests.conftest import POLICE

PORTLAND = POLICE.replace('"US-OH"', '"US-OR", locality = "Portland"')
"""A body camera for which no identity action is allowed, a self-hosted recogniser's least of all."""

FRANCE = (
    POLICE.replace("us_police", "nonus_police")
    .replace('country = "US", subdivision = "US-OH"', 'country = "FR"')
    .replace('country = "US"', 'country = "FR"')
)
"""A body camera for which sorting people by protected traits is forbidden too."""


def frame() -> Any:
    """120 x 160 x 3 uint8 noise."""
    return np.random.default_rng(3).integers(0, 255, (120, 160, 3), dtype=np.uint8)


def network(
    path: Path | None = None,
    picture: tuple[Any, ...] = (1, 3, 112, 112),
    vector: tuple[Any, ...] = (1, 128),
    *,
    width: int | None = None,
    graph: str = "g",
    names: tuple[str, str] = ("data", "out"),
    beside: dict[str, tuple[Any, ...]] | None = None,
    switch: bool = False,
    metadata: dict[str, str] | None = None,
) -> bytes:
    """A network that averages a picture and spreads that over a vector; random weights, nothing is learnt.

    `beside` names further outputs, each a copy of the average in that shape.
    """
    import onnx
    from onnx import helper

    floats = onnx.TensorProto.FLOAT
    source, target = names
    width = width or int(vector[1])
    last = picture[3] == 3
    weights = np.random.default_rng(5).normal(size=(width, 3, 1, 1)).astype(np.float32)
    nodes = [helper.make_node("Transpose", [source], ["planes"], perm=[0, 3, 1, 2])] if last else []
    nodes += [
        helper.make_node("GlobalAveragePool", ["planes" if last else source], ["mean"]),
        helper.make_node("Conv", ["mean", "w"], ["wide"], kernel_shape=[1, 1]),
        helper.make_node("Flatten" if len(vector) == 2 else "Identity", ["wide"], [target]),
    ]
    outputs = [helper.make_tensor_value_info(target, floats, vector)]
    inputs = [helper.make_tensor_value_info(source, floats, picture)]
    for name, shape in (beside or {}).items():
        nodes.append(helper.make_node("Flatten" if len(shape) == 2 else "Identity", ["mean"], [name]))
        outputs.append(helper.make_tensor_value_info(name, floats, shape))
    if switch:
        inputs.append(helper.make_tensor_value_info("phase_train", onnx.TensorProto.BOOL, []))
    made = helper.make_graph(
        nodes, graph, inputs, outputs, [helper.make_tensor("w", floats, weights.shape, weights.ravel())]
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    for key, value in (metadata or {}).items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    data: bytes = model.SerializeToString()
    if path is not None:
        path.write_bytes(data)
    return data
