"""The display matrix: how a phone or a body camera says that its picture is stored on its side.

The matrix is nine 32-bit integers, 16.16 fixed point but for the last column (ISO/IEC 14496-12 section
8.3.2). FFmpeg hands it on with every frame. Only turns by quarters and mirrors occur in practice; anything
else is left as it is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["matrix_of", "swaps_sides", "upright"]

Matrix = tuple[int, int, int, int]
"""The signs of (a, b, c, d): a stored pixel (x, y) is shown at (a x + c y, b x + d y)."""

IDENTITY: Matrix = (1, 0, 0, 1)


def matrix_of(side_data: bytes | None) -> Matrix:
    """The quarter turn or mirror in a display matrix's 36 bytes; the identity where there is none."""
    if side_data is None:
        return IDENTITY
    values = np.frombuffer(side_data, dtype=np.int32)
    if values.size < 9:
        return IDENTITY
    a, b, c, d = (int(np.sign(values[i])) if abs(int(values[i])) > 0x8000 else 0 for i in (0, 1, 3, 4))
    is_quarter_turn = abs(a * d - b * c) == 1 and a * b == 0 and c * d == 0
    return (a, b, c, d) if is_quarter_turn else IDENTITY


def swaps_sides(matrix: Matrix) -> bool:
    """True where width and height change places."""
    return matrix[0] == 0


def upright(image: NDArray[Any], matrix: Matrix) -> NDArray[Any]:
    """`image` (H x W x 3) as it is meant to be seen; the same array where nothing is to be done, else a new
    one.
    """
    if matrix == IDENTITY:
        return image
    a, b, c, d = matrix
    turned: NDArray[Any] = image.swapaxes(0, 1) if swaps_sides(matrix) else image
    across, down = (c, b) if swaps_sides(matrix) else (a, d)
    if across < 0:
        turned = turned[:, ::-1]
    if down < 0:
        turned = turned[::-1]
    return np.ascontiguousarray(turned)
