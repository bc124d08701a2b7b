"""Google Cloud Vision and Video Intelligence: each feature that is asked for as an action of the vocabulary.

Finding text, labels, objects, logos, landmarks and colours names nobody and is no face operation: None. The pages of
matching pictures on the web, and what is not known here, may name people, so they are judged as a call to a
vision-language model is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from guard.integrations.operation import Operation
from guard.integrations.translations.parts import Path

__all__ = ["translate"]

SERVICE = "google"

_HARMLESS = frozenset(
    [
        "TYPE_UNSPECIFIED",
        "FEATURE_UNSPECIFIED",
        "CROP_HINTS",
        "DOCUMENT_TEXT_DETECTION",
        "EXPLICIT_CONTENT_DETECTION",
        "IMAGE_PROPERTIES",
        "LABEL_DETECTION",
        "LANDMARK_DETECTION",
        "LOGO_DETECTION",
        "LOGO_RECOGNITION",
        "OBJECT_LOCALIZATION",
        "OBJECT_TRACKING",
        "SAFE_SEARCH_DETECTION",
        "SHOT_CHANGE_DETECTION",
        "SPEECH_TRANSCRIPTION",
        "TEXT_DETECTION",
    ]
)
_ACTIONS: Mapping[str, str] = {
    "FACE_DETECTION": "detect",
    "PERSON_DETECTION": "track",
    "CELEBRITY_RECOGNITION": "identify",
    "FACE_RECOGNITION": "identify",
}
_CONTENT = ("content", "inputContent", "input_content")
_REFERENCES: Mapping[str, str] = {
    "imageuri": "a picture at an address",
    "gcsimageuri": "a file in a storage bucket",
    "gcssource": "a file in a storage bucket",
    "inputuri": "a file in a storage bucket",
}


def translate(path: str, body: Mapping[str, Any]) -> Operation | None:
    """The call of an ``images:annotate``, ``files:annotate`` or ``videos:annotate`` request.

    Args:
        path: of the address.
        body: the JSON object; pictures in it are base64 text.
    """
    features = set(_features(body))
    if features and features <= _HARMLESS:
        return None
    found = {where: value for where, name, value in _walk(body) if name in _CONTENT and isinstance(value, str)}
    opaque = sorted(
        {_REFERENCES[key] for _, name, value in _walk(body) if (key := _plain(name)) in _REFERENCES and value}
    )
    if not features and not found and not opaque:
        return None
    # Each is done in any case; without a named one the call is judged by what it shows.
    named = [_ACTIONS[feature] for feature in sorted(features & _ACTIONS.keys())]
    also = ["emotion"] if "FACE_DETECTION" in features and "video" not in path else []
    if features - _HARMLESS - _ACTIONS.keys() or not named:
        return Operation("google.annotate", SERVICE, (None,), found, opaque, (*named, *also))
    return Operation("google.annotate", SERVICE, (named[0],), found, opaque, (*named[1:], *also))


def _features(body: Mapping[str, Any]) -> Iterator[str]:
    for where, name, value in _walk(body):
        in_list = name == "features" or (len(where) > 1 and where[-2] == "features")
        if isinstance(value, str) and (in_list or (name == "type" and "features" in where)):
            yield value.upper()
        elif isinstance(value, int) and not isinstance(value, bool) and name == "type" and "features" in where:
            yield "an unknown number"


def _walk(node: Any, where: Path = ()) -> Iterator[tuple[Path, str, Any]]:
    """Every value with its path and the name under which it stands."""
    pairs = node.items() if isinstance(node, Mapping) else enumerate(node) if isinstance(node, list) else ()
    for key, value in pairs:
        at = (*where, key)
        yield at, str(key), value
        yield from _walk(value, at)


def _plain(name: str) -> str:
    return name.replace("_", "").lower()
