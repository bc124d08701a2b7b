"""Where a camera was and how fast it went is read from a file's telemetry, and no bytes of it do harm."""

from __future__ import annotations

import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guard.context import captions, gpmf
from guard.context.fix import Fix, sustained_mps
from guard.context.metadata import read_metadata
from tests.context.telemetry import PARIS, gps5, gps9, item, payload, stream, write
from tests.context.test_standing import BUDGET

# ---- GPMF


@pytest.mark.parametrize("kind", [gps5, gps9])
def test_place_and_speed_are_read_in_degrees_and_metres_a_second(kind):
    fix = gpmf.fix_of(payload(kind(12.5)), 3.0)
    assert (fix.at_s, fix.latitude, fix.longitude) == (3.0, pytest.approx(PARIS[0]), pytest.approx(PARIS[1]))
    assert fix.speed_mps == pytest.approx(12.5)


@pytest.mark.parametrize("kind", [gps5, gps9])
@pytest.mark.parametrize(
    "said",
    [{"fix": 0}, {"count": 0}, {"at": (0.0, 0.0)}, {"at": (95.0, 2.0)}, {"speed": -3.0}, {"speed": 900.0}],
    ids=str,
)
def test_a_receiver_that_is_not_to_be_believed_gives_no_fix(kind, said):
    assert gpmf.fix_of(payload(kind(**said)), 0.0) is None


def test_a_camera_without_a_receiver_gives_no_fix():
    assert gpmf.fix_of(payload(), 0.0) is None


def test_of_several_receivers_the_faster_counts():
    assert gpmf.fix_of(payload(gps5(0.1), gps9(9.0)), 0.0).speed_mps == pytest.approx(9.0)
    assert gpmf.fix_of(payload(gps9(9.0), gps5(0.1)), 0.0).speed_mps == pytest.approx(9.0)


SCALE = item(b"SCAL", b"l", 4, struct.pack(">5i", 10**7, 10**7, 1000, 1000, 100))
FIXED = item(b"GPSF", b"L", 4, struct.pack(">I", 3))


@pytest.mark.parametrize(
    "broken",
    [
        payload(gps5(9.0))[:-4],
        payload(gps5(9.0)) + b"DEV",
        item(b"DEVC", b"c", 1, b"text"),
        payload(stream(FIXED, item(b"GPS5", b"l", 20, bytes(40)))),
        payload(stream(FIXED, item(b"SCAL", b"l", 4, bytes(20)), item(b"GPS5", b"l", 20, bytes(40)))),
        payload(stream(FIXED, item(b"SCAL", b"f", 4, bytes(20)), item(b"GPS5", b"l", 20, bytes(40)))),
        payload(stream(FIXED, item(b"SCAL", b"l", 4, bytes(12)), item(b"GPS5", b"l", 20, bytes(40)))),
        payload(stream(FIXED, SCALE, item(b"GPS5", b"l", 16, bytes(32)))),
        payload(stream(FIXED, SCALE, item(b"GPS5", b"s", 20, bytes(40)))),
        payload(stream(SCALE, item(b"GPS9", b"?", 32, bytes(64)))),
    ],
)
def test_a_payload_that_breaks_the_format_is_refused(broken):
    with pytest.raises(gpmf.Malformed):
        gpmf.fix_of(broken, 0.0)


@settings(BUDGET, max_examples=400)
@given(
    data=st.one_of(
        st.binary(max_size=200),
        st.tuples(
            st.sampled_from([payload(gps5(9.0, count=2)), payload(gps9(9.0, count=2))]),
            st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=4),
        ),
    )
)
def test_whatever_the_bytes_are_they_are_a_fix_none_or_refused(data):
    if isinstance(data, tuple):
        changed = bytearray(data[0])
        for at, value in data[1]:
            changed[at % len(changed)] = value
        data = bytes(changed)
    try:
        fix = gpmf.fix_of(data, 1.0)
    except gpmf.Malformed:
        return
    assert fix is None or (abs(fix.latitude) <= 90 and abs(fix.longitude) <= 180 and 0 <= fix.speed_mps <= 400)


# ---- captions


@pytest.mark.parametrize(
    ("text", "place", "speed"),
    [
        ("[iso : 110] [latitude: 48.8577] [longitude: 2.2950] [rel_alt: 1.3 abs_alt: 132.8]", PARIS, None),
        ("[latitude : 48.8577] [longtitude : 2.2950] [altitude: 98.3] </font>", PARIS, None),
        ("F/2.8, SS 50.00, ISO 200, GPS (2.2950, 48.8577, 18), D 1.76m, H.S 5.20m/s, V.S -0.00m/s", PARIS, 5.2),
        ("F/6.3, RTK (2.2950, 48.8577, 28), HOME (2.2, 48.8, 103.55m), H.S 0.30m/s", PARIS, 0.3),
        ("GPS(2.2950,48.8577,16) BAROMETER:1.9", PARIS, None),
    ],
)
def test_captions_of_drones_are_read(text, place, speed):
    fix = captions.fix_of(text, 0.0)
    assert (fix.latitude, fix.longitude) == pytest.approx(place)
    assert fix.speed_mps == speed


@pytest.mark.parametrize(
    "text",
    [
        "",
        "- Where are you? - At latitude 48.",
        "[latitude: 48.8577]",
        "[latitude: 0.000000] [longitude: 0.000000]",
        "[latitude: 99.5] [longitude: 2.2]",
        "GPS (n/a)",
        "GPS (2.2950, 148.8577, 18), H.S 5.20m/s",
    ],
)
def test_other_captions_say_nothing(text):
    assert captions.fix_of(text, 0.0) is None


# ---- how fast for how long


def going(*speeds: float | None, every_s: float = 1.0) -> list[Fix]:
    return [Fix(number * every_s, *PARIS, speed) for number, speed in enumerate(speeds)]


@pytest.mark.parametrize(
    ("fixes", "speed"),
    [
        ([], None),
        (going(9, 9, 9), None),
        (going(9, 9, 9, 9, every_s=10), None),
        (going(9, 9, 9, 9), 9),
        (going(0, 0, 0, 0, 40, 0, 0, 0), 0),
        (going(*[0] * 30, *[12] * 5, *[0] * 30), 12),
        (going(*[None] * 8), 0),
    ],
)
def test_a_speed_counts_once_it_was_held_for_some_seconds(fixes, speed):
    assert sustained_mps(fixes) == speed


def test_where_no_speed_is_stated_it_is_the_way_that_was_made():
    metre = 1 / 111_195
    away = [Fix(second, 48.0 + 10 * second * metre, 2.0) for second in range(6)]
    assert sustained_mps(away) == pytest.approx(7.0, abs=0.2)
    wandering = [Fix(second, 48.0 + 10 * (second % 2) * metre, 2.0) for second in range(20)]
    assert sustained_mps(wandering) == 0


# ---- files


def test_a_file_states_its_track(tmp_path):
    (track,) = read_metadata(write(tmp_path / "clip.mp4", [payload(gps5(12.5))] * 6)).tracks
    assert (track.name, len(track.fixes), track.unreadable) == ("GPMF track", 6, 0)
    assert [fix.at_s for fix in track.fixes] == pytest.approx([0, 1, 2, 3, 4, 5])


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv"])
def test_captions_in_a_file_are_a_track(tmp_path, name):
    cues = [f"GPS (2.2950, 48.8577, 18), H.S {second}.50m/s" for second in range(5)]
    (track,) = read_metadata(write(tmp_path / name, cues=cues)).tracks
    assert (track.name, [fix.speed_mps for fix in track.fixes]) == ("captions", [0.5, 1.5, 2.5, 3.5, 4.5])


def test_ordinary_subtitles_are_no_track(tmp_path):
    assert read_metadata(write(tmp_path / "clip.mp4", cues=["Hello.", "Who is there?"])).tracks == ()


def test_what_is_broken_or_too_large_is_counted_and_the_rest_is_read(tmp_path):
    whole = payload(gps5(12.5))
    large = whole + item(b"DEVC", b"\0", 255, bytes(255 * 2000))
    (track,) = read_metadata(write(tmp_path / "clip.mp4", [whole, whole[:-40], large, whole])).tracks
    assert (len(track.fixes), track.unreadable) == (2, 2)


def test_of_a_long_file_two_minutes_are_read(tmp_path):
    (track,) = read_metadata(write(tmp_path / "clip.mp4", [payload(gps5(1.0, count=1))] * 130)).tracks
    assert track.fixes[-1].at_s == pytest.approx(120)


@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(noise=st.lists(st.binary(min_size=1, max_size=60), min_size=1, max_size=4), device=st.booleans())
def test_no_bytes_in_a_track_keep_a_file_from_being_read(tmp_path, noise, device):
    payloads = [gpmf.DEVICE + each if device else each for each in noise]
    says = read_metadata(write(tmp_path / "clip.mp4", payloads))
    assert says.size == (320, 180)
    assert [fix for track in says.tracks for fix in track.fixes] == []
