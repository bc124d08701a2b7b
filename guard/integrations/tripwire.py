"""The third fence, on request: no connection to a known service but from a call that the guard has seen.

An audit hook of the interpreter (PEP 578) hears of every name that is resolved and every connection that is made from
Python, whatever library makes it, and vetoes those to a known or listed host that are made outside of a call that a
hook released or looked at. It is a tripwire and no wall: what connects in C (uvloop's sockets, c-ares, gRPC, curl), an
address that was resolved elsewhere and a connection that is open already are not heard of.

An audit hook cannot be taken out of a process again; after `disarm` it does nothing.
"""

from __future__ import annotations

import ipaddress
import logging
import sys
import threading
from typing import Any

from guard.approvals import is_running
from guard.errors import GuardFault
from guard.facts import VLM_SERVICES
from guard.integrations.endpoints import services_at
from guard.integrations.operation import Operation
from guard.integrations.passage import passage

__all__ = ["arm", "disarm", "is_armed"]

log = logging.getLogger("guard.integrations")

_RESOLVING = frozenset({"socket.getaddrinfo", "socket.gethostbyname"})
_CONNECTING = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})

_armed = False
_is_added = False
_busy = threading.local()
_lock = threading.Lock()


def arm() -> None:
    """Vetoes connections from now on. Safe to call again."""
    global _armed, _is_added
    with _lock:
        _armed = True
        if not _is_added:
            _is_added = True
            sys.addaudithook(_heard)


def disarm() -> None:
    """Makes the hook inert."""
    global _armed
    _armed = False


def is_armed() -> bool:
    """Whether connections are vetoed."""
    return _armed


def _heard(event: str, args: tuple[Any, ...]) -> None:
    if not _armed or (event not in _CONNECTING and event not in _RESOLVING):
        return
    if getattr(_busy, "looking", False):
        return  # a log handler that writes to the network
    _busy.looking = True
    try:
        _judge(event, args)
    finally:
        _busy.looking = False


def _judge(event: str, args: tuple[Any, ...]) -> None:
    host, port = _addressed(event, args)
    services = frozenset() if host is None else services_at(host, port)
    if not services or is_running(services):
        return
    actions = (None,) if services <= VLM_SERVICES else ("identify",)
    why = f"a connection to {host} was made outside of every call that the guard has seen"
    log.error("%s; use a library that `guard doctor` lists as guarded", why)
    with passage(Operation(f"a connection to {host}", min(services), actions, broken=why)):
        raise GuardFault(why)


def _addressed(event: str, args: tuple[Any, ...]) -> tuple[str | None, int | None]:
    if event in _RESOLVING:
        port = str(args[1]) if len(args) > 1 else ""
        return _name(args[0]), int(port) if port.isdecimal() else None
    address = args[1]
    if not isinstance(address, tuple) or len(address) < 2:
        return None, None  # a Unix socket
    return _name(address[0]), address[1] if isinstance(address[1], int) else None


def _name(host: Any) -> str | None:
    if isinstance(host, (bytes, bytearray)):
        host = bytes(host).decode("ascii", "replace")
    if not isinstance(host, str) or not host:
        return None
    try:
        return str(ipaddress.ip_address(host.partition("%")[0]))
    except ValueError:
        return host.lower().rstrip(".")
