"""The bench gives the contract's object; what it measures is not judged here."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from guard.bench import peers
from guard.bench.measuring import Row, interleave, percentile, ratios
from guard.cli import main


def test_percentiles_are_nearest_rank():
    samples = [float(number) for number in range(1, 101)]
    assert [percentile(samples, p) for p in (50, 95, 99, 99.9, 100)] == [50, 95, 99, 100, 100]
    assert percentile([], 50) == 0
    assert percentile([3.0], 99.9) == 3


def test_rows_take_turns():
    order: list[str] = []
    rows = [Row("a", lambda: order.append("a")), Row("b", lambda: order.append("b"), per_turn=2)]
    interleave(rows, seconds=0.0, warm_up=1)
    assert order[:3] == ["a", "b", "b"]
    turns = ["".join(order[start : start + 3]) for start in range(3, len(order), 3)]
    assert sorted(map(sorted, turns)) == [["a", "b", "b"]] * 3
    assert (len(rows[0].samples_us), len(rows[1].samples_us)) == (3, 6)


def test_ratios_are_of_medians():
    rows = {"a": Row("a", lambda: None, samples_us=[2.0, 4.0, 90.0]), "b": Row("b", lambda: None, samples_us=[2.0])}
    assert ratios(rows, {"a / b": ("a", "b"), "a / c": ("a", "c")}) == {"a / b": 2.0}


def test_the_commands_json(capsys):
    assert main(["bench", "--size", "320x180", "--seconds", "0.1", "--peers", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["schema"] == "guard.bench/1"
    assert found["size"] == [320, 180]
    names = [row["name"] for row in found["rows"]]
    assert names[:7] == [
        "bare-detector", "hook-detect", "hook-on-demand", "hook-on-demand-first", "authorize-cached",
        "release-commit", "fsync",
    ]  # fmt: skip
    for row in found["rows"]:
        assert {"name", "p50_us", "p95_us", "p99_us", "p999_us", "fps", "faces", "rss_mb"} <= set(row)
        assert row["p50_us"] <= row["p95_us"] <= row["p99_us"] <= row["p999_us"]
    assert "hook-detect / bare-detector" in found["ratios"]
    assert {"cpu", "cores", "python", "opencv", "onnxruntime"} <= set(found["machine"])


def test_the_table_and_the_plot(capsys, tmp_path: Path):
    pytest.importorskip("matplotlib")
    plot = tmp_path / "plot.png"
    assert main(["bench", "--size", "160x120", "--seconds", "0.1", "--plot", str(plot)]) == 0
    assert "hook-on-demand" in capsys.readouterr().out
    assert plot.read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize("name", [*peers.PEERS, "guard"])
def test_a_peer_finds_the_portrait_in_pixels_of_the_picture(name: str):
    data = pytest.importorskip("skimage.data")
    try:
        find_faces = {"guard": peers.ours, **peers.PEERS}[name](32, 0.5)
    except (ImportError, AttributeError):
        pytest.skip(f"{name} is not installed")
    x1, y1, x2, y2, score = find_faces(np.ascontiguousarray(data.astronaut()[:, :, ::-1]))[0]
    assert score > 0
    assert abs((x1 + x2) / 2 - 223) < 20
    assert abs((y1 + y2) / 2 - 120) < 25
    assert 60 < x2 - x1 < 130
