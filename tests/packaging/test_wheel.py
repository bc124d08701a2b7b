"""The wheel holds all that guard needs: away from the repository, from an empty folder, every command works."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[2]
SAMPLES = REPOSITORY / "samples"


def run(*command: str | Path, cwd: Path, timeout_s: float = 900) -> subprocess.CompletedProcess[str]:
    # Neither the repository nor the outer environment may help.
    surroundings = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=surroundings,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of the repository, so that nothing is left behind in it."""
    for builder in ("build", "hatchling"):
        if importlib.util.find_spec(builder) is None:
            pytest.skip(f"{builder} is not installed: pip install -e '.[dev]'")
    copy, target = tmp_path_factory.mktemp("source") / "guard", tmp_path_factory.mktemp("wheel")
    unwanted = shutil.ignore_patterns(".git", ".venv*", "__pycache__", "*.mp4", "demo-out", ".*_cache", "*.db*")
    shutil.copytree(REPOSITORY, copy, ignore=unwanted)
    built = run(
        sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", target, copy, cwd=target, timeout_s=120
    )
    assert built.returncode == 0, built.stdout + built.stderr
    return next(target.glob("frguard-*.whl"))


def test_the_wheel_carries_the_model_the_packs_and_the_schema(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        model = archive.read("guard/vision/yunet_s.onnx")
    assert model == (REPOSITORY / "models" / "yunet_s.onnx").read_bytes()
    assert {"guard/vision/LICENSE.yunet", "guard/py.typed", "guard/policy/base.cedar"} <= names
    policy = REPOSITORY / "guard" / "policy"
    data = {".cedar", ".cedarschema", ".json", ""}
    wanted = {str(path.relative_to(REPOSITORY)) for path in policy.rglob("*") if path.is_file() and path.suffix in data}
    assert len(wanted) > 10
    assert wanted <= names


def test_the_wheel_carries_every_module_and_no_more(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    modules = {str(path.relative_to(REPOSITORY)) for path in (REPOSITORY / "guard").rglob("*.py")}
    assert {name for name in names if name.endswith(".py")} == modules
    assert {name.split("/")[0] for name in names} == {"guard", "frguard.pth"}
    assert {"guard/watch/static/watch.html", "guard/watch/static/watch.js"} <= set(names)
    assert wheel.stat().st_size < 3_000_000


def test_the_wheel_carries_its_licences(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        folder = next(name for name in archive.namelist() if name.endswith("METADATA")).split("/")[0]
        licence = archive.read(f"{folder}/licenses/LICENSE").decode()
        metadata = archive.read(f"{folder}/METADATA").decode()
    assert "Apache License" in licence
    assert "Version 2.0, January 2004" in licence
    assert "License-Expression: Apache-2.0" in metadata


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty virtual environment with the wheel and its base dependencies, and the `guard` in it."""
    environment = tmp_path_factory.mktemp("environment") / "venv"
    made = run(sys.executable, "-m", "venv", environment, cwd=environment.parent)
    assert made.returncode == 0, made.stderr
    python = environment / "bin" / "python"
    installed = run(python, "-m", "pip", "install", "--quiet", "--prefer-binary", wheel, cwd=environment.parent)
    assert installed.returncode == 0, installed.stderr
    return environment / "bin" / "guard"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of the user's own: a clip and a guard.toml, nothing else."""
    for name in ("clip.mp4", "guard.toml"):
        shutil.copy(SAMPLES / "bodycam" / name, tmp_path / name)
    return tmp_path


def answer(guard: Path, *arguments: str, cwd: Path) -> dict[str, Any]:
    done = run(guard, *arguments, "--json", cwd=cwd)
    assert done.returncode == 0, done.stderr + done.stdout
    parsed: dict[str, Any] = json.loads(done.stdout)
    return parsed


REFUSED = """
import guard
from guard.integrations import Operation, passage
try:
    with passage(Operation("x", "azure_face", ("identify",))):
        print("passed")
except guard.GuardError as error:
    print(type(error).__name__)
"""
CALL = ("--config", "guard.toml", "--source", "bodycam-117", "--action", "identify", "--service", "azure_openai")


@pytest.mark.wheel
@pytest.mark.slow
class TestInstalled:
    """Run from an empty folder; the repository is out of sight."""

    def test_it_is_not_the_repository_that_answers(self, installed: Path, tmp_path: Path) -> None:
        python = installed.parent / "python"
        where = run(python, "-c", "import guard; print(guard.__file__)", cwd=tmp_path)
        assert str(installed.parents[1]) in where.stdout

    def test_a_process_started_with_the_variable_is_guarded(self, installed: Path, folder: Path) -> None:
        python = installed.parent / "python"
        watched = "from guard.integrations.watching import watch; print(len(watch.names) > 0)"
        assert run(python, "-c", watched, cwd=folder).stdout.strip() == "False"
        start = ("env", "GUARD_AUTOLOAD=guard.toml")
        assert run(*start, python, "-c", watched, cwd=folder).stdout.strip() == "True"
        gone = run("env", "GUARD_AUTOLOAD=absent.toml", python, "-c", REFUSED, cwd=folder)
        assert gone.stdout.strip() == "GuardFault", gone.stderr

    def test_replay(self, installed: Path, folder: Path) -> None:
        result = answer(installed, "replay", "clip.mp4", *CALL, "--out", "out", cwd=folder)
        call = result["calls"][0]
        assert call["attempted"] == call["denied"] == result["frames"] == 120
        assert call["reached_service"] == 0
        assert all(Path(folder, path).exists() for path in result["outputs"].values())
        verified = run(installed, "ledger", "show", result["outputs"]["ledger"], cwd=folder)
        assert verified.returncode == 0, verified.stderr

    def test_record_context_and_redaction(self, installed: Path, folder: Path) -> None:
        ledger = answer(installed, "replay", "clip.mp4", *CALL, "--out", "out", cwd=folder)["outputs"]["ledger"]
        assert answer(installed, "ledger", "verify", ledger, cwd=folder)["schema"] == "guard.ledger-verify/1"
        check = answer(installed, "source", "check", "clip.mp4", "--config", "guard.toml", cwd=folder)
        assert check["schema"] == "guard.source-check/1"
        assert answer(installed, "redact", "clip.mp4", "-o", "hidden.mp4", cwd=folder)["clips"][0]["frames"] == 120

    @pytest.mark.parametrize("server", ["gateway", "watch"])
    def test_a_server_says_which_extra_it_needs(self, installed: Path, folder: Path, server: str) -> None:
        done = run(installed, server, "--config", "guard.toml", cwd=folder)
        assert done.returncode == 1
        assert f"pip install 'frguard[{server}]'" in done.stderr
        assert "Traceback" not in done.stderr

    def test_decide(self, installed: Path, folder: Path) -> None:
        decision = answer(installed, "decide", *CALL, cwd=folder)
        assert decision["verdict"] == "deny"
        assert decision["reasons"]

    def test_policy(self, installed: Path, folder: Path) -> None:
        assert run(installed, "policy", "list", cwd=folder).returncode == 0
        shown = run(installed, "policy", "show", "microsoft_azure_openai_2024", cwd=folder)
        assert "MS-AOAI" in shown.stdout
        cases = next((REPOSITORY / "guard" / "policy" / "packs").rglob("*.cases.json"))
        shutil.copy(cases, folder / "cases.json")
        result = answer(installed, "policy", "test", "cases.json", cwd=folder)
        assert result["passed"] == result["total"] > 0
        shutil.copy(cases.with_name(cases.name.removesuffix(".cases.json") + ".cedar"), folder / "pack.cedar")
        shutil.copy(cases, folder / "pack.cases.json")
        assert run(installed, "policy", "check", "pack.cedar", cwd=folder).returncode == 0
        matrix = answer(installed, "policy", "matrix", "--config", CALL[CALL.index("--config") + 1], cwd=folder)
        assert matrix["schema"] == "guard.matrix/1"

    def test_models_and_doctor(self, installed: Path, tmp_path: Path) -> None:
        assert "yunet_s.onnx" in run(installed, "models", cwd=tmp_path).stdout
        assert run(installed, "doctor", cwd=tmp_path).returncode == 0

    def test_bench(self, installed: Path, tmp_path: Path) -> None:
        rows = answer(installed, "bench", "--size", "640x360", "--seconds", "1", cwd=tmp_path)["rows"]
        assert {"bare-detector", "hook-detect", "hook-on-demand", "authorize-cached"} <= {row["name"] for row in rows}

    def test_what_needs_an_extra_says_which(self, installed: Path, folder: Path) -> None:
        (folder / "gallery").mkdir()
        shutil.copy(SAMPLES / "office" / "gallery" / "staff-01.png", folder / "gallery")
        done = run(
            installed, "replay", "clip.mp4", *CALL, "--matcher", "face_recognition", "--gallery", "gallery", cwd=folder
        )
        assert done.returncode == 1
        assert "pip install 'frguard[dlib]'" in done.stderr
        assert "Traceback" not in done.stderr
