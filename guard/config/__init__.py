"""`guard.toml`: what a deployment says of itself, read strictly."""

from __future__ import annotations

from guard.config.gateway import GatewayConfig, Listener, Shape, Upstream
from guard.config.reading import Config, SourceConfig, load_config

__all__ = ["Config", "GatewayConfig", "Listener", "Shape", "SourceConfig", "Upstream", "load_config"]
