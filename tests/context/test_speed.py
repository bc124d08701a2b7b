"""What a file's telemetry says of place and speed widens what is declared, and never narrows it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.cli import main
from guard.context.finding import Finding, merged
from guard.context.fix import Fix
from guard.context.makers import MOBILE
from guard.context.metadata import FileSays
from guard.context.standing import Context
from guard.context.statements import file_findings
from guard.context.track import Track
from guard.context.whereabouts import Whereabouts
from guard.facts import ACTIONS, SERVICES, Facts
from guard.matchers import Counting
from guard.policy import Engine
from guard.replay.clip import open_clip
from guard.replay.run import replay
from tests.conftest import OFFICE
from tests.context.telemetry import PARIS, gps5, gps9, payload, write
from tests.context.test_standing import BUDGET, NOW, SEVERITY, declared
from tests.context.test_statements import READING, needs_towns


def found(facts: Facts, *tracks: Track, **says) -> dict[str, Finding]:
    return {each.name: each for each in file_findings(Context("cam", facts), FileSays(tracks=tracks, **says), READING)}


def track(*speeds: float, at: tuple[float, float] = PARIS) -> Track:
    return Track("GPMF track", tuple(Fix(second, *at, speed) for second, speed in enumerate(speeds)))


@pytest.fixture(autouse=True)
def anywhere(request, monkeypatch):
    """The list of towns is read where a test needs it only."""
    if not request.node.get_closest_marker("skipif"):
        nowhere = Whereabouts((), (), "nowhere", 0.0)
        monkeypatch.setattr("guard.context.whereabouts.whereabouts", lambda latitude, longitude: nowhere)


def test_a_fixed_camera_that_travels_could_be_any_mobile_one():
    mount = found(Facts.parse({"capture": {"mount": "fixed"}}), track(*[12.5] * 6))["capture.mount"]
    assert (mount.verdict, mount.seen) == ("contradicted", MOBILE)
    assert mount.evidence == "its GPMF track has 6 fixes, up to 12.5 m/s for some seconds"


@pytest.mark.parametrize("speeds", [(0.4,) * 20, (12.0, 12.0), (0.1, 0.2, 30.0, 0.1, 0.2, 0.1), ()])
def test_one_that_stands_or_says_too_little_says_nothing_of_its_mount(speeds):
    mount = found(Facts.parse({"capture": {"mount": "fixed"}}), track(*speeds))["capture.mount"]
    assert (mount.verdict, mount.seen) == ("cannot-tell", ())


def test_payloads_that_cannot_be_read_are_named():
    mount = found(Facts.parse({"capture": {"mount": "fixed"}}), Track("GPMF track", (), 3))["capture.mount"]
    assert mount.evidence == "its GPMF track has 0 fixes, and 3 payloads of it are unreadable"


def test_a_second_track_does_not_speak_for_the_first():
    facts = Facts.parse({"capture": {"mount": "fixed"}})
    for tracks in ([track(*[9.0] * 6), track(*[0.0] * 99)], [track(*[0.0] * 99), track(*[9.0] * 6)]):
        assert found(facts, *tracks)["capture.mount"].verdict == "contradicted"


@needs_towns
def test_a_track_from_elsewhere_is_judged_under_both():
    context = Context("cam", Facts.parse({"place": {"country": "US", "subdivision": "US-CA"}}))
    context.saw(*file_findings(context, FileSays(tracks=(track(0.0),)), READING))
    assert context.effective.known("place.country") == {"US", "FR"}


@needs_towns
def test_where_container_and_track_name_different_places_all_count():
    context = Context("cam", Facts.parse({"place": {"country": "US", "subdivision": "US-NJ"}}))
    says = FileSays(location=(40.74, -74.03), tracks=(track(0.0, at=(40.35, -74.66)), track(0.0)))
    context.saw(*file_findings(context, says, READING))
    assert context.effective.known("place.country") == {"US", "FR"}
    assert {"US-NJ", "US-NY"} <= context.effective.known("place.subdivision")


@pytest.mark.parametrize(
    ("other", "verdict", "seen"),
    [("US-NJ", "cannot-tell", {"US-NJ", "US-NY"}), ("US-CA", "contradicted", {"US-CA", "US-NJ", "US-NY"})],
)
def test_another_place_does_not_outweigh_a_border(other, verdict, seen):
    facts = Facts.parse({"place": {"country": "US", "subdivision": "US-NJ"}})
    near = Finding("place.subdivision", "US-NJ", ("US-NJ", "US-NY"), "cannot-tell", 0.8, "near a border")
    inland = Finding.compared(facts, "place.subdivision", (other,), 0.8, "inland")
    for rows in ([near, inland], [inland, near]):
        (row,) = merged(rows)
        assert (row.verdict, set(row.seen), row.widens) == (verdict, seen, True)


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine.load()


STATED = st.builds(
    Track,
    name=st.just("GPMF track"),
    fixes=st.lists(
        st.tuples(
            st.sampled_from([PARIS, (37.77, -122.42), (40.74, -74.03), (42.32, -83.04), (45.53, -122.66), (0.1, -30)]),
            st.sampled_from([None, 0.0, 1.0, 15.0]),
        ),
        max_size=8,
    ).map(lambda each: tuple(Fix(second, *at, speed) for second, (at, speed) in enumerate(each))),
    unreadable=st.integers(0, 2),
)


@needs_towns
@BUDGET
@given(
    facts=declared(),
    tracks=st.lists(STATED, min_size=1, max_size=2).map(tuple),
    location=st.sampled_from([None, PARIS, (37.77, -122.42), (40.74, -74.03)]),
    call=st.tuples(st.sampled_from(ACTIONS), st.sampled_from(SERVICES)),
)
def test_no_track_turns_a_deny_into_an_allow(engine, facts, tracks, location, call):
    """Neither against what is declared nor against the same file without its track."""
    judged = []
    for says in (None, FileSays(location=location), FileSays(location=location, tracks=tracks)):
        context = Context("cam", facts)
        if says is not None:
            context.saw(*file_findings(context, says, READING))
        column = engine.column(context.facts(None, READING), *call, NOW)
        judged.append([SEVERITY.index(column.ruling(faces).verdict) for faces in (0, 3)])
    for none, without, with_track in zip(*judged, strict=True):
        assert none <= without <= with_track


# ---- guard source check


@pytest.fixture
def check(tmp_path, capsys) -> Callable[[Path], dict]:
    """FFmpeg names GoPro beside every GPMF track that it writes, which contradicts a fixed camera by itself."""

    def run(clip: Path) -> dict:
        (tmp_path / "guard.toml").write_text(OFFICE)
        assert main(["source", "check", str(clip), "--config", str(tmp_path / "guard.toml"), "--json"]) == 0
        return {row["name"]: row for row in json.loads(capsys.readouterr().out)["attributes"]}

    return run


def test_source_check_shows_what_the_track_says(check, tmp_path):
    mount = check(write(tmp_path / "clip.mp4", [payload(gps9(12.5))] * 6))["capture.mount"]
    assert "its GPMF track has 6 fixes, up to 12.5 m/s" in mount["evidence"]
    mount = check(write(tmp_path / "clip.mkv", cues=["GPS (2.2950, 48.8577, 18), H.S 12.50m/s"] * 6))["capture.mount"]
    assert (mount["verdict"], set(mount["seen"])) == ("contradicted", set(MOBILE))


def test_source_check_names_a_track_that_is_unreadable(check, tmp_path):
    mount = check(write(tmp_path / "clip.mp4", [payload(gps5(12.5))[:-8]] * 6))["capture.mount"]
    assert "6 payloads of it are unreadable" in mount["evidence"]


def test_a_replay_is_judged_by_the_speed_that_its_track_states(make_guard, tmp_path):
    clip = write(tmp_path / "clip.mkv", cues=["GPS (2.2950, 48.8577, 18), H.S 12.50m/s"] * 6)  # names no maker
    g = make_guard(OFFICE)
    result = replay(
        open_clip(clip), g, g.source(), action="identify", service="self_hosted", matcher=Counting(), out=tmp_path
    )
    assert {row.name: row.verdict for row in result.seen}["capture.mount"] == "contradicted"
    assert g.ledger.entries[-1].decision.facts.known("capture.mount") == {"fixed", *MOBILE}
