"""What a browser gets: what changed since it last read, each source as it is now, and nothing kept for it."""

from __future__ import annotations

import pytest

from guard.facts import Decision, Facts, Reason, Verdict
from guard.watch.board import Board
from guard.watch.feeds import Standing
from guard.watch.runs import Attempt
from guard.watch.tile import Look, Tile


def decision(
    verdict: Verdict = Verdict.DENY, *, rule: str = "R.1", fault: str | None = None, id: str = "d"
) -> Decision:
    reasons = () if verdict is Verdict.ALLOW or fault else (Reason(rule, "pack", "No.", "A text", "text"),)
    return Decision(
        id=id, at=None, source="door", action="identify", service="self_hosted", verdict=verdict, faces=1,
        reasons=reasons, facts=Facts(), valid_until=None, fault=fault, latency_us=1.0, policy_digest="p",
    )  # fmt: skip


def look(*decisions: Decision, picture: bytes | None = None, why: str | None = None) -> Look:
    return Look(decisions, 1000.0, 1, (), picture, why)


@pytest.fixture
def board() -> Board:
    return make()


def make(kept: int = 100, standing=lambda: Standing("running")) -> Board:
    attempts = (Attempt("identify", "self_hosted"),)
    return Board({id: Tile(id, attempts, standing) for id in ("door", "gate")}, kept=kept)


def test_a_new_reader_gets_everything(board):
    board.saw("door", look(decision()))
    found = board.since(0)
    assert list(found["tiles"]) == ["door", "gate"]
    assert [run["outcome"] for run in found["runs"]] == ["deny"]
    assert found["tiles"]["gate"]["calls"][0]["run"] is None


def test_a_reader_gets_only_what_changed(board, monkeypatch):
    board.saw("door", look(decision()))
    version = board.since(0)["version"]
    monkeypatch.setattr("guard.watch.board._RENEW_S", 0.0)
    board.saw("gate", look(decision()))
    found = board.since(version)
    assert [run["source"] for run in found["runs"]] == ["gate"]
    assert "gate" in found["tiles"]


def test_equal_decisions_in_a_row_are_one_line_counted(board):
    for number in range(5):
        board.saw("door", look(decision(id=str(number))))
    (run,) = board.since(0)["runs"]
    assert run["count"] == 5


@pytest.mark.parametrize(
    "other",
    [decision(Verdict.ALLOW), decision(rule="R.2"), decision(fault="the detector failed")],
    ids=["verdict", "rule", "fault"],
)
def test_another_decision_begins_another_line(board, other):
    board.saw("door", look(decision()))
    board.saw("door", look(other))
    board.saw("door", look(decision()))
    assert len(board.since(0)["runs"]) == 3


def test_a_fault_that_differs_in_its_measure_is_the_same_line(board):
    board.saw("door", look(decision(fault="the frame is 1.20 s old")))
    board.saw("door", look(decision(fault="the frame is 3.45 s old")))
    assert [run["count"] for run in board.since(0)["runs"]] == [2]


def test_a_fault_is_no_denial(board):
    board.saw("door", look(decision(fault="the detector failed")))
    assert board.since(0)["runs"][0]["outcome"] == "fault"


def test_what_is_kept_is_bounded_and_a_slow_reader_gets_the_newest():
    board = make(kept=10)
    version = board.since(0)["version"]
    for number in range(1000):
        board.saw("door", look(decision(rule=f"R.{number}")))
    runs = board.since(version)["runs"]
    assert [run["rules"] for run in runs] == [[f"R.{number}"] for number in range(990, 1000)]


def test_a_picture_goes_as_soon_as_there_is_none(board):
    board.saw("door", look(decision(), picture=b"jpeg"))
    assert board.picture("door") == b"jpeg"
    board.saw("door", look(decision()))
    assert board.picture("door") == b"jpeg"
    board.saw("door", look(decision(), why="the detector failed"))
    assert board.picture("door") is None


def test_a_picture_goes_once_frames_came_after_it_for_a_while(board, monkeypatch):
    monkeypatch.setattr("guard.watch.board._RENEW_S", 0.0)
    board.saw("door", look(decision(), picture=b"jpeg"))
    board.saw("door", look(decision()))
    assert board.picture("door") == b"jpeg"
    monkeypatch.setattr("guard.watch.tile._LASTING_S", -1.0)
    assert board.picture("door") == b"jpeg", "one of a feed that stands still stays"
    board.saw("door", look(decision()))
    assert board.picture("door") is None
    assert board.since(0)["tiles"]["door"]["picture"] is None


def test_a_tile_says_why_there_is_no_picture(board):
    board.saw("door", look(decision(), why="the detector failed"))
    tile = board.since(0)["tiles"]["door"]
    assert (tile["picture"], tile["why_none"]) == (None, "the detector failed")


def test_a_feed_that_stalls_is_a_change_though_no_frame_comes(monkeypatch):
    now = [Standing("running")]
    board = make(standing=lambda: now[0])
    version = board.since(0)["version"]
    monkeypatch.setattr("guard.watch.board._RENEW_S", 0.0)
    now[0] = Standing("stalled", "no frame for 4 s")
    assert board.since(version)["tiles"]["door"]["feed"]["state"] == "stalled"


def test_the_last_minute_shows_the_strictest_of_each_second(board):
    board.saw("door", look(decision(Verdict.ALLOW)))
    board.saw("door", look(decision()))
    minute = board.since(0)["tiles"]["door"]["minute"]
    assert len(minute) == 60
    assert minute.strip("-") in ("d", "ad")  # two seconds where the clock turned between them


def test_it_is_viewed_while_somebody_looks_on(board):
    with board.viewer(), board.viewer():
        assert board.viewers == 2
    assert not board.is_viewed


def test_a_slow_machine_is_told_from_a_dead_one(board, monkeypatch):
    now_s = [100.0]
    monkeypatch.setattr("guard.watch.tile.time.monotonic", lambda: now_s[0])
    tile = Tile("door", (Attempt("identify", "self_hosted"),), lambda: Standing("running"))
    for _ in range(2):
        tile.saw(look())
        now_s[0] += 4.0
    assert tile.to_json()["rate"] == pytest.approx(0.2, abs=0.06)
    now_s[0] += 20.0
    assert tile.to_json()["rate"] == 0.0
