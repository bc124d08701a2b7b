"""`[watch]` is read as strictly as the rest of the file."""

from __future__ import annotations

from pathlib import Path

import pytest

import guard
from guard.config import WatchConfig, load_config
from tests.conftest import POLICE


def read(tmp_path: Path, text: str) -> WatchConfig:
    path = tmp_path / "guard.toml"
    path.write_text(POLICE + '[services]\n"mine" = "self_hosted"\n' + text)
    return load_config(path).watch


def test_a_good_one_is_read(tmp_path):
    text = '[watch]\nfeeds = { "bodycam" = "clip.mp4" }\nactions = ["identify", "verify"]\nservices = ["mine"]\n'
    found = read(tmp_path, text)
    assert found == WatchConfig({"bodycam": "clip.mp4"}, ("identify", "verify"), ("mine",))


def test_a_file_without_it_has_the_defaults(tmp_path):
    assert read(tmp_path, "") == WatchConfig({}, ("identify",), ("self_hosted",))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("feed = {}", "did you mean 'feeds'"),
        ('feeds = "clip.mp4"', "feeds must be a table"),
        ('feeds = { "bodycan" = "clip.mp4" }', "did you mean 'bodycam'"),
        ('feeds = { "bodycam" = "" }', "watch.feeds.bodycam"),
        ("actions = []", "watch.actions"),
        ('actions = "identify"', "watch.actions"),
        ('actions = ["identity"]', "did you mean"),
        ('services = ["azure"]', "watch.services"),
        ("rate = 5", "watch.rate"),
    ],
)
def test_a_mistake_is_named(tmp_path, text, said):
    with pytest.raises(guard.ConfigError) as caught:
        read(tmp_path, f"[watch]\n{text}\n")
    assert said in str(caught.value)
    assert "guard.toml" in str(caught.value)
