"""Nothing personal in the file: the whole pipeline runs, then every byte on disk is searched."""

from __future__ import annotations

import base64
from contextlib import suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import guard
from guard.ledger import read
from guard.ledger.verifying import verify
from guard.matchers.gallery import Portrait, References
from guard.source import Source
from guard.testing import FakeDetector
from tests.conftest import BOX, OFFICE

NAME = "Adelheid Quillfeather"
PROMPT = "is the person in the red coat Adelheid?"


class Broken(RuntimeError):
    """A library that puts what it was given into its message."""


def test_no_picture_vector_name_or_prompt_reaches_the_disk(tmp_path: Path, picture: np.ndarray, monkeypatch):
    template = np.random.default_rng(3).normal(size=128).astype(np.float32)
    gallery = References([Portrait(NAME, picture, None)], lambda portrait: template)
    jpeg = cv2.imencode(".jpg", picture)[1].tobytes()
    config = tmp_path / "guard.toml"
    config.write_text(OFFICE)
    detector = FakeDetector([BOX])
    reached: list[Any] = []

    def search(frame: Any, vector: Any = None, person: str = "") -> str:
        reached.append(gallery.vectors())
        return gallery.people[0]

    def describe(prompt: str, image: Any, names: Any = ()) -> str:
        reached.append(image)
        return f"{NAME} in a street"

    with guard.load(config, detector=detector) as g:
        cam = g.source()
        identify = cam.protect(search, action="identify", service="my-matcher")
        forbidden = cam.protect(search, action="identify", service="azure_openai")
        vlm = cam.protect(describe, service="azure_openai")
        for number in range(3):
            with cam.frame(picture, index=number):
                assert identify(picture, template, person=NAME) == NAME
                with pytest.raises(guard.Denied):
                    forbidden(picture, template, person=NAME)
                for image in (picture, jpeg, base64.b64encode(jpeg).decode(), {"image": picture}):
                    with suppress(guard.GuardError):
                        vlm(PROMPT, image, names=[NAME])
        detector.error = Broken(f"cannot look at {picture.tobytes()[:64].hex()} of {NAME}: {PROMPT}")
        with cam.frame(picture), pytest.raises(guard.GuardFault):
            vlm(PROMPT, picture)
        with monkeypatch.context() as stage:  # a stage that breaks on what it was given

            def column(*given: Any) -> None:
                raise Broken(f"{PROMPT} {NAME}")

            stage.setattr(Source, "column", column)
            with cam.frame(picture), pytest.raises(guard.GuardFault):
                identify(picture, template, person=NAME)
        g.ledger.flush()
        assert reached
        _search(tmp_path, picture, jpeg, template)
    _search(tmp_path, picture, jpeg, template)
    path = tmp_path / "decisions.db"
    assert {record["verdict"] for record in read(path)} == {"allow", "deny", "redact"}
    assert sum(record["fault"] is not None for record in read(path)) >= 2
    assert verify(path).verified


def _search(folder: Path, picture: np.ndarray, jpeg: bytes, template: np.ndarray) -> None:
    data = b"".join(file.read_bytes() for file in sorted(folder.glob("decisions.db*")))
    assert len(data) > 10_000
    lowered = data.lower()
    for text in (NAME, "quillfeather", "red coat", "adelheid"):
        assert text.lower().encode() not in lowered, text
    pixels = picture.tobytes()
    for needle in (pixels, jpeg, template.tobytes()):
        for at in range(0, len(needle) - 12, max(1, len(needle) // 200)):
            part = needle[at : at + 12]
            assert part not in data
            assert part.hex().encode() not in lowered
            assert base64.b64encode(part)[:12] not in data
    for value in template:
        assert repr(float(value)).encode() not in data
