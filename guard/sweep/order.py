"""What a sweep does with every file: the same for all of them, small enough to be sent to any process."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from guard.errors import ConfigError, GuardError
from guard.facts import VLM_SERVICES, format_instant
from guard.guard import engine_of
from guard.ledger.keys import ENVIRONMENT, key_beside, signing_key
from guard.vision.models import YUNET_S

if TYPE_CHECKING:
    from guard.config import Config, SourceConfig
    from guard.policy import Engine

__all__ = ["Order", "order_of", "settings_of"]

_KEY = "sweep"


@dataclass(frozen=True, slots=True)
class Order:
    """Picklable. Paths are absolute, and mean the same folder on every machine that takes part.

    Attributes:
        config: the `guard.toml`.
        source: as which of its sources every clip is judged.
        calls: what is tried on every frame: action and service.
        at: the day to be judged instead of the clock's.
        redact: whether a redacted copy of every clip is written.
        out: the folder that everything goes to.
        key: the private key that signs every ledger; None where the environment holds it.
        settings: SHA-256 over everything but the clip that a record depends on, see `order_of`.
    """

    config: Path
    source: str
    calls: tuple[tuple[str | None, str], ...]
    at: datetime | None
    redact: bool
    out: Path
    key: Path | None
    settings: str


def order_of(
    config: Config,
    out: Path,
    *,
    engine: Engine | None = None,
    source: str | None = None,
    actions: Sequence[str | None] = ("identify",),
    services: Sequence[str] = ("self_hosted",),
    at: datetime | None = None,
    redact: bool = False,
) -> Order:
    """The order to try every one of `actions` at every one of `services` as `source`, the file's only one for None.

    Its `settings` cover the source as `guard.toml` declares it, the policy with its mode, passports and trusted keys by
    content, the calls, the day, the detector's file, and whether faces are redacted. Another source in the file, its
    comments and where it lies do not matter.

    Makes `out` and, where no key is named, one in it. Raises `ConfigError`, `PolicyError`, `LedgerError` for the key,
    and `GuardError` where the folder cannot be made.
    """
    chosen = _source(config, source)
    if not actions or not services:
        raise ConfigError("nothing would be tried", mend="name an action and a service")
    resolved = dict.fromkeys(config.services.get(service, service) for service in services)
    calls = tuple((action, service) for action in dict.fromkeys(actions) for service in resolved)
    for action, service in calls:
        if action is None and service not in VLM_SERVICES:
            raise ConfigError(f"a call to {service} must say what it does", mend="name the action")
    return Order(
        config=config.path,
        source=str(chosen.id),
        calls=calls,
        at=at,
        redact=redact,
        out=_made(out),
        key=_key(config, out.absolute()),
        settings=_settings(config, chosen, engine or engine_of(config), calls, at, redact=redact),
    )


def settings_of(order: Order, config: Config, engine: Engine) -> str:
    """The settings digest of an order as the files stand now."""
    chosen = _source(config, order.source)
    return _settings(config, chosen, engine, order.calls, order.at, redact=order.redact)


def _source(config: Config, id: str | None) -> SourceConfig:
    if id is None and len(config.sources) == 1:
        return next(iter(config.sources.values()))
    if id is None or id not in config.sources:
        what = "the file describes several sources" if id is None else f"no source is called {id!r}"
        raise ConfigError(what, where=config.path.name, mend=f"name one of: {', '.join(config.sources)}")
    return config.sources[id]


def _settings(
    config: Config,
    source: SourceConfig,
    engine: Engine,
    calls: tuple[tuple[str | None, str], ...],
    at: datetime | None,
    *,
    redact: bool,
) -> str:
    attestation = config.attestation
    vouched = [*attestation.keys, attestation.revoked, source.passport]
    stated: dict[str, Any] = {
        "facts": source.facts.to_json(),
        "source": [source.id, source.detect, source.min_face_px, source.face_score, source.max_age_s],
        "camera": asdict(source.camera),
        "near_real_time_s": config.near_real_time_s,
        "attestation": [attestation.mode, attestation.sealed, [_content(file) for file in vouched]],
        "policy": [engine.digest, engine.mode],
        "model": YUNET_S.sha256,
        "calls": calls,
        "at": None if at is None else format_instant(at),
        "redact": redact,
    }
    return hashlib.sha256(json.dumps(stated, sort_keys=True).encode()).hexdigest()


def _content(file: Path | None) -> str | None:
    try:
        return None if file is None else hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError:
        return None  # whoever needs it says what is wrong with it


def _made(out: Path) -> Path:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        what = f"the folder cannot be made: {error.strerror}"
        raise GuardError(what, where=str(out), mend="name another --out") from None
    return out.absolute()


def _key(config: Config, out: Path) -> Path | None:
    """The file with the key of all ledgers, made in `out` where none is named; its public half is put there."""
    signing_key(out / _KEY, config.ledger_key)
    if config.ledger_key is None and not os.environ.get(ENVIRONMENT):
        return key_beside(out / _KEY)
    return config.ledger_key
