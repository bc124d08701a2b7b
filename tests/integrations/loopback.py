"""A service on 127.0.0.1 that counts what reaches it: connections, requests, bytes, bodies."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

__all__ = ["Answer", "Arrived", "CountingServer", "counting_server"]


@dataclass(frozen=True)
class Answer:
    """What the service says: bytes as they are, anything else as JSON."""

    body: Any = field(default_factory=dict)
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    def content(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


@dataclass(frozen=True)
class Arrived:
    """One request."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class CountingServer:
    """Answers every request with `answer`, an `Answer` or a function of the `Arrived` request that gives one.

    Attributes:
        connections: how many were opened.
        bytes: how many arrived, headers included.
        arrived: the requests, oldest first.
    """

    def __init__(self, answer: Answer | Callable[[Arrived], Answer]) -> None:
        self.answer = answer
        self.connections = 0
        self.bytes = 0
        self.arrived: list[Arrived] = []
        self.host = ""
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    @property
    def requests(self) -> int:
        return len(self.arrived)

    @property
    def bodies(self) -> list[bytes]:
        return [request.body for request in self.arrived]

    def clear(self) -> None:
        with self._lock:
            self.connections = self.bytes = 0
            self.arrived.clear()

    def assert_untouched(self) -> None:
        assert (self.connections, self.requests, self.bytes) == (0, 0, 0)


class _Counted:
    """A connection's stream of arriving bytes."""

    def __init__(self, stream: Any, server: CountingServer) -> None:
        self._stream = stream
        self._server = server

    def _count(self, data: bytes) -> bytes:
        with self._server._lock:
            self._server.bytes += len(data)
        return data

    def readline(self, *size: int) -> bytes:
        return self._count(self._stream.readline(*size))

    def read(self, *size: int) -> bytes:
        return self._count(self._stream.read(*size))

    def close(self) -> None:
        self._stream.close()

    @property
    def closed(self) -> bool:
        return bool(self._stream.closed)


def _handler(counted: CountingServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # one packet an answer: several would wait for each other's acknowledgement
        timeout = 20

        def setup(self) -> None:
            super().setup()
            with counted._lock:
                counted.connections += 1
            self.rfile: Any = _Counted(self.rfile, counted)

        def serve(self) -> None:
            body = self._chunks() if "chunked" in self.headers.get("Transfer-Encoding", "") else self._whole()
            request = Arrived(self.command, self.path, dict(self.headers.items()), body)
            with counted._lock:
                counted.arrived.append(request)
            answer = counted.answer(request) if callable(counted.answer) else counted.answer
            content = answer.content()
            self.send_response(answer.status)
            for name, value in {"Content-Type": "application/json", **answer.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
            self.wfile.flush()

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = serve

        def _whole(self) -> bytes:
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))

        def _chunks(self) -> bytes:
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
            return b"".join(parts)

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


@contextmanager
def counting_server(answer: Answer | Callable[[Arrived], Answer] | None = None) -> Iterator[CountingServer]:
    """Runs the service while the block runs; `answer` may be changed meanwhile."""
    counted = CountingServer(answer or Answer())
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(counted))
    server.daemon_threads = True
    server.block_on_close = False
    counted.host = f"127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield counted
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
