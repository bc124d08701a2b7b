"""A signed bundle: exactly the approved packs load, under the approved settings, or nothing does."""

from __future__ import annotations

import base64
import json
import stat
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import guard
from guard.cli import main
from guard.errors import ConfigError, GuardError, PolicyError
from guard.policy import Engine, Settings, bundle, packs
from guard.testing import FakeDetector, MemoryLedger
from tests.conftest import OFFICE

DATA = Path(__file__).parent / "data"
CREATED = datetime(2026, 11, 22, tzinfo=UTC)


@pytest.fixture
def room(tmp_path: Path) -> Path:
    """A folder with a key, another key, two packs and a bundle of them."""
    for name in ("mine", "other"):
        private, public = bundle.new_key()
        (tmp_path / f"{name}.key").write_bytes(private)
        (tmp_path / f"{name}.pub").write_bytes(public)
    (tmp_path / "toy.cedar").write_bytes((DATA / "toy.cedar").read_bytes())
    write(tmp_path, sign(tmp_path, "openai", tmp_path / "toy.cedar"))
    return tmp_path


def sign(room: Path, *named: Any, key: str = "mine", **settings: str) -> dict[str, Any]:
    return bundle.sign(Engine.load(named, Settings(**settings)), room / f"{key}.key", created=CREATED)


def write(room: Path, document: Any) -> None:
    (room / "signed.json").write_text(document if isinstance(document, str) else json.dumps(document))


def load(room: Path, named: str = '["openai", "toy.cedar"]', extra: str = "", **options: Any) -> guard.Guard:
    (room / "guard.toml").write_text(
        f'[policy]\npacks = {named}\nbundle = "signed.json"\npublic_key = "mine.pub"\n{extra}\n{OFFICE}'
    )
    return guard.load(room / "guard.toml", detector=FakeDetector(), ledger=MemoryLedger(), **options)


def refusal(room: Path, *arguments: Any, **options: Any) -> str:
    with pytest.raises(PolicyError) as caught:
        load(room, *arguments, **options)
    assert caught.value.where
    assert caught.value.mend
    return str(caught.value)


def test_what_was_signed_loads(room: Path) -> None:
    with load(room) as g:
        assert [pack.name for pack in g.engine.packs] == ["openai", "toy"]
        manifest = bundle.require(g.engine, room / "signed.json", room / "mine.pub")
    assert manifest["created"] == "2026-11-22T00:00:00Z"
    assert manifest["digest"] == g.policy_digest
    assert [pack["name"] for pack in manifest["packs"]] == ["openai", "toy"]
    assert manifest["settings"] == {"base": "shipped", "extra": "none", "mode": "enforce"}


def test_the_same_packs_are_signed_alike(room: Path) -> None:
    named = ("openai", room / "toy.cedar")
    assert sign(room, *named) == sign(room, *reversed(named)) != sign(room, "openai")


def test_a_changed_pack_is_refused(room: Path) -> None:
    toy = room / "toy.cedar"
    toy.write_text(toy.read_text().replace("Nobody private", "Somebody private"))
    assert "pack toy is not as it was signed" in refusal(room)


def test_line_ends_do_not_count(room: Path) -> None:
    toy = room / "toy.cedar"
    toy.write_bytes(toy.read_bytes().replace(b"\n", b"\r\n"))
    load(room).close()


def test_a_pack_that_is_not_in_the_bundle_is_refused(room: Path) -> None:
    assert "pack ibm is not in the bundle" in refusal(room, '["openai", "toy.cedar", "ibm"]')
    assert "pack ibm is not in the bundle" in refusal(room, packs=["openai", room / "toy.cedar", "ibm"])


def test_a_signed_pack_that_is_left_out_is_refused(room: Path) -> None:
    """Fewer rules forbid less."""
    assert "pack toy is in the bundle and not in use" in refusal(room, '["openai"]')


def test_other_settings_than_those_signed_are_refused(room: Path) -> None:
    assert "extra is 'deny-by-default'" in refusal(room, extra='extra = "deny-by-default"')
    write(room, sign(room, "openai", room / "toy.cedar", extra="deny-by-default"))
    assert "extra is 'none', and what was signed is 'deny-by-default'" in refusal(room)
    load(room, extra='extra = "deny-by-default"').close()


def test_an_own_base_is_signed_with_its_permits(room: Path) -> None:
    (room / "house.cedar").write_bytes((DATA / "house.cedar").read_bytes())
    write(room, sign(room, room / "house.cedar", base="own"))
    load(room, '["house.cedar"]', 'base = "own"').close()


def test_other_base_rules_than_those_signed_are_refused(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine.load(["openai", room / "toy.cedar"])
    monkeypatch.setattr(packs.Pack, "digest", "another")
    other = Engine.load(["openai", room / "toy.cedar"])
    monkeypatch.undo()
    bundle.require(engine, room / "signed.json", room / "mine.pub")
    with pytest.raises(PolicyError, match="base rules or the vocabulary"):
        bundle.require(other, room / "signed.json", room / "mine.pub")


def tampered(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], Any]:
    def make(room: Path) -> Any:
        document = json.loads((room / "signed.json").read_text())
        change(document)
        return document

    return make


def another_version(room: Path) -> Any:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    document = json.loads((room / "signed.json").read_text())
    document["manifest"]["more"] = 1
    text = json.dumps(document["manifest"], sort_keys=True, separators=(",", ":"))
    key: Any = load_pem_private_key((room / "mine.key").read_bytes(), None)
    return {**document, "signature": base64.b64encode(key.sign(f"guard.bundle/1\n{text}".encode())).decode()}


@pytest.mark.parametrize(
    ("document", "what"),
    [
        (lambda room: "", "this is no bundle"),
        (lambda room: "[]", "this is no bundle"),
        (lambda room: {}, "this is no bundle"),
        (tampered(lambda d: d.update(schema="guard.bundle/2")), "this is no bundle"),
        (tampered(lambda d: d.update(manifest=[])), "this is no bundle"),
        (tampered(lambda d: d.pop("signature")), "bears no signature"),
        (tampered(lambda d: d.update(signature="")), "bears no signature"),
        (tampered(lambda d: d.update(signature="%%%")), "changed after it was signed"),
        (tampered(lambda d: d.update(signature="AAAA")), "changed after it was signed"),
        (tampered(lambda d: d["manifest"].update(created="2027-01-01T00:00:00Z")), "changed after it was signed"),
        (tampered(lambda d: d["manifest"]["packs"].pop()), "changed after it was signed"),
        (tampered(lambda d: d["manifest"]["packs"][0].update(sha256="0" * 64)), "changed after it was signed"),
        (tampered(lambda d: d["manifest"]["settings"].update(base="own")), "changed after it was signed"),
        (tampered(lambda d: d.update(key="0")), "signed with another key than mine.pub"),
        (lambda room: sign(room, "openai", room / "toy.cedar", key="other"), "signed with another key than mine.pub"),
        (
            lambda room: {
                **sign(room, "openai", room / "toy.cedar", key="other"),
                "key": json.loads((room / "signed.json").read_text())["key"],
            },
            "changed after it was signed",
        ),
        (another_version, "another version of guard"),
    ],
)
def test_a_bundle_that_is_not_what_was_signed_is_refused(
    room: Path, document: Callable[[Path], Any], what: str
) -> None:
    write(room, document(room))
    assert what in refusal(room)


@pytest.mark.parametrize(
    ("file", "text", "what"),
    [
        ("signed.json", None, "the bundle cannot be read"),
        ("mine.pub", None, "the key cannot be read"),
        ("mine.pub", "", "no Ed25519 public key"),
        ("mine.pub", "mine.key", "no Ed25519 public key"),
    ],
)
def test_a_bundle_or_key_that_cannot_be_read_is_refused(room: Path, file: str, text: str | None, what: str) -> None:
    (room / file).unlink() if text is None else (room / file).write_bytes((room / text).read_bytes() if text else b"")
    with pytest.raises(ConfigError, match=what):
        load(room)


@pytest.mark.parametrize(
    ("keys", "where", "what"),
    [
        ('bundle = "signed.json"', "guard.toml: policy.bundle", "bundle says nothing without public_key"),
        ('public_key = "mine.pub"', "guard.toml: policy.public_key", "public_key says nothing without bundle"),
        ('base = "onw"', "guard.toml: policy.base", "base cannot be 'onw'"),
        ("bundle = 1\npublic_key = 2", "guard.toml: policy.bundle", "text"),
    ],
)
def test_settings_that_say_half_are_refused(room: Path, keys: str, where: str, what: str) -> None:
    (room / "guard.toml").write_text(f"[policy]\n{keys}\n{OFFICE}")
    with pytest.raises(ConfigError) as caught:
        guard.load(room / "guard.toml", detector=FakeDetector(), ledger=MemoryLedger())
    assert caught.value.where == where
    assert what in caught.value.what


def test_a_reload_asks_for_the_signature_again(room: Path) -> None:
    with load(room) as g:
        digest = g.policy_digest
        toy = room / "toy.cedar"
        toy.write_text(toy.read_text().replace("Nobody private", "Somebody private"))
        with pytest.raises(PolicyError, match="not as it was signed"):
            g.reload()
        assert g.policy_digest == digest
        write(room, sign(room, "openai", toy))
        assert g.reload() != digest


@pytest.mark.parametrize("text", [b"", b"-----BEGIN PRIVATE KEY-----\nMC4=\n-----END PRIVATE KEY-----\n", None])
def test_only_a_private_key_signs(room: Path, text: bytes | None) -> None:
    (room / "bad.key").write_bytes((room / "mine.pub").read_bytes() if text is None else text)
    with pytest.raises(ConfigError, match="no Ed25519 private key"):
        sign(room, "openai", key="bad")


# ---- the commands


def ask(capsys: pytest.CaptureFixture[str], *arguments: Any) -> tuple[int, str, str]:
    status = main([str(argument) for argument in ("policy", *arguments)])
    said = capsys.readouterr()
    return status, said.out, said.err


def test_the_commands_make_a_key_sign_and_verify(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key, pub, out = tmp_path / "team.key", tmp_path / "team.pub", tmp_path / "packs.bundle"
    assert ask(capsys, "keygen", "--out", tmp_path / "team")[0] == 0
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    status, _, said = ask(capsys, "keygen", "--out", tmp_path / "team")
    assert (status, "cannot be written" in said) == (1, True)
    (tmp_path / "house.cedar").write_bytes((DATA / "house.cedar").read_bytes())
    own = ("ibm", tmp_path / "house.cedar", "--base", "own", "--extra", "deny-by-default")
    assert ask(capsys, "sign", *own, "--key", key, "--out", out)[0] == 0
    status, said, _ = ask(capsys, "verify", out, "--public-key", pub)
    assert (status, "verified: 2 packs, base own, extra deny-by-default" in said) == (0, True)
    status, said, _ = ask(capsys, "verify", out, "--public-key", pub, "--packs", "ibm", "--json")
    found = json.loads(said)
    assert (status, found["schema"], found["verified"]) == (2, "guard.policy-verify/1", False)
    assert "no pack permits anything" in found["problem"]
    (tmp_path / "house.cedar").write_text((DATA / "house.cedar").read_text().replace("2030", "2040"))
    status, said, _ = ask(capsys, "verify", out, "--public-key", pub)
    assert (status, "pack house is not as it was signed" in said) == (2, True)


def test_verify_fails_where_the_check_fails_and_could_not_run_where_files_are_missing(
    room: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = room / "signed.json"
    assert ask(capsys, "verify", file, "--public-key", room / "other.pub")[0] == 2
    assert ask(capsys, "verify", file, "--public-key", room / "nobody.pub")[0] == 1
    assert ask(capsys, "verify", room / "nothing.json", "--public-key", room / "mine.pub")[0] == 1
    (room / "toy.cedar").unlink()
    status, said, _ = ask(capsys, "verify", file, "--public-key", room / "mine.pub")
    assert (status, "cannot be read" in said) == (2, True)


def test_sign_refuses_what_would_not_load(room: Path, capsys: pytest.CaptureFixture[str]) -> None:
    house = DATA / "house.cedar"
    options = ("--key", room / "mine.key", "--out", room / "out.json")
    assert ask(capsys, "sign", house, *options)[0] == 3
    assert ask(capsys, "sign", house, "--base", "onw", *options)[0] == 1
    assert ask(capsys, "sign", "ibm", "--key", room / "no.key", "--out", room / "out.json")[0] == 1
    status, _, said = ask(capsys, "sign", "ibm", "--key", room / "mine.key", "--out", room / "no" / "out.json")
    assert (status, "cannot be written" in said) == (1, True)
    status, said, _ = ask(capsys, "sign", "ibm", *options, "--json")
    assert (status, json.loads(said)["schema"]) == (0, "guard.policy-sign/1")


def test_own_permits_are_checked_and_tested_under_their_settings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    house = DATA / "house.cedar"
    assert ask(capsys, "check", house)[0] == 2
    assert ask(capsys, "check", house, "--base", "own")[0] == 0
    cases = {
        "schema": "guard.cases/1",
        "cases": [
            {"id": "1", "action": "track", "service": "other", "faces": 1, "expect": "deny", "because": [rule]}
            for rule in ("GUARD.unpermitted",)
        ],
    }
    (tmp_path / "own.cases.json").write_text(json.dumps(cases))
    test = ("test", tmp_path / "own.cases.json", "--packs", house, "--base", "own")
    assert ask(capsys, *test)[0] == 0
    assert ask(capsys, *test, "--extra", "deny-by-default")[0] == 0
    assert ask(capsys, *test[:4])[0] == 3
    assert issubclass(PolicyError, GuardError)
