"""`guard decide`: one decision, explained in plain words."""

from __future__ import annotations

from typing import Annotated

import typer

from guard.cli.options import At, ConfigPath, Json, SourceId, instant, wrong_option
from guard.cli.output import print_json
from guard.errors import GuardError
from guard.explaining import explain
from guard.facts import ACTIONS
from guard.guard import load_for_questions

__all__ = ["decide"]


def decide(
    config: ConfigPath,
    action: Annotated[
        str | None,
        typer.Option(help="What the call does; may be left out towards a vision-language service."),
    ] = None,
    service: Annotated[
        str, typer.Option(help="A service of the vocabulary or a name under [services].")
    ] = "self_hosted",
    source: SourceId = None,
    faces: Annotated[int | None, typer.Option(min=0, help="Faces in the picture; left out: unknown.")] = None,
    at: At = None,
    json: Json = False,
) -> None:
    """Decides one call as the source would have it decided, and says why, and what would lift a denial."""
    day = instant(at)
    if action is not None and action not in ACTIONS:
        raise GuardError(f"no action is called {action!r}", where="--action", mend=f"known are {', '.join(ACTIONS)}")
    with load_for_questions(config) as guard:
        with wrong_option("--source"):
            cam = guard.source(source)
        with wrong_option("--service"):
            decision = cam.decide(action, service, faces=faces, at=day)
        if json:
            print_json(decision.to_json())
        else:
            print(explain(decision))
