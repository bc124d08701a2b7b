"""The clip itself: the redacted film, its timeline on which one can seek, and what happened when."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

from guard.policy.pages import code
from guard.report.html import clock, plural, section, table
from guard.report.lanes import lanes
from guard.report.record import Record
from guard.report.stretches import OUTCOMES, Stretch, stretches, words

__all__ = ["player"]

_MOST_ROWS: Final = 300
"""A page with more rows than these is no longer read; what is left out is said."""

_EVENTS: Final = {
    "contradicted": "not as declared",
    "unjudged": "frames cannot be judged",
    "judged": "frames can be judged",
}


def player(record: Record, film: bytes | None) -> str:
    """The section; empty for a run without a frame. `film` is the MP4 that `record.film` speaks of."""
    if not record.steps:
        return ""
    rows = stretches(record.steps, record.seconds)
    numbers = {each.reason.rule: number for number, each in enumerate(record.reasons, start=1)}
    return section(
        "clip",
        "The clip",
        _film(record, film),
        lanes(record, rows),
        _filters(record, rows),
        _stretches(record, rows, numbers),
        _remembered(record),
        _events(record),
        _data(record, rows),
    )


def _film(record: Record, film: bytes | None) -> str:
    if film is None or record.film is None:
        return '<p class="soft">There is no film of this run; the timeline is complete.</p>'
    return (
        f'<video id="film" controls muted playsinline preload="auto" width="{record.film.width}" '
        f'height="{record.film.height}" aria-label="The clip, every detected face hidden" '
        f'src="data:video/mp4;base64,{b64encode(film).decode()}"></video>\n'
        f'<p class="soft screen">{_about(record)}</p>'
    )


def _about(record: Record) -> str:
    film = record.film
    if film is None:
        return ""
    said = (
        f"Every face that was detected is hidden, whatever the verdict, also shortly before and after; a face that the "
        f"detector missed may be seen. {film.width} x {film.height} pixels, no sound"
    )
    if film.frames < film.of_frames:
        said += f"; so that it fits into this page, {film.frames:,} of its {film.of_frames:,} frames are shown"
    return f"{said}."


def _filters(record: Record, rows: Sequence[Stretch]) -> str:
    met = [name for name in OUTCOMES if any(row.outcome == name for row in rows)]
    boxes = "".join(
        f'<label><input type="checkbox" name="outcome" value="{name}" checked> {words(record)[name]}</label>'
        for name in met
    )
    rules = "".join(
        f'<option value="{number}">{escape(each.reason.rule)}</option>'
        for number, each in enumerate(record.reasons, start=1)
    )
    choice = f'<label>Rule <select id="rule"><option value="">any</option>{rules}</select></label>' if rules else ""
    return (
        f'<fieldset class="filters screen"><legend>Show these stretches</legend>{boxes}{choice}'
        f'<span id="shown" role="status">{_all(len(rows))}</span></fieldset>'
    )


def _all(number: int) -> str:
    return f"{plural(number, 'stretch', 'stretches')}, all shown"


def _stretches(record: Record, rows: Sequence[Stretch], numbers: Mapping[str, int]) -> str:
    shown = rows[:_MOST_ROWS]
    left = len(rows) - len(shown)
    head = ("from", "to", "faces in a frame", "what became of the calls", "rules that forbade")
    title = "What became of the calls, stretch by stretch"
    made = table(
        title,
        head,
        [
            (_seek(row.begin_s), clock(row.end_s), escape(_faces(row)), _outcomes(record, row), _rules(row, numbers))
            for row in shown
        ],
        attributes=[f'data-outcome="{row.outcome}" data-rules="{_numbers(row, numbers)}"' for row in shown],
    )
    made = f'<div id="stretches" class="long" tabindex="0" role="region" aria-label="{title}">{made}</div>'
    if left:
        made += f"<p>{plural(left, 'later stretch', 'later stretches')} not listed; the timeline shows them.</p>"
    return made


def _remembered(record: Record) -> str:
    """Why calls were redacted where the table says that no face was detected."""
    if not any(step.faces == 0 and step.outcomes.get("redact") for step in record.steps):
        return ""
    return (
        '<p class="soft">A face that was detected a moment ago counts, too: a call can be redacted in a frame in which '
        "none was detected.</p>"
    )


def _events(record: Record) -> str:
    if not record.events:
        return ""
    rows = [(_seek(event.at_s), _EVENTS[event.kind], escape(event.what)) for event in record.events]
    more = f"<p>{plural(record.more_events, 'later event')} not listed.</p>" if record.more_events else ""
    return table("What was seen on the way", ("at", "event", "what"), rows) + more


def _seek(at_s: float) -> str:
    return f'<button type="button" data-seek="{at_s:.3f}" aria-label="Go to {clock(at_s)}">{clock(at_s)}</button>'


def _faces(row: Stretch) -> str:
    if row.most is None:
        return "unknown"
    known = f"{row.most}" if row.fewest == row.most else f"{row.fewest} to {row.most}"
    return f"{known}, unknown in {row.unknown:,}" if row.unknown else known


def _outcomes(record: Record, row: Stretch) -> str:
    said = ", ".join(f"{row.outcomes[name]:,} {words(record)[name]}" for name in OUTCOMES if row.outcomes.get(name))
    return f'<span class="mark {row.outcome}">{said}</span>'


def _rules(row: Stretch, numbers: Mapping[str, int]) -> str:
    return (
        ", ".join(f'<a href="#rule-{numbers[rule]}">{code(rule)}</a>' for rule in row.rules if rule in numbers)
        or "none"
    )


def _numbers(row: Stretch, numbers: Mapping[str, int]) -> str:
    return " ".join(str(numbers[rule]) for rule in row.rules if rule in numbers)


def _data(record: Record, rows: Sequence[Stretch]) -> str:
    """What the script needs: where each step begins, its faces (null = unknown), and which stretch it is in."""
    data: dict[str, Any] = {"seconds": round(record.seconds, 6), "steps": [], "stretches": []}
    at = 0
    for step in record.steps:
        while at + 1 < len(rows) and rows[at + 1].begin_s <= step.at_s:
            at += 1
        data["steps"].append([round(step.at_s, 3), step.faces, at])
    for row in rows:
        more = f" and {plural(len(row.rules) - 1, 'other rule')}" if len(row.rules) > 1 else ""
        data["stretches"].append(f"{words(record)[row.outcome]}{': ' + row.rules[0] + more if row.rules else ''}")
    text = json.dumps(data, ensure_ascii=True, separators=(",", ":")).replace("<", "\\u003c")
    return f'<script type="application/json" id="data">{text}</script>'
