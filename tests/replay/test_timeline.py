"""The timeline: every frame is in it, however long the clip, and an event is noted once."""

from __future__ import annotations

from typing import Any

import pytest

from guard.replay.timeline import MOST_EVENTS, MOST_STEPS, Step, Timeline
from guard.report.stretches import stretches


@pytest.mark.parametrize("frames", [1, MOST_STEPS, MOST_STEPS + 1, 5 * MOST_STEPS + 3])
def test_it_is_bounded_and_counts_every_frame(frames: int):
    timeline = Timeline()
    for number in range(frames):
        timeline.add(number / 10, None, number % 3)
    assert len(timeline.steps) <= MOST_STEPS
    assert sum(step.frames for step in timeline.steps) == frames
    assert sum(step.outcomes["fault"] for step in timeline.steps) == frames
    begins = [step.at_s for step in timeline.steps]
    assert begins == sorted(begins)
    assert begins[0] == 0
    assert max(step.faces or 0 for step in timeline.steps) == min(2, frames - 1)


def test_joined_steps_keep_the_most_faces_and_every_rule():
    one = Step(0.0, 2, 1, 0, {"deny": 2}, ("a",))
    other = Step(0.2, 1, None, 1, {"allow": 1, "deny": 0}, ("b", "a"))
    assert one.joined(other) == Step(0.0, 3, 1, 1, {"deny": 2, "allow": 1}, ("a", "b"))
    assert one.joined(None) is one


def test_the_same_fault_in_a_row_is_one_event():
    timeline = Timeline()
    for at, why in enumerate(["frozen: for 3 s", "frozen: for 4 s", None, None, "too dark"]):
        timeline.fault(float(at), why)
    assert [(event.at_s, event.kind) for event in timeline.events] == [(0, "unjudged"), (2, "judged"), (4, "unjudged")]


def test_an_attribute_is_contradicted_once():
    timeline = Timeline()
    timeline.contradicted(1.0, ["capture.mount: declared fixed, seen vehicle (0.9)"])
    timeline.contradicted(2.0, ["capture.mount: declared fixed, seen vehicle (0.95)", "capture.at: ..."])
    assert [(event.at_s, event.what.partition(":")[0]) for event in timeline.events] == [
        (1.0, "capture.mount"), (2.0, "capture.at"),
    ]  # fmt: skip


def test_events_beyond_the_limit_are_counted():
    timeline = Timeline()
    for at in range(MOST_EVENTS + 5):
        timeline.fault(float(at), "dark" if at % 2 else "frozen")
    assert (len(timeline.events), timeline.more_events) == (MOST_EVENTS, 5)


def test_stretches_cover_the_clip_and_change_with_outcome_or_rules():
    def step(at_s: float, outcome: Any, rules: tuple[str, ...], faces: int | None) -> Step:
        return Step(at_s, 1, faces, int(faces is None), {outcome: 1}, rules)

    found = stretches(
        [
            step(0.0, "deny", ("a", "b"), 2),
            step(0.1, "deny", ("b", "a"), 0),
            step(0.2, "deny", ("a",), None),
            step(0.3, "allow", (), 1),
        ],
        0.4,
    )
    assert [(each.begin_s, each.end_s, each.outcome) for each in found] == [
        (0.0, 0.2, "deny"), (0.2, 0.3, "deny"), (0.3, 0.4, "allow"),
    ]  # fmt: skip
    assert (found[0].fewest, found[0].most, found[0].outcomes) == (0, 2, {"deny": 2})
    assert (found[1].most, found[1].unknown) == (None, 1)
