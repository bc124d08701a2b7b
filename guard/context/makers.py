"""Who makes cameras that are worn, driven or flown, by what their files say of themselves.

A short table, and no complete one: most recorders name nobody, and what one names can be written by anybody. So an
entry can contradict a declared mount, and no missing entry can confirm one. `sure` says how an entry is known:
``published`` where printouts of that maker's files are public, ``name`` where only the product's name is known, and
that it stands in the file in these words is an assumption.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

__all__ = ["MAKERS", "MOBILE", "Maker", "find"]

MOBILE: Final = ("body_worn", "vehicle", "handheld", "drone")


@dataclass(frozen=True, slots=True)
class Maker:
    """A maker or line of products.

    Attributes:
        name: for people.
        words: what a tag begins with, lower case.
        mounts: how such cameras are carried.
        source: where the words were read.
    """

    name: str
    words: tuple[str, ...]
    mounts: tuple[str, ...]
    sure: Literal["published", "name"]
    source: str


MAKERS: Final = (
    Maker(
        "GoPro",
        ("gopro",),
        MOBILE,
        "published",
        'printouts of ffprobe in public issue threads: handler_name "GoPro AVC", encoder "GoPro AVC encoder"',
    ),
    Maker(
        "DJI",
        ("dji",),
        ("drone", "handheld", "body_worn"),
        "name",
        "product lines: drones, gimbals held in the hand, action cameras",
    ),
    Maker("Apple iPhone", ("iphone",), ("handheld",), "name", "com.apple.quicktime.model of a telephone"),
    Maker("Axon Body", ("axon body", "axon flex"), ("body_worn",), "name", "Axon's product names: Body 2, 3, 4, Flex"),
    Maker("Axon Fleet", ("axon fleet",), ("vehicle",), "name", "Axon's product names: Fleet 2, 3"),
    Maker(
        "Motorola V", ("v300", "v500", "watchguard vista"), ("body_worn",), "name", "Motorola Solutions' product names"
    ),
    Maker("Garmin Dash Cam", ("garmin dash",), ("vehicle",), "name", "Garmin's product names"),
    Maker("Nextbase", ("nextbase",), ("vehicle",), "name", "Nextbase makes dash cams only"),
    Maker("Viofo", ("viofo",), ("vehicle",), "name", "Viofo makes dash cams only"),
)


def find(tags: Iterable[str]) -> Maker | None:
    """The maker that one of the tags (make, model, handler, encoder) names; None where none is known."""
    for tag in tags:
        plain = tag.strip().casefold()
        for maker in MAKERS:
            if plain.startswith(maker.words):
                return maker
    return None
