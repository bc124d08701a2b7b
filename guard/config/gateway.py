"""`[gateway]` of `guard.toml`: where the gateway listens, who may call it, and what stands behind it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast, get_args
from urllib.parse import urlsplit

from guard.config.values import guess, known, number, text
from guard.errors import ConfigError
from guard.facts import SERVICES

__all__ = ["SIGNED", "GatewayConfig", "Listener", "Shape", "Upstream", "read_gateway"]

Role = Literal["proxy", "check", "status"]
Shape = Literal["rekognition", "bedrock", "azure_face", "azure_openai", "openai", "anthropic", "google"]

_SERVICE_OF: Mapping[Shape, str] = {
    "rekognition": "rekognition_compare",
    "bedrock": "other",
    "azure_face": "azure_face",
    "azure_openai": "azure_openai",
    "openai": "openai",
    "anthropic": "anthropic",
    "google": "google",
}
SIGNED: tuple[Shape, ...] = ("rekognition", "bedrock")
"""Requests whose signature covers host, path and body."""

_MAY_BE_ANOTHER_S: tuple[Shape, ...] = ("openai", "azure_openai", "anthropic")
"""Many servers speak the language of these."""

_KEYS = ("deadline_s", "read_s", "max_body_bytes", "max_requests", "workers", "clients", "listener", "upstream")
_LISTENER_KEYS = ("bind", "serves", "certificate", "key", "client_ca", "source_header", "trusted")
_UPSTREAM_KEYS = ("match", "shape", "url", "service")


@dataclass(frozen=True, slots=True)
class Listener:
    """One `[[gateway.listener]]`.

    Attributes:
        bind: ``host:port`` or ``unix:PATH``.
        serves: ``proxy`` forwards, ``check`` answers Envoy, ``status`` gives health and metrics.
        certificate, key: of the server, PEM; both None for plain HTTP.
        client_ca: PEM of who may sign client certificates; they name the source then.
        source_header: the header that names the source, in lower case; whoever can reach this listener is believed.
    """

    bind: str
    serves: Role
    certificate: Path | None = None
    key: Path | None = None
    client_ca: Path | None = None
    source_header: str | None = None

    @property
    def socket_path(self) -> Path | None:
        """Where its unix socket lies; None where it listens on TCP."""
        return Path(self.bind.removeprefix("unix:")) if self.bind.startswith("unix:") else None

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of a TCP listener."""
        host, _, port = self.bind.rpartition(":")
        return host.strip("[]"), int(port)


@dataclass(frozen=True, slots=True)
class Upstream:
    """One `[[gateway.upstream]]`.

    Attributes:
        match: the host that clients address (with a port or without), or a path prefix that starts with ``/``.
        shape: whose requests it takes.
        url: scheme and authority, and a path for a prefix; None where Envoy forwards.
        service: the service of the vocabulary that it counts as.
    """

    match: str
    shape: Shape
    url: str | None
    service: str


@dataclass(frozen=True, slots=True)
class GatewayConfig:
    """`[gateway]`. Times in seconds.

    Attributes:
        deadline_s: a verdict that takes longer is a refusal.
        read_s: how long a client may take to send its request.
        max_body_bytes: a larger request is refused.
        max_requests: how many are read and judged at once; one more is refused.
        workers: threads that judge.
        clients: names in client certificates (URI or DNS), to source ids; a name that is a source id needs no entry.
    """

    listeners: tuple[Listener, ...]
    upstreams: tuple[Upstream, ...]
    deadline_s: float = 2.0
    read_s: float = 10.0
    max_body_bytes: int = 20_000_000
    max_requests: int = 64
    workers: int = 4
    clients: Mapping[str, str] = field(default_factory=dict)


def read_gateway(
    table: Mapping[str, Any], folder: Path, sources: Iterable[str], services: Mapping[str, str], where: str
) -> GatewayConfig:
    """Reads and checks the table. Raises `ConfigError` with the key of the first mistake."""
    known(table, _KEYS, where)
    listeners = tuple(
        _listener(entry, folder, f"{where}.listener[{index}]")
        for index, entry in enumerate(_entries(table, "listener", where))
    )
    upstreams = tuple(
        _upstream(entry, services, f"{where}.upstream[{index}]")
        for index, entry in enumerate(_entries(table, "upstream", where))
    )
    _fits_together(listeners, upstreams, where)

    def whole(key: str, default: int, high: float) -> int:
        return int(number(table.get(key, default), f"{where}.{key}", low=1, high=high, whole=True))

    return GatewayConfig(
        listeners=listeners,
        upstreams=upstreams,
        deadline_s=number(table.get("deadline_s", 2.0), f"{where}.deadline_s", low=0.01, high=60),
        read_s=number(table.get("read_s", 10.0), f"{where}.read_s", low=0.01, high=600),
        max_body_bytes=whole("max_body_bytes", 20_000_000, 200_000_000),
        max_requests=whole("max_requests", 64, 10_000),
        workers=whole("workers", 4, 64),
        clients=_clients(table.get("clients", {}), tuple(sources), f"{where}.clients"),
    )


def _listener(entry: Mapping[str, Any], folder: Path, where: str) -> Listener:
    known(entry, _LISTENER_KEYS, where)
    serves = entry.get("serves")
    if serves not in get_args(Role):
        raise ConfigError(
            f"a listener cannot serve {serves!r}", where=f"{where}.serves", mend=guess(serves, get_args(Role))
        )
    files = {
        key: (folder / text(entry[key], f"{where}.{key}")).absolute()
        for key in ("certificate", "key", "client_ca")
        if key in entry
    }
    bind = _bind(entry.get("bind"), folder, f"{where}.bind")
    header = text(entry["source_header"], f"{where}.source_header").lower() if "source_header" in entry else None
    listener = Listener(bind=bind, serves=cast(Role, serves), source_header=header, **files)
    _names_sources_safely(listener, entry.get("trusted", False), where)
    return listener


def _bind(value: Any, folder: Path, where: str) -> str:
    bind = text(value, where)
    if bind.startswith("unix:"):
        return f"unix:{(folder / bind.removeprefix('unix:')).absolute()}"
    host, _, port = bind.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65_535:
        raise ConfigError(f"{bind!r} is no address", where=where, mend='write "127.0.0.1:8443" or "unix:guard.sock"')
    return bind


def _names_sources_safely(listener: Listener, trusted: Any, where: str) -> None:
    """A header names the source only where nobody but the pipeline's own proxy can be the peer."""
    if (listener.certificate is None) != (listener.key is None):
        raise ConfigError("certificate and key go together", where=where, mend="name both, or neither")
    if listener.client_ca is not None and listener.certificate is None:
        raise ConfigError(
            "client certificates need TLS", where=f"{where}.client_ca", mend="name certificate and key as well"
        )
    if trusted not in (True, False):
        raise ConfigError(f"trusted cannot be {trusted!r}", where=f"{where}.trusted", mend="write true or false")
    if listener.serves == "status":
        return
    if listener.source_header is None:
        if listener.client_ca is None:
            raise ConfigError(
                "nothing names the source of what comes in here, so all of it would be refused",
                where=where,
                mend="name client_ca, or source_header on a unix socket",
            )
    elif listener.client_ca is not None:
        raise ConfigError(
            "the source is named by a certificate or by a header, not by both",
            where=f"{where}.source_header",
            mend="leave one of them out",
        )
    elif listener.socket_path is None and not trusted:
        raise ConfigError(
            "whoever reaches a TCP port could name any source in a header",
            where=f"{where}.source_header",
            mend="bind a unix socket, name client_ca instead, or say trusted = true where only your proxy reaches it",
        )


def _upstream(entry: Mapping[str, Any], services: Mapping[str, str], where: str) -> Upstream:
    known(entry, _UPSTREAM_KEYS, where)
    shape = entry.get("shape")
    if shape not in get_args(Shape):
        raise ConfigError(f"no request is shaped {shape!r}", where=f"{where}.shape", mend=guess(shape, get_args(Shape)))
    match = text(entry.get("match"), f"{where}.match").lower()
    if match.startswith("/"):
        match = f"/{match.strip('/')}"
        if shape in SIGNED:
            raise ConfigError(
                "a request to AWS is signed with its path, so no prefix can be taken off",
                where=f"{where}.match",
                mend="match the host, and let clients address it",
            )
    service = _service(entry, cast(Shape, shape), services, f"{where}.service")
    url = entry.get("url")
    return Upstream(match, cast(Shape, shape), None if url is None else _url(url, match, f"{where}.url"), service)


def _service(entry: Mapping[str, Any], shape: Shape, services: Mapping[str, str], where: str) -> str:
    if "service" not in entry:
        return _SERVICE_OF[shape]
    if shape not in _MAY_BE_ANOTHER_S:
        raise ConfigError(
            f"{shape} is always the same service", where=where, mend="leave it out, or choose the shape openai"
        )
    named = text(entry["service"], where)
    service = services.get(named, named)
    if service not in SERVICES:
        raise ConfigError(f"no service is called {service!r}", where=where, mend=guess(service, SERVICES))
    return service


def _url(value: Any, match: str, where: str) -> str:
    url = urlsplit(text(value, where))
    try:
        url.port  # noqa: B018 - reading it is the check
    except ValueError:
        raise ConfigError("the port is no number", where=where, mend="mend the address") from None
    if url.scheme not in ("http", "https") or not url.hostname or url.query or url.fragment or url.username:
        raise ConfigError("this is no address of a server", where=where, mend='write "https://api.example.com"')
    if url.path.strip("/") and not match.startswith("/"):
        raise ConfigError(
            "an upstream that is matched by its host gets the client's own path",
            where=where,
            mend="leave the path out, or match a prefix",
        )
    return f"{url.scheme}://{url.netloc}{url.path.rstrip('/')}"


def _fits_together(listeners: tuple[Listener, ...], upstreams: tuple[Upstream, ...], where: str) -> None:
    roles = {listener.serves for listener in listeners}
    if not roles & {"proxy", "check"}:
        raise ConfigError("nothing is guarded", where=where, mend='add a [[gateway.listener]] that serves "proxy"')
    if not upstreams:
        raise ConfigError("nothing stands behind it", where=where, mend="add a [[gateway.upstream]]")
    for kind, values in (
        ("listeners bind", [listener.bind for listener in listeners if not listener.bind.endswith(":0")]),
        ("upstreams match", [upstream.match for upstream in upstreams]),
    ):
        twice = next((value for value in values if values.count(value) > 1), None)
        if twice is not None:
            raise ConfigError(f"two {kind} {twice!r}", where=where, mend="leave one of them out")
    for index, upstream in enumerate(upstreams):
        if "proxy" in roles and upstream.url is None:
            raise ConfigError(
                "there is nowhere to forward to",
                where=f"{where}.upstream[{index}].url",
                mend='name the address, e.g. url = "https://api.openai.com"',
            )


def _clients(table: Any, sources: tuple[str, ...], where: str) -> Mapping[str, str]:
    if not isinstance(table, dict):
        raise ConfigError("clients must be a table", where=where, mend='write clients = { "name" = "source id" }')
    for name, id in table.items():
        if id not in sources:
            raise ConfigError(f"no source is called {id!r}", where=f"{where}.{name}", mend=guess(id, sources))
    return dict(table)


def _entries(table: Mapping[str, Any], key: str, where: str) -> list[Mapping[str, Any]]:
    entries = table.get(key, [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ConfigError(f"{key} must be a list of tables", where=f"{where}.{key}", mend=f"write [[gateway.{key}]]")
    return entries
