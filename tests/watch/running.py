"""A live page that runs in a thread while a test runs, clips for its feeds, and a plain client for it."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import av
import numpy as np

import guard
from guard.watch.runs import Attempt
from guard.watch.serving import Watching

IDENTIFY = Attempt("identify", "azure_openai")


def write_noise(path: Path, *, frames: int = 20, rate: int = 20, size: tuple[int, int] = (160, 120)) -> Path:
    """A clip in which something can be seen and every frame differs."""
    random = np.random.default_rng(3)
    with av.open(str(path), "w") as output:
        video = output.add_stream("libx264", rate=rate)
        video.width, video.height = size
        video.pix_fmt = "yuv420p"
        for _ in range(frames):
            picture = random.integers(60, 200, (size[1], size[0], 3), np.uint8)
            output.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        output.mux(video.encode(None))
    return path


def wait_for(met: Callable[[], Any], *, seconds: float = 20.0) -> Any:
    """What `met` gives as soon as it gives something; fails after `seconds`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := met():
            return found
        time.sleep(0.02)
    raise AssertionError(f"it never came: {met}")


@dataclass
class Page:
    """The page of a running `Watching`, and what a browser would bring along."""

    watching: Watching
    url: str
    cookie: str = ""

    @property
    def address(self) -> str:
        return urlsplit(self.url).netloc

    def ask(self, target: str, headers: Mapping[str, str] | None = None, *, method: str = "GET") -> Reply:
        """One request, with the cookie once `enter` was called."""
        sent = {"cookie": self.cookie} if self.cookie else {}
        with closing(http.client.HTTPConnection(self.address, timeout=20)) as client:
            client.request(method, target, headers=sent | dict(headers or {}))
            answer = client.getresponse()
            return Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())

    def enter(self) -> Page:
        """Exchanges the token for the cookie."""
        parts = urlsplit(self.url)
        reply = self.ask(f"{parts.path}?{parts.query}")
        self.cookie = reply.headers["set-cookie"].partition(";")[0]
        return self

    @contextmanager
    def events(self, last: str = "") -> Iterator[Iterator[dict[str, Any]]]:
        """The stream of changes, parsed; each with its id as ``"id"``."""
        with closing(http.client.HTTPConnection(self.address, timeout=20)) as client:
            client.request(
                "GET", "/events", headers={"cookie": self.cookie, **({"last-event-id": last} if last else {})}
            )
            yield _events(client.getresponse())


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes


def _events(answer: http.client.HTTPResponse) -> Iterator[dict[str, Any]]:
    id = ""
    for line in answer:
        if line.startswith(b"id: "):
            id = line[4:].decode().strip()
        elif line.startswith(b"data: "):
            yield {"id": id, **json.loads(line[6:])}


@contextmanager
def served(
    g: guard.Guard, feeds: Mapping[str, Path | str], attempts: Sequence[Attempt] = (IDENTIFY,), **options: Any
) -> Iterator[Page]:
    """A page over these feeds, at twenty frames a second, until the block ends."""
    rate = options.pop("rate", 20.0)
    watching = Watching(g, {id: str(clip) for id, clip in feeds.items()}, attempts, rate=rate)
    urls: list[str] = []
    ready = threading.Event()

    def say(url: str) -> None:
        urls.append(url)
        ready.set()

    thread = threading.Thread(target=watching.serve, args=("127.0.0.1", 0), kwargs={**options, "ready": say})
    thread.start()
    try:
        assert ready.wait(20), "the page never came up"
        yield Page(watching, urls[0])
    finally:
        watching.stop()
        thread.join(20)
    assert not thread.is_alive(), "the page did not end"
