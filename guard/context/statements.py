"""What a file says of itself against what its source declares."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from guard.context.camera import Camera
from guard.context.finding import Finding, merged
from guard.context.fix import metres_between, sustained_mps
from guard.context.makers import MOBILE, find
from guard.context.standing import Context
from guard.errors import ConfigError
from guard.facts import format_instant

if TYPE_CHECKING:
    from guard.clock import Reading
    from guard.context.metadata import FileSays
    from guard.context.track import Track

__all__ = ["camera_findings", "file_findings"]

_SAME_RECORDING: Final = timedelta(days=1)
_WALKING_MPS: Final = 2.0
"""A brisk walk. A receiver that stands still states a few tenths of it."""
_APART_M: Final = 1000.0
_STATES_NOTHING: Final = {
    "capture.at": "the file's stamp has no zone, or is of a clock that was never set, or is none",
    "place.country": "the file's location is no place on earth",
}
_SURE: Final = {"published": 0.8, "name": 0.5}
"""How much a statement weighs: anybody can write into a file, and names of products are an assumption."""


def file_findings(context: Context, says: FileSays, now: Reading) -> list[Finding]:
    """Everything that the file states of facts: mount, time, place, timing."""
    found = [*_mount(context, says), *_captured(context, says, now)]
    if says.location is not None:
        found += _place(context, says.location, "the file")
    for track in says.tracks:
        found.append(_speed(context, track))
        found += _way(context, track)
    for name, text in says.unread.items():
        found.append(Finding.compared(context.declared, name, (), 0.0, f"{_STATES_NOTHING[name]}: {text}"))
    return merged(found)


def camera_findings(camera: Camera, size: tuple[int, int] | None, fps: float | None) -> list[Finding]:
    """Size and rate as declared under ``camera`` against those of the file."""
    found = []
    # A header says nothing of pictures that are turned: those are looked at themselves.
    if camera.size is not None and size is not None and (size == camera.size or size != camera.size[::-1]):
        shown = f"{size[0]}x{size[1]}"
        declared = f"{camera.size[0]}x{camera.size[1]}"
        verdict = "agrees" if size == camera.size else "contradicted"
        found.append(Finding("camera.size", declared, (shown,), verdict, 1.0, "the size of its pictures"))  # type: ignore[arg-type]
    if camera.fps is not None and fps is not None:
        verdict = "agrees" if camera.fps / 2 <= fps <= camera.fps * 1.5 else "contradicted"
        found.append(Finding("camera.fps", camera.fps, (round(fps, 3),), verdict, 1.0, "the rate in its header"))  # type: ignore[arg-type]
    return found


def _mount(context: Context, says: FileSays) -> list[Finding]:
    maker = find(says.tags)
    if maker is None:
        return []
    evidence = f"the file names {maker.name} ({', '.join(says.tags[:3])})"
    return [Finding.compared(context.declared, "capture.mount", maker.mounts, _SURE[maker.sure], evidence)]


def _captured(context: Context, says: FileSays, now: Reading) -> list[Finding]:
    created = says.created
    if created is None:
        return []
    evidence = f"the file says that it was recorded at {format_instant(created)}"
    found = Finding.compared(context.declared, "capture.at", (created,), 0.8, evidence)
    declared = [each for each in context.declared.known("capture.at") or () if isinstance(each, datetime)]
    if any(abs(each - created) <= _SAME_RECORDING for each in declared):
        found = Finding(found.name, found.declared, found.seen, "agrees", found.confidence, evidence)
    timing = context.facts(int(created.timestamp() * 1e9), now)
    if timing is not context.effective:
        seen = ("real_time", "near_real_time")
        return [found, Finding.compared(context.declared, "use.timing", seen, 0.8, evidence)]
    return [found]


def _speed(context: Context, track: Track) -> Finding:
    """A camera that travels is one of the mobile mounts. One that stands could be any of them."""
    speed_mps = sustained_mps(track.fixes)
    seen = MOBILE if speed_mps is not None and speed_mps > _WALKING_MPS else ()
    evidence = f"its {track.name} has {len(track.fixes)} fixes"
    if speed_mps is not None:
        evidence += f", up to {speed_mps:.1f} m/s for some seconds"
    if track.unreadable:
        evidence += f", and {track.unreadable} payloads of it are unreadable"
    return Finding.compared(context.declared, "capture.mount", seen, 0.8 if seen else 0.0, evidence)


def _way(context: Context, track: Track) -> list[Finding]:
    """The places on the way, a kilometre and more apart: each country and part that it leads through counts."""
    rows: list[Finding] = []
    last = None
    for fix in track.fixes:
        if last is not None and metres_between(last, fix) < _APART_M:
            continue
        last = fix
        here = _place(context, (fix.latitude, fix.longitude), f"its {track.name}")
        known = [(row.name, row.seen) for row in rows]
        rows += [row for row in here if (row.name, row.seen) not in known]
    return rows


def _place(context: Context, point: tuple[float, float], says: str) -> list[Finding]:
    """Both sides of a border count: what is within reach of the point is possible beside what is declared."""
    from guard.context.whereabouts import whereabouts

    at = f"{says} says {point[0]:.3f}, {point[1]:.3f}"
    facts = context.declared
    try:
        found = whereabouts(*point)
    except ConfigError as error:
        return [Finding.compared(facts, "place.country", (), 0.0, f"{at}; {error}")]
    evidence = f"{at}, {found.km:g} km from {found.near}"
    rows = [Finding.compared(facts, "place.country", found.countries, 0.8, evidence)]
    if found.subdivisions:
        rows.append(Finding.compared(facts, "place.subdivision", found.subdivisions, 0.8, evidence))
    return [_both_sides(row) for row in rows]


def _both_sides(row: Finding) -> Finding:
    """Near a border a declared side is possible and so is the other."""
    if row.verdict != "agrees" or len(row.seen) == 1:
        return row
    return Finding(row.name, row.declared, row.seen, "cannot-tell", row.confidence, f"{row.evidence}, near a border")
