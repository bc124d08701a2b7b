"""Reads what `[policy]` asks of passports and seals."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from guard.config.values import guess, text
from guard.context.passport import Attestation
from guard.errors import ConfigError

__all__ = ["KEYS", "read_attestation"]

KEYS = ("attestation", "sealed", "source_keys", "revoked")
_MODES = ("required", "preferred")


def read_attestation(policy: Mapping[str, Any], folder: Path, where: str) -> Attestation:
    """The settings; paths are relative to `folder`. Raises `ConfigError` with the key of the first mistake."""
    said: dict[str, Any] = {}
    if "attestation" in policy:
        said["mode"] = _one_of(policy["attestation"], _MODES, f"{where}.attestation")
    if "sealed" in policy:
        said["sealed"] = _one_of(policy["sealed"], ("required",), f"{where}.sealed")
    if "source_keys" in policy:
        said["keys"] = _paths(policy["source_keys"], folder, f"{where}.source_keys")
    if "revoked" in policy:
        said["revoked"] = (folder / text(policy["revoked"], f"{where}.revoked")).absolute()
    for key in ("attestation", "sealed"):
        if key in policy and "keys" not in said:
            raise ConfigError(
                f"{key} says nothing without keys that are trusted",
                where=f"{where}.{key}",
                mend='name public keys, e.g. source_keys = ["operations.pub"]',
            )
    return Attestation(**said)


def _one_of(value: Any, known: tuple[str, ...], where: str) -> str:
    if value not in known:
        raise ConfigError(f"{value!r} cannot be used here", where=where, mend=guess(value, known))
    return str(value)


def _paths(value: Any, folder: Path, where: str) -> tuple[Path, ...]:
    if not isinstance(value, list) or not value:
        raise ConfigError("a list of files is needed here", where=where, mend='write source_keys = ["operations.pub"]')
    return tuple((folder / text(item, where)).absolute() for item in value)
