"""`guard.toml`: what a deployment says of itself, read strictly."""

from __future__ import annotations

from guard.config.gateway import SIGNED, GatewayConfig, Listener, Shape, Upstream
from guard.config.reading import Config, SourceConfig, load_config
from guard.config.watch import WatchConfig

__all__ = [
    "SIGNED",
    "Config",
    "GatewayConfig",
    "Listener",
    "Shape",
    "SourceConfig",
    "Upstream",
    "WatchConfig",
    "load_config",
]
