"""The model files that ship with guard: where they lie, what they must be, what was measured.

Loads neither numpy nor ONNX Runtime: a changed model is refused before anything heavy starts.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from guard.errors import ConfigError

__all__ = ["YUNET_S", "Model", "models", "read_model", "verify_model"]


@dataclass(frozen=True)
class Model:
    """One shipped network.

    `recall` maps sizes of faces (shorter side, in source pixels) to the share found, `precision` is the share of
    detections that were faces; `measured` says on what. The card (models/README.md) has the whole table.
    """

    name: str
    file: str
    sha256: str
    licence: str
    source: str
    measured: str
    recall: dict[str, float]
    precision: float


YUNET_S = Model(
    name="yunet_s",
    file="yunet_s.onnx",
    sha256="dc2aca920912a60ae59a18aef1fe27c7b2919d94674ef60e4fb1082ce37a262b",
    licence="BSD-3-Clause",
    source="yuface 2023.5.1 (libfacedetection), exported by models/export_yunet.py",
    measured="min_face_px 24, face_score 0.4; 1,982 faces in 367 pictures (models/README.md)",
    recall={"20-40 px": 0.786, "40-80 px": 0.946, "80 px and more": 0.984},
    precision=0.705,
)

_HERE = Path(__file__).resolve().parent
#: Inside the wheel beside this module; in a checkout under models/.
_PLACES = (_HERE, _HERE.parents[1] / "models")


def models() -> list[dict[str, Any]]:
    """The shipped models, one record each: the fields of `Model`, `path` (None where the file is missing) and
    `intact` (whether its bytes have the pinned sha256)."""
    return [_record(YUNET_S)]


def verify_model(path: Path | None = None) -> None:
    """Check the detector's file without loading it.

    Raises:
        ConfigError: it is missing, unreadable or has other bytes than the pinned ones.
    """
    read_model(path)


def read_model(path: Path | None = None) -> bytes:
    """The bytes of the detector's file, checked against the pinned sha256.

    Args:
        path: another copy of the same file; None for the shipped one.

    Raises:
        ConfigError: it is missing, unreadable or has other bytes than the pinned ones.
    """
    found = path if path is not None else find(YUNET_S)
    if found is None:
        raise ConfigError(f"the detector's model {YUNET_S.file} is missing", where=str(_HERE), mend="reinstall frguard")
    try:
        data = Path(found).read_bytes()
    except OSError as error:
        raise ConfigError(
            f"the detector's model cannot be read: {error.strerror or error}",
            where=str(found),
            mend="reinstall frguard",
        ) from error
    digest = hashlib.sha256(data).hexdigest()
    if digest != YUNET_S.sha256:
        raise ConfigError(
            f"the detector's model has changed: sha256 {digest[:12]}..., expected {YUNET_S.sha256[:12]}...",
            where=str(found),
            mend="reinstall frguard, or make the file again with models/export_yunet.py",
        )
    return data


def find(model: Model) -> Path | None:
    """Where the model's file lies, None where it is missing."""
    return next((place / model.file for place in _PLACES if (place / model.file).is_file()), None)


def _record(model: Model) -> dict[str, Any]:
    path = find(model)
    intact = False
    if path is not None:
        try:
            intact = hashlib.sha256(path.read_bytes()).hexdigest() == model.sha256
        except OSError:
            intact = False
    return {**asdict(model), "path": None if path is None else str(path), "intact": intact}
