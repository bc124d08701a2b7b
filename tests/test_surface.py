"""What is public is listed once, typed, and light to import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import guard
from guard import errors

ROOT = Path(__file__).resolve().parents[1]


def test_the_list_of_public_names_is_sorted_and_every_name_resolves():
    assert guard.__all__ == sorted(guard.__all__)
    assert dir(guard) == guard.__all__
    for name in guard.__all__:
        assert getattr(guard, name) is not None


def test_a_name_that_is_not_there_is_an_attribute_error():
    assert not hasattr(guard, "lod")


def test_every_exception_is_a_guard_error_and_nothing_else():
    for name in errors.__all__:
        ancestors = getattr(errors, name).__mro__
        assert errors.GuardError in ancestors
        assert [base for base in ancestors if base.__module__ == "builtins"] == [Exception, BaseException, object]


def test_importing_guard_loads_nothing_heavy():
    heavy = ("numpy", "cv2", "onnxruntime", "cedarpy", "av", "typer")
    code = f"import sys, guard; print(*(m for m in {heavy} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == ""


def test_the_package_is_marked_as_typed():
    assert (ROOT / "guard" / "py.typed").exists()
