"""A C2PA manifest that does not fit its clip leaves the facts of its taking unknown; one that fits vouches for none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import numpy as np
import pytest

from guard.context.manifest import manifest_finding, read_manifest
from guard.context.seal import CAPTURE_FACTS
from guard.context.standing import Context
from guard.facts import Facts
from tests.context.test_statements import write

c2pa = pytest.importorskip("c2pa", reason="c2pa-python is not installed: pip install 'frguard[c2pa]'")

DECLARED = Facts.parse({"place": {"country": "SG"}, "capture": {"mount": "fixed"}, "use": {"purpose": "research"}})


def certificates() -> tuple[bytes, bytes]:
    """A signing key and its chain, made for this test: PEM."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    now = datetime.now(UTC)
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]

    def named(name: str) -> x509.Name:
        said = ((NameOID.ORGANIZATION_NAME, "Made for a test"), (NameOID.COMMON_NAME, name))
        return x509.Name([x509.NameAttribute(oid, text) for oid, text in said])

    def certificate(name: str, key, *, root: bool) -> x509.Certificate:
        usage = x509.KeyUsage(True, False, False, False, False, root, root, False, False)
        made = (
            x509.CertificateBuilder()
            .subject_name(named(name))
            .issuer_name(named("root"))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=30))
            .add_extension(x509.BasicConstraints(root, None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )
        if not root:
            mail = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
            issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(keys[0].public_key())
            made = made.add_extension(mail, critical=False).add_extension(issuer, critical=False)
        return made.sign(keys[0], hashes.SHA256())

    pem = serialization.Encoding.PEM
    chain = [certificate("signer", keys[1], root=False), certificate("root", keys[0], root=True)]
    private = keys[1].private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return private, b"".join(each.public_bytes(pem) for each in chain)


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> tuple[Path, Path]:
    """The same clip, plain and with a manifest."""
    folder = tmp_path_factory.mktemp("c2pa")
    plain, signed = write(folder / "plain.mp4", moving=False, seconds=1.0), folder / "signed.mp4"
    sign(plain, signed, "video/mp4")
    return plain, signed


def sign(plain: Path, signed: Path, format: str) -> None:
    key, chain = certificates()
    signer = c2pa.Signer.from_info(c2pa.C2paSignerInfo(alg=b"es256", sign_cert=chain, private_key=key, ta_url=None))
    kind = "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"
    actions = {"actions": [{"action": "c2pa.created", "digitalSourceType": kind}]}
    builder = c2pa.Builder({
        "claim_generator_info": [{"name": "test"}],
        "assertions": [{"label": "c2pa.actions", "data": actions}],
    })  # fmt: skip
    with plain.open("rb") as source, signed.open("w+b") as target:
        builder.sign(signer, format, source, target)


def test_a_clip_without_a_manifest_says_nothing(clips):
    assert read_manifest(clips[0]) is None
    assert manifest_finding(Context("cam", DECLARED), clips[0]) is None


def test_a_manifest_that_fits_names_the_signer_and_changes_no_fact(clips):
    context = Context("cam", DECLARED)
    found = manifest_finding(context, clips[1])
    assert (found.verdict, found.seen, found.confidence) == ("agrees", ("Made for a test",), 0.5)
    assert "it states no fact of the source" in found.evidence
    assert context.effective is DECLARED


def test_a_changed_clip_has_unknown_capture_facts(clips, tmp_path):
    data = bytearray(clips[1].read_bytes())
    data[-2000] ^= 1
    changed = tmp_path / "changed.mp4"
    changed.write_bytes(data)
    context = Context("cam", DECLARED)
    found = manifest_finding(context, changed)
    assert found.verdict == "contradicted"
    assert "bmffHash.mismatch" in found.evidence
    assert all(context.effective.known(name) is None for name in CAPTURE_FACTS)
    assert context.effective.known("use.purpose") == {"research"}


def test_another_name_hides_no_manifest(clips, tmp_path):
    data = bytearray(clips[1].read_bytes())
    data[-2000] ^= 1
    (tmp_path / "holiday.bin").write_bytes(data)
    assert manifest_finding(Context("cam", DECLARED), tmp_path / "holiday.bin").verdict == "contradicted"


@pytest.mark.parametrize("which", [0, 1], ids=["plain", "signed"])
def test_a_damaged_clip_is_doubted_where_something_in_it_looks_like_a_manifest(clips, tmp_path, which):
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(clips[which].read_bytes()[:-40])
    found = manifest_finding(Context("cam", DECLARED), cut)
    assert (found is not None) is (which == 1)
    assert found is None or found.verdict == "contradicted"


@pytest.mark.parametrize(
    "says", ["{}", "[]", "nonsense", '{"manifests": {"a": {"signature_info": 5}}, "active_manifest": "a"}']
)
def test_whatever_the_library_says_of_a_manifest_is_no_permission(clips, monkeypatch, says):
    monkeypatch.setattr(c2pa.Reader, "json", lambda reader: says)
    context = Context("cam", DECLARED)
    assert manifest_finding(context, clips[1]).verdict == "contradicted"
    assert all(context.effective.known(name) is None for name in CAPTURE_FACTS)


def test_a_signed_picture_is_looked_at_too(clips, tmp_path):
    plain, signed = tmp_path / "plain.jpg", tmp_path / "signed.jpg"
    cv2.imwrite(str(plain), np.random.default_rng(0).integers(0, 255, (120, 160, 3), np.uint8))
    sign(plain, signed, "image/jpeg")
    assert manifest_finding(Context("cam", DECLARED), plain) is None
    assert manifest_finding(Context("cam", DECLARED), signed).verdict == "agrees"
    data = bytearray(signed.read_bytes())
    data[-500] ^= 1
    signed.write_bytes(data)
    assert manifest_finding(Context("cam", DECLARED), signed).verdict == "contradicted"


def test_without_the_library_nothing_is_said(clips, monkeypatch):
    import guard.context.manifest as module

    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(module.importlib, "import_module", missing)
    assert read_manifest(clips[1]) is None
