"""Where a deployment asks for passports, facts that nobody answers for count as unknown."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import guard
from guard.cli import main
from guard.facts import Facts
from guard.replay.checking import found_so_far
from guard.testing import FakeClock
from tests.conftest import OFFICE

YEAR = "2099-01-01T00:00:00Z"
ASKED = '[policy]\nattestation = "required"\nsource_keys = ["ops.pub"]\n'


@pytest.fixture
def office(tmp_path, make_guard, capsys):
    """A folder with keys `ops` and `other`, a guard.toml, and ways to sign and to load."""
    return Office(tmp_path, make_guard, capsys)


class Office:
    def __init__(self, folder: Path, make_guard, capsys) -> None:
        self.folder, self.make_guard, self.capsys = folder, make_guard, capsys
        for name in ("ops", "other"):
            assert main(["policy", "keygen", "--out", str(folder / name)]) == 0
        capsys.readouterr()

    def text(self, policy: str = ASKED, passport: str | None = "door.json", office: str = OFFICE) -> str:
        named = "" if passport is None else f'\npassport = "{passport}"'
        return policy + office.replace('id = "door"', f'id = "door"{named}')

    def sign(self, *, key: str = "ops", expires: str = YEAR, office: str = OFFICE, out: str = "door.json") -> dict:
        (self.folder / "signing.toml").write_text(office)
        said = ["--config", str(self.folder / "signing.toml"), "--key", str(self.folder / f"{key}.key")]
        status = main(["source", "sign", *said, "--expires", expires, "--out", str(self.folder / out)])
        assert status == 0, self.capsys.readouterr()
        return json.loads((self.folder / out).read_text())

    def verify(self, *more: str, text: str | None = None) -> tuple[int, str]:
        (self.folder / "guard.toml").write_text(text or self.text())
        self.capsys.readouterr()
        status = main(
            ["source", "verify", str(self.folder / "door.json"), "--config", str(self.folder / "guard.toml"), *more]
        )
        said = self.capsys.readouterr()
        return status, said.out + said.err

    def facts(self, text: str | None = None, at: datetime | None = None) -> Facts:
        clock = {} if at is None else {"clock": FakeClock(int(at.timestamp()) * 10**9)}
        source = self.make_guard(text or self.text(), **clock).source()
        return source.context.facts(None, source.guard.clock.now())


def declared() -> set[str]:
    return {"fixed"}


def test_with_a_valid_passport_the_facts_count(office):
    office.sign()
    assert office.verify() == (0, f"{office.folder / 'door.json'}: it holds for source door\n")
    assert office.facts().known("capture.mount") == declared()
    assert office.facts().evidence


def test_where_passports_are_required_and_there_is_none_nothing_is_known(office, caplog):
    assert office.facts(office.text(passport=None)) == Facts()
    assert "it has no passport" in caplog.text


def test_where_they_are_preferred_one_may_be_missing_and_a_broken_one_may_not(office):
    preferred = ASKED.replace("required", "preferred")
    assert office.facts(office.text(preferred, passport=None)).known("capture.mount") == declared()
    office.sign(key="other")
    assert office.facts(office.text(preferred)) == Facts()


def test_where_nobody_asks_no_passport_is_looked_at(office):
    assert office.facts(office.text("", passport="none.json")).known("capture.mount") == declared()


@pytest.mark.parametrize(
    ("policy", "passport", "verdict", "consequence"),
    [
        ("", None, None, "as declared"),
        (ASKED, None, "contradicted", "unknown"),
        (ASKED, "door.json", "agrees", "as declared"),
        (ASKED.replace("required", "preferred"), None, "cannot-tell", "as declared"),
        (ASKED.replace("ops.pub", "other.pub"), "door.json", "contradicted", "unknown"),
    ],
)
def test_a_check_says_whether_anybody_answers_and_what_follows(office, policy, passport, verdict, consequence):
    office.sign()
    source = office.make_guard(office.text(policy, passport)).source()
    rows = {row.name: row for row in found_so_far(source)}
    assert ("passport" in rows) is (verdict is not None)
    assert rows["place.country"].consequence == consequence
    if verdict is not None:
        assert rows["passport"].verdict == verdict
        assert (rows["passport"].consequence == "nothing that it declares counts") is (verdict == "contradicted")


def test_a_check_names_the_passport_that_ended(office):
    end = datetime.now(UTC).replace(microsecond=0) + timedelta(days=30)
    office.sign(expires=end.isoformat())
    late = FakeClock(int((end + timedelta(seconds=1)).timestamp()) * 10**9)
    row = {row.name: row for row in found_so_far(office.make_guard(office.text(), clock=late).source())}["passport"]
    assert row.verdict == "contradicted"
    assert f"until {end:%Y-%m-%dT%H:%M:%SZ} only" in row.evidence


def changed(office: Office, edit) -> None:
    document = office.sign()
    edit(document)
    (office.folder / "door.json").write_text(json.dumps(document))


BROKEN = {
    "the wrong key": (lambda o: o.sign(key="other"), "signed with a key that is not trusted"),
    "a changed fact": (
        lambda o: changed(o, lambda d: d["passport"]["facts"]["capture"].update(mount="body_worn")),
        "it was changed after it was signed",
    ),
    "a later end": (
        lambda o: changed(o, lambda d: d["passport"].update(expires="2100-01-01T00:00:00Z")),
        "it was changed after it was signed",
    ),
    "another key named": (lambda o: changed(o, lambda d: d.update(key="0" * 64)), "a key that is not trusted"),
    "no signature": (lambda o: changed(o, lambda d: d.pop("signature")), "it bears no signature"),
    "no base64": (lambda o: changed(o, lambda d: d.update(signature="!")), "it was changed after it was signed"),
    "another document": (lambda o: changed(o, lambda d: d.update(schema="guard.bundle/1")), "no guard.passport/1"),
    "no JSON": (lambda o: (o.folder / "door.json").write_text("{"), "no guard.passport/1"),
    "no file": (lambda o: None, "the passport cannot be read"),
    "another source": (lambda o: o.sign(office=OFFICE.replace('"door"', '"gate"')), "the passport of 'gate'"),
    "other facts": (
        lambda o: o.sign(office=OFFICE.replace('"fixed"', '"vehicle"')),
        "capture.mount is not as it was signed",
    ),
    "other evidence": (
        lambda o: o.sign(office=OFFICE.replace("2100-05-02", "2090-05-02")),
        "evidence is not as it was",
    ),
    "another operator": (
        lambda o: o.sign(office=OFFICE.replace('"private"', '"individual"')),
        "operator.type is not as",
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_passport_that_does_not_hold_is_named_and_leaves_nothing_known(office, kind):
    make, message = BROKEN[kind]
    make(office)
    status, said = office.verify()
    assert status == 2
    assert message in said
    assert said.count("\n") == 1
    assert office.facts() == Facts()


def test_every_byte_counts(office):
    office.sign()
    path = office.folder / "door.json"
    text = path.read_bytes()
    body = text[: text.index(b'"key"')]
    for at in range(body.index(b'"passport"') + 12, len(body), 97):
        if chr(text[at]).isspace():
            continue
        path.write_bytes(text[:at] + bytes([text[at] ^ 1]) + text[at + 1 :])
        assert office.verify()[0] == 2
    path.write_bytes(text)
    assert office.verify()[0] == 0


def test_a_passport_ends_while_the_guard_runs(office):
    end = datetime.now(UTC).replace(microsecond=0) + timedelta(days=30)
    office.sign(expires=end.isoformat())
    clock = FakeClock(int((end - timedelta(seconds=1)).timestamp()) * 10**9)
    source = office.make_guard(office.text(), clock=clock).source()
    before = source.decide("identify", "self_hosted")
    assert before.facts.known("capture.mount") == declared()
    assert source.authorize("identify", "my-matcher").verdict is guard.Verdict.ALLOW
    clock.ns += 2 * 10**9
    after = source.authorize("identify", "my-matcher")
    assert after.facts == Facts()
    assert after.verdict is guard.Verdict.DENY
    status, said = office.verify("--at", (end + timedelta(days=1)).isoformat())
    assert status == 2
    assert "it is valid from" in said
    assert "have it signed again" in said


def test_a_passport_of_tomorrow_is_not_valid_today(office):
    office.sign()
    assert office.verify("--at", "2026-01-01T00:00:00Z")[0] == 2


def test_where_the_clock_is_not_believed_no_passport_is(office):
    office.sign()
    context = office.make_guard(office.text()).source().context
    assert context.facts(None, (10**18, "disbelieved")) == Facts()


def test_a_withdrawn_passport_and_a_withdrawn_key_do_not_hold(office):
    serial = office.sign()["passport"]["serial"]
    key = json.loads((office.folder / "door.json").read_text())["key"]
    text = office.text(ASKED + 'revoked = "revoked.json"\n')
    listed = office.folder / "revoked.json"
    for entry, status in (({"serial": "0" * 16}, 0), ({"serial": serial, "why": "stolen"}, 2), ({"key": key}, 2)):
        listed.write_text(json.dumps({"schema": "guard.revocations/1", "revoked": [entry]}))
        found, said = office.verify(text=text)
        assert found == status
        assert status == 0 or "was withdrawn" in said
        assert (office.facts(text) == Facts()) is (status == 2)


@pytest.mark.parametrize("broken", ["", "[]", '{"schema": "x", "revoked": []}', None])
def test_a_list_of_what_is_withdrawn_that_cannot_be_read_stops_the_guard(office, broken):
    office.sign()
    if broken is not None:
        (office.folder / "revoked.json").write_text(broken)
    with pytest.raises(guard.ConfigError, match="what is withdrawn cannot be read"):
        office.facts(office.text(ASKED + 'revoked = "revoked.json"\n'))


def test_keys_are_replaced_one_after_the_other(office):
    """First both are trusted, then every source is signed anew, then the old one goes."""
    office.sign()
    both = office.text(ASKED.replace('["ops.pub"]', '["ops.pub", "other.pub"]'))
    new = office.text(ASKED.replace("ops.pub", "other.pub"))
    assert office.verify(text=both)[0] == 0
    assert office.verify(text=new)[0] == 2
    office.sign(key="other")
    assert office.verify(text=both)[0] == 0
    assert office.verify(text=new)[0] == 0


@pytest.mark.parametrize(
    ("policy", "where"),
    [
        ('attestation = "required"', "policy.attestation"),
        ('attestation = "always"\nsource_keys = ["ops.pub"]', "policy.attestation"),
        ('sealed = "required"', "policy.sealed"),
        ('source_keys = "ops.pub"', "policy.source_keys"),
        ("source_keys = []", "policy.source_keys"),
        ('attestation = "required"\nsource_keys = ["none.pub"]', "none.pub"),
        ('attestation = "required"\nsource_keys = ["ops.key"]', "ops.key"),
    ],
)
def test_the_settings_are_read_strictly(office, policy, where):
    office.sign()
    with pytest.raises(guard.ConfigError, match=where):
        office.facts(office.text(f"[policy]\n{policy}\n"))


HOSTILE = {
    "nested beyond bounds": lambda path: path.write_text("[" * 100_000 + "]" * 100_000),
    "a pipe": os.mkfifo,
    "a folder": Path.mkdir,
    "large": lambda path: os.truncate(os.open(path, os.O_CREAT | os.O_RDWR), 1 << 33),
    "no text": lambda path: path.write_bytes(b"\xff\xfe\x00\xd8"),
    "another alphabet": lambda path: path.write_text('{"schema": "guard.passport/1", "passport": {"a": "\\ud800"}}'),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_no_passport_stops_the_guard_or_opens_it(office, kind):
    HOSTILE[kind](office.folder / "door.json")
    status, said = office.verify()
    assert (status, said.count("\n")) == (2, 1)
    assert office.facts() == Facts()


@pytest.mark.parametrize("kind", HOSTILE)
def test_no_list_of_what_is_withdrawn_is_taken_for_an_empty_one(office, kind):
    office.sign()
    HOSTILE[kind](office.folder / "revoked.json")
    with pytest.raises(guard.ConfigError, match="what is withdrawn cannot be read"):
        office.facts(office.text(ASKED + 'revoked = "revoked.json"\n'))


def test_a_message_tells_a_terminal_nothing(office):
    changed(office, lambda d: d.update(key="\x1b[2J\n" + d["key"]))
    status, said = office.verify()
    assert (status, said.count("\n"), "\x1b" in said) == (2, 1, False)


@pytest.mark.skipif(os.name != "posix", reason="who may read a file is told otherwise here")
@pytest.mark.parametrize(("mode", "noted"), [(0o600, False), (0o400, False), (0o640, True), (0o604, True)])
def test_a_private_key_that_others_can_read_is_named(office, caplog, mode, noted):
    (office.folder / "ops.key").chmod(mode)
    office.sign()
    assert ("other users can read the private key" in caplog.text) is noted


def test_signing_says_in_a_line_what_is_wrong(office, capsys):
    (office.folder / "guard.toml").write_text(OFFICE)
    common = ["source", "sign", "--config", str(office.folder / "guard.toml"), "--out", str(office.folder / "p.json")]
    for more in (
        ["--key", str(office.folder / "none.key"), "--expires", YEAR],
        ["--key", str(office.folder / "ops.pub"), "--expires", YEAR],
        ["--key", str(office.folder / "ops.key"), "--expires", "2020-01-01T00:00:00Z"],
        ["--key", str(office.folder / "ops.key"), "--expires", "soon"],
        ["--key", str(office.folder / "ops.key"), "--expires", YEAR, "--source", "gate"],
    ):
        capsys.readouterr()
        assert main([*common, *more]) == 1
        assert capsys.readouterr().err.count("\n") == 1
    assert not (office.folder / "p.json").exists()
