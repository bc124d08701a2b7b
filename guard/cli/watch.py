"""`guard watch`: feeds go through the guard, and a page on this machine shows what came of it."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from guard._imports import native
from guard.cli.options import ConfigPath, Json, wrong_option
from guard.cli.output import print_json
from guard.cli.reloading import reload_on_hangup
from guard.errors import GuardError
from guard.guard import load

if TYPE_CHECKING:
    from guard.guard import Guard

__all__ = ["watch"]

PORT = 8470
MOST_A_SECOND = 100.0


def watch(
    config: ConfigPath,
    feed: Annotated[
        list[str] | None,
        typer.Option(metavar="ID=CLIP", help="What a source shows: a file, folder, camera or address. Repeatable."),
    ] = None,
    action: Annotated[list[str] | None, typer.Option(help="What is tried on every frame. Repeatable.")] = None,
    service: Annotated[
        list[str] | None, typer.Option(help="At which service it is tried, as for replay. Repeatable.")
    ] = None,
    rate: Annotated[
        float | None, typer.Option(help="Frames analysed a second, at most, instead of each source's analyse_per_s.")
    ] = None,
    host: Annotated[str, typer.Option(help="Where to listen; beyond this machine the token is a must.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 is any port that is free.")] = PORT,
    no_token: Annotated[bool, typer.Option("--no-token", help="Let every user of this machine read it.")] = False,
    json: Json = False,
) -> None:
    """Runs the guard over live feeds and serves a page that shows them, until Ctrl-C; SIGHUP reads the policy again.

    Calls reach a stand-in that only counts. Pictures on the page have their faces covered.
    """
    with native("uvicorn", extra="watch"):
        from guard.watch.access import is_loopback
        from guard.watch.choosing import attempts_of, feeds_of
        from guard.watch.serving import Watching

    if no_token and not is_loopback(host):
        raise GuardError(
            "without a token only this machine may reach the page", where="--no-token", mend="leave it out"
        )
    if rate is not None and not 0.01 <= rate <= MOST_A_SECOND:
        raise GuardError(f"{rate:g} cannot be used here", where="--rate", mend="write a number from 0.01 to 100")
    asked = dict(_named(each) for each in feed or ())
    with _logging(), load(config) as guard:
        with wrong_option("--feed"):
            feeds = feeds_of(guard, asked)
        with wrong_option("--action, --service"):
            attempts = attempts_of(guard, action or (), service or ())
        watching = Watching(guard, feeds, attempts, rate=rate)
        _warn(guard, feeds, host=host, reachable=not is_loopback(host))
        with reload_on_hangup(guard):
            watching.serve(host, port, with_token=not no_token, ready=lambda url: _say_ready(url, feeds, as_json=json))


def _named(feed: str) -> tuple[str, str]:
    id, equals, clip = feed.partition("=")
    if not equals or not clip:
        raise GuardError(f"{feed!r} names no feed", where="--feed", mend="write --feed SOURCE=clip.mp4")
    return id, clip


def _warn(guard: Guard, feeds: Mapping[str, str], *, host: str, reachable: bool) -> None:
    if guard.mode == "shadow":
        _say("SHADOW MODE: verdicts are recorded and not enforced, every call is made")
    if reachable:
        _say(f"WARNING: other machines can reach {host}, and the page is not encrypted; the token lets in who has it")
    unwatched = [id for id in guard.sources if id not in feeds]
    if unwatched:
        _say(f"note: no feed, so not watched: {', '.join(unwatched)}")


def _say_ready(url: str, feeds: Mapping[str, str], *, as_json: bool) -> None:
    if as_json:
        said: dict[str, Any] = {"schema": "guard.watch/1", "url": url, "sources": list(feeds)}
        print_json(said)
    else:
        print(f"watching {len(feeds)} {'source' if len(feeds) == 1 else 'sources'}: {url}", flush=True)


def _say(text: str) -> None:
    print(f"guard: {text}", file=sys.stderr, flush=True)


class _Seldom(logging.Filter):
    """Lets a message pass once in `EVERY_S` for each source: what fails on every frame stands on the page."""

    EVERY_S = 30.0

    def __init__(self) -> None:
        super().__init__()
        self._due_s: dict[Any, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        key = (record.msg, record.args[0] if isinstance(record.args, tuple) and record.args else None)
        if self._due_s.get(key, 0.0) > record.created:
            return False
        self._due_s[key] = record.created + self.EVERY_S
        return True


@contextmanager
def _logging() -> Iterator[None]:
    """Inside, warnings of the guard go to stderr, a line each."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("guard: %(message)s"))
    handler.setLevel(logging.WARNING)
    handler.addFilter(_Seldom())
    logger = logging.getLogger("guard")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
