"""Charts: the numbers as they are, in files that are whole, and a plain word where matplotlib is absent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from guard import charts
from guard.bench.plotting import plot_curves, plot_tails
from guard.cli import main
from guard.errors import GuardError
from guard.histogram import histogram

CURVES = {"every frame": [(1.0, 12.0), (10.0, 121.0)], "fixed feed": [(1.0, 1.1), (10.0, 11.0)]}
WORDS: dict[str, Any] = {"title": "CPU time by number of sources", "x": "sources", "y": "CPU time, ms"}


def test_a_bin_counts_what_is_at_least_its_lower_edge_and_below_its_upper():
    assert histogram([]) == []
    assert histogram([1.0, 1.24, 1.25, 2.1]) == [(1.0, 1.25, 2), (1.25, 1.6, 1), (1.6, 2.0, 0), (2.0, 2.5, 1)]
    assert sum(count for _, _, count in histogram([0.0, 0.01, 3e9])) == 3


@pytest.fixture
def drawn(tmp_path: Path) -> Path:
    pytest.importorskip("matplotlib")
    plot_curves(CURVES, tmp_path / "sources.svg", **WORDS)
    return tmp_path / "sources.svg"


def test_a_chart_says_in_words_what_it_shows(drawn: Path):
    root = ElementTree.parse(drawn).getroot()
    assert root.get("role") == "img"
    assert (
        root.get("aria-label") == "CPU time by number of sources. CPU time, ms over sources: every frame, fixed feed."
    )


def test_the_same_numbers_give_the_same_bytes(drawn: Path):
    first = drawn.read_bytes()
    plot_curves(CURVES, drawn, **WORDS)
    assert drawn.read_bytes() == first
    plot_curves({**CURVES, "fixed feed": [(1.0, 1.1), (10.0, 12.0)]}, drawn, **WORDS)
    assert drawn.read_bytes() != first


def test_a_tail_begins_with_all_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    shown: dict[str, Any] = {}
    monkeypatch.setattr("guard.bench.plotting.plot_curves", lambda curves, path, **_: shown.update(curves))
    row = {"name": "hook", "histogram": histogram([1000.0, 1000.0, 1000.0, 2000.0])}
    plot_tails({"rows": [row], "size": [640, 360], "machine": {"cpu": "x"}}, tmp_path / "x.svg")
    assert shown["hook"][0] == (1.0, 1.0)
    assert shown["hook"][-1] == (2.0, 0.25)


def test_a_chart_that_cannot_be_written_leaves_nothing(tmp_path: Path):
    pytest.importorskip("matplotlib")
    with pytest.raises(GuardError, match=r"a chart is a \.png or \.svg file"):
        plot_curves(CURVES, tmp_path / "sources.gif", **WORDS)
    (tmp_path / "taken.svg").mkdir()
    with pytest.raises(GuardError, match="the chart cannot be written"):
        plot_curves(CURVES, tmp_path / "taken.svg", **WORDS)
    assert [entry.name for entry in tmp_path.iterdir()] == ["taken.svg"]


def test_without_matplotlib_one_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.setattr(charts, "find_spec", lambda name: None)
    assert main(["bench", "--size", "160x120", "--seconds", "0.1", "--plot", str(tmp_path / "cost.svg")]) == 1
    said = capsys.readouterr().err
    assert "plots need matplotlib" in said
    assert "pip install 'frguard[plots]'" in said
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_name_is_refused_before_anything_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    pytest.importorskip("matplotlib")
    monkeypatch.setattr("guard.cli.bench.run", lambda **_: pytest.fail("measured"))
    assert main(["bench", "--plot", str(tmp_path / "cost.gif")]) == 1
    assert "a chart is no .gif file" in capsys.readouterr().err


def test_a_folder_gets_every_chart_and_several_sizes_one_that_compares_them(tmp_path: Path, capsys):
    pytest.importorskip("matplotlib")
    sizes = ["--size", "160x120", "--size", "320x240"]
    assert main(["bench", *sizes, "--seconds", "0.1", "--plot", str(tmp_path / "charts"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["size"] for one in found["sizes"]] == [[160, 120], [320, 240]]
    assert {entry.name for entry in (tmp_path / "charts").iterdir()} == {
        "cost.svg", "latency-160x120.svg", "latency-320x240.svg", "size.svg",
    }  # fmt: skip
