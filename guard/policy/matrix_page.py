"""The matrix as one HTML page: the table, the rules behind it, the days on which a cell flips, and the facts used."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from html import escape
from typing import Final

from guard.facts import ACTIONS, ATTRIBUTES, SERVICES, Facts, Reason, Verdict, format_instant
from guard.policy.matrix import YEARS, Cell, Matrix, Turn
from guard.policy.pages import SURE, code, day, document
from guard.policy.phrasing import words_of

__all__ = ["matrix_page"]

_OF_THE_FRAME = frozenset({"capture.at", "use.at"})
"""Never declared: the container and the clock say them."""

_LEGEND: Final = (
    "<p><b>allow</b>: no rule of the packs in use forbids it. <b>redact</b>: allowed once every face in the picture is "
    "unrecognisable; a picture without faces is allowed as it is. <b>deny</b>: nothing is sent. Verdicts are for a "
    "picture with faces, or with an unknown number of them. Small numbers are the rules below.</p>"
)


def matrix_page(found: Matrix) -> str:
    """The page. Rules are numbered once, and every cell bears the numbers of those that forbid it."""
    numbers = {rule: number for number, rule in enumerate(found.reasons, start=1)}
    name = escape(found.source or "an unnamed source")
    when = f"as of {format_instant(found.at)}" if found.at else "on an unknown day, so that rules of every date count"
    parts = [
        f"<h1>What {name} may do</h1>",
        f'<p class="soft">The verdict of every action towards every service, {when}.</p>',
        _LEGEND,
        _faults(found),
        _table(found, numbers),
        _turns(found),
        _rules(found, numbers),
        _facts(found.facts),
        f'<p class="soft">Policy {code(found.policy_digest)}</p>',
    ]
    return document(f"guard policy matrix: {found.source or 'unnamed'}", parts)


def _faults(found: Matrix) -> str:
    faults = sorted({cell.ruling.fault for cell in found.cells if cell.ruling.fault})
    said = "".join(f"<p>{escape(fault)}</p>" for fault in faults)
    return f'<div class="alert"><b>The guard could not judge some calls, so they are denied.</b>{said}</div>' * bool(
        said
    )


def _table(found: Matrix, numbers: dict[str, int]) -> str:
    head = "".join(f'<th scope="col">{_service(service)}</th>' for service in SERVICES)
    flips: dict[tuple[str, str], list[str]] = {}
    for flip in found.flips:
        flips.setdefault((flip.action, flip.service), []).append(f"{flip.after.value} from {day(flip.at)[:10]}")

    def row(action: str) -> str:
        cells = "".join(
            _cell(found.by_call[action, service], numbers, flips.get((action, service), ())) for service in SERVICES
        )
        return f'<tr><th scope="row">{code(action)}</th>{cells}</tr>'

    return (
        '<div class="wide"><table class="matrix">\n<caption>Actions down, services across</caption>\n'
        f'<thead><tr><th scope="col">action</th>{head}</tr></thead>\n<tbody>\n'
        + "\n".join(map(row, ACTIONS))
        + "\n</tbody></table></div>"
    )


def _service(service: str) -> str:
    words = escape(words_of(service))
    return words if words == service else f"{words}<br>{code(service).replace('_', '_<wbr>')}"


def _cell(cell: Cell, numbers: dict[str, int], flips: list[str] | tuple[()]) -> str:
    verdict = cell.verdict
    why = ", ".join(str(numbers[rule]) for rule in cell.rules) or ("the guard failed" if cell.ruling.fault else "")
    small = f"<small>{why}</small>" if why else ""
    small += "".join(f"<small>{escape(flip)}</small>" for flip in flips)
    return f'<td class="{verdict.value}"><b>{verdict.value}</b>{small}</td>'


def _turns(found: Matrix) -> str:
    if found.until is None:
        return "<h2>Days on which a verdict flips</h2>\n<p>The time of use is unknown, so no flip can be dated.</p>"
    heading = f"<h2>Days on which a verdict flips, until {day(found.until)[:10]}</h2>\n"
    if not found.turns:
        return f"{heading}<p>None within {YEARS} years, other facts being equal.</p>"
    columns = "".join(f'<th scope="col">{name}</th>' for name in ("Day (UTC)", "From", "To", "Calls", "Why"))
    return (
        f'{heading}<div class="wide"><table>\n<thead><tr>{columns}</tr></thead>\n<tbody>\n'
        + "\n".join(map(_turn, found.turns))
        + "\n</tbody></table></div>"
    )


def _turn(turn: Turn) -> str:
    calls = "".join(
        f"<p>{', '.join(map(code, actions))} on {_services(services)}</p>" for actions, services in turn.cells
    )
    return (
        f'<tr><th scope="row" class="day">{_moment(turn.flip.at)}</th>{_verdict(turn.flip.before)}'
        f"{_verdict(turn.flip.after)}<td>{calls}</td><td>{escape(turn.why)}</td></tr>"
    )


def _verdict(verdict: Verdict) -> str:
    return f'<td class="{verdict.value}"><b>{verdict.value}</b></td>'


def _services(services: tuple[str, ...]) -> str:
    return "every service" if len(services) == len(SERVICES) else ", ".join(map(code, services))


def _moment(instant: datetime) -> str:
    return escape(day(instant).replace("T", " "))


def _rules(found: Matrix, numbers: dict[str, int]) -> str:
    if not numbers:
        return "<h2>Rules</h2>\n<p>No rule of the packs in use forbids anything here.</p>"
    columns = "".join(f'<th scope="col">{name}</th>' for name in ("", "Rule", "What it says", "Source", "In force"))
    rows = "\n".join(_rule(number, found.reasons[rule]) for rule, number in numbers.items())
    return (
        '<h2>Rules that forbid, now or after a flip</h2>\n<div class="wide"><table>\n'
        f"<thead><tr>{columns}</tr></thead>\n<tbody>\n{rows}\n</tbody></table></div>"
    )


def _rule(number: int, reason: Reason) -> str:
    return (
        f'<tr><td class="number">{number}</td><th scope="row">{code(reason.rule)}</th><td>{escape(reason.title)}</td>'
        f"<td><p>{escape(reason.cite)}</p><p>{escape(reason.sure)}: {escape(SURE[reason.sure])}</p></td>"
        f"<td>{_in_force(reason)}</td></tr>"
    )


def _in_force(reason: Reason) -> str:
    start, end = reason.effective
    said = [f'<span class="day">from {day(start)}</span>'] if start else []
    said += [f'<span class="day">until {day(end)}</span>'] if end else []
    return " ".join(said) or "no date given: always"


def _facts(facts: Facts) -> str:
    known = {name: found for name in ATTRIBUTES if (found := facts.known(name)) is not None}
    rows = "".join(_fact(name, values) for name, values in known.items())
    records = "".join(f"<li>{escape(_record(record.to_json()))}</li>" for record in facts.evidence)
    unknown = ", ".join(name for name in ATTRIBUTES if name not in known and name not in _OF_THE_FRAME)
    head = '<thead><tr><th scope="col">Fact</th><th scope="col">Declared</th></tr></thead>'
    table = f'<table class="facts">{head}<tbody>{rows}</tbody></table>'
    return (
        "<h2>Facts</h2>\n"
        + (table if rows else "<p>None is declared.</p>")
        + (f"\n<p>Evidence on file:</p>\n<ul>{records}</ul>" if records else "\n<p>Evidence on file: none.</p>")
        + f"\n<p>Unknown, and so never read as permission: {escape(unknown or 'nothing')}.</p>"
    )


def _fact(name: str, values: Iterable[object]) -> str:
    said = " or ".join(sorted(map(_plain, values))) or "none"
    return f'<tr><th scope="row">{code(name)}</th><td>{escape(said)}</td></tr>'


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return format_instant(value) if isinstance(value, datetime) else str(value)


def _record(fields: dict[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in fields.items() if value)
