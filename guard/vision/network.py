"""The network at work: one session for the process, and for each thread and picture size its own buffers.

Input and outputs are bound to arrays once, so that a frame allocates nothing here. Before each run the outputs are
filled with NaN: what the run does not write is found to be broken, and a frame can never be judged by the one before.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from guard._imports import native

with native("numpy"):
    import numpy as np
with native("onnxruntime"):
    import onnxruntime as ort

from guard.errors import ConfigError
from guard.vision.decoding import STRIDES, Floats, Grid, Outputs
from guard.vision.models import YUNET_S, read_model
from guard.vision.picture import Picture
from guard.vision.scaling import Scaling, Workspace

__all__ = ["Lane", "lane", "session"]

#: Pixels of network input that a thread keeps buffers for (18 bytes each); the size in use is always kept.
KEPT_PIXELS = 4_000_000


class Lane:
    """One thread's way through the network for pictures of one size."""

    def __init__(self, session: ort.InferenceSession, scaling: Scaling, landmarks: bool) -> None:
        self.scaling = scaling
        self.grid = Grid.of(scaling)
        self._session = session
        self._workspace = Workspace(scaling)
        cells = [scaling.width // stride * (scaling.height // stride) for stride in STRIDES]
        self._outputs = Outputs(
            classes=np.empty((sum(cells), 1), np.float32),
            objects=np.empty((sum(cells), 1), np.float32),
            boxes=np.empty((sum(cells), 4), np.float32),
            points=np.empty((sum(cells), 10), np.float32) if landmarks else None,
        )
        blob = self._workspace.blob
        self._binding = session.io_binding()
        self._binding.bind_input("input", "cpu", 0, np.float32, blob.shape, blob.ctypes.data)
        for name, part in _parts(self._outputs, cells):
            self._binding.bind_output(name, "cpu", 0, np.float32, (1, *part.shape), part.ctypes.data)

    def look(self, picture: Picture) -> Outputs:
        """Scale `picture` and run the network on it. The arrays are valid until this lane looks again.

        Errors of OpenCV and ONNX Runtime pass through.
        """
        self._workspace.fill(picture)
        for values in self._outputs:
            if values is not None:
                values.fill(np.nan)
        self._session.run_with_iobinding(self._binding, _RUN_OPTIONS)
        return self._outputs


def _parts(outputs: Outputs, cells: list[int]) -> Iterator[tuple[str, Floats]]:
    """The network's outputs by name, each as the rows of ours that it fills."""
    for kind, values in zip(("cls", "obj", "bbox", "kps"), outputs, strict=True):
        if values is not None:
            ends = np.cumsum(cells)
            for stride, part in zip(STRIDES, np.split(values, ends[:-1]), strict=True):
                yield f"{kind}_{stride}", part


class _Lanes(threading.local):
    def __init__(self) -> None:
        self.kept: OrderedDict[tuple[Any, ...], Lane] = OrderedDict()


_lanes = _Lanes()


def lane(session: ort.InferenceSession, width: int, height: int, min_face_px: float, landmarks: bool) -> Lane:
    """This thread's lane for pictures of `width` x `height`; the least recently used are dropped.

    Raises:
        SourceError: the picture is too large for `min_face_px`.
    """
    key = (id(session), width, height, min_face_px, landmarks)
    kept = _lanes.kept
    found = kept.get(key)
    if found is not None:
        kept.move_to_end(key)
        return found
    made = Lane(session, Scaling.of(width, height, min_face_px), landmarks)
    kept[key] = made
    while len(kept) > 1 and sum(each.scaling.width * each.scaling.height for each in kept.values()) > KEPT_PIXELS:
        kept.popitem(last=False)
    return made


def _run_options() -> ort.RunOptions:
    options = ort.RunOptions()
    # Landmarks that nobody asked for are not computed.
    options.only_execute_path_to_fetches = True
    return options


_RUN_OPTIONS = _run_options()
_made: list[ort.InferenceSession] = []
_making = threading.Lock()


def session(path: Path | None = None) -> ort.InferenceSession:
    """The process's one session, made on first use; many threads may run it at once.

    The file is read and checked at every call, and the session is made from the very bytes that were checked.

    Raises:
        ConfigError: the file is missing or changed, or ONNX Runtime cannot load it.
    """
    data = read_model(path)
    with _making:
        if not _made:
            _made.append(_load(data))
        return _made[0]


def _load(data: bytes) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        return ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        reason = " ".join(str(error).split())
        raise ConfigError(
            f"the detector's model does not load: {reason}",
            where=YUNET_S.file,
            mend="pip install --upgrade onnxruntime",
        ) from error
