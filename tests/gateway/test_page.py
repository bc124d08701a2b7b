"""The configuration on the page is one that is read, and its numbers are the defaults."""

from __future__ import annotations

import re
from pathlib import Path

from guard.config import load_config

PAGE = Path(__file__).resolve().parents[2] / "docs" / "gateway.md"
SOURCES = '[operator]\ntype = "private"\n[[source]]\nid = "bodycam-117"\n'


def test_the_configuration_on_the_page_is_read(tmp_path):
    (block,) = re.findall(r"^```toml\n(# in guard\.toml.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    path = tmp_path / "guard.toml"
    path.write_text(SOURCES + block)
    config = load_config(path).gateway
    assert config is not None
    assert [listener.serves for listener in config.listeners] == ["proxy", "check", "status"]
    assert [upstream.service for upstream in config.upstreams] == ["rekognition_compare", "azure_openai", "self_hosted"]


def test_the_page_states_the_defaults():
    from guard.config.gateway import GatewayConfig

    defaults = GatewayConfig((), ())
    for key in ("deadline_s", "max_body_bytes", "max_requests", "read_s", "workers"):
        (said,) = re.findall(rf"^{key} = ([\d_.]+)", PAGE.read_text(), re.MULTILINE)
        assert float(said.replace("_", "")) == getattr(defaults, key)
