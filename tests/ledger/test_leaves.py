"""Leaves: what is hashed is what is stored, and nothing in them can hold a picture, a vector, a name or a prompt."""

from __future__ import annotations

import json
import typing
from pathlib import Path
from typing import Any

import pytest

import guard
from guard.ledger import Leaf, Ledger, leaves
from guard.ledger.leaves import MAX_BYTES, Calls, encode, kinds

PLAIN = {int, float, str, bool, type(None)}


class Note(Leaf, tag="test-note"):
    text: str
    until: str = "2026-01-01T00:00:00.000000Z"
    frames: int = 0

    def rest(self, stated: Leaf) -> Leaf | None:
        assert isinstance(stated, Note)
        left = self.frames - stated.frames
        return Note(text=self.text, frames=left) if left else None


def parts(hint: Any) -> set[Any]:
    inner = typing.get_args(hint)
    return {hint} if not inner else set().union(*(parts(arg) for arg in inner))


@pytest.mark.parametrize(
    "kind", sorted(kinds().values(), key=lambda kind: kind.__name__), ids=lambda kind: kind.__name__
)
def test_no_field_can_hold_bytes_or_a_vector(kind: type[Leaf]):
    for name, hint in typing.get_type_hints(kind).items():
        if name in ("__struct_fields__", "__struct_config__"):
            continue
        if (kind.__name__, name) == ("FactsLeaf", "facts"):
            assert hint == dict[str, Any]  # what guard.toml declares, read by Facts.parse
            continue
        assert parts(hint) <= PLAIN, f"{kind.__name__}.{name}"
        assert float not in parts(hint) or not typing.get_args(hint), f"{kind.__name__}.{name} could hold a vector"


def test_the_fields_of_a_call_are_these_and_no_others():
    """A field added here is a field that somebody has asked himself about: can it hold what identifies a person?"""
    assert set(Calls.__struct_fields__) == {
        *("seq", "session", "id", "last_id", "count", "at", "until", "clock", "source", "frame", "last_frame"),
        *("captured_at", "last_captured_at", "action", "service", "verdict", "fault", "faces", "faces_most", "rules"),
        *("judged_under", "policy_digest", "facts_digest", "enforced", "redactable", "judged_facts", "judged_actions"),
        "contradicted",
        *("latency_us", "latency_us_max", "supersedes"),
    }


def test_a_leaf_is_canonical_json():
    body = encode(Note(seq=7, text="ü"))
    assert body == '{"frames":0,"kind":"test-note","seq":7,"text":"ü","until":"2026-01-01T00:00:00.000000Z"}'.encode()
    assert body == json.dumps(json.loads(body), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def test_leaves_of_other_kinds_keep_their_place_among_records(tmp_path: Path):
    from tests.ledger.test_ledger import entry

    path = tmp_path / "d.db"
    with Ledger(path) as ledger:
        ledger.append(Note(text="before"))
        ledger.record(entry(1, "allow"))
        ledger.append(Note(text="after"))
    kept = [leaf for leaf in leaves(path) if leaf["kind"] in ("test-note", "call")]
    assert [leaf.get("text") for leaf in kept] == ["before", None, "after"]
    assert [leaf["seq"] for leaf in leaves(path)] == list(range(len(list(leaves(path)))))


def test_a_pending_leaf_is_on_disk_and_enters_the_tree_once(tmp_path: Path):
    path = tmp_path / "d.db"
    with Ledger(path) as ledger:
        ledger.pend("a", Note(text="a", frames=1))
        ledger.pend("b", Note(text="b", frames=1))
        ledger.flush()
        assert [(leaf["text"], leaf["seq"]) for leaf in leaves(path, kind="test-note")] == [("a", -1), ("b", -1)]
        ledger.pend("a", Note(text="a", frames=2))
        ledger.append(Note(text="a", frames=3), name="a")
        ledger.pend("b", Note(text="b", frames=5))
    found = list(leaves(path, kind="test-note"))
    assert [(leaf["text"], leaf["frames"]) for leaf in found] == [("a", 3), ("b", 5)]
    assert all(leaf["seq"] >= 0 for leaf in found)


def test_what_another_process_stated_meanwhile_is_not_stated_twice(tmp_path: Path, monkeypatch):
    import guard.ledger.writing as writing

    path = tmp_path / "d.db"
    with Ledger(path) as ledger:
        ledger.pend("a", Note(text="a", frames=3))
        ledger.flush()
        with monkeypatch.context() as elsewhere:
            elsewhere.setattr(writing, "_open_ledgers", set())  # as if in another process, which sees a stranger's row
            Ledger(path).close()
        ledger.pend("a", Note(text="a", frames=4))
        ledger.flush()
        ledger.append(Note(text="a", frames=10), name="a")
        ledger.append(Note(text="a", frames=2), name="a")
    assert [leaf["frames"] for leaf in leaves(path, kind="test-note")] == [3, 7, 2]


def test_a_leaf_that_is_too_long_or_no_json_is_refused_at_once(tmp_path: Path):
    with Ledger(tmp_path / "d.db") as ledger:
        with pytest.raises(guard.LedgerError, match="too long"):
            ledger.append(Note(text="x" * MAX_BYTES))
        with pytest.raises(guard.LedgerError, match="cannot be written"):
            ledger.pend("a", Note(text="\ud800"))
    with pytest.raises(guard.LedgerError, match="closed"):
        ledger.append(Note(text="late"))
