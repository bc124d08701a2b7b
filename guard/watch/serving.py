"""All of it: the feeds, the guard, and the page, until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import uvicorn

from guard.errors import GuardError
from guard.listening import Server, tcp_socket
from guard.scheduling.scheduler import Scheduler, cores
from guard.watch.access import Rules
from guard.watch.analysing import Analyst
from guard.watch.app import page_app
from guard.watch.board import Board
from guard.watch.feeds import Feed, Standing
from guard.watch.runs import Attempt
from guard.watch.tile import Tile

if TYPE_CHECKING:
    from guard.frames import Seen
    from guard.guard import Guard
    from guard.replay.clip import Clip, Frame
    from guard.source import Source

__all__ = ["Watching"]

MOST_CONNECTIONS = 256
_STOP_S = 3.0
_POLL_S = 0.02


class Watching:
    """A guard over live feeds, and the page that shows them.

    Args:
        guard: a loaded guard.
        feeds: what to open for each source that is watched, by its id.
        attempts: the calls that are tried on every frame that is analysed.
        rate: frames of a source that are analysed a second, at most; None for what the file says of each.

    Attributes:
        board: what is known now.
        analysts: what takes each source's frames, by its id.

    Raises `ConfigError` for a source or a call that there is not.
    """

    def __init__(
        self, guard: Guard, feeds: Mapping[str, str], attempts: Sequence[Attempt], *, rate: float | None = None
    ) -> None:
        self._guard = guard
        sources = {id: guard.source(id) for id in feeds}
        for source in sources.values():
            source.analyse_per_s = rate or source.analyse_per_s
        # Twice as many frames as are analysed are enough for one to be new whenever its turn comes.
        self._feeds = {id: Feed(clip, every_s=0.5 / sources[id].analyse_per_s) for id, clip in feeds.items()}
        self.board = Board(
            {
                id: Tile(feed.name, tuple(attempts), partial(_standing, feed, sources[id]))
                for id, feed in self._feeds.items()
            }
        )
        self.analysts = {id: Analyst(id, source, attempts, self.board) for id, source in sources.items()}
        self._scheduler: Scheduler | None = None
        self._server: Server | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Opens the feeds and analyses what they show, without a page."""
        _ = self._guard.detector  # one that cannot be had is said now, once
        workers = min(len(self._feeds), cores())
        self._scheduler = scheduler = Scheduler(self._guard, self._handle, workers=workers)
        for id, feed in self._feeds.items():
            feed.start(partial(self._begin, scheduler, id), partial(_offer, scheduler, id))

    def _begin(self, scheduler: Scheduler, id: str, clip: Clip) -> None:
        """A clip begins once no frame of the one before is on its way: its time stamps would seem to run backwards."""
        while _on_its_way(scheduler, id):
            time.sleep(_POLL_S)
        self.analysts[id].begin(clip)

    def _handle(self, seen: Seen, source: Source) -> None:
        self.analysts[str(source.id)].handle(seen)

    def close(self) -> None:
        """Lets go of the feeds. A frame that is being analysed is finished first."""
        for feed in self._feeds.values():
            feed.stop()
        end_s = time.monotonic() + _STOP_S
        for feed in self._feeds.values():
            feed.join(max(0.0, end_s - time.monotonic()))
        if self._scheduler is not None:
            self._scheduler.close()

    def serve(
        self,
        host: str,
        port: int,
        *,
        with_token: bool = True,
        ready: Callable[[str], None] = lambda url: None,
    ) -> None:
        """Serves the page until SIGTERM or SIGINT, or `stop`; `start` and `close` are called by it.

        Args:
            host, port: where to listen; port 0 is any that is free.
            with_token: see `Rules`.
            ready: called with the page's address once it can be opened.

        Raises `GuardError` where the address cannot be had.
        """
        try:
            bound = tcp_socket((host, port))
        except OSError as error:
            raise GuardError(
                f"this address cannot be had: {error.strerror or error}",
                where=f"{host}:{port}",
                mend="free it, or name another --port",
            ) from None
        with contextlib.closing(bound):
            rules = Rules(host, bound.getsockname()[1], with_token=with_token)
            self.start()
            try:
                asyncio.run(self._serve(bound, rules, partial(ready, _url(bound, rules))))
            finally:
                self.close()

    def stop(self) -> None:
        """Asks the page to end; from any thread."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended by itself
                self._loop.call_soon_threadsafe(self._stop)

    def _stop(self) -> None:
        self.board.close()
        if self._server is not None:
            self._server.should_exit = True

    async def _serve(self, bound: socket.socket, rules: Rules, ready: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._loop.add_signal_handler(number, self._stop)
        settings = uvicorn.Config(
            page_app(self._guard, self.board, rules),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,  # the first request's line would hold the token
            proxy_headers=False,
            server_header=False,
            limit_concurrency=MOST_CONNECTIONS,
            timeout_graceful_shutdown=2,
        )
        self._server = server = Server(settings)
        running = asyncio.create_task(server.serve(sockets=[bound]))
        while not server.started and not running.done():
            await asyncio.sleep(0.01)
        if server.started:
            ready()
        await running


def _on_its_way(scheduler: Scheduler, id: str) -> bool:
    """Whether a frame of that source waits for its turn, or is being handled."""
    found = scheduler.statistics()[id]
    return found.offered > found.analysed + found.late + found.dropped


def _offer(scheduler: Scheduler, id: str, frame: Frame) -> None:
    scheduler.offer(id, frame.image, at=frame.captured, index=frame.index)


def _standing(feed: Feed, source: Source) -> Standing:
    """How the feed is doing; one whose pictures stand still, repeat or show nothing is as good as stalled."""
    standing = feed.standing()
    if standing.state == "running" and source.watch.fault is not None:
        return Standing("stalled", source.watch.fault)
    return standing


def _url(bound: socket.socket, rules: Rules) -> str:
    host, port = bound.getsockname()[:2]
    shown = socket.gethostname() if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}/" + (f"?token={rules.token}" if rules.token else "")
