"""`guard source`: what a source says of itself, against what can be seen."""

from __future__ import annotations

from typing import Annotated

import typer

from guard.cli.options import ConfigPath, Json, SourceId, wrong_option
from guard.cli.output import print_json
from guard.guard import load_for_questions

__all__ = ["source_app"]

source_app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)


@source_app.callback()
def source() -> None:
    """What a source says of itself, against what can be seen."""


@source_app.command()
def check(
    clip: Annotated[
        str, typer.Argument(metavar="CLIP", show_default=False, help="A video, folder, camera number or address.")
    ],
    config: ConfigPath,
    source: SourceId = None,
    json: Json = False,
) -> None:
    """Looks at a clip of a source, its pictures and what its file says, and compares both with what is declared."""
    from guard.replay.checking import check_source, to_json
    from guard.replay.clip import open_clip

    with load_for_questions(config) as guard:
        with wrong_option("--source"):
            cam = guard.source(source)
        found = check_source(open_clip(clip), cam)
        if json:
            print_json(to_json(cam, found))
        else:
            _print_table(cam.id, found)


def _print_table(source: str | None, found: list) -> None:  # type: ignore[type-arg]
    from rich.console import Console
    from rich.table import Table

    from guard.context.finding import in_words, several_in_words

    table = Table("attribute", "declared", "seen", "verdict", "how sure", "consequence", title=f"source {source}")
    for each in found:
        sure = f"{each.confidence:.0%}" if each.seen else ""
        seen = several_in_words(each.seen) if each.seen else ""
        table.add_row(each.name, in_words(each.declared), seen, each.verdict, sure, each.consequence)
    Console(soft_wrap=False).print(table)
    for each in found:
        if each.evidence != "nothing says":
            print(f"{each.name}: {each.evidence}")
