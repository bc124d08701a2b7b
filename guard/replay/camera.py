"""A camera at this machine, through OpenCV, which knows the camera interface of every system."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from guard._imports import native
from guard.errors import SourceError
from guard.replay.clip import BrokeOff, Frame
from guard.replay.patience import Impatient, within

with native("cv2"):
    import cv2

__all__ = ["CameraClip", "open_camera"]


def open_camera(number: int, *, patience_s: float) -> CameraClip:
    """The camera `number`. Raises `SourceError` where there is none or it does not open in `patience_s`
    seconds.
    """
    name = f"/dev/video{number}" if sys.platform.startswith("linux") else f"camera {number}"
    if sys.platform.startswith("linux") and not Path(name).exists():
        raise SourceError("there is no such camera", where=name, mend="plug it in, or give a file or an address")
    device = within(patience_s, lambda: _open(number, name), what="the camera did not open", where=name)
    return CameraClip(device, name, f"camera-{number}", patience_s)


def _open(number: int, name: str) -> Any:
    with _quiet():
        device = cv2.VideoCapture(number)
        if not device.isOpened():
            device.release()
            raise SourceError("the camera cannot be opened", where=name, mend="is another program using it?")
    return device


class CameraClip:
    """See `guard.replay.clip.Clip`."""

    live = True
    path = None
    total: int | None = None
    time_base = Fraction(1, 1000)
    pixel_aspect = Fraction(1)
    sound = None

    def __init__(self, device: Any, name: str, stem: str, patience_s: float) -> None:
        self.name = name
        self.stem = stem
        self._device = device
        self._patience_s = patience_s
        stated = device.get(cv2.CAP_PROP_FPS)
        self.rate = Fraction(stated).limit_denominator(1001) if 1 <= stated <= 1000 else Fraction(30)
        self._reader: Impatient[Frame] | None = None

    @property
    def dropped(self) -> int:
        """Frames thrown away because the ones before took too long."""
        return self._reader.dropped if self._reader is not None else 0

    def frames(self, listen: Callable[[Any], None] | None = None, *, every_s: float = 0.0) -> Iterator[Frame]:
        """Frames until the camera falls silent (`BrokeOff`) or the caller stops."""
        self._reader = Impatient(self._read(), patience_s=self._patience_s, late=self._silent, drop_oldest=True)
        yield from self._reader

    def close(self) -> None:
        """Releases the camera, unless its driver hangs."""
        if self._reader is not None:
            self._reader.stop(wait_s=1.0)
            if self._reader.reading:
                return
        self._device.release()

    def _silent(self) -> BrokeOff:
        return BrokeOff(f"the camera gave no frame for {self._patience_s:g} s", where=self.name)

    def _read(self) -> Iterator[Frame]:
        started = time.monotonic()
        index, last = 0, -1
        while True:
            good, image = self._device.read()
            if not good or image is None:
                raise BrokeOff("the camera stopped giving frames", where=self.name)
            seconds = time.monotonic() - started
            last = max(last + 1, round(seconds * 1000))
            yield Frame(index, last, last / 1000, np.ascontiguousarray(image, dtype=np.uint8), datetime.now(UTC))
            index += 1


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """OpenCV tells on stderr how each of its backends failed; the one line of ours says enough."""
    logging = cv2.utils.logging
    level = logging.getLogLevel()
    logging.setLogLevel(logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        logging.setLogLevel(level)
