"""The report: one file that needs nothing else, the same for the same result."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path

import pytest

from guard import charts
from guard.cli import main
from guard.errors import SourceError
from guard.ledger import Ledger
from guard.replay.result import Replay
from guard.replay.timeline import Event
from guard.report import cost, film_of, page, read_record, record_of, sealed, write_page, write_report
from tests.replay.conftest import OFFICE, POLICE, MakeClip, Recognising
from tests.replay.test_clip import cut

Run = Callable[..., Replay]


@pytest.fixture
def denied(make_clip: MakeClip, run: Run) -> Replay:
    return run(make_clip(frames=3))


class Outline(HTMLParser):
    """Checks that elements close in order, and collects words, what is fetched, and what a strict policy forbids."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: list[str] = []
        self.fetched: list[str] = []
        self.forbidden: list[str] = []
        self.inside: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            local = (value or "").startswith(("#", "data:video/mp4;base64,"))
            if name in ("src", "href", "srcset", "action", "poster", "xlink:href") and not local:
                self.fetched.append(f"{tag} {name}")
            if name == "style" or name.startswith("on"):
                self.forbidden.append(f"{tag} {name}")
        if tag not in ("meta", "br", "wbr", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        tag = self.open[-1] if self.open else ""
        if tag in ("style", "script"):
            self.inside[tag] = data
        else:
            self.words += data.split()


def outline(text: str) -> Outline:
    parsed = Outline()
    parsed.feed(text)
    parsed.close()
    assert parsed.open == []
    return parsed


def report(result: Replay) -> str:
    """The page of a result, without its film."""
    return page(record_of(result))


def words_of(result: Replay) -> str:
    return " ".join(outline(report(result)).words)


def test_it_is_well_formed_and_fetches_nothing(denied: Replay):
    text = report(denied)
    assert outline(text).fetched == []
    assert not re.search(r"url\((?!#)|@import|https?://", text)


def test_its_policy_lets_nothing_run_or_style_but_its_own(denied: Replay):
    text = report(denied)
    found = outline(text)
    assert found.forbidden == []
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', text)
    assert policy is not None
    assert policy[1].startswith("default-src 'none'; ")
    assert "unsafe" not in policy[1]
    for tag in ("style", "script"):
        hashed = b64encode(sha256(found.inside[tag].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{hashed}'" in policy[1]


def test_it_is_made_again_from_the_record_byte_by_byte(denied: Replay, tmp_path: Path):
    folder = denied.outputs.report.parent
    record = read_record(folder)
    assert record == record_of(denied)
    write_page(record, film_of(record, folder), tmp_path / "again.html")
    assert (tmp_path / "again.html").read_bytes() == (folder / "report.html").read_bytes()
    assert main(["report", str(folder), "-o", str(tmp_path / "third.html")]) == 0
    assert (tmp_path / "third.html").read_bytes() == (folder / "report.html").read_bytes()


@pytest.mark.parametrize("in_full", [False, True])
def test_no_path_of_this_machine_is_in_the_record(
    make_clip: MakeClip, run: Run, monkeypatch: pytest.MonkeyPatch, in_full: bool
):
    clip = cut(make_clip(frames=60, size=(320, 240), options={"movflags": "+faststart"}), 0.7)
    monkeypatch.chdir(clip.parent)
    result = run(clip if in_full else clip.name)
    assert "broke off" in result.broke_off
    folder = result.outputs.report.parent
    noted = replace(result, notes=(f"the video cannot be written ({folder / 'replay.mp4'})",))
    write_report(noted)
    said = (folder / "replay.json").read_text() + (folder / "report.html").read_text()
    assert str(folder.parent) not in said
    assert said.count(f"({clip.name})") == 2
    assert "(replay.mp4)" in said


def test_a_clip_at_the_root_keeps_the_texts_whole(denied: Replay):
    record = record_of(replace(denied, clip="/clip.mp4", notes=("1/2",)))
    assert (record.clip, record.notes) == ("/clip.mp4", ("1/2",))


def test_what_stands_for_an_instant_in_a_record_becomes_no_markup(denied: Replay):
    text = report(replace(denied, judged_at="<b>bold</b>"))
    assert "<b>bold" not in text
    assert "judged as of &lt;b&gt;bold" in text


def test_a_record_that_is_none_is_refused_in_one_line(denied: Replay, tmp_path: Path, capsys):
    folder = denied.outputs.report.parent
    with pytest.raises(SourceError, match="the record cannot be read"):
        read_record(tmp_path / "nowhere.json")
    (tmp_path / "other.json").write_text('{"version": "guard.replay-record/1", "clip": 3}')
    assert main(["report", str(tmp_path / "other.json")]) == 1
    assert "this is no record of a replay" in capsys.readouterr().err
    record = read_record(folder)
    (folder / "redacted.mp4").write_bytes(b"another film")
    with pytest.raises(SourceError, match="not the film of that run"):
        film_of(record, folder)


def test_a_record_cannot_name_a_film_elsewhere(denied: Replay):
    record = record_of(denied)
    assert record.film is not None
    with pytest.raises(SourceError, match="a film elsewhere"):
        film_of(record_of(replace(denied, film=replace(record.film, name="../redacted.mp4"))), Path("."))


def test_the_film_is_inside_and_a_run_without_one_says_so(denied: Replay):
    folder = denied.outputs.report.parent
    film = b64encode((folder / "redacted.mp4").read_bytes()).decode()
    assert f'src="data:video/mp4;base64,{film}"' in (folder / "report.html").read_text()
    assert "There is no film of this run" in words_of(replace(denied, film=None))


def test_a_film_with_fewer_frames_than_the_clip_says_so(denied: Replay):
    thinned = replace(denied, film=replace(denied.film, frames=1, of_frames=3000))
    assert "so that it fits into this page, 1 of its 3,000 frames are shown" in page(record_of(thinned), b"")


def test_it_says_what_happened_in_plain_words(denied: Replay):
    words = words_of(denied)
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
    words = words_of(result)
    assert "Every call was allowed." in words
    assert "3 calls reached the service" in words
    assert "alice" in words
    assert "Rules that forbade" not in words


def test_a_run_that_broke_off_says_so_first(denied: Replay):
    words = words_of(replace(denied, broke_off="the clip broke off: 17 bytes short"))
    assert "It ended early. the clip broke off: 17 bytes short" in words


def test_what_was_forbidden_and_what_could_not_be_judged_look_different(denied: Replay):
    forbidden = words_of(denied)
    assert "Where the guard itself failed" not in forbidden
    assert "could not judge" not in forbidden
    row = denied.calls[0]
    fault = "the detector raised RuntimeError: broken"
    broken = replace(denied, reasons=(), calls=(replace(row, faulted=row.denied),), faults={fault: row.denied})
    said = words_of(broken)
    assert f"{row.denied} of the denied were refused because the guard itself could not judge" in said
    assert f"Where the guard itself failed Faults by frequency what calls {fault} {row.denied}" in said
    assert "Rules that forbade" not in said


def test_nothing_from_outside_becomes_markup(denied: Replay):
    evil = '<img src=x onerror="alert(1)">'
    ruled = replace(denied.reasons[0], reason=replace(denied.reasons[0].reason, rule=evil, title=evil, cite=evil))
    result = replace(
        denied, clip=evil, source=evil, people={evil: 1}, faults={evil: 2}, notes=(evil,), broke_off=evil,
        reasons=(ruled,), lifted_by=[evil], events=(Event(0.0, "unjudged", evil),),
        steps=[replace(step, rules=(evil, "</script>")) for step in denied.steps],
    )  # fmt: skip
    text = report(result)
    assert "<img" not in text
    assert text.count("</script>") == 2
    assert text.count("&lt;img src=x onerror=&quot;alert(1)&quot;&gt;") >= 9
    outline(text)


def test_a_run_without_a_measurement_has_a_dash(denied: Replay):
    empty = dict.fromkeys(("p50", "p95", "p99", "max"))
    words = words_of(replace(denied, latency_us=dict.fromkeys(("hook", "detect"), empty), spread_us={}, judged_at=None))
    assert "all that the guard added to a frame - - - -" in words


def test_it_is_written_whole_or_not_at_all(denied: Replay, tmp_path: Path):
    blocked = tmp_path / "taken" / "report.html"
    blocked.mkdir(parents=True)
    with pytest.raises(SourceError, match="the report cannot be written"):
        write_page(record_of(denied), None, blocked)
    assert [entry.name for entry in blocked.parent.iterdir()] == ["report.html"]
    with pytest.raises(SourceError, match="the record cannot be written"):
        write_report(replace(denied, outputs=replace(denied.outputs, report=tmp_path / "nowhere" / "report.html")))


def test_events_stand_in_the_timeline_and_in_a_table_that_leads_to_them(denied: Replay):
    events = (
        Event(0.04, "contradicted", "capture.mount: declared fixed, seen vehicle (corners)"),
        Event(0.06, "unjudged", "the feed is frozen"),
        Event(0.09, "judged", "frames can be judged again"),
    )
    text = report(replace(denied, events=events, more_events=2))
    assert text.count('<rect class="contradicted"') == 1
    assert '<rect class="unjudged" x="500.00" y="50" width="250.00"' in text
    assert '<button type="button" data-seek="0.060"' in text
    words = " ".join(outline(text).words)
    assert "not as declared capture.mount: declared fixed, seen vehicle (corners)" in words
    assert "2 later events not listed." in words


def test_a_long_list_of_stretches_is_cut_and_says_so(denied: Replay):
    steps = [replace(denied.steps[0], at_s=at / 1000, outcomes={("deny", "allow")[at % 2]: 1}) for at in range(400)]
    text = report(replace(denied, steps=steps))
    assert text.count("<tr data-outcome=") == 300
    assert "100 later stretches not listed" in text
    assert text.count("data-stretch=") == 400


def test_it_says_why_a_call_is_redacted_where_no_face_was_detected(denied: Replay):
    said = "A face that was detected a moment ago counts, too"
    assert said not in words_of(denied)
    steps = [replace(denied.steps[0], faces=0, outcomes={"redact": 1})]
    assert said in words_of(replace(denied, steps=steps))


def test_the_lane_of_faces_has_a_scale_and_a_number_stays_with_its_unit(denied: Replay):
    steps = [replace(denied.steps[0], faces=3)]
    text = report(replace(denied, steps=steps, latency_us={"hook": {"p50": 87.0, "p95": 12_300.0}}))
    assert "<span>Faces<br>0 to 3</span>" in text
    assert ">87\N{NO-BREAK SPACE}µs<" in text
    assert ">12.3\N{NO-BREAK SPACE}ms<" in text


def test_the_chart_and_the_table_have_the_same_numbers(denied: Replay, monkeypatch: pytest.MonkeyPatch):
    spread = {"hook": ((1000.0, 1250.0, 2), (1250.0, 1600.0, 0), (1600.0, 2000.0, 5))}
    result = replace(denied, spread_us=spread)
    monkeypatch.setattr("guard.report.cost.available", charts.available)
    words = words_of(result)
    assert "1 ms to 1.25 ms 2" in words
    assert "1.6 ms to 2 ms 5" in words
    assert ('aria-label="How the latency of hook is spread over the frames"' in report(result)) == charts.available()
    drawn = report(result)
    cost._drawn.cache_clear()
    assert report(result) == drawn
    monkeypatch.setattr("guard.report.cost.available", lambda: False)
    words = words_of(result)
    assert "No chart: it is drawn by matplotlib, which is not installed here" in words
    assert "1 ms to 1.25 ms 2" in words


def test_the_ledgers_statement_is_in_it_once_the_ledger_is_closed(make_clip: MakeClip, run: Run, make_guard, tmp_path):
    with make_guard(OFFICE, ledger=Ledger(tmp_path / "decisions.db")) as made:
        result = run(make_clip(frames=3), guard=made, service="self_hosted")
    assert "was still open when this page was made" in words_of(result)
    stated = sealed(result)
    assert stated is not None
    assert stated.verified is True
    assert len(stated.root) == len(stated.key) == 64
    words = " ".join(outline(page(record_of(result, stated))).words)
    assert "This checkpoint seals everything that it rests on:" in words
    assert "calls attempted 3" in words
    assert stated.root in words
    assert "guard ledger verify decisions.db --public-key decisions.db.pub --checkpoint checkpoint.txt" in words
    assert "frames seen 3" in words
    assert not list(tmp_path.glob("decisions.db-*"))


def test_a_ledger_of_many_runs_is_not_read_through(make_clip: MakeClip, run: Run, make_guard, tmp_path, monkeypatch):
    monkeypatch.setattr("guard.report.sealing._MOST_BYTES", 10)
    with make_guard(OFFICE, ledger=Ledger(tmp_path / "decisions.db")) as made:
        result = run(make_clip(frames=3), guard=made, service="self_hosted")
    stated = sealed(result)
    assert stated is not None
    assert stated.verified is None
    words = " ".join(outline(page(record_of(result, stated))).words)
    assert "is shared by many runs and too long to be read for this page" in words
    assert "guard ledger statement decisions.db --source door --from" in words


def test_what_would_lift_a_denial_says_which_is_a_fact_and_which_is_evidence(denied: Replay):
    words = words_of(replace(denied, lifted_by=["place.control", ["human_review", "pia"]]))
    assert "place.control known, and of a value that no rule forbids" in words
    assert "human_review as evidence on file or pia as evidence on file" in words


def test_shadow_mode_is_said_on_top_and_in_the_verbs(make_clip: MakeClip, run: Run):
    shadow = run(make_clip(frames=3), '[policy]\nmode = "shadow"\n' + POLICE)
    words = words_of(shadow)
    assert "Shadow mode. The verdicts on 3 of 3 calls were recorded and not enforced" in words
    assert "Every call would have been denied." in words
    assert "3 would be denied" in words
    assert "3 denied" not in words
    assert "3 calls reached the service" in words
    assert "Shadow" not in report(run(make_clip(frames=3)))
