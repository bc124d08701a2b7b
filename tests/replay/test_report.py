"""The report: one file that needs nothing else, the same for the same result."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from guard.errors import SourceError
from guard.replay.result import Replay
from guard.report import page, write_report
from tests.replay.conftest import OFFICE, POLICE, MakeClip, Recognising

Run = Callable[..., Replay]


@pytest.fixture
def denied(make_clip: MakeClip, run: Run) -> Replay:
    return run(make_clip(frames=3))


class Outline(HTMLParser):
    """Checks that elements close in order, and collects the text and what is fetched from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: list[str] = []
        self.fetched: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.fetched += [f"{tag} {name}" for name, _ in attrs if name in ("src", "href", "srcset", "action")]
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words += data.split()


def outline(text: str) -> Outline:
    parsed = Outline()
    parsed.feed(text)
    parsed.close()
    assert parsed.open == []
    return parsed


def test_it_is_well_formed_and_fetches_nothing(denied: Replay):
    text = page(denied)
    assert outline(text).fetched == []
    assert not re.search(r"url\(|@import|<script|https?://", text)


def test_the_same_result_gives_the_same_text(denied: Replay):
    assert page(denied) == page(replace(denied))


def test_it_says_what_happened_in_plain_words(denied: Replay):
    words = " ".join(outline(page(denied)).words)
    assert "Every call was denied." in words
    assert "Nothing reached the service" in words
    for ruled in denied.reasons:
        assert ruled.reason.rule in words
        assert ruled.reason.cite in words
        assert " ".join(ruled.reason.title.split()) in words
    assert "since 2024-05-01" in words
    assert "What would lift the denial" in words
    assert "place.control" in words
    assert "replay.mp4" in words
    unknown = words.partition("never read as permission:")[2]
    assert "use.threshold" in unknown
    assert "capture.at" not in unknown


def test_an_allowed_run_names_who_was_recognised(make_clip: MakeClip, run: Run):
    result = run(make_clip(frames=3), OFFICE, service="self_hosted", matcher=Recognising())
    words = " ".join(outline(page(result)).words)
    assert "Every call was allowed." in words
    assert "3 calls reached the service" in words
    assert "alice" in words
    assert "Rules that forbade" not in words


def test_a_run_that_broke_off_says_so_first(denied: Replay):
    words = " ".join(outline(page(replace(denied, broke_off="the clip broke off: 17 bytes short"))).words)
    assert "It ended early. the clip broke off: 17 bytes short" in words


def test_nothing_from_outside_becomes_markup(denied: Replay):
    evil = '<img src=x onerror="alert(1)">'
    result = replace(denied, clip=evil, source=evil, people={evil: 1}, faults={evil: 2}, notes=(evil,), broke_off=evil)
    text = page(result)
    assert "<img" not in text
    assert text.count("&lt;img src=x onerror=&quot;alert(1)&quot;&gt;") >= 6
    outline(text)


def test_a_run_without_a_measurement_has_a_dash(denied: Replay):
    empty = dict.fromkeys(("p50", "p95", "p99", "max"))
    outline(page(replace(denied, latency_us={"hook": empty, "detect": empty, "decide": empty}, judged_at=None)))


def test_it_is_written_whole_or_not_at_all(denied: Replay, tmp_path: Path):
    write_report(denied, tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == page(denied)
    assert not list(tmp_path.glob("*.part"))
    with pytest.raises(SourceError, match="report cannot be written"):
        write_report(denied, tmp_path / "report.html" / "below a file")


def test_shadow_mode_is_said_on_top_and_in_the_verbs(make_clip: MakeClip, run: Run):
    shadow = run(make_clip(frames=3), '[policy]\nmode = "shadow"\n' + POLICE)
    words = " ".join(outline(page(shadow)).words)
    assert "Shadow mode. The verdicts on 3 of 3 calls were recorded and not enforced" in words
    assert "Every call would have been denied." in words
    assert "3 calls reached the service" in words
    assert "Shadow" not in page(run(make_clip(frames=3)))
