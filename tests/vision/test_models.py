"""The list of shipped models, and the check that needs neither numpy nor ONNX Runtime."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from guard.errors import ConfigError
from guard.vision import models as shipped
from guard.vision.models import models, verify_model

ROOT = Path(__file__).resolve().parents[2]


def test_the_listing_names_the_file_and_what_is_true_of_it() -> None:
    (model,) = models()
    path = Path(model["path"])
    assert path.name == "yunet_s.onnx"
    assert model["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert model["intact"] is True
    assert model["licence"] == "BSD-3-Clause"
    assert model["measured"]
    assert 0.0 < model["recall"]["80 px and more"] <= 1.0
    assert 0.0 < model["precision"] <= 1.0


def test_the_card_states_the_same_numbers_and_checksum() -> None:
    card = (ROOT / "models" / "README.md").read_text()
    (model,) = models()
    assert model["sha256"] in card
    for value in (*model["recall"].values(), model["precision"]):
        assert f"{value:.3f}" in card


def test_the_licence_names_the_authors_and_lies_beside_the_model() -> None:
    text = (ROOT / "models" / "LICENSE.yunet").read_text()
    assert "Copyright (c) 2023-2025, Shiqi Yu" in text
    assert "3-clause BSD License" in text


def test_a_changed_file_is_listed_as_changed_and_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "yunet_s.onnx").write_bytes(b"not the network")
    monkeypatch.setattr(shipped, "_PLACES", (tmp_path,))
    (model,) = models()
    assert model["intact"] is False
    with pytest.raises(ConfigError, match="has changed"):
        verify_model()


def test_a_missing_file_is_listed_as_missing_and_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipped, "_PLACES", (tmp_path,))
    (model,) = models()
    assert model["path"] is None
    assert model["intact"] is False
    with pytest.raises(ConfigError, match=r"yunet_s\.onnx is missing"):
        verify_model()


def test_the_file_inside_the_package_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    for folder in (inside, outside):
        folder.mkdir()
        (folder / "yunet_s.onnx").touch()
    monkeypatch.setattr(shipped, "_PLACES", (inside, outside))
    assert shipped.find(shipped.YUNET_S) == inside / "yunet_s.onnx"


def test_the_check_loads_nothing_heavy() -> None:
    code = (
        "import sys, guard.vision; from guard.vision.models import verify_model, models;"
        "verify_model(); models();"
        "print(sorted({'numpy', 'cv2', 'onnxruntime', 'cedarpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
