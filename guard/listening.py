"""What the servers share: a listening socket that answers at once, and a uvicorn whose signals are its owner's."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import uvicorn

__all__ = ["Server", "tcp_socket"]


class Server(uvicorn.Server):
    """One listener; the signals belong to whoever runs it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def tcp_socket(address: tuple[str, int]) -> socket.socket:
    """A socket that listens on host and port. Raises `OSError`."""
    # asyncio turns Nagle's algorithm off only where the protocol is named, which `socket.create_server` does not do: an
    # answer in two pieces would wait 40 ms for the client's acknowledgement.
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
    except OSError:
        made.close()
        raise
    made.listen(512)
    return made
