"""The timeline: faces, verdicts and events over the clip, under one slider that the keyboard moves too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

from guard.report.html import clock, plural
from guard.report.record import Record
from guard.report.stretches import OUTCOMES, Stretch, words

__all__ = ["lanes"]

_WIDTH: Final = 1000
_HEIGHT: Final = 100
_FINEST: Final = 400
"""The slider has at most so many places, so that a key press moves it by something that can be seen."""

_TOP: Final = {"allow": 70, "redact": 35, "deny": 0, "fault": 0}
"""Where the bar of each outcome begins: the graver the higher, so that it reads without colour."""


def lanes(record: Record, rows: Sequence[Stretch]) -> str:
    """Three lanes under a slider, the time below them, and what is at the place of the slider in words."""
    seconds = max(record.seconds, 0.001)
    most = _most_faces(record)
    pictures = (
        (f"Faces<br>0 to {most}" if most else "Faces", _svg(_faces(record, seconds, most), _faces_in_words(record))),
        ("Calls", _svg(_calls(rows, seconds), _calls_in_words(record))),
        ("Events", _svg(_events(record, seconds), _events_in_words(record))),
    )
    made = "".join(f'<div class="lane"><span>{name}</span>{picture}</div>' for name, picture in pictures)
    step = max(seconds / max(record.frames, 1), seconds / _FINEST)
    times = "".join(f"<span>{clock(seconds * part / 4)}</span>" for part in range(5))
    return (
        f'<div class="timeline">{made}<div class="track screen"><span id="head"></span>'
        f'<input id="place" type="range" min="0" max="{seconds:.3f}" step="{step:.4f}" value="0" '
        f'aria-label="Place in the clip" aria-valuetext="{clock(0)}"></div></div>\n'
        f'<div class="times" aria-hidden="true">{times}</div>\n'
        f'<p id="now" class="screen"></p>\n{_legend(record, rows)}'
    )


def _svg(shapes: Iterator[str], words: str) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" preserveAspectRatio="none" role="img" aria-label="{words}">'
        f"{''.join(shapes)}</svg>"
    )


def _most_faces(record: Record) -> int:
    return max((step.faces or 0 for step in record.steps), default=0)


def _faces(record: Record, seconds: float, most: int) -> Iterator[str]:
    """A bar for each run of steps with the same number of faces; its height is that number, of `most`."""
    begins = [0]
    begins += [at for at, (one, two) in enumerate(pairwise(record.steps), start=1) if one.faces != two.faces]
    for first, last in pairwise([*begins, len(record.steps)]):
        step = record.steps[first]
        end_s = record.steps[last].at_s if last < len(record.steps) else seconds
        if step.faces is None:
            yield _rect("unknown", step.at_s, end_s, seconds, 0)
        elif step.faces:
            yield _rect("faces", step.at_s, end_s, seconds, round(_HEIGHT * (1 - step.faces / most)))


def _calls(rows: Sequence[Stretch], seconds: float) -> Iterator[str]:
    for number, row in enumerate(rows):
        yield _rect(row.outcome, row.begin_s, row.end_s, seconds, _TOP[row.outcome], f' data-stretch="{number}"')


def _events(record: Record, seconds: float) -> Iterator[str]:
    """A bar where frames could not be judged, a notch where something was contradicted."""
    since: float | None = None
    for event in record.events:
        if event.kind == "contradicted":
            yield _rect("contradicted", event.at_s, event.at_s + seconds / 200, seconds, 0)
        elif event.kind == "unjudged" and since is None:
            since = event.at_s
        elif event.kind == "judged" and since is not None:
            yield _rect("unjudged", since, event.at_s, seconds, 50)
            since = None
    if since is not None:
        yield _rect("unjudged", since, seconds, seconds, 50)


def _rect(kind: str, begin_s: float, end_s: float, seconds: float, top: int, more: str = "") -> str:
    begin, end = (min(_WIDTH, _WIDTH * at / seconds) for at in (begin_s, end_s))
    width = max(end - begin, 0.5)
    return f'<rect class="{kind}" x="{begin:.2f}" y="{top}" width="{width:.2f}" height="{_HEIGHT - top}"{more}/>'


def _faces_in_words(record: Record) -> str:
    seen = f"{plural(record.frames_with_faces, 'frame')} of {record.frames:,} with faces"
    return f"Faces over time: {seen}, at most {_most_faces(record)} in one frame"


def _calls_in_words(record: Record) -> str:
    total = {name: sum(step.outcomes.get(name, 0) for step in record.steps) for name in OUTCOMES}
    said = ", ".join(f"{count:,} {words(record)[name]}" for name, count in total.items() if count)
    return f"Calls over time: {said}. The table below lists the stretches"


def _events_in_words(record: Record) -> str:
    number = len(record.events) + record.more_events
    return f"Events over time: {plural(number, 'event')}" + (". The table below lists them" if number else "")


def _legend(record: Record, rows: Sequence[Stretch]) -> str:
    said = words(record)
    items = "".join(
        f'<li><svg viewBox="0 0 10 {_HEIGHT}" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="{name}" y="{_TOP[name]}" width="10" height="{_HEIGHT - _TOP[name]}"/></svg>{said[name]}</li>'
        for name in OUTCOMES
        if any(row.outcome == name for row in rows)
    )
    return f'<ul class="legend">{items}</ul>'
