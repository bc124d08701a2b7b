"""The page over HTTP: its files, the stream of what changes, the pictures, and one source in detail."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from guard.watch.access import Access, Rules
from guard.watch.detail import detail

if TYPE_CHECKING:
    from guard.guard import Guard
    from guard.watch.board import Board

__all__ = ["MOST_STREAMS", "page_app"]

MOST_STREAMS = 16
"""Browsers that may look on at once."""

EVERY_S = 0.25
_QUIET_S = 10.0
_DIGITS = 18
"""No version of the board has more."""

_KINDS = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}


def page_app(guard: Guard, board: Board, rules: Rules) -> Starlette:
    """The ASGI application.

    ========================  ==================================================================================
    ``GET /``                 the page; ``?token=`` lets a browser in
    ``GET /static/NAME``      its style sheet and scripts
    ``GET /events``           server-sent events: what changed, a few times a second
    ``GET /sources/ID``       one source in detail, JSON
    ``GET /pictures/ID``      its small picture, JPEG, faces covered; 404 where there is none
    ========================  ==================================================================================
    """
    pages = _Pages(guard, board)
    routes = [
        Route("/", pages.front),
        Route("/static/{name}", pages.static),
        Route("/events", pages.events),
        Route("/sources/{id:path}", pages.source),
        Route("/pictures/{id:path}", pages.picture),
    ]
    return Starlette(routes=routes, middleware=[Middleware(Access, rules=rules)])


class _Pages:
    def __init__(self, guard: Guard, board: Board) -> None:
        self._guard = guard
        self._board = board
        # A number of one run of the server says nothing to the next one.
        self._boot = secrets.token_hex(4)
        folder = files("guard.watch") / "static"
        self._files = {each.name: each.read_bytes() for each in folder.iterdir() if each.is_file()}

    async def front(self, request: Request) -> Response:
        return self._file("watch.html")

    async def static(self, request: Request) -> Response:
        return self._file(request.path_params["name"])

    def _file(self, name: str) -> Response:
        if name not in self._files:
            return _missing("there is no such file")
        return Response(self._files[name], media_type=_KINDS[name.rpartition(".")[2]])

    async def picture(self, request: Request) -> Response:
        try:
            data = self._board.picture(request.path_params["id"])
        except KeyError:
            return _missing("there is no such source")
        return _missing("there is no picture") if data is None else Response(data, media_type="image/jpeg")

    def source(self, request: Request) -> Response:
        """In a thread of its own: what would lift a denial takes milliseconds to find."""
        id = request.path_params["id"]
        if id not in self._board.ids:
            return _missing("there is no such source")
        found = detail(self._guard.source(id), self._board.latest(id))
        return Response(msgspec.json.encode(found), media_type="application/json")

    async def events(self, request: Request) -> Response:
        if self._board.viewers >= MOST_STREAMS:
            return PlainTextResponse(f"guard watch: {MOST_STREAMS} browsers look on already\n", 503)
        boot, _, version = request.headers.get("last-event-id", "").partition("-")
        known = int(version) if boot == self._boot and version.isdecimal() and len(version) <= _DIGITS else 0
        return StreamingResponse(self._changes(known), media_type="text/event-stream")

    async def _changes(self, version: int) -> AsyncIterator[bytes]:
        """What changed, as events, until the server stops or the browser goes away.

        A browser that does not read holds up this generator and nothing else; when it reads again it gets what is so
        then.
        """
        quiet_s = 0.0
        if self._board.viewers >= MOST_STREAMS:  # several that came at once were all let through
            return
        with self._board.viewer():
            while not self._board.closed:
                found = self._board.since(version)
                if found["tiles"] or found["runs"] or not version:
                    version = found["version"]
                    yield self._event(found)
                    quiet_s = 0.0
                elif quiet_s >= _QUIET_S:
                    yield b": nothing new\n\n"
                    quiet_s = 0.0
                await asyncio.sleep(EVERY_S)
                quiet_s += EVERY_S

    def _event(self, found: dict[str, Any]) -> bytes:
        said = {**found, "boot": self._boot, "mode": self._guard.mode, "policy": self._guard.policy_digest}
        return b"id: %s-%d\ndata: %s\n\n" % (self._boot.encode(), found["version"], msgspec.json.encode(said))


def _missing(why: str) -> Response:
    return PlainTextResponse(f"guard watch: {why}\n", 404)
