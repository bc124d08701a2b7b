"""A clip keeps the rules under which it was taken, and one that was tampered with has none that can be trusted."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from guard.cli import main
from guard.context.seal import CAPTURE_FACTS, sidecar_of
from guard.facts import Facts
from guard.matchers import Counting
from guard.replay.checking import check_source
from guard.replay.clip import open_clip
from guard.replay.run import replay
from guard.report import write_report
from tests.conftest import OFFICE
from tests.context.test_statements import write

TRUSTED = '[policy]\nsource_keys = ["ops.pub"]\n'
REQUIRED = TRUSTED + 'sealed = "required"\n'
BODYCAM = OFFICE.replace('mount = "fixed"', 'mount = "body_worn"').replace(
    'country = "SG", control', 'country = "FR", control'
)


@pytest.fixture
def place(tmp_path, make_guard, capsys):
    return Place(tmp_path, make_guard, capsys)


class Place:
    def __init__(self, folder: Path, make_guard, capsys) -> None:
        self.folder, self.make_guard, self.capsys = folder, make_guard, capsys
        for name in ("ops", "other"):
            main(["policy", "keygen", "--out", str(folder / name)])
        self.clip = write(folder / "clip.mp4", moving=False, seconds=1.0)

    def seal(self, text: str = BODYCAM, key: str = "ops", *more: str) -> tuple[int, str]:
        (self.folder / "taken.toml").write_text(text)
        self.capsys.readouterr()
        named = ["--config", str(self.folder / "taken.toml"), "--key", str(self.folder / f"{key}.key")]
        status = main(["seal", str(self.clip), *named, *more])
        said = self.capsys.readouterr()
        return status, said.out + said.err

    def played(self, policy: str = TRUSTED, clip: Path | None = None):
        """The facts by which the clip is judged later, as a fixed camera in Singapore; and the finding on its seal."""
        source = self.make_guard(policy + OFFICE).source()
        rows = {row.name: row for row in check_source(open_clip(clip or self.clip), source)}
        return source.context.effective, rows["seal"]


def test_a_later_use_is_bound_by_the_stricter_of_both_contexts(place):
    status, said = place.seal()
    assert status == 0
    assert "clip.mp4.seal.json: source door" in said
    facts, row = place.played()
    assert facts.known("capture.mount") == {"fixed", "body_worn"}
    assert facts.known("place.country") == {"SG", "FR"}
    assert facts.known("use.purpose") == {"access_control"}
    assert row.verdict == "agrees"
    assert "bound by both contexts" in row.evidence


def test_the_seal_states_facts_and_verdicts_and_no_name_of_the_clip(place):
    place.seal()
    said = json.loads(sidecar_of(place.clip).read_text())
    assert said["schema"] == "guard.seal/1"
    assert said["seal"]["facts"]["capture"]["mount"] == "body_worn"
    assert said["seal"]["verdicts"]["self_hosted"]["detect"] == "allow"
    assert "clip.mp4" not in json.dumps(said)
    again = json.dumps(said)
    place.seal()
    other = json.loads(sidecar_of(place.clip).read_text())
    assert other["seal"]["clip"]["digest"] != json.loads(again)["seal"]["clip"]["digest"]


def test_what_was_unknown_when_it_was_taken_stays_unknown(place):
    place.seal(BODYCAM.replace('capture = { mount = "body_worn" }\n', ""))
    assert place.played()[0].known("capture.mount") is None


def unknown(facts: Facts) -> bool:
    return all(facts.known(name) is None for name in CAPTURE_FACTS)


def test_an_unsealed_clip_stands_as_declared_and_says_so(place):
    facts, row = place.played()
    assert facts.known("capture.mount") == {"fixed"}
    assert (row.seen, row.verdict) == (("unsealed",), "cannot-tell")
    assert "not sealed" in row.evidence


def test_where_seals_are_required_an_unsealed_clip_has_unknown_capture_facts(place):
    facts, row = place.played(REQUIRED)
    assert unknown(facts)
    assert facts.known("use.purpose") == {"access_control"}
    assert row.verdict == "contradicted"


def reencode(place: Place) -> None:
    sidecar = sidecar_of(place.clip).read_bytes()
    place.clip = write(place.folder / "again.mp4", moving=False, seconds=1.2)
    sidecar_of(place.clip).write_bytes(sidecar)


def cut(place: Place) -> None:
    place.clip.write_bytes(place.clip.read_bytes() + b"\0")


def edit(place: Place) -> None:
    path = sidecar_of(place.clip)
    path.write_text(path.read_text().replace('"body_worn"', '"fixed"'))


def sign_anew(place: Place) -> None:
    place.seal(OFFICE, "other")


def empty(place: Place) -> None:
    sidecar_of(place.clip).write_text("{}")


@pytest.mark.parametrize("policy", [TRUSTED, REQUIRED], ids=["trusted", "required"])
@pytest.mark.parametrize(
    ("tamper", "message"),
    [
        (reencode, "it was changed, cut or encoded anew"),
        (cut, "it was changed, cut or encoded anew"),
        (edit, "it was changed after it was signed"),
        (sign_anew, "signed with a key that is not trusted"),
        (empty, "no guard.seal/1"),
    ],
)
def test_a_seal_that_does_not_hold_leaves_the_facts_of_its_taking_unknown(place, policy, tamper, message):
    place.seal()
    tamper(place)
    facts, row = place.played(policy)
    assert unknown(facts)
    assert row.verdict == "contradicted"
    assert message in row.evidence


def test_a_clip_that_was_moved_without_its_seal_is_unsealed(place):
    place.seal()
    moved = place.folder / "moved.mp4"
    shutil.copy(place.clip, moved)
    assert unknown(place.played(REQUIRED, moved)[0])
    shutil.copy(sidecar_of(place.clip), sidecar_of(moved))
    assert place.played(REQUIRED, moved)[1].verdict == "agrees"


@pytest.mark.parametrize("policy", [TRUSTED, REQUIRED], ids=["trusted", "required"])
def test_a_link_to_a_sealed_clip_is_bound_as_the_clip_is(place, policy):
    place.seal()
    (place.folder / "elsewhere").mkdir()
    link = place.folder / "elsewhere" / "innocent.mp4"
    link.symlink_to(place.clip)
    assert place.played(policy, link)[0].known("capture.mount") == {"fixed", "body_worn"}
    sidecar_of(link).write_text("{}")
    assert unknown(place.played(policy, link)[0])


def pictures(folder: Path, number: int) -> Path:
    made = np.random.default_rng(0)
    folder.mkdir()
    for each in range(number):
        cv2.imwrite(str(folder / f"{each}.png"), made.integers(0, 255, (120, 160, 3), np.uint8))
    return folder


def test_a_picture_can_be_sealed_as_a_clip_can(place):
    place.clip = pictures(place.folder / "stills", 1) / "0.png"
    assert place.seal()[0] == 0
    assert place.played(REQUIRED)[0].known("capture.mount") == {"fixed", "body_worn"}
    cut(place)
    assert unknown(place.played(TRUSTED)[0])


def test_where_seals_are_required_what_cannot_be_sealed_has_unknown_capture_facts(place):
    """A clip that was taken apart into pictures has lost its seal."""
    facts, row = place.played(REQUIRED, pictures(place.folder / "stills", 3))
    assert unknown(facts)
    assert (row.verdict, row.seen) == ("contradicted", ("unsealed",))


def test_a_clip_is_sealed_where_seals_are_required_as_anywhere(place):
    assert place.seal(REQUIRED + BODYCAM)[0] == 0
    assert json.loads(sidecar_of(place.clip).read_text())["seal"]["facts"]["capture"]["mount"] == "body_worn"
    assert place.played(REQUIRED)[0].known("capture.mount") == {"fixed", "body_worn"}


@pytest.mark.parametrize("tamper", [reencode, cut, edit, empty])
def test_a_clip_whose_seal_does_not_hold_is_not_sealed_anew_over_it(place, tamper):
    place.seal()
    tamper(place)
    before = sidecar_of(place.clip).read_bytes()
    status, said = place.seal(TRUSTED + BODYCAM)
    assert status == 1
    assert "the clip has a seal already" in said
    assert "remove that seal" in said
    assert sidecar_of(place.clip).read_bytes() == before
    sidecar_of(place.clip).unlink()
    assert place.seal(TRUSTED + BODYCAM)[0] == 0


def test_the_seal_of_a_source_that_nobody_answers_for_states_nothing(place):
    asked = TRUSTED + 'attestation = "required"\n'
    assert place.seal(asked + BODYCAM)[0] == 0
    assert Facts.parse(json.loads(sidecar_of(place.clip).read_text())["seal"]["facts"]) == Facts()


def test_a_seal_is_not_written_through_a_link(place):
    victim = place.folder / "victim"
    victim.write_text("precious")
    out = place.folder / "out.json"
    out.symlink_to(victim)
    assert place.seal(BODYCAM, "ops", "--out", str(out))[0] == 0
    assert victim.read_text() == "precious"
    assert json.loads(out.read_text())["schema"] == "guard.seal/1"


def nested(place: Place) -> None:
    sidecar_of(place.clip).write_text("[" * 100_000 + "]" * 100_000)


def pipe(place: Place) -> None:
    sidecar_of(place.clip).unlink()
    os.mkfifo(sidecar_of(place.clip))


def large(place: Place) -> None:
    with sidecar_of(place.clip).open("wb") as file:
        file.truncate(1 << 33)


def link_to_nothing(place: Place) -> None:
    sidecar_of(place.clip).unlink()
    sidecar_of(place.clip).symlink_to(place.folder / "nothing")


def other_facts(facts: object):
    def tamper(place: Place) -> None:
        document = json.loads(sidecar_of(place.clip).read_text())
        document["seal"]["facts"] = facts
        sidecar_of(place.clip).write_text(json.dumps(document))

    return tamper


@pytest.mark.parametrize("policy", ["", TRUSTED], ids=["any key", "trusted"])
@pytest.mark.parametrize(
    "tamper",
    [
        nested,
        pipe,
        large,
        link_to_nothing,
        *map(other_facts, [None, [], {}, "x", {"capture": 5}, {"capture": {"mount": {"any_of": [{}]}}}, {"x": 1}]),
    ],
)
def test_no_sidecar_stops_the_guard_or_opens_it(place, tamper, policy):
    place.seal()
    tamper(place)
    facts, row = place.played(policy)
    assert unknown(facts)
    assert "\n" not in row.evidence


def test_where_no_key_is_trusted_a_seal_still_binds_and_the_report_says_that_it_was_not_checked(place):
    place.seal()
    facts, row = place.played("")
    assert facts.known("capture.mount") == {"fixed", "body_worn"}
    assert "its signature was not checked" in row.evidence


def test_a_replay_is_bound_and_its_report_says_so(place):
    place.seal()
    g = place.make_guard(TRUSTED + OFFICE)
    out = place.folder / "out"
    out.mkdir()
    write_report(
        replay(
            open_clip(place.clip), g, g.source(), action="identify", service="self_hosted", matcher=Counting(), out=out
        )
    )
    assert {"fixed", "body_worn"} == g.ledger.entries[0].decision.facts.known("capture.mount")
    assert "bound by both contexts" in (out / "report.html").read_text()


@pytest.mark.parametrize(
    ("tamper", "mount", "country"),
    [
        (lambda place: None, "judged as body_worn or fixed", "judged as FR or SG"),
        (cut, "unknown", "unknown"),
        (lambda place: sidecar_of(place.clip).unlink(), "as declared", "as declared"),
    ],
)
def test_a_check_says_by_what_each_fact_is_judged_in_the_end(place, tamper, mount, country):
    place.seal()
    tamper(place)
    rows = {row.name: row for row in check_source(open_clip(place.clip), place.make_guard(TRUSTED + OFFICE).source())}
    assert rows["capture.mount"].consequence == mount
    assert rows["place.country"].consequence == country
    assert rows["place.subdivision"].consequence == "unknown stays unknown"


def test_what_cannot_be_sealed_is_said_in_a_line(place):
    assert place.seal(BODYCAM, "none")[0] == 1
    place.clip = place.folder / "none.mp4"
    status, said = place.seal()
    assert status == 1
    assert said.count("\n") == 1
