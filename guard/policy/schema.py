"""The schema of a request: which facts a rule may ask for, and what each could be."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Final

import cedarpy

from guard.errors import PolicyError

__all__ = ["FILE", "enums", "schema"]

FILE: Final = Path(__file__).parent / "guard.cedarschema"


@cache
def schema() -> cedarpy.Schema:
    """The schema, parsed once. `PolicyError` where the file is missing or broken."""
    try:
        return cedarpy.Schema.from_str(FILE.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PolicyError(
            f"the schema cannot be read: {' '.join(str(error).split())}", where=FILE.name, mend="reinstall guard"
        ) from None


@cache
def enums() -> dict[str, tuple[str, ...]]:
    """The closed vocabularies of the schema by the name of their type, such as ``Mount``."""
    text = re.sub(r"//[^\n]*", "", FILE.read_text(encoding="utf-8"))
    found = re.findall(r"entity\s+(\w+)\s+enum\s*\[(.*?)\]", text, re.DOTALL)
    return {kind: tuple(re.findall(r'"([^"]*)"', values)) for kind, values in found}
