"""`guardfilter` in real pipelines: a buffer that is not allowed does not come out as it was, whatever breaks."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from guard.gstreamer import PLUGIN_PATH
from guard.ledger import read
from tests.conftest import BOX, OFFICE, POLICE

ROOT = Path(__file__).resolve().parents[2]
PYTHON = "/usr/bin/python3"
"""GStreamer's bindings come with the system's Python, and need it."""


def paths() -> str:
    return os.pathsep.join([str(ROOT), *(item for item in sys.path if item.endswith("site-packages"))])


@cache
def why_not() -> str | None:
    """Why the element cannot be tried here."""
    if not Path(PYTHON).exists():
        return "there is no system Python"
    code = "import gi, sys; [gi.require_version(name, '1.0') for name in ('Gst', 'GstBase', 'GstVideo', 'GstApp')]; "
    code += "print(sys.version_info[:2])"
    found = subprocess.run([PYTHON, "-c", code], capture_output=True, text=True, check=False)
    if found.returncode:
        return "the system's Python has no GStreamer bindings (gi)"
    if found.stdout.strip() != str(tuple(sys.version_info[:2])):
        return "the system's Python is another version than the one that guard's dependencies are installed for"
    return None


pytestmark = pytest.mark.skipif(why_not() is not None, reason=why_not() or "")

PIPELINE = """
import json, sys
import gi
gi.require_version("Gst", "1.0")
gi.require_version("GstApp", "1.0")
from gi.repository import Gst, GstApp
import guard.guard
from guard.testing import FakeDetector
BOX = {box}
guard.guard._shipped_detector = lambda only_checked: FakeDetector([BOX])
{before}
import guard.gstreamer.element as element
Gst.Element.register(None, "guardfilter", Gst.Rank.NONE, element.GuardFilter)
pipeline = Gst.parse_launch(
    "{source} ! video/x-raw,format=BGR,width={width},height=120 ! tee name=t "
    "t. ! queue ! appsink name=before sync=false wait-on-eos=false "
    "t. ! queue ! guardfilter {properties} ! appsink name=after sync=false wait-on-eos=false"
)
sinks = [pipeline.get_by_name(name) for name in ("before", "after")]
{after}
pipeline.set_state(Gst.State.PLAYING)
message = pipeline.get_bus().timed_pop_filtered(20 * Gst.SECOND, Gst.MessageType.EOS | Gst.MessageType.ERROR)
def pulled(sink):
    found = []
    while (sample := sink.try_pull_sample(0 if message.type == Gst.MessageType.ERROR else Gst.SECOND)) is not None:
        buffer = sample.get_buffer()
        found.append(buffer.extract_dup(0, buffer.get_size()))
    return found
found = [pulled(sink) for sink in sinks] if message is not None else [[], []]
pipeline.set_state(Gst.State.NULL)
{end}
failed = message.parse_error()[0] if message is not None and message.type == Gst.MessageType.ERROR else None
stride = ({width} * 3 + 3) // 4 * 4
left, top, right, bottom = BOX
def inside(data):
    return b"".join(data[y * stride + left * 3 : y * stride + right * 3] for y in range(top, bottom))
def outside(data):
    return data[110 * stride :]
print(json.dumps({{
    "message": None if message is None else "error" if failed else "eos",
    "error": failed and failed.message,
    "domain": failed and failed.domain,
    "sent": len(found[0]),
    "came": len(found[1]),
    "same": [one == other for one, other in zip(*found)],
    "same_inside": [inside(one) == inside(other) for one, other in zip(*found)],
    "same_outside": [outside(one) == outside(other) for one, other in zip(*found)],
}}))
"""


def played(
    folder: Path,
    config: str,
    properties: str,
    *,
    before: str = "",
    after: str = "",
    end: str = "",
    width: int = 160,
    source: str = "videotestsrc num-buffers=6 pattern=snow",
) -> dict[str, Any]:
    """What came of a pipeline of six buffers of noise; code may run `before` it is made, `after`, and at the `end`."""
    (folder / "guard.toml").write_text(config)
    code = PIPELINE.format(
        box=BOX,
        before=textwrap.dedent(before),
        after=textwrap.dedent(after),
        end=textwrap.dedent(end),
        properties=properties,
        width=width,
        source=source,
    )
    done = subprocess.run(
        [PYTHON, "-c", code],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": paths()},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]


def verdicts(folder: Path) -> list[str]:
    records = read(folder / "decisions.db")
    return [verdict for record in records for verdict in [record["verdict"]] * record["count"]]


def test_denied_buffers_are_dropped_and_the_stream_ends_in_order(tmp_path):
    found = played(tmp_path, POLICE, "config=guard.toml action=identify service=azure_face")
    assert (found["message"], found["came"]) == ("eos", 0)
    assert verdicts(tmp_path) == ["deny"] * 6


def test_allowed_buffers_come_out_as_they_were(tmp_path):
    found = played(tmp_path, OFFICE, "config=guard.toml source=door action=identify service=my-matcher")
    assert (found["message"], found["same"]) == ("eos", [True] * 6)
    assert verdicts(tmp_path) == ["allow"] * 6


def test_a_denied_buffer_ends_the_pipeline_where_that_is_asked_for(tmp_path):
    found = played(tmp_path, POLICE, "config=guard.toml action=identify service=azure_face mode=error")
    assert (found["message"], found["came"]) == ("error", 0)
    assert found["domain"] == "gst-resource-error-quark"
    assert "is forbidden by" in found["error"]


@pytest.mark.parametrize("width", [160, 162])
@pytest.mark.parametrize(
    ("config", "properties"), [(POLICE, "service=azure_openai"), (OFFICE, "mode=redact")], ids=["verdict", "mode"]
)
def test_faces_are_covered_and_nothing_else(tmp_path, config, properties, width):
    """A row of 162 pixels is padded: 486 bytes in 488."""
    found = played(tmp_path, config, f"config=guard.toml {properties}", width=width)
    assert (found["message"], found["came"]) == ("eos", 6)
    assert found["same_inside"] == [False] * 6
    assert found["same_outside"] == [True] * 6


POST_EVENT = OFFICE.replace("real_time", "post_event")
AT_ONCE = {"any_of": ["near_real_time", "post_event", "real_time"]}
ALLOWED = "config=guard.toml source=door action=identify service=my-matcher"
RECORDED = "videotestsrc num-buffers=6 pattern=snow"
LIVE = "videotestsrc num-buffers=6 pattern=snow is-live=true"


def timings(folder: Path) -> list[Any]:
    found = [record["facts"]["use"]["timing"] for record in read(folder / "decisions.db")]
    return [{"any_of": sorted(timing["any_of"])} if isinstance(timing, dict) else timing for timing in found]


@pytest.mark.parametrize(
    ("source", "timing"),
    [
        (RECORDED, "post_event"),
        (f"{RECORDED} ! queue ! videoconvert", "post_event"),
        (LIVE, AT_ONCE),
        (f"{LIVE} ! queue ! videoconvert ! videoscale", AT_ONCE),
    ],
)
def test_a_live_pipeline_makes_its_source_live_whatever_is_declared(tmp_path, source, timing):
    assert played(tmp_path, POST_EVENT, ALLOWED, source=source)["message"] == "eos"
    assert timings(tmp_path) == [timing] * 6


def test_a_pipeline_that_does_not_say_whether_it_is_live_is(tmp_path):
    silenced = """
        def silent(pad, info):
            is_asked = info.get_query().type == Gst.QueryType.LATENCY
            return Gst.PadProbeReturn.DROP if is_asked else Gst.PadProbeReturn.OK
        element = pipeline.get_by_name("t")
        element.get_static_pad("sink").get_peer().add_probe(Gst.PadProbeType.QUERY_UPSTREAM, silent)
    """
    assert played(tmp_path, POST_EVENT, ALLOWED, after=silenced)["message"] == "eos"
    assert timings(tmp_path) == [AT_ONCE] * 6


def test_it_asks_once_a_stream(tmp_path):
    counted = """
        asked = []
        original = Gst.Pad.peer_query
        def peer_query(pad, query):
            asked.append(query)
            return original(pad, query)
        Gst.Pad.peer_query = peer_query
    """
    count = "assert len(asked) == 1, asked"
    assert played(tmp_path, POST_EVENT, ALLOWED, after=counted, end=count)["came"] == 6


BREAKS = {
    "the judgement": "from guard.integrations.filters import FrameFilter\nFrameFilter.judge = lambda *a, **k: 1 / 0",
    "the redaction": "guard.guard.Guard.redact = lambda *a, **k: 1 / 0",
    "the detector": "guard.guard._shipped_detector = lambda only_checked: FakeDetector(error=RuntimeError('broken'))",
    "an interrupt": """
        from guard.integrations.filters import FrameFilter
        def judge(*args, **kwargs):
            raise KeyboardInterrupt
        FrameFilter.judge = judge
    """,
    "the refusal, too": """
        import guard.gstreamer.element as element
        element.GuardFilter._passed = lambda self, buffer: 1 / 0
        element.GuardFilter._refused = lambda self, error: 1 / 0
    """,
    "the record": """
        from guard.errors import LedgerError
        from guard.ledger import Ledger
        def record(self, entry):
            raise LedgerError("the disk is full")
        Ledger.record = record
    """,
    "a half-written buffer": """
        import numpy as np
        from guard.integrations.filters import FrameFilter
        FrameFilter.judge = lambda self, image, **k: np.zeros((3, 3, 3), np.uint8)
    """,
}


@pytest.mark.parametrize("mode", ["drop", "error", "redact"])
@pytest.mark.parametrize("what", BREAKS)
def test_nothing_comes_out_when_a_stage_breaks(tmp_path, what, mode):
    service = "" if mode == "redact" else "service=azure_openai"
    found = played(tmp_path, POLICE, f"config=guard.toml mode={mode} {service}", before=BREAKS[what])
    assert found["came"] == 0
    if what != "the refusal, too":
        assert found["message"] == ("error" if mode == "error" else "eos")


@pytest.mark.parametrize(
    "properties",
    ["", "config=nowhere.toml", "config=guard.toml", "config=guard.toml source=x", "config=guard.toml mode=blur"],
)
def test_a_pipeline_whose_guard_cannot_be_loaded_does_not_start(tmp_path, properties):
    found = played(tmp_path, POLICE, properties)
    assert (found["message"], found["came"]) == ("error", 0)


@pytest.mark.skipif(shutil.which("gst-launch-1.0") is None, reason="gst-launch-1.0 is not installed")
def test_gst_launch_finds_the_element(tmp_path):
    """Through the loader of Python plugins, which Debian packages apart."""
    environment = {**os.environ, "PYTHONPATH": paths(), "GST_PLUGIN_PATH": PLUGIN_PATH, "HOME": str(tmp_path)}
    environment["GST_REGISTRY"] = str(tmp_path / "registry.bin")
    known = subprocess.run(
        ["gst-inspect-1.0", "guardfilter"], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    if known.returncode:
        pytest.skip("GStreamer has no loader of Python plugins (gstreamer1.0-python3-plugin-loader)")
    (tmp_path / "guard.toml").write_text(POLICE)
    element = "guardfilter config=guard.toml action=identify service=azure_face mode=error"
    line = f"videotestsrc num-buffers=3 ! videoconvert ! {element} ! fakesink"
    done = subprocess.run(
        ["gst-launch-1.0", *line.split()],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode != 0
    assert "is forbidden by" in done.stderr + done.stdout
