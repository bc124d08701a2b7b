"""`guard models`: the detector files, with their checksums and what was measured of them."""

from __future__ import annotations

from guard.cli.options import Json
from guard.cli.output import print_json

__all__ = ["models"]


def models(json: Json = False) -> None:
    """Lists the detector files: path, sha256, licence, measured recall."""
    from guard.vision.models import models as listed

    found = listed()
    if json:
        print_json({"schema": "guard.models/1", "models": found})
        return
    for model in found:
        print(model["name"])
        for key, value in model.items():
            if key != "name":
                print(f"  {key}: {value}")
