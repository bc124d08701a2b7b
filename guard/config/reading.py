"""Reads `guard.toml` into immutable settings and facts.

Whatever is not known here is refused with a suggestion: a misspelt key that is skipped in silence is a fact that never
reaches the policy.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time
from pathlib import Path
from typing import Any, Literal, get_args

from guard.addresses import usual_authority
from guard.config.attestation import KEYS as ATTESTATION
from guard.config.attestation import read_attestation
from guard.config.camera import read_camera
from guard.config.gateway import GatewayConfig, read_gateway
from guard.config.values import guess, known, number, text
from guard.config.watch import WatchConfig, read_watch
from guard.context.camera import Camera
from guard.context.passport import Attestation
from guard.context.standing import NEAR_REAL_TIME_S
from guard.errors import ConfigError
from guard.facts import SERVICES, Facts
from guard.policy import Settings
from guard.vision.operating_point import FACE_SCORE, MIN_FACE_PX

__all__ = ["Config", "SourceConfig", "load_config"]

Detect = Literal["every-frame", "on-demand", "on-change"]

MAX_STALE_S = 2.0
FACE_MEMORY_S = 0.7  # as `guard.vision.memory.HOLD_S`, which takes numpy and OpenCV to import

_FACT_GROUPS = ("operator", "place", "capture", "use", "gallery", "subject", "evidence")
_SETTINGS = ("detect", "max_stale_s", "min_face_px", "face_score", "max_age_s", "face_memory_s", "analyse_per_s")
_SOURCE_KEYS = ("id", *_SETTINGS, "camera", "passport", *_FACT_GROUPS)
_TABLES = {
    "policy": ("packs", "base", "extra", "mode", "bundle", "public_key", "near_real_time_s", *ATTESTATION),
    "ledger": ("path", "key", "checkpoint_seconds", "checkpoint_records"),
    "telemetry": ("sources",),
}
_TOP = ("policy", "operator", "source", "services", "ledger", "telemetry", "gateway", "watch")


@dataclass(frozen=True, slots=True)
class SourceConfig:
    """One `[[source]]`.

    Attributes:
        id: its name in records and on the command line; None for the source of calls that have none.
        facts: what is declared of it; `use.at` is unknown here, the clock fills it in.
        detect: ``every-frame``, ``on-demand`` or ``on-change``.
        min_face_px: smallest face width that matters, in source pixels.
        face_score: detection threshold, 0 to 1.
        max_age_s: seconds after which a frame can no longer be judged.
        face_memory_s: seconds for which a face stays covered after it was last detected; 0 = no memory.
        analyse_per_s: how many of its frames a second a `Scheduler` looks at, at most; under overload, its share.
        camera: what is said of the device: size and rate of its pictures, whether it pans, whether it is live.
        passport: the file in which somebody answers for its facts, None for none.
        max_stale_s: under ``on-change``, seconds after which the whole picture is looked at again.
    """

    id: str | None
    facts: Facts
    detect: Detect
    min_face_px: int
    face_score: float
    max_age_s: float
    face_memory_s: float = FACE_MEMORY_S
    analyse_per_s: float = 5.0
    camera: Camera = field(default_factory=Camera)
    passport: Path | None = None
    max_stale_s: float = MAX_STALE_S


@dataclass(frozen=True, slots=True)
class Config:
    """A whole `guard.toml`. Paths are absolute; `ledger` is None where the file names none, `ledger_key` as well.

    `services` are as they are written; in `hosts` the same names are in lower case, as hosts are compared.
    `settings` are `[policy] base`, `extra` and `mode`. Where `bundle` is set, the packs in use are those that it lists,
    signed with the key to `public_key`. `label_sources` is `[telemetry] sources`: whether metrics name the source.
    `gateway` is None where the file has no such table; `watch` has its defaults then.
    `near_real_time_s` is how old a picture may be and its use still be nearly real-time.
    """

    path: Path
    packs: tuple[str | Path, ...]
    sources: Mapping[str, SourceConfig]
    services: Mapping[str, str]
    ledger: Path | None
    settings: Settings = field(default_factory=Settings)
    bundle: Path | None = None
    public_key: Path | None = None
    label_sources: bool = False
    gateway: GatewayConfig | None = None
    ledger_key: Path | None = None
    checkpoint_seconds: float = 60.0
    checkpoint_records: int = 1000
    near_real_time_s: float = NEAR_REAL_TIME_S
    attestation: Attestation = field(default_factory=Attestation)
    hosts: Mapping[str, str] = field(default_factory=dict)
    watch: WatchConfig = field(default_factory=WatchConfig)


def load_config(path: Path | str) -> Config:
    """Reads and checks `path`. Raises `ConfigError` with the file and key of the first mistake."""
    path = Path(path)
    table = _toml(path)
    name = path.name
    known(table, _TOP, name)
    for key, keys in _TABLES.items():
        known(_table(table, key, name), keys, f"{name}: {key}")
    policy, ledger = _table(table, "policy", name), _table(table, "ledger", name)
    sources = _sources(table, path)
    services = _services(_table(table, "services", name), f"{name}: services")
    gateway = _table(table, "gateway", name)
    return Config(
        path=path.absolute(),
        packs=_packs(policy.get("packs", ["all"]), path.parent, f"{name}: policy.packs"),
        sources=sources,
        services=services,
        hosts=_hosts(services, f"{name}: services"),
        ledger=_path(ledger, "path", path.parent, f"{name}: ledger"),
        settings=_settings(policy, name),
        label_sources=_flag(_table(table, "telemetry", name).get("sources", False), f"{name}: telemetry.sources"),
        near_real_time_s=number(
            policy.get("near_real_time_s", NEAR_REAL_TIME_S), f"{name}: policy.near_real_time_s", low=0.0, high=86_400.0
        ),
        attestation=read_attestation(policy, path.parent, f"{name}: policy"),
        gateway=read_gateway(gateway, path.parent, sources, services, f"{name}: gateway") if gateway else None,
        watch=read_watch(_table(table, "watch", name), sources, services, f"{name}: watch"),
        **_signed(policy, path.parent, f"{name}: policy"),
        **_sealing(ledger, path.parent, f"{name}: ledger"),
    )


def _settings(policy: Mapping[str, Any], name: str) -> Settings:
    try:
        return Settings(**{key: policy[key] for key in ("base", "extra", "mode") if key in policy})
    except ConfigError as error:
        raise ConfigError(error.what, where=f"{name}: {error.where}", mend=error.mend) from None


def _signed(policy: Mapping[str, Any], folder: Path, where: str) -> dict[str, Any]:
    for key, other in (("bundle", "public_key"), ("public_key", "bundle")):
        if key in policy and other not in policy:
            raise ConfigError(
                f"{key} says nothing without {other}", where=f"{where}.{key}", mend=f"name the {other} as well"
            )
    return {key: _path(policy, key, folder, where) for key in ("bundle", "public_key")}


def _sealing(ledger: Mapping[str, Any], folder: Path, where: str) -> dict[str, Any]:
    """Who signs the record, and how often."""
    seconds, records = ledger.get("checkpoint_seconds", 60), ledger.get("checkpoint_records", 1000)
    return {
        "ledger_key": _path(ledger, "key", folder, where),
        "checkpoint_seconds": number(seconds, f"{where}.checkpoint_seconds", low=0.1, high=86_400),
        "checkpoint_records": int(number(records, f"{where}.checkpoint_records", low=1, high=1_000_000, whole=True)),
    }


def _path(table: Mapping[str, Any], key: str, folder: Path, where: str) -> Path | None:
    return (folder / text(table[key], f"{where}.{key}")).absolute() if key in table else None


def _toml(path: Path) -> dict[str, Any]:
    try:
        text = path.read_bytes().decode("utf-8")
        return tomllib.loads(text)
    except FileNotFoundError:
        raise ConfigError("there is no such file", where=str(path), mend="name your guard.toml") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the file cannot be read: {error}", where=str(path), mend="save it as UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"the file is not TOML: {error}", where=str(path), mend="mend that line") from None


def _sources(table: Mapping[str, Any], path: Path) -> dict[str, SourceConfig]:
    name = path.name
    entries = table.get("source", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ConfigError("source must be a list of tables", where=f"{name}: source", mend="write [[source]]")
    if not entries:
        raise ConfigError("no source is described", where=name, mend="add a [[source]] with an id")
    operator = _table(table, "operator", name)
    found: dict[str, SourceConfig] = {}
    shared: dict[str, Facts] = {}
    for index, entry in enumerate(entries):
        where = f"{name}: source[{index}]"
        source = _source(entry, operator, where, shared, path.parent)
        id = text(source.id, f"{where}.id")
        if id in found:
            raise ConfigError(f"two sources are called {id!r}", where=f"{where}.id", mend="rename one")
        found[id] = source
    return found


def _source(
    entry: Mapping[str, Any], operator: Mapping[str, Any], where: str, shared: dict[str, Facts], folder: Path
) -> SourceConfig:
    """One entry. `shared` are the facts read so far: sources that state the same share one object, read once."""
    known(entry, _SOURCE_KEYS, where)
    detect = entry.get("detect", "every-frame")
    if detect not in get_args(Detect):
        raise ConfigError(
            f"detect cannot be {detect!r}",
            where=f"{where}.detect",
            mend='write "every-frame", "on-demand" or "on-change"',
        )
    groups = {group: entry[group] for group in _FACT_GROUPS if group in entry}
    own = groups.get("operator", {})
    if not isinstance(own, dict):
        raise ConfigError("operator must be a table", where=f"{where}.operator")
    groups["operator"] = {**operator, **own}
    groups.setdefault("evidence", [])
    use = groups.get("use", {})
    if isinstance(use, dict) and "at" in use:
        raise ConfigError(
            "the time of use is always the clock's",
            where=f"{where}.use.at",
            mend="remove it; `guard decide --at` and `guard replay --at` ask about another day",
        )
    stated = repr(groups)  # tells true from 1 and an instant from its text, as the facts do
    facts = shared.get(stated)
    if facts is None:
        facts = shared[stated] = Facts.parse(_instants_as_text(groups, where), where=where)
    return SourceConfig(
        id=entry.get("id"),
        facts=facts,
        detect=detect,
        min_face_px=int(
            number(entry.get("min_face_px", MIN_FACE_PX), f"{where}.min_face_px", low=1, high=10_000, whole=True)
        ),
        face_score=number(entry.get("face_score", FACE_SCORE), f"{where}.face_score", low=0.0, high=1.0),
        max_age_s=number(entry.get("max_age_s", 1.0), f"{where}.max_age_s", low=0.001, high=86_400.0),
        face_memory_s=number(entry.get("face_memory_s", FACE_MEMORY_S), f"{where}.face_memory_s", low=0.0, high=60.0),
        analyse_per_s=number(entry.get("analyse_per_s", 5.0), f"{where}.analyse_per_s", low=0.001, high=1000.0),
        max_stale_s=number(entry.get("max_stale_s", MAX_STALE_S), f"{where}.max_stale_s", low=0.1, high=60.0),
        passport=_path(entry, "passport", folder, where),
        camera=read_camera(entry.get("camera", {}), f"{where}.camera"),
    )


def _packs(value: Any, folder: Path, where: str) -> tuple[str | Path, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(item, str) and item for item in value):
        raise ConfigError(
            "packs must be a list of names or paths",
            where=where,
            mend='write packs = ["all"] or name some packs',
        )
    return tuple((folder / item).absolute() if item.endswith(".cedar") else item for item in value)


def _services(table: Mapping[str, Any], where: str) -> dict[str, str]:
    for name, value in table.items():
        if value not in SERVICES:
            raise ConfigError(f"no service is called {value!r}", where=f"{where}.{name}", mend=guess(value, SERVICES))
        if name in SERVICES and name != value:
            raise ConfigError(
                f"{name!r} is a service of the vocabulary and keeps its meaning",
                where=f"{where}.{name}",
                mend="choose another name",
            )
    return dict(table)


def _hosts(services: Mapping[str, str], where: str) -> dict[str, str]:
    """The names in lower case, without the dot of the root, addresses in their usual spelling.

    Raises `ConfigError` for a host that is two services.
    """
    hosts: dict[str, str] = {}
    for name, service in services.items():
        host = usual_authority(name.casefold().rstrip("."))
        if hosts.setdefault(host, service) != service:
            raise ConfigError(
                f"the host {host!r} is listed twice, as two services",
                where=f"{where}.{name}",
                mend="list it once: hosts are the same in upper and lower case, addresses in every spelling",
            )
    return hosts


def _table(table: Mapping[str, Any], key: str, name: str) -> dict[str, Any]:
    value = table.get(key, {})
    if not isinstance(value, dict):
        raise ConfigError(f"{key} must be a table", where=f"{name}: {key}", mend=f"write [{key}]")
    return value


def _flag(value: Any, where: str) -> bool:
    if not isinstance(value, bool):
        raise ConfigError(f"{value!r} cannot be used here", where=where, mend="write true or false")
    return value


def _instants_as_text(value: Any, where: str) -> Any:
    """TOML has dates of its own, the facts take RFC 3339 text. A date without a zone is a question, not a fact."""
    if isinstance(value, dict):
        return {key: _instants_as_text(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, list):
        return [_instants_as_text(item, f"{where}[{number}]") for number, item in enumerate(value)]
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.isoformat()
    if isinstance(value, (date, time)):
        raise ConfigError(
            f"{value.isoformat()} says no zone",
            where=where,
            mend="write an instant such as 2026-05-02T12:00:00Z",
        )
    return value
