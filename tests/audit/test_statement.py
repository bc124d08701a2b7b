"""A statement says what the record says of a source: no more, no less, and what it cannot know it names."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import guard
from guard.audit.coverage import Count, coverage
from guard.audit.statement import CANNOT, Statement, make_statement
from guard.audit.statement_page import statement_page
from guard.audit.statement_text import statement_text
from guard.cli import main
from guard.ledger import Ledger, Span, read
from guard.ledger.instants import ns_of, text_of
from guard.testing import FakeClock
from tests.conftest import OFFICE, POLICE

NINE = datetime(2026, 11, 26, 9, tzinfo=UTC)
START_NS = int(NINE.timestamp()) * 10**9


def at(seconds: float) -> str:
    return text_of(START_NS + int(seconds * 1e9))


def span(first: float, last: float, frames: int = 0, state: str = "watched", **more: Any) -> Span:
    more = {"clock": "system", "source": "door", "longest_silence_s": 0.0, **more}
    return Span(at=at(first), until=at(last), state=state, frames=frames, seconds=last - first, **more)


def fields(*spans: Span) -> list[dict[str, Any]]:
    return [{name: getattr(s, name) for name in s.__struct_fields__} for s in spans]


def stretches(found: Any) -> list[tuple[str, float, float]]:
    return [(s.state, (s.begin_ns - START_NS) / 1e9, (s.end_ns - START_NS) / 1e9) for s in found.stretches]


def cover(*spans: Span, begin: float = 0, end: float = 100) -> Any:
    return coverage(fields(*spans), START_NS + int(begin * 1e9), START_NS + int(end * 1e9))


# ---- coverage


def test_what_no_span_covers_was_not_watched():
    assert stretches(cover()) == [("unwatched", 0, 100)]
    found = cover(span(10, 20, 5), span(20, 30, 5), span(50, 60, 5))
    assert stretches(found) == [
        ("unwatched", 0, 10), ("watched", 10, 30), ("unwatched", 30, 50), ("watched", 50, 60), ("unwatched", 60, 100),
    ]  # fmt: skip
    assert (found.seconds("watched"), found.seconds("unwatched")) == (30, 70)
    assert str(found.frames) == "15"


def test_silent_is_neither_watched_nor_unwatched():
    found = cover(span(0, 40, 9), span(40, 70, state="silent"), span(70, 100, 9))
    assert stretches(found) == [("watched", 0, 40), ("silent", 40, 70), ("watched", 70, 100)]


def test_what_one_process_watched_was_watched():
    found = cover(span(0, 50, 9), span(20, 90, state="silent"), span(30, 60, 4))
    assert stretches(found) == [("watched", 0, 60), ("silent", 60, 90), ("unwatched", 90, 100)]
    assert str(found.frames) == "13"


def test_a_span_that_crosses_the_edge_counts_between_nothing_and_all():
    found = cover(span(-10, 10, 20), span(10, 20, 7), span(90, 110, 30))
    assert stretches(found) == [("watched", 0, 20), ("unwatched", 20, 90), ("watched", 90, 100)]
    assert found.frames.to_json() == {"at_least": 7, "at_most": 57}
    assert str(found.frames) == "7 to 57"


def test_spans_outside_say_nothing():
    assert cover(span(-50, 0, 5), span(100, 150, 5), span(-50, -1, 5)).frames.to_json() == 0


def test_a_span_of_a_clock_that_was_not_believed_is_placed_nowhere():
    found = cover(span(10, 20, 5, clock="disbelieved"))
    assert (stretches(found), found.unplaced, found.frames.to_json()) == ([("unwatched", 0, 100)], 5, 0)


def test_the_longest_silence_is_that_of_the_watched():
    found = cover(span(0, 10, 5, longest_silence_s=3.0), span(10, 90, state="silent", longest_silence_s=80.0))
    assert found.longest_silence_s == 3.0


def test_random_spans_agree_with_a_second_by_second_look():
    import random

    for seed in range(60):
        dice = random.Random(seed)
        spans = []
        for _ in range(dice.randrange(8)):
            first = dice.randrange(-20, 110)
            spans.append(span(first, first + dice.randrange(1, 40), 1, dice.choice(["watched", "silent"])))
        found = cover(*spans)
        for second in range(100):
            now = at(second + 0.5)
            states = {s.state for s in spans if s.at <= now < s.until}
            expected = "watched" if "watched" in states else "silent" if "silent" in states else "unwatched"
            (state,) = {name for name, first, last in stretches(found) if first <= second + 0.5 < last}
            assert state == expected, (seed, second)
        assert stretches(found)[0][1] == 0
        assert stretches(found)[-1][2] == 100


def test_a_count_is_one_number_where_its_bounds_agree():
    count = Count()
    count.add(3, whole=True)
    assert (count.to_json(), str(count)) == (3, "3")
    count.add(1000, whole=False)
    assert (count.to_json(), str(count)) == ({"at_least": 3, "at_most": 1003}, "3 to 1,003")


# ---- a whole statement


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "decisions.db"


Run = Callable[..., None]


@pytest.fixture
def run(make_guard: Callable[..., guard.Guard], ledger: Path) -> Run:
    """Calls of source `door`, each (second after nine, service); spans are written as they are given."""

    def go(calls: list[tuple[float, str]], spans: list[Span], text: str = OFFICE, action: str = "identify") -> None:
        clock = FakeClock(START_NS)
        kept = Ledger(ledger)
        with make_guard(text, ledger=kept, clock=clock) as g:
            for second, service in calls:
                clock.ns = START_NS + int(second * 1e9)
                try:
                    g.source().protect(lambda: None, action=action, service=service)()
                except (guard.Denied, guard.GuardFault):
                    continue
            for each in spans:
                kept.append(each)

    return go


def state(ledger: Path, source: str = "door", minutes: float = 10) -> Statement:
    return make_statement(ledger, source, NINE, NINE + timedelta(minutes=minutes))


NOT_ALLOWED = "rekognition_compare"  # by the rules for the office's facts; `self_hosted` is allowed


@pytest.fixture
def refused_service(make_guard: Callable[..., guard.Guard]) -> str:
    g = make_guard(OFFICE, name="ask.toml")
    for name in ("azure_openai", "rekognition_compare", "openai", "ibm"):
        if g.source().decide("identify", name, at=NINE).verdict is guard.Verdict.DENY:
            return name
    raise AssertionError("nothing is denied")


def test_calls_are_counted_by_what_became_of_them(run, ledger, refused_service):
    run(
        [(1, "self_hosted"), (2, "self_hosted"), (3, refused_service), (4, refused_service), (700, "self_hosted")],
        [span(0, 600, 6000, returned=1, raised=1)],
    )
    found = state(ledger)
    calls = found.calls.to_json()
    assert (calls["attempted"], calls["allowed"], calls["denied"], calls["redacted"]) == (4, 2, 2, 0)
    assert (calls["faulted"], calls["unenforced"], calls["let_through"]) == (0, 0, 2)
    assert found.identity.to_json() == calls
    assert found.to_json()["executed"] == {"at_most": 2, "returned": 1, "raised": 1, "unknown": 0}
    assert found.rules
    assert all(count.to_json() == 2 for count in found.rules.values())
    assert set(found.by_action) == {("identify", "self_hosted"), ("identify", refused_service)}
    assert [set(said) for said in found.policies.values()] == [{"packs", "base", "extra"}]
    assert found.known


def test_a_release_that_no_span_speaks_of_has_an_unknown_end(run, ledger):
    run([(1, "self_hosted"), (2, "self_hosted"), (3, "self_hosted")], [span(0, 600, 9, returned=1)])
    found = state(ledger)
    assert found.unknown_end.to_json() == 2
    assert "of 2 the record does not say" in "\n".join(statement_text(found))


def test_a_run_of_denials_that_crosses_the_edge_counts_between_nothing_and_all(run, ledger, refused_service):
    run([(590, refused_service), (595, refused_service), (605, refused_service)], [])
    assert [record["count"] for record in read(ledger)] == [3]
    assert state(ledger).calls.denied.to_json() == {"at_least": 0, "at_most": 3}
    assert state(ledger, minutes=11).calls.denied.to_json() == 3


def test_calls_of_other_sources_are_not_counted_and_unknown_sources_are_said(run, ledger):
    run([(1, "self_hosted")], [span(0, 600, 5)])
    found = state(ledger, "dor")
    assert (found.known, found.sources, found.calls.attempted.to_json()) == (False, ["door"], 0)
    text = "\n".join(statement_text(found))
    assert "No record speaks of a source of this name. The ledger knows: door." in text


def test_a_source_that_judged_a_call_of_another_is_concerned(make_guard, ledger, picture):
    two = (
        OFFICE
        + OFFICE.partition("[[source]]")[1]
        + OFFICE.partition("[[source]]")[2].partition("[services]")[0].replace('id = "door"', 'id = "gate"')
    )
    clock = FakeClock(START_NS + 10**9)
    with make_guard(two, ledger=Ledger(ledger), clock=clock) as g:
        call = g.source("door").protect(lambda probe: None, action="identify", service="self_hosted")
        with g.source("gate").frame(picture):
            call(picture)
    assert state(ledger, "door").calls.allowed.to_json() == 1
    assert state(ledger, "gate").calls.allowed.to_json() == 1


def test_what_is_no_identity_action_is_told_apart(run, ledger):
    run([(1, "self_hosted")], [], action="detect")
    found = state(ledger)
    assert (found.calls.attempted.to_json(), found.identity.attempted.to_json()) == (1, 0)


def test_shadow_mode_executes_what_it_denies_and_says_so(run, ledger, refused_service):
    run([(1, refused_service), (2, "self_hosted")], [], text='[policy]\nmode = "shadow"\n' + OFFICE)
    found = state(ledger)
    assert (found.calls.denied.to_json(), found.calls.let_through.to_json(), found.calls.unenforced.to_json()) == (
        1,
        2,
        2,
    )
    assert "2 calls were judged in shadow mode" in "\n".join(statement_text(found))


def test_a_day_that_the_user_named_is_no_time(make_guard, ledger):
    with make_guard(OFFICE, ledger=Ledger(ledger), at=NINE + timedelta(seconds=5)) as g:
        g.source().protect(lambda: None, action="identify", service="self_hosted")()
    found = state(ledger)
    assert (found.calls.attempted.to_json(), found.unplaced) == (0, 1)
    assert "1 calls and 0 frames bear no time that is believed" in "\n".join(statement_text(found))


def test_the_checkpoint_seals_what_it_covers(run, ledger, make_guard):
    run([(1, "self_hosted")], [span(0, 600, 5)])
    found = state(ledger)
    assert found.verification.verified
    assert found.unsealed == 0
    assert found.checkpoint is not None
    assert "This checkpoint seals everything that it rests on:" in "\n".join(statement_text(found))
    assert found.checkpoint.splitlines()[2] in "\n".join(statement_text(found))
    with make_guard(OFFICE, ledger=Ledger(ledger), clock=FakeClock(START_NS + 2 * 10**9)) as g:
        g.source().protect(lambda: None, action="identify", service="self_hosted")()
        found = state(ledger)
        assert found.unsealed == 1
        assert "1 leaves are not sealed yet" in "\n".join(statement_text(found))


def test_a_ledger_that_was_edited_is_not_stated_from(run, ledger, capsys):
    import sqlite3
    from contextlib import closing

    run([(1, "self_hosted")], [span(0, 600, 5)])
    with closing(sqlite3.connect(ledger)) as connection:
        connection.execute("UPDATE leaves SET body = replace(body, '\"frames\":5', '\"frames\":9') WHERE kind = 'span'")
        connection.commit()
    found = state(ledger)
    assert not found.verification.verified
    assert next(iter(statement_text(found))).startswith("Source door")
    assert "! THE LEDGER DOES NOT VERIFY" in "\n".join(statement_text(found))
    assert main([*COMMAND(ledger), "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["verified"] is False


def test_what_was_pruned_is_said(run, ledger):
    from guard.ledger.pruning import prune

    run([(1, "self_hosted"), (400, "self_hosted")], [span(0, 60, 5), span(60, 600, 50)])
    prune(ledger, before=NINE + timedelta(minutes=5))
    found = state(ledger)
    assert found.calls.attempted.to_json() == 1
    assert found.pruned_before == at(300)
    assert f"Records from before {at(300)} were removed" in "\n".join(statement_text(found))
    assert (
        make_statement(ledger, "door", NINE + timedelta(minutes=6), NINE + timedelta(minutes=9)).pruned_before is None
    )


def test_a_time_that_is_not_over_is_said(run, ledger):
    run([], [span(0, 60, 5)])
    found = state(ledger)
    found.made_at = NINE
    assert "The time was not over when this was made" in "\n".join(statement_text(found))


def test_gaps_are_listed_with_their_reason(run, ledger):
    run([], [span(0, 60, 5), span(60, 120, state="silent"), span(150, 600, 50), span(600, 600.4, state="silent")])
    text = "\n".join(statement_text(state(ledger)))
    assert re.search(rf"{at(60)}  {at(120)} +1 min  a process ran and no frame came", text)
    assert re.search(rf"{at(120)}  {at(150)} +30 s  no process that kept this record watched", text)
    assert "watched            8 min 30 s of 10 min (85.00 %)" in text


def test_what_it_cannot_prove_stands_in_every_form(run, ledger):
    run([], [])
    found = state(ledger)
    for form in ("\n".join(statement_text(found)), json.dumps(found.to_json())):
        assert all(sentence in form for sentence in CANNOT)
    page = statement_page(found)
    words = re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", page)).replace("&#x27;", "'")
    assert all(sentence in words for sentence in CANNOT)


def test_the_page_is_whole_says_the_same_and_fetches_nothing(run, ledger, refused_service):
    from tests.replay.test_report import outline

    run([(1, "self_hosted"), (2, refused_service)], [span(0, 60, 5), span(90, 600, 50, returned=1)])
    found = state(ledger)
    page = statement_page(found)
    parsed = outline(page)
    assert parsed.fetched == []
    assert page == statement_page(found)
    words = " ".join(parsed.words)
    for rule in found.rules:
        assert rule in words
    for text in ("Source door", "9 min 30 s of 10 min", "55", "no process that kept this record watched", "at most 1:"):
        assert text in words, text
    assert found.checkpoint is not None
    assert found.checkpoint.splitlines()[0] in words


def test_names_are_escaped_on_the_page(run, ledger):
    run([], [])
    assert "<script>" not in statement_page(state(ledger, "<script>alert(1)</script>"))


# ---- from the frame to the statement


def test_frames_of_a_real_guard_stand_in_it(make_guard, ledger, picture):
    before = datetime.now(UTC).replace(microsecond=0)
    with make_guard(POLICE, ledger=Ledger(ledger)) as g:
        call = g.source().protect(lambda probe: None, action="identify", service="azure_openai")
        for number in range(5):
            with g.source().frame(picture, index=number * 2), pytest.raises(guard.Denied):
                call(picture)
    found = make_statement(ledger, "bodycam", before, before + timedelta(minutes=10))
    assert (found.coverage.frames.to_json(), found.coverage.dropped.to_json()) == (5, 4)
    assert (found.calls.attempted.to_json(), found.calls.denied.to_json()) == (5, 5)
    assert found.calls.let_through.to_json() == 0
    assert found.unsealed == 0


# ---- the command


def COMMAND(ledger: Path, source: str = "door") -> list[str]:
    times = ["--from", "2026-11-26T09:00:00Z", "--to", "2026-11-26T10:10:00+01:00"]
    return ["ledger", "statement", str(ledger), "--source", source, *times]


def test_the_command_prints_one_page_or_one_object(run, ledger, capsys, tmp_path):
    run([(1, "self_hosted")], [span(0, 600, 6000, returned=1)])
    assert main([*COMMAND(ledger), "--html", str(tmp_path / "statement.html")]) == 0
    out = capsys.readouterr().out
    assert out.startswith("Source door, 2026-11-26T09:00:00Z to 2026-11-26T09:10:00Z")
    assert "6,000" in out
    assert (tmp_path / "statement.html").read_text().startswith("<!doctype html>")
    assert main([*COMMAND(ledger), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found) == {
        "schema", "ledger", "source", "known", "from", "to", "made_at", "frames", "seconds", "longest_silence_s",
        "stretches", "calls", "identity_calls", "executed", "by_action", "rules", "policies", "unplaced_calls", "lost",
        "pruned_before", "verified", "pinned", "problems", "checkpoint", "unsealed", "cannot_prove",
    }  # fmt: skip
    assert found["schema"] == "guard.ledger-statement/1"
    assert found["seconds"] == {"watched": 600.0, "silent": 0, "unwatched": 0}
    assert found["frames"] == {"seen": 6000, "dropped": 0, "unjudged": 0, "unplaced": 0}
    assert found["stretches"] == [{"state": "watched", "from": at(0), "to": at(600)}]


def test_a_key_from_elsewhere_is_held_against_it(run, ledger, capsys):
    from guard.ledger.keys import key_beside

    run([(1, "self_hosted")], [])
    public = key_beside(ledger).with_suffix(".pub")
    assert public.exists() or (public := key_beside(ledger).with_name(key_beside(ledger).name + ".pub")).exists()
    assert main([*COMMAND(ledger), "--public-key", str(public), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["pinned"] is True


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--from", "noon", "--to", "2026-01-01T00:00:00Z"], "--from"),
        (["--from", "2026-01-02T00:00:00Z", "--to", "2026-01-02T00:00:00Z"], "--to"),
        (["--from", "2026-01-02T00:00:00Z"], "--to"),
    ],
)
def test_a_wrong_time_is_one_line(run, ledger, capsys, arguments, says):
    run([], [])
    assert main(["ledger", "statement", str(ledger), "--source", "door", *arguments]) == 1
    err = capsys.readouterr().err
    assert says in err
    assert err.count("\n") == 1


def test_there_has_to_be_a_ledger(tmp_path, capsys):
    assert main(COMMAND(tmp_path / "absent.db")) == 1
    assert "there is no ledger" in capsys.readouterr().err


def test_instants_are_read_as_they_were_written():
    assert ns_of(at(0.25)) - ns_of(at(0)) == 250_000_000
