"""What every test may use: guards made from a few lines of TOML, with a fake detector and a record in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

import guard
from guard.testing import FakeDetector, MemoryLedger

# How fast a machine is that does other work as well is no property of ours.
settings.register_profile("guard", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("guard")

POLICE = """
[operator]
type = "us_police"
acts_for = "self"
country = "US"

[[source]]
id = "bodycam"
place = { country = "US", subdivision = "US-OH", control = "wild", access = "public" }
capture = { mount = "body_worn" }
use = { timing = "real_time", purpose = "criminal_investigation", output = "lead_only", traits = [] }
gallery = { kind = "suspects", provenance = "lawful_public_body" }
subject = { consent = "none", minor = false, targeted = false, cooperates = false, apprehended = false }
"""

OFFICE = """
[operator]
type = "private"
acts_for = "self"
country = "SG"

[[source]]
id = "door"
place = { country = "SG", control = "controlled", access = "workplace" }
capture = { mount = "fixed" }
use = { timing = "real_time", purpose = "access_control", output = "lead_only", traits = [] }
gallery = { kind = "employees", provenance = "consented" }
subject = { consent = "explicit", minor = false, targeted = false, cooperates = true }

[[source.evidence]]
type = "limited_access_approval"
issued = 2026-05-02T12:00:00Z
expires = 2100-05-02T12:00:00Z
covers = { "use.purpose" = "access_control" }

[services]
"my-matcher" = "self_hosted"
"""

BOX = [40, 30, 80, 80]

SCENE: np.ndarray[Any, np.dtype[np.uint8]] = np.random.default_rng(11).integers(20, 50, (120, 160, 3), np.uint8)
"""A frame in which something can be seen: one of a single colour cannot be judged."""


@pytest.fixture
def make_guard(tmp_path: Path) -> Iterator[Callable[..., guard.Guard]]:
    """A guard from TOML text; `detector` sees one face at BOX unless told otherwise; `ledger` is in memory."""
    made: list[guard.Guard] = []

    def make(text: str = POLICE, *, name: str = "guard.toml", **options: Any) -> guard.Guard:
        path = tmp_path / name
        path.write_text(text)
        options.setdefault("detector", FakeDetector([BOX]))
        options.setdefault("ledger", MemoryLedger())
        made.append(guard.load(path, **options))
        return made[-1]

    yield make
    for item in made:
        item.close()


@pytest.fixture
def picture() -> np.ndarray[Any, np.dtype[np.uint8]]:
    """120 x 160 x 3 uint8 noise: whatever is painted over shows."""
    return np.random.default_rng(7).integers(1, 255, (120, 160, 3), dtype=np.uint8)
