"""Which files a sweep takes up, one after the other, however many there are."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from guard.errors import SourceError
from guard.replay.suffixes import VIDEOS

__all__ = ["clips"]


def clips(paths: Iterable[Path], *, leave_out: Path) -> Iterator[Path | SourceError]:
    """The clips among `paths`, absolute, folders searched below in the order of their names.

    A file that is named is taken whatever it is called; in a folder, those with the suffix of a video are. Hidden files
    and folders, everything in `leave_out`, and links to folders are passed over (so there are no loops), links to files
    are followed. A folder that cannot be read, and a path that is not there, is given as an error among the clips.
    Holds one folder's names at a time for each level.
    """
    out = leave_out.resolve()
    for path in paths:
        path = path.absolute()
        if path.is_dir():
            yield from _below(path, out)
        elif path.exists():
            yield path
        else:
            yield SourceError("there is no such file or folder", where=str(path), mend="check the path")


def _below(folder: Path, out: Path) -> Iterator[Path | SourceError]:
    if folder.resolve() == out:
        return
    try:
        with os.scandir(folder) as entries:
            found = sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda each: each.name)
    except OSError as error:
        yield SourceError(
            f"the folder cannot be read: {error.strerror}", where=str(folder), mend="check its permissions"
        )
        return
    for entry in found:
        if entry.is_dir(follow_symlinks=False):
            yield from _below(folder / entry.name, out)
        elif os.path.splitext(entry.name)[1].lower() in VIDEOS and _is_clip(entry):
            yield folder / entry.name


def _is_clip(entry: os.DirEntry[str]) -> bool:
    """A pipe or a device would never end; a link that leads nowhere is a clip that cannot be read."""
    return entry.is_file() or (entry.is_symlink() and not os.path.exists(entry.path))
