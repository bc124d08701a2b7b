"""`guard models calibrate`: how much the face detector misses on the user's own footage.

A second, heavier detector looks at a sample of frames; where the two disagree shows what the first one misses.
"""

from __future__ import annotations

from guard.calibration.comparing import Second
from guard.calibration.result import Calibration
from guard.calibration.running import calibrate

__all__ = ["Calibration", "Second", "calibrate"]
