"""IP addresses as they are written: one spelling for each, so that a host that is listed is found by every other."""

from __future__ import annotations

import ipaddress
import re
import socket
from functools import lru_cache

__all__ = ["usual_authority", "usual_host"]

_IN_BRACKETS = re.compile(r"\[([^\[\]]*)\](:\d+)?\Z")


def usual_host(host: str) -> str:
    """An IP address in its usual spelling; anything else as it is.

    What resolvers take for an IPv4 address is one: 127.1, 2130706433, 0x7f000001, and one that is mapped into IPv6.
    """
    try:
        address = ipaddress.ip_address(host.partition("%")[0] if ":" in host else host)
    except ValueError:
        if not host[:1].isdecimal():
            return host
        try:
            return socket.inet_ntoa(socket.inet_aton(host))
        except (OSError, ValueError):
            return host
    mapped = getattr(address, "ipv4_mapped", None)
    return str(address if mapped is None else mapped)


@lru_cache(maxsize=1024)
def usual_authority(name: str) -> str:
    """As `usual_host`, of a host with or without a port; an IPv6 address gets its brackets."""
    bracketed = _IN_BRACKETS.match(name)
    if bracketed is not None:
        host, port = bracketed[1], bracketed[2] or ""
    elif name.count(":") == 1:
        host, colon, number = name.partition(":")
        port = colon + number
    else:
        host, port = name, ""
    host = usual_host(host)
    return f"[{host}]{port}" if ":" in host else f"{host}{port}"
