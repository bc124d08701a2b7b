"""Azure AI Face: each REST request as actions of the vocabulary.

Detection that gives a face id makes a template that Microsoft keeps for up to a day, for a comparison or a search to
come: it could be ``verify``, ``identify`` or ``enrol``. The service gives one unless the request says
``returnFaceId=false``. Deleting and listing are None, and so is an empty list or group; what is written beneath a
person or a face, and training, makes a reference: ``enrol``. A request that is not known here could be any.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from guard.integrations.operation import Operation
from guard.integrations.translations.parts import json_object
from guard.integrations.translations.paths import normal

__all__ = ["is_at", "is_told_by_address", "query_of", "translate"]

SERVICE = "azure_face"

_ROOT = re.compile(r"/face/v\d[^/]*/(?P<rest>.*)", re.IGNORECASE | re.DOTALL)
_READING = frozenset({"GET", "HEAD", "OPTIONS", "DELETE"})
_UNKNOWN = ("verify", "identify", "enrol")
_ACTIONS: Mapping[str, tuple[str, ...]] = {
    "identify": ("identify",),
    "findsimilars": ("identify",),
    "group": ("identify",),
    "verify": ("verify",),
}
_GALLERIES = frozenset({"facelists", "largefacelists", "persongroups", "largepersongroups"})

_WORDS = frozenset(
    {"detect", "dynamicpersongroups", "persons", "persistedfaces", "train", "snapshots"}
    | {"detectliveness", "detectliveness-sessions", "detectlivenesswithverify", "detectlivenesswithverify-sessions"}
    | _ACTIONS.keys()
    | _GALLERIES
)
_QUALITY = frozenset(
    ["headpose", "blur", "exposure", "noise", "occlusion", "mask", "accessories", "glasses", "qualityforrecognition"]
)
"""What Microsoft leaves open to everybody; the rest of `returnFaceAttributes` it retired in 2023."""

_REFERENCES = {
    "url": "a picture at an address",
    "faceid": "a stored face",
    "faceid1": "a stored face",
    "faceid2": "a stored face",
    "faceids": "a stored face",
    "personid": "a stored person",
    "personids": "a stored person",
    "addpersonids": "a stored person",
    "persongroupid": "a stored gallery",
    "largepersongroupid": "a stored gallery",
    "dynamicpersongroupid": "a stored gallery",
    "facelistid": "a stored gallery",
    "largefacelistid": "a stored gallery",
}


def is_at(path: str) -> bool:
    """Whether a path is under ``/face/v...``, before it a gateway's prefix or none."""
    return _ROOT.search(normal(path)) is not None


def is_told_by_address(path: str) -> bool:
    """Whether method and address alone say what a request is; only the members of a group stand in its body."""
    return is_at(path) and "dynamicpersongroups" not in normal(path).casefold()


def query_of(query: str) -> dict[str, str]:
    """The query of an address with names in lower case; of one that is given twice, both values, comma between them."""
    found: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        name = name.casefold()
        found[name] = f"{found[name]},{value}" if name in found else value
    return found


def translate(
    method: str, path: str, query: Mapping[str, str], body: Mapping[str, Any] | bytes | str | None
) -> Operation | None:
    """The call of a request to Azure AI Face; None, too, for a path that is not under ``/face/v...``.

    Args:
        method: of HTTP.
        path: of the address, e.g. ``/face/v1.2/detect``, before it a gateway's prefix or none.
        query: as `query_of` gives it.
        body: the picture's bytes, or JSON as a mapping, bytes or text.
    """
    found = _ROOT.search(normal(path))
    if found is None:
        return None
    steps = [step for step in found["rest"].casefold().split("/") if step]
    body = _read(body)
    query = {name.casefold(): value for name, value in query.items()}
    actions = _actions(method.upper(), steps, query, body)
    if actions is None:
        return None
    traits = _traits(query) if steps == ["detect"] else ()
    opaque = []
    if isinstance(body, Mapping):
        opaque = sorted(
            {_REFERENCES[name.casefold()] for name in body if name.casefold() in _REFERENCES and body[name]}
        )
    payload = {(): bytes(body)} if isinstance(body, (bytes, bytearray)) and body else {}
    return Operation(f"azure_face.{_name(steps)}", SERVICE, actions, payload, opaque, traits)


def _actions(
    method: str, steps: list[str], query: Mapping[str, str], body: Mapping[str, Any] | bytes | None
) -> tuple[str, ...] | None:
    first, last = (steps[0], steps[-1]) if steps else ("", "")
    if first.startswith("detectliveness"):
        return _liveness(method, first)
    if method in _READING:
        return None
    if first == "detect" and len(steps) == 1:
        return _detect(query)
    if first in _ACTIONS and len(steps) == 1:
        return _ACTIONS[first]
    if last == "train" or "persons" in steps or "persistedfaces" in steps:
        return ("enrol",)
    if first == "dynamicpersongroups" and len(steps) == 2:
        adds = isinstance(body, Mapping) and any(name.casefold() == "addpersonids" and body[name] for name in body)
        return ("enrol",) if adds or not isinstance(body, Mapping) else None
    if first in _GALLERIES and len(steps) == 2:
        return None
    return _UNKNOWN


def _liveness(method: str, first: str) -> tuple[str, ...] | None:
    """A session is made, and its result is fetched; with verification, a face is compared in it."""
    if method == "DELETE":
        return None
    return ("verify",) if first.startswith("detectlivenesswithverify") else ("detect",)


def _detect(query: Mapping[str, str]) -> tuple[str, ...]:
    return ("detect",) if query.get("returnfaceid", "true").strip().casefold() == "false" else _UNKNOWN


def _traits(query: Mapping[str, str]) -> tuple[str, ...]:
    """What is read from each face beside where it is and how well it shows."""
    asked = {name.strip().casefold() for name in query.get("returnfaceattributes", "").split(",") if name.strip()}
    traits = {"emotion": "emotion", "gender": "categorise"}
    return tuple(sorted({traits.get(name, "attributes") for name in asked - _QUALITY}))


def _read(body: Any) -> Mapping[str, Any] | bytes | None:
    """JSON as a mapping where the body holds it, else its bytes."""
    if body is None or isinstance(body, Mapping):
        return body
    try:
        read = json_object(body)
    except ValueError:
        return body.encode() if isinstance(body, str) else bytes(body)
    return read if isinstance(read, Mapping) else None


def _name(steps: list[str]) -> str:
    """The request for messages: words of the interface, no ids."""
    return "/".join(step for step in steps if step in _WORDS) or "request"
