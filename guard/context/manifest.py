"""C2PA manifests: what a clip itself carries of who made it, and whether its pictures were changed since.

Read by `c2pa-python` (``pip install 'frguard[c2pa]'``), offline: neither manifests kept elsewhere nor certificates are
fetched. A manifest that does not fit its clip leaves the facts of its taking unknown. One that fits says who signed the
file; it states no mount, place or purpose, so it vouches for no fact of the source.
"""

from __future__ import annotations

import importlib
import json
import mmap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from guard.context.finding import Finding, plainly
from guard.context.seal import CAPTURE_FACTS
from guard.context.standing import Context
from guard.errors import SourceError

__all__ = ["Manifest", "manifest_finding", "read_manifest"]

_LABEL: Final = b"c2pa"
"""Stands in every manifest, whatever the format that carries it."""
_OFFLINE: Final = json.dumps({"verify": {"remote_manifest_fetch": False, "ocsp_fetch": False}})
_UNTRUSTED: Final = "signingCredential.untrusted"


@dataclass(frozen=True, slots=True)
class Manifest:
    """The active manifest of a clip.

    Attributes:
        fits: whether its signature and the digest of the clip hold.
        trusted: whether its certificate is on a list that the library trusts.
        signer: whom the certificate names.
        problems: the codes of what does not hold.
    """

    fits: bool
    trusted: bool
    signer: str
    problems: tuple[str, ...]


def read_manifest(path: Path) -> Manifest | None:
    """The manifest of a clip; None where it carries none, its format is not one of those that are looked into (MP4,
    QuickTime, AVI, JPEG, PNG), or the library is not installed.

    Raises `SourceError` where there is a manifest that cannot be read.
    """
    try:
        c2pa: Any = importlib.import_module("c2pa")
    except ImportError:
        return None
    try:
        kind = _kind(path)
        if kind is None:
            return None
        context = c2pa.Context(c2pa.Settings.from_json(_OFFLINE))
        with path.open("rb") as file, c2pa.Reader(kind, file, context=context) as reader:
            return _stated(json.loads(reader.json()))
    except c2pa.C2paError.ManifestNotFound:
        return None
    except Exception as error:  # noqa: BLE001 - whatever it was: it looks into somebody else's file
        # A file that is merely damaged has no manifest to doubt.
        if not _mentions_one(path):
            return None
        reason = plainly(" ".join(str(error).split()) or type(error).__name__)
        raise SourceError(f"its C2PA manifest cannot be read: {reason}", where=path.name) from None


def _kind(path: Path) -> str | None:
    """What it is by its first bytes: a name can be chosen."""
    with path.open("rb") as file:
        head = file.read(12)
    if head[4:8] == b"ftyp":
        return "video/quicktime" if head[8:] == b"qt  " else "video/mp4"
    if head[:4] == b"RIFF" and head[8:] == b"AVI ":
        return "video/avi"
    return "image/jpeg" if head[:3] == b"\xff\xd8\xff" else "image/png" if head[:4] == b"\x89PNG" else None


def _mentions_one(path: Path) -> bool:
    """Whether anything in the file looks like a manifest; True where it cannot be read."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return data.find(_LABEL) >= 0
    except (OSError, ValueError):
        return True


def _stated(found: Mapping[str, Any]) -> Manifest:
    signed = found["manifests"].get(found.get("active_manifest"), {}).get("signature_info", {})
    problems = tuple(plainly(str(each["code"]), 80) for each in found.get("validation_status", ()))
    return Manifest(
        fits=found.get("validation_state") in ("Valid", "Trusted"),
        trusted=found.get("validation_state") == "Trusted",
        signer=plainly(str(signed.get("issuer") or signed.get("common_name") or "nobody named"), 80),
        problems=tuple(code for code in problems if code != _UNTRUSTED),
    )


def manifest_finding(context: Context, path: Path) -> Finding | None:
    """What the manifest of a clip means for its source; None where it carries none."""
    try:
        found = read_manifest(path)
    except SourceError as error:
        return _broken(context, str(error))
    if found is None:
        return None
    if not found.fits:
        return _broken(context, f"the clip is not as {found.signer} signed it: {', '.join(found.problems)}")
    known = "whom the library trusts" if found.trusted else "whom nothing vouches for"
    evidence = f"C2PA: as signed by {found.signer}, {known}; it states no fact of the source"
    return Finding("manifest", None, (found.signer,), "agrees", 1.0 if found.trusted else 0.5, evidence)


def _broken(context: Context, why: str) -> Finding:
    context.doubt(CAPTURE_FACTS, f"the facts of its taking are unknown: {why}")
    return Finding("manifest", None, ("broken",), "contradicted", 1.0, why)
