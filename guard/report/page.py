"""The page: nothing in it comes from elsewhere, nothing in it runs but its own script, and the same record gives it
again.
"""

from __future__ import annotations

from base64 import b64encode
from functools import cache
from hashlib import sha256
from html import escape
from importlib.resources import files as resources
from pathlib import Path
from typing import TYPE_CHECKING

from guard.report.cost import cost
from guard.report.findings import facts, failures, files, lifted, people, rules, seen
from guard.report.ledger import ledger
from guard.report.player import player
from guard.report.record import NAME, Record, film_of, record_of, replace, write_record
from guard.report.sealing import Sealed
from guard.report.summary import banners, counts, summary

if TYPE_CHECKING:
    from guard.replay.result import Replay

__all__ = ["page", "write_page", "write_report"]


def write_report(result: Replay, sealed: Sealed | None = None) -> None:
    """Writes the record and the report of a run to the folder of its outputs, each whole or not at all.

    Args:
        result: of the run.
        sealed: what its ledger states, where that is closed.

    Raises `SourceError`.
    """
    path = result.outputs.report
    if path is None:
        return
    record = record_of(result, sealed)
    write_record(record, path.with_name(NAME))
    write_page(record, film_of(record, path.parent), path)


def write_page(record: Record, film: bytes | None, path: Path) -> None:
    """Writes `page` to `path`, whole or not at all. Raises `SourceError`."""
    replace(path, page(record, film).encode(), what="the report")


def page(record: Record, film: bytes | None = None) -> str:
    """The report as HTML. The same record and film give the same text, as long as matplotlib stays what it is.

    Args:
        record: of the run.
        film: the MP4 that `record.film` speaks of; None leaves it out.
    """
    sections = [
        f"<header>\n{summary(record)}\n{banners(record)}\n{counts(record)}\n</header>",
        player(record, film),
        rules(record),
        lifted(record),
        seen(record),
        failures(record),
        people(record),
        cost(record),
        facts(record),
        ledger(record),
        files(record),
    ]
    style, script = _asset("page.css"), _asset("page.js")
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; media-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f"<title>guard replay: {escape(record.clip)}</title>\n<style>{style}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(part for part in sections if part)
        + '\n</main>\n<footer><p class="soft">Engineering, not legal advice. A rule is a reading of a text; the mark '
        f"beside its source says how sure that reading is.</p></footer>\n<script>{script}</script>\n</body>\n</html>\n"
    )


@cache
def _asset(name: str) -> str:
    return resources("guard.report").joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"
