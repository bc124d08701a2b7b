"""Hosts as they are written: one spelling for each, and the others under which `[services]` may list the same one."""

from __future__ import annotations

import ipaddress
import unicodedata
from functools import lru_cache
from urllib.parse import SplitResult, unquote

from guard.addresses import usual_host

__all__ = ["PORTS", "addressed", "host_of", "spellings"]

PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]", "0.0.0.0", "[::]")
_LOOPBACK_NAMES = frozenset({"localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback"})


def addressed(url: SplitResult, told: str = "") -> list[str]:
    """Whom a request addresses, as ``host:port``: the host of the URL, and the ones that a ``Host`` header tells."""
    try:
        port = url.port
    except ValueError:
        port = None
    found = [_joined(_plain(url.hostname or ""), port or PORTS.get(url.scheme.lower()))]
    for name in told.split(",") if told else ():
        host, _, stated = name.strip().rpartition(":")
        number = int(stated) if host and stated.isdecimal() else PORTS.get(url.scheme.lower())
        authority = _joined(_plain((host if host and stated.isdecimal() else name).strip().strip("[]")), number)
        if authority not in found:
            found.append(authority)
    return found


@lru_cache(maxsize=1024)
def host_of(authority: str) -> str:
    """The host without its port."""
    host, _, port = authority.rpartition(":")
    return _plain(host.strip("[]") if host and port.isdecimal() else authority.strip("[]"))


@lru_cache(maxsize=1024)
def spellings(authority: str) -> tuple[str, ...]:
    """The authority, and where it is this machine, the other names of it."""
    host, _, port = authority.rpartition(":")
    if not host or not port.isdecimal():
        host, port = authority, ""
    if not _is_loopback(host.strip("[]")):
        return (authority,)
    others = (f"{name}:{port}" if port else name for name in _LOOPBACK)
    return tuple(dict.fromkeys((authority, *others)))


def _is_loopback(host: str) -> bool:
    """Whether a connection to it reaches this machine; one to no address in particular (0.0.0.0) does."""
    if host in _LOOPBACK_NAMES or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


@lru_cache(maxsize=1024)
def _plain(host: str) -> str:
    """In lower case, without the dot of the root, in the letters in which names are resolved; an address as usual."""
    if "%" in host:
        host = unquote(host)
    if not host.isascii():
        try:
            host = host.encode("idna").decode("ascii")
        except UnicodeError:
            host = unicodedata.normalize("NFKC", host)
    return usual_host(host.lower().rstrip("."))


def _joined(host: str, port: int | None) -> str:
    host = f"[{host}]" if ":" in host else host
    return host if port is None else f"{host}:{port}"
