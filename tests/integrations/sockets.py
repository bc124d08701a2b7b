"""A websocket service on 127.0.0.1 that counts what reaches it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

__all__ = ["CountingSocket", "counting_socket"]


@dataclass
class CountingSocket:
    """Answers each message with `answer`, a function of the message's JSON; None answers nothing, a number closes.

    Attributes:
        url: ``ws://127.0.0.1:PORT``.
        paths: of the connections, oldest first.
        messages: what arrived, as it arrived.
    """

    answer: Callable[[Any], Any] | None
    url: str = ""
    paths: list[str] = field(default_factory=list)
    messages: list[str | bytes] = field(default_factory=list)

    def wait_for(self, count: int) -> list[Any]:
        """The JSON of the messages, once there are as many."""
        for _ in range(500):
            if len(self.messages) >= count:
                break
            threading.Event().wait(0.01)
        return [json.loads(message) for message in self.messages]


@contextmanager
def counting_socket(answer: Callable[[Any], Any] | None = None) -> Iterator[CountingSocket]:
    """Runs the service while the block runs."""
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.server import serve

    counted = CountingSocket(answer)

    def handle(connection: Any) -> None:
        counted.paths.append(connection.request.path)
        try:
            for message in connection:
                counted.messages.append(message)
                reply = counted.answer(json.loads(message)) if counted.answer else None
                if isinstance(reply, int):
                    connection.close(reply)
                    return
                if reply is not None:
                    connection.send(json.dumps(reply))
        except ConnectionClosed:
            return

    with serve(handle, "127.0.0.1", 0) as server:
        counted.url = f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield counted
        finally:
            server.shutdown()
            thread.join()
