"""What is not installed is named in one line, with what to install."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from guard._imports import MissingDependency, explained, native
from guard.errors import ConfigError

REPOSITORY = Path(__file__).parents[2]
BODYCAM = REPOSITORY / "samples" / "bodycam"


def python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=REPOSITORY)


@pytest.mark.parametrize(
    ("message", "package"),
    [
        ("libGL.so.1: cannot open shared object file: No such file or directory", "libgl1"),
        ("libgthread-2.0.so.0: cannot open shared object file: No such file or directory", "libglib2.0-0"),
        ("libglib-2.0.so.0: cannot open shared object file: No such file or directory", "libglib2.0-0"),
        ("libSM.so.6: cannot open shared object file: No such file or directory", "libsm6"),
        ("libstdc++.so.6: cannot open shared object file: No such file or directory", "libstdc++6"),
    ],
)
def test_a_missing_system_library_names_its_debian_package(message: str, package: str) -> None:
    with pytest.raises(MissingDependency) as caught, native("cv2"):
        raise ImportError(message)
    text = str(caught.value)
    assert message.split(":")[0] in text
    assert "apt-get install" in text
    assert package in text
    assert "\n" not in text


def test_an_unknown_system_library_says_how_to_find_its_package() -> None:
    said = r"libodd-3\.so\.9 is missing .*apt-file search libodd-3\.so\.9"
    with pytest.raises(MissingDependency, match=said), native("av"):
        raise ImportError("libodd-3.so.9: cannot open shared object file: No such file or directory")


def test_a_missing_package_gives_the_pip_line_of_its_extra() -> None:
    said = r"nowhere is not installed .*pip install 'frguard\[dlib\]'"
    with pytest.raises(MissingDependency, match=said), native("nowhere", extra="dlib"):
        import nowhere  # type: ignore[import-not-found]  # noqa: F401


def test_a_package_that_breaks_on_import_keeps_its_reason_in_one_line() -> None:
    with pytest.raises(MissingDependency) as caught, native("cv2"):
        raise ImportError("numpy.core.multiarray\n  failed to import")
    assert "numpy.core.multiarray failed to import" in str(caught.value)
    assert "pip install 'frguard' --force-reinstall" in str(caught.value)


def test_other_errors_pass_unchanged() -> None:
    with pytest.raises(ZeroDivisionError), native("cv2"):
        raise ZeroDivisionError


def test_a_missing_dependency_is_a_configuration_error_to_whoever_catches_those() -> None:
    assert issubclass(MissingDependency, ConfigError)


LOST = """
import importlib.abc, sys

class Lost(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[1]:
            kind = ModuleNotFoundError if sys.argv[2].startswith("No module") else ImportError
            raise kind(sys.argv[2], name=name)

sys.meta_path.insert(0, Lost())
from guard.cli import main
sys.exit(main(sys.argv[3:]))
"""


def test_the_package_is_read_from_the_error_where_nobody_knows_better() -> None:
    assert "import dlib" in str(explained(ImportError("libz.so.1: cannot open shared object file", name="dlib")))
    assert "a library does not load" in str(explained(ImportError("odd")))


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize(
    ("module", "message", "mend"),
    [
        ("cv2", "libGL.so.1: cannot open shared object file: No such file or directory", "apt-get install libgl1"),
        ("cv2", "libgthread-2.0.so.0: cannot open shared object file: No such file", "apt-get install libglib2.0-0"),
        ("onnxruntime", "No module named 'onnxruntime'", "pip install 'frguard'"),
        ("av", "No module named 'av'", "pip install 'frguard'"),
    ],
)
def test_the_command_line_says_it_in_one_line_and_ends_with_1(
    module: str, message: str, mend: str, as_json: bool, tmp_path: Path
) -> None:
    arguments = ["replay", str(BODYCAM / "clip.mp4"), "--config", str(BODYCAM / "guard.toml")]
    run = python(LOST, module, message, *arguments, "--out", str(tmp_path), *(["--json"] if as_json else []))
    assert run.returncode == 1, run.stderr
    said = json.loads(run.stdout)["mend"] if as_json else run.stderr
    assert mend in said
    assert len(said.strip().splitlines()) == 1
    assert "Traceback" not in run.stderr
    assert not list(tmp_path.iterdir()), "nothing is written by a run that could not start"
