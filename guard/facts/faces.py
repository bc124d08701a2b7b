"""What the detector saw in one picture: boxes and scores, nothing that could identify anybody."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["Faces"]


class Faces:
    """Faces found in one picture; ``len()`` counts them.

    The arrays are made read-only: what a verdict was based on cannot change after it. numpy is not imported
    here, so that ``import guard`` stays light; whoever has arrays has numpy.

    Attributes:
        boxes: float32 N x 4, ``x1, y1, x2, y2`` in pixels of the source picture, corner inclusive of x1, y1.
        scores: float32 N, 0 to 1, in the order of `boxes`.

    Raises:
        ValueError: the arrays are not float32, or their shapes do not fit each other.
    """

    __slots__ = ("boxes", "scores")

    boxes: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]

    def __init__(self, boxes: npt.NDArray[np.float32], scores: npt.NDArray[np.float32]) -> None:
        if boxes.ndim != 2 or boxes.shape[1] != 4 or scores.shape != (boxes.shape[0],):
            raise ValueError(f"boxes {boxes.shape} and scores {scores.shape} are not N x 4 and N")
        if boxes.dtype.str[1:] != "f4" or scores.dtype.str[1:] != "f4":
            raise ValueError(f"boxes {boxes.dtype} and scores {scores.dtype} are not float32")
        boxes.setflags(write=False)
        scores.setflags(write=False)
        object.__setattr__(self, "boxes", boxes)
        object.__setattr__(self, "scores", scores)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"Faces is immutable: {name} cannot be set")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"Faces is immutable: {name} cannot be deleted")

    def __len__(self) -> int:
        return int(self.scores.shape[0])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Faces):
            return NotImplemented
        return (
            len(self) == len(other)
            and self.boxes.tobytes() == other.boxes.tobytes()
            and self.scores.tobytes() == other.scores.tobytes()
        )

    def __hash__(self) -> int:
        return hash((self.boxes.tobytes(), self.scores.tobytes()))

    def __repr__(self) -> str:
        return f"Faces({len(self)})"

    def __reduce__(self) -> tuple[object, ...]:
        return (Faces, (self.boxes, self.scores))
