"""Ways to run the same network that could be faster, beside the one in use: graph, session, resize.

Usage: python benchmarks/variants.py [graph] [resize] [--seconds 40] [--out benchmarks/results]

Variants take turns in one run. Times are those of the processor, of one thread, ratios medians turn by turn. Outputs
are compared with those of the file as it is. Needs the package onnx.
"""

from __future__ import annotations

import argparse
import copy
import json
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

from guard.bench.running import machine
from guard.vision.models import read_model
from guard.vision.scaling import Scaling, Workspace
from guard.vision.thumbnail import HEIGHT, WIDTH, thumbnail

ROOT = Path(__file__).resolve().parents[1]
SOURCE = (1920, 1080)
WANTED = [f"{kind}_{stride}" for kind in ("cls", "obj", "bbox") for stride in (8, 16, 32)]
Work = Callable[[], object]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("parts", nargs="*", choices=["graph", "resize", []], help="both where none is named")
    parser.add_argument("--seconds", type=float, default=40.0, help="how long each part is measured")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results", help="folder of the JSON")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    path = options.out / "variants.json"
    results: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    results["machine"] = machine()
    for part in options.parts or ("graph", "resize"):
        print(f"\n## {part}")
        results[part] = race({"graph": graph, "resize": resize}[part](), options.seconds)
    options.out.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=1) + "\n")


def race(works: dict[str, Work], seconds: float) -> list[dict[str, Any]]:
    """By turns, in another order each; the first is what the others are compared with."""
    shuffled, names = random.Random(20240501), list(works)
    for _ in range(3):
        for work in works.values():
            work()
    times: dict[str, list[float]] = {name: [] for name in names}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times[names[0]]) < 5:
        for name in shuffled.sample(names, len(names)):
            start = time.thread_time_ns()
            works[name]()
            times[name].append((time.thread_time_ns() - start) / 1000)
    print(f"| {names[0]} and others | p50 us | ratio |\n|---|---|---|")
    rows = []
    for name in names:
        ratios = [mine / base for mine, base in zip(times[name], times[names[0]], strict=True)]
        rows.append(
            {
                "variant": name,
                "p50_us": round(statistics.median(times[name]), 1),
                "ratio": round(statistics.median(ratios), 3),
                "turns": len(ratios),
            }
        )
        print(f"| {name} | {rows[-1]['p50_us']} | {rows[-1]['ratio']} |")
    return rows


# The network alone.


def graph() -> dict[str, Work]:
    scaling = Scaling.of(*SOURCE, 32)
    height, width = scaling.height, scaling.width
    planes = np.random.default_rng(0).integers(0, 256, (1, 3, height, width), np.uint8)
    blob = planes.astype(np.float32)
    rows = np.ascontiguousarray(planes.transpose(0, 2, 3, 1))
    data = read_model()
    fixed = {"batch": 1, "height": height, "width": width}
    extended = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    raw = [f"heads.{level}.depthwise.out" for level in range(3)]
    # The conversion to float32 is part of what the variants with bytes as their input save.
    convert = np.empty_like(blob)
    variants = {
        "as it is": _run(_session(data), blob),
        "as it is, with the conversion to float32": _run(
            _session(data), convert, before=lambda: np.copyto(convert, planes)
        ),
        "bytes in planes, converted in the graph": _run(_session(_bytes_in(["Cast"])), planes),
        "bytes in rows, turned and converted in the graph": _run(_session(_bytes_in(["Transpose", "Cast"])), rows),
        "one fixed shape": _run(_session(data, fixed=fixed), blob),
        "no memory pattern": _run(_session(data, enable_mem_pattern=False), blob),
        "no arena": _run(_session(data, enable_cpu_mem_arena=False), blob),
        "denormals are zero": _run(_session(data, entry=("session.set_denormal_as_zero", "1")), blob),
        "without the NCHWc layout": _run(_session(data, graph_optimization_level=extended), blob),
        "heads without landmarks": _run(_session(_without_landmarks()), blob),
        "heads as the convolutions give them": _run(_session(_raw_heads(raw)), blob, raw),
    }
    _compare(variants)
    return {name: run for name, (run, _) in variants.items()}


def _session(
    data: bytes, *, entry: tuple[str, str] | None = None, fixed: dict[str, int] | None = None, **settings: Any
) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    for key, value in settings.items():
        setattr(options, key, value)
    if entry is not None:
        options.add_session_config_entry(*entry)
    for name, length in (fixed or {}).items():
        options.add_free_dimension_override_by_name(name, length)
    return ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def _run(
    session: ort.InferenceSession, given: Any, wanted: list[str] = WANTED, before: Work | None = None
) -> tuple[Work, list[Any]]:
    """A run into arrays that were bound once, as the detector does it, and those arrays."""
    name = session.get_inputs()[0].name
    binding, options = session.io_binding(), ort.RunOptions()
    options.only_execute_path_to_fetches = True
    outputs = session.run(wanted, {name: given})
    binding.bind_input(name, "cpu", 0, given.dtype, given.shape, given.ctypes.data)
    for each, values in zip(wanted, outputs, strict=True):
        binding.bind_output(each, "cpu", 0, np.float32, values.shape, values.ctypes.data)

    def run() -> object:
        if before is not None:
            before()
        session.run_with_iobinding(binding, options)
        return given, outputs  # the binding holds addresses: these must live as long

    return run, outputs


def _compare(variants: dict[str, tuple[Work, list[Any]]]) -> None:
    for run, _ in variants.values():
        run()
    _, reference = variants["as it is"]
    for name, (_, outputs) in variants.items():
        if len(outputs) == len(reference):
            apart = max(float(np.abs(one - other).max()) for one, other in zip(outputs, reference, strict=True))
            if apart > 1e-4:
                raise SystemExit(f"{name}: other outputs, apart by {apart:g}")


def _model() -> onnx.ModelProto:
    return onnx.load_from_string(read_model())


def _bytes_in(steps: list[str]) -> bytes:
    model = copy.deepcopy(_model())
    shape = ["batch", "height", "width", 3] if "Transpose" in steps else ["batch", 3, "height", "width"]
    model.graph.input[0].CopyFrom(helper.make_tensor_value_info("bytes", TensorProto.UINT8, shape))
    nodes = {
        "Transpose": helper.make_node("Transpose", ["bytes"], ["planes"], perm=[0, 3, 1, 2]),
        "Cast": helper.make_node("Cast", ["planes" if len(steps) > 1 else "bytes"], ["input"], to=TensorProto.FLOAT),
    }
    for step in reversed(steps):
        model.graph.node.insert(0, nodes[step])
    return bytes(model.SerializeToString())


def _without_landmarks() -> bytes:
    """Heads of 6 filters: class, objectness and box."""
    model = _model()
    for each in model.graph.initializer:
        if each.name.startswith("heads."):
            each.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(numpy_helper.to_array(each)[:6]), each.name))
        elif each.name == "cells_by_channels":
            each.CopyFrom(numpy_helper.from_array(np.array([0, -1, 6], np.int64), each.name))
    for node in model.graph.node:
        for attribute in node.attribute if node.name.startswith("heads.") else ():
            if attribute.name == "group" and attribute.i > 1:
                attribute.i = 6
            elif attribute.name == "split":
                attribute.ints[:] = [1, 1, 4]
        if node.op_type == "Split":
            del node.output[3:]
    kept = [each for each in model.graph.output if not each.name.startswith("kps")]
    del model.graph.output[:]
    model.graph.output.extend(kept)
    return bytes(model.SerializeToString())


def _raw_heads(outputs: list[str]) -> bytes:
    """Without what follows the last convolutions: transposing, splitting, the sigmoid."""
    model = _model()
    ends = {"Transpose", "Reshape", "Split", "Sigmoid"}
    kept = [node for node in model.graph.node if node.op_type not in ends]
    del model.graph.node[:]
    model.graph.node.extend(kept)
    del model.graph.output[:]
    model.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs)
    return bytes(model.SerializeToString())


# One resize for detector and watch.


def resize() -> dict[str, Work]:
    frames = np.random.default_rng(0).integers(0, 256, (4, *SOURCE[::-1], 3), np.uint8)
    work = Workspace(Scaling.of(*SOURCE, 32))
    turn = iter(range(10**12))

    def fill() -> None:
        work.fill(frames[next(turn) % 4])

    def shared() -> None:
        fill()
        plane = work.blob[0, 1, ::2, ::2].astype(np.uint8)  # green of the detector's own input
        cv2.resize(plane[: work.scaling.used_height // 2], (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)

    def apart() -> None:
        frame = frames[next(turn) % 4]
        work.fill(frame)
        thumbnail(frame)

    return {"the detector's input": fill, "and a thumbnail from it": shared, "and a thumbnail from the frame": apart}


if __name__ == "__main__":
    main()
