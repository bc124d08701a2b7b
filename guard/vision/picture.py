"""What counts as a picture: the one check that every array passes before it is looked at."""

from __future__ import annotations

from typing import Any

from guard._imports import native

with native("numpy"):
    import numpy as np
    import numpy.typing as npt
with native("cv2"):
    import cv2

from guard.errors import SourceError

__all__ = ["Picture", "as_bgr"]

#: uint8, H x W x 3, BGR.
Picture = npt.NDArray[np.uint8]


def as_bgr(image: Any) -> Picture:
    """The picture as uint8 H x W x 3, BGR, C-contiguous; the array itself where it is that already.

    Grey (H x W or H x W x 1) and BGRA are converted, BGRA by dropping alpha: what lies under a transparent
    pixel is still sent to whoever gets the array. Views, negative strides and read-only arrays are fine.
    The input is never written to.

    Raises:
        SourceError: not an array, not 8-bit unsigned, empty, or not of one of these shapes.
    """
    if not isinstance(image, np.ndarray):
        raise SourceError(
            f"a picture must be a numpy array, not {type(image).__name__}",
            where="picture",
            mend="pass uint8 H x W x 3 in BGR order",
        )
    if image.dtype != np.uint8:
        raise SourceError(
            f"a picture must hold 8-bit unsigned values, not {image.dtype}",
            where="picture",
            mend="scale it to 0..255 and convert it with .astype('uint8')",
        )
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] not in (1, 3, 4)):
        raise SourceError(
            f"a picture must be H x W, or H x W x 1, 3 or 4, not {_shape(image)}",
            where="picture",
            mend="pass one picture at a time, channels last",
        )
    if image.size == 0:
        raise SourceError(
            f"the picture is empty: {_shape(image)}", where="picture", mend="check that the frame was read"
        )
    plain: Picture = np.ascontiguousarray(image)
    if plain.ndim == 3 and plain.shape[2] == 3:
        return plain
    code = cv2.COLOR_BGRA2BGR if plain.ndim == 3 and plain.shape[2] == 4 else cv2.COLOR_GRAY2BGR
    return np.asarray(cv2.cvtColor(plain, code), dtype=np.uint8)


def _shape(image: npt.NDArray[Any]) -> str:
    return " x ".join(map(str, image.shape)) or "a single value"
