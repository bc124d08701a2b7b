"""Faces and person directories of Azure Content Understanding: comparison, search and enrolment beside Azure Face.

An analyzer that is told to look for faces, or given a directory of persons, identifies people in what it gets later.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from guard.integrations.operation import Operation
from guard.integrations.translations.paths import normal

__all__ = ["translate"]

SERVICE = "microsoft_ai"

_FACES = re.compile(r"/contentunderstanding/(?:faces:|persondirectories/[^/]+/(?:persons|faces)(?:[/:]|\Z))")
_ANALYZER = re.compile(r"/contentunderstanding/analyzers/[^/:]+/?\Z")
_VERBS: Mapping[str, tuple[str, ...]] = {
    "identify": ("identify",),
    "find": ("identify",),
    "verify": ("verify",),
    "compare": ("verify",),
    "detect": ("detect",),
}


def translate(path: str, body: Any) -> Operation | None:
    """The call of a request that sends something; None where it has nothing to do with faces or persons.

    Args:
        path: of the address, e.g. ``/contentunderstanding/personDirectories/d/persons:identify``.
        body: the JSON object.
    """
    path = normal(path).casefold()
    if _FACES.search(path):
        _, colon, verb = path.rpartition("/")[2].partition(":")
        actions = _VERBS.get(verb, ("verify", "identify", "enrol")) if colon else ("enrol",)
        return Operation(f"azure_persons.{verb or 'enrol'}", SERVICE, actions, opaque=("a face or a person",))
    if _ANALYZER.search(path) and _looks_for_faces(body):
        return Operation("azure_persons.analyzer", SERVICE, ("identify",))
    return None


def _looks_for_faces(node: Any) -> bool:
    if isinstance(node, Mapping):
        names = {str(name).casefold(): value for name, value in node.items()}
        if names.get("enableface") or names.get("persondirectoryid"):
            return True
        return any(_looks_for_faces(value) for value in names.values())
    return isinstance(node, list) and any(_looks_for_faces(value) for value in node)
