"""Hosts as they are written: one spelling for each, and the others under which `[services]` may list the same one."""

from __future__ import annotations

import ipaddress
import socket
import unicodedata
from functools import lru_cache
from urllib.parse import SplitResult, unquote

__all__ = ["addressed", "host_of", "spellings"]

_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


def addressed(url: SplitResult, told: str = "") -> list[str]:
    """Whom a request addresses, as ``host:port``: the host of the URL, and the ones that a ``Host`` header tells."""
    try:
        port = url.port
    except ValueError:
        port = None
    found = [_joined(_plain(url.hostname or ""), port or _PORTS.get(url.scheme.lower()))]
    for name in told.split(",") if told else ():
        host, _, stated = name.strip().rpartition(":")
        number = int(stated) if host and stated.isdecimal() else _PORTS.get(url.scheme.lower())
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
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        pass
    try:  # 127.1, 2130706433, 0x7f000001
        return socket.inet_aton(host)[0] == 127
    except (OSError, ValueError):
        return False


@lru_cache(maxsize=1024)
def _plain(host: str) -> str:
    """In lower case, without the dot of the root, in the letters in which names are resolved."""
    if "%" in host:
        host = unquote(host)
    if not host.isascii():
        try:
            host = host.encode("idna").decode("ascii")
        except UnicodeError:
            host = unicodedata.normalize("NFKC", host)
    return host.lower().rstrip(".")


def _joined(host: str, port: int | None) -> str:
    host = f"[{host}]" if ":" in host else host
    return host if port is None else f"{host}:{port}"
