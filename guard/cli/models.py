"""`guard models`: the detector files, and what was measured of them; `calibrate` measures on footage of one's own."""

from __future__ import annotations

import typer

from guard.cli.calibrate import calibrate
from guard.cli.options import Json
from guard.cli.output import print_json

__all__ = ["models_app"]

models_app = typer.Typer(rich_markup_mode=None)
models_app.command("calibrate")(calibrate)


@models_app.callback(invoke_without_command=True)
def models(context: typer.Context, json: Json = False) -> None:
    """Lists the detector files: path, sha256, licence, measured recall."""
    if context.invoked_subcommand is not None:
        return
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
