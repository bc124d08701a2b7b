"""A source against a clip of it: what is declared, and what the file and its pictures show."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from dataclasses import replace
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from guard.context.attesting import passport_finding
from guard.context.finding import Finding, merged, plainly
from guard.context.manifest import manifest_finding
from guard.context.seal import bind, unsealed
from guard.context.statements import camera_findings, file_findings
from guard.context.watch import mount_finding
from guard.errors import SourceError
from guard.replay.clip import BrokeOff, Clip
from guard.replay.timeline import kind_of_fault

if TYPE_CHECKING:
    from guard.source import Source
    from guard.vision.motion import Motion

__all__ = ["SECONDS", "begin", "check_source", "found_so_far", "to_json"]

SECONDS = 120.0
"""How much of a clip is looked at: forty times what a verdict on its mount takes."""

LIVE_SECONDS = 10.0
"""The same of a camera or an address, whose seconds have to be waited for."""

_ALWAYS = ("capture.mount", "capture.at", "place.country", "place.subdivision", "use.timing")


def begin(clip: Clip, source: Source, *, sealing: bool = False) -> None:
    """What is known before the first frame: whether the clip is live, what its file states, and whether it is sealed.

    A seal is not missed where the clip is about to get one (`sealing`).
    """
    context = source.context
    says = getattr(clip, "says", None)
    otherwise: list[str] = []
    if says is not None:
        context.saw(*file_findings(context, says, source.guard.clock.now()))
        found = camera_findings(source.camera, says.size, says.fps)
        context.saw(*found)
        otherwise = [
            f"its header says {row.name.partition('.')[2]} {row.seen[0]}, and {row.declared} is declared"
            for row in found
            if row.verdict == "contradicted"
        ]
    source.watch.header = "; ".join(otherwise) or None
    if not clip.live:
        attestation = source.guard.config.attestation
        asked = replace(attestation, sealed="off") if sealing else attestation
        if clip.path is not None:
            context.saw(bind(context, clip.path, asked))
            manifest = manifest_finding(context, clip.path)
            if manifest is not None:
                context.saw(manifest)
        elif asked.sealed == "required":
            context.saw(unsealed(context, asked, "what is no single file cannot be sealed"))
    if clip.live or context.live:
        context.goes_live()


def found_so_far(source: Source, mount: Finding | None = None) -> list[Finding]:
    """A finding for each attribute that is looked for, whether something was seen of it or not.

    `mount` stands for what the source's own findings say of `capture.mount`.
    """
    context, now = source.context, source.guard.clock.now()
    found = dict(context.findings)
    passport = passport_finding(context, now)
    if passport is not None:
        found["passport"] = passport
    if mount is not None:
        found["capture.mount"] = mount
    if "capture.mount" not in found:
        found["capture.mount"] = mount_finding(context, source.watch.motion)
    for name in _ALWAYS:
        if name not in found:
            found[name] = Finding.compared(context.declared, name, (), 0.0, "nothing says")
    facts = context.facts(None, now)
    return [found[name].among(facts) for name in (*_ALWAYS, *(other for other in found if other not in _ALWAYS))]


def check_source(clip: Clip, source: Source, *, sealing: bool = False) -> list[Finding]:
    """Looks at the first `SECONDS` (`LIVE_SECONDS`) of an open clip, which is closed afterwards.

    `sealing` is as in `begin`.
    Raises `SourceError` where there is no frame; a clip that breaks off is judged by what came.
    """
    faults: Counter[str] = Counter()
    broke_off: str | None = None
    frames, motion = 0, source.watch.motion
    limit_s = LIVE_SECONDS if clip.live else SECONDS
    with closing(clip):
        begin(clip, source, sealing=sealing)
        stated = source.context.findings.get("capture.mount")
        try:
            for frame in takewhile(lambda each: each.seconds <= limit_s, clip.frames()):
                frames += 1
                source.watch.clip_s = frame.seconds
                fault = source.watch.enter(frame.image, frame.captured)
                source.watch.leave(frame.image)
                motion = _weightier(motion, source.watch.motion)
                if fault is not None:
                    faults[kind_of_fault(fault)] += 1
        except BrokeOff as error:
            if not frames:
                raise
            broke_off = str(error)
    if not frames:
        raise SourceError("the clip gives no frame", where=clip.name, mend="give a video or a folder of pictures")
    shown = mount_finding(source.context, motion)
    mount = merged([shown] if stated is None else [shown, stated])
    source.context.saw(*mount, _feed(faults, frames, broke_off))
    return found_so_far(source, mount[0])


def _weightier(one: Motion, other: Motion) -> Motion:
    """A camera that moved at any time is no fixed one; one that once stood still may still be."""
    rank = ("cannot-tell", "still", "moving")
    return other if rank.index(other.state) >= rank.index(one.state) else one


def _feed(faults: Counter[str], frames: int, broke_off: str | None) -> Finding:
    if not faults and broke_off is None:
        return Finding("feed", None, (), "agrees", 1.0, f"nothing wrong in {frames} frames")
    seen = [f"{count} of {frames} frames: {what}" for what, count in faults.most_common()]
    if broke_off is not None:
        seen.append(f"after {frames} frames {broke_off}")
        faults["it broke off"] += 1
    return Finding("feed", None, tuple(faults), "contradicted", 1.0, plainly("; ".join(seen), 1000))


def to_json(source: Source, findings: list[Finding]) -> dict[str, Any]:
    """The object ``guard.source-check/1``."""
    return {
        "schema": "guard.source-check/1",
        "source": source.id,
        "attributes": [finding.to_json() for finding in findings],
    }
