"""What is watched, and which calls are tried: what the file says, and what somebody asks for instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from guard.errors import ConfigError, SourceError
from guard.replay.clip import is_address, is_camera
from guard.source import check_action
from guard.watch.runs import Attempt

if TYPE_CHECKING:
    from guard.guard import Guard

__all__ = ["attempts_of", "feeds_of", "located"]


def feeds_of(guard: Guard, asked: Mapping[str, str]) -> dict[str, str]:
    """What to open for each source that is watched, by its id.

    Args:
        guard: whose `[watch] feeds` count, relative to its file.
        asked: feeds that count for more, relative to the current folder.

    Raises `ConfigError` for a source that there is not and where none has a feed, `SourceError` for a file that is
    not there: a camera or an address may come up later, a wrong path is a slip of the pen.
    """
    for id in asked:
        guard.source(id)
    said = {id: located(clip, guard.config.path.parent) for id, clip in guard.config.watch.feeds.items()}
    feeds = said | {id: located(clip, Path.cwd()) for id, clip in asked.items()}
    if not feeds:
        raise ConfigError(
            "no source has a feed",
            where=guard.config.path.name,
            mend=f"add {next(iter(guard.sources))}=clip.mp4, or write feeds under [watch] of {guard.config.path.name}",
        )
    for id, clip in feeds.items():
        if not (is_address(clip) or is_camera(clip) or Path(clip).exists()):
            raise SourceError(
                "there is no such clip", where=f"{id}={clip}", mend="name a file, a folder, a camera or an address"
            )
    return feeds


def located(feed: str, folder: Path) -> str:
    """What to open: an address or a camera as it is, a path relative to `folder`."""
    return feed if is_address(feed) or is_camera(feed) else str(folder / Path(feed).expanduser())


def attempts_of(guard: Guard, actions: Sequence[str], services: Sequence[str]) -> list[Attempt]:
    """Every action at every service; where none are given, those of `[watch]`.

    Raises `ConfigError` for a word that is not known.
    """
    said = guard.config.watch
    for action in actions:
        check_action(action)
    for service in services:
        guard.resolve_service(service)
    return [Attempt(action, service) for service in services or said.services for action in actions or said.actions]
