"""`guard source`: what a source says of itself, against what can be seen."""

from __future__ import annotations

import errno
import json as jsonlib
import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from guard.cli.options import At, ConfigPath, Json, SourceId, instant, wrong_option
from guard.cli.output import print_json
from guard.errors import ConfigError, GuardError, SourceError
from guard.facts import format_instant, parse_instant
from guard.guard import load_for_questions
from guard.keys import read_private

if TYPE_CHECKING:
    from guard.config import Config, SourceConfig

__all__ = ["source_app", "write_document"]

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


@source_app.command()
def sign(
    config: ConfigPath,
    key: Annotated[Path, typer.Option(help="The private key, as `guard policy keygen` writes it.", show_default=False)],
    expires: Annotated[
        str, typer.Option(metavar="INSTANT", help="Until when somebody answers, e.g. 2027-06-01T00:00:00Z.")
    ],
    out: Annotated[Path, typer.Option(help="The passport to write.", show_default=False)],
    source: SourceId = None,
    json: Json = False,
) -> None:
    """Signs what a source declares: its passport, for `[[source]] passport`."""
    from guard.config import load_config
    from guard.context.passport import issue

    end = _instant(expires, "--expires")
    with wrong_option("--source"):
        declared = _declared(load_config(config), source)
    with wrong_option("--key"):
        private = read_private(key)
    with wrong_option("--expires"):
        now = datetime.now(UTC).replace(microsecond=0)
        made = issue(declared.id or "", declared.facts, private, issued=now, expires=end)
    write_document(made, out)
    passport = made["passport"]
    if json:
        print_json({"schema": "guard.source-sign/1", "file": str(out), **passport})
    else:
        print(f"{out}: source {passport['source']}, serial {passport['serial']}, valid until {passport['expires']}")


@source_app.command()
def verify(
    file: Annotated[Path, typer.Argument(metavar="PASSPORT", show_default=False, help="The passport.")],
    config: ConfigPath,
    source: SourceId = None,
    public_key: Annotated[
        list[Path] | None,
        typer.Option(help="A key that is trusted instead of [policy] source_keys; may be given again."),
    ] = None,
    at: At = None,
    json: Json = False,
) -> None:
    """Checks a passport against what the source declares: signature, key, withdrawal, facts, time. Status 2 where one
    does not hold."""
    from guard.config import load_config
    from guard.context.passport import verify as holds

    day = instant(at) or datetime.now(UTC)
    settings = load_config(config)
    with wrong_option("--source"):
        declared = _declared(settings, source)
    asked = settings.attestation
    if public_key:
        asked = replace(asked, keys=tuple(public_key))
    if not asked.keys:
        raise GuardError("no key is trusted", where="--public-key", mend="name one, or [policy] source_keys")
    why = None
    try:
        found = holds(file, asked, declared.id or "", declared.facts)
        if not found.issued <= day < found.expires:
            lasts = f"from {format_instant(found.issued)} until {format_instant(found.expires)}"
            why = f"it is valid {lasts} only; have it signed again, or mend the clock"
    except SourceError as error:
        why = str(error)
    if json:
        print_json({"schema": "guard.source-verify/1", "file": str(file), "source": declared.id, "fault": why})
    else:
        print(f"{file}: it holds for source {declared.id}" if why is None else f"{file}: {why}")
    if why is not None:
        raise typer.Exit(2)


def _declared(config: Config, id: str | None) -> SourceConfig:
    if id is None and len(config.sources) == 1:
        return next(iter(config.sources.values()))
    if id is None or id not in config.sources:
        raise ConfigError(
            f"no source is called {id!r}" if id else "the file describes several sources", mend="name one"
        )
    return config.sources[id]


def _instant(text: str, option: str) -> datetime:
    try:
        return parse_instant(text)
    except (GuardError, ValueError) as error:
        what = error.what if isinstance(error, GuardError) else str(error)
        raise GuardError(what, where=option, mend="write an instant with a zone, e.g. 2027-06-01T00:00:00Z") from None


def write_document(document: dict[str, Any], out: Path) -> None:
    """Writes a signed document whole or not at all, never through a link. Raises `GuardError` where it cannot be."""
    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        if out.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        part.write_text(jsonlib.dumps(document, indent=2) + "\n", encoding="utf-8")
        os.replace(part, out)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise GuardError(
            f"the file cannot be written: {error.strerror}", where=str(out), mend="name another --out"
        ) from None


def _print_table(source: str | None, found: list) -> None:  # type: ignore[type-arg]
    from rich.console import Console
    from rich.table import Table

    from guard.context.finding import in_words, plainly, several_in_words
    from guard.facts import ATTRIBUTES

    table = Table(title=plainly(f"source {source}"))
    for column in ("attribute", "declared", "seen", "verdict", "how sure", "consequence"):
        table.add_column(column, no_wrap=column in ("attribute", "verdict", "how sure"), overflow="fold")
    for each in found:
        sure = f"{each.confidence:.0%}" if each.seen else ""
        seen = plainly(several_in_words(each.seen)) if each.seen else ""
        declared = in_words(each.declared) if each.name in ATTRIBUTES or each.declared is not None else ""
        table.add_row(each.name, declared, seen, each.verdict, sure, each.consequence)
    # What a file says of itself is text, not markup.
    Console(soft_wrap=False, markup=False, emoji=False, highlight=False).print(table)
    for each in found:
        if each.evidence != "nothing says":
            print(f"{each.name}: {plainly(each.evidence, 1000)}")
