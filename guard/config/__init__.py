"""`guard.toml`: what a deployment says of itself, read strictly."""

from __future__ import annotations

from guard.config.reading import Config, SourceConfig, load_config

__all__ = ["Config", "SourceConfig", "load_config"]
