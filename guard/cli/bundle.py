"""`guard policy keygen | sign | verify`: packs as a signed artefact."""

from __future__ import annotations

import json as jsonlib
import os
from pathlib import Path
from typing import Annotated

import typer

from guard.cli.options import Json, wrong_option
from guard.cli.output import print_json
from guard.errors import GuardError, PolicyError
from guard.policy import Engine, Settings, bundle
from guard.policy.own import BASES, EXTRAS, MODES
from guard.policy.packs import shipped

__all__ = ["Base", "Extra", "keygen", "settings_of", "sign", "verify"]

_FAILED = 2

Base = Annotated[str, typer.Option("--base", help=f"As [policy] base: {' or '.join(BASES)}.")]
Extra = Annotated[str, typer.Option("--extra", help=f"As [policy] extra: {' or '.join(EXTRAS)}.")]


def settings_of(base: str, extra: str, mode: str = "enforce") -> Settings:
    """The settings that the command line names. Raises `GuardError`: a wrong command line, not a wrong file."""
    with wrong_option("--base"):
        Settings(base=base)
    with wrong_option("--mode"):
        Settings(mode=mode)
    with wrong_option("--extra"):
        return Settings(base, extra, mode)


def keygen(
    out: Annotated[Path, typer.Option(help="Where to write the key: OUT.key, to be kept secret, and OUT.pub.")],
) -> None:
    """Makes a key to sign packs with. What is there already is never overwritten."""
    private, public = bundle.new_key()
    for suffix, text, mode in ((".key", private, 0o600), (".pub", public, 0o644)):
        file = out.with_name(out.name + suffix)
        try:
            with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as opened:
                opened.write(text)
        except OSError as error:
            raise GuardError(
                f"the key cannot be written: {error.strerror}", where=str(file), mend="name another --out"
            ) from None
        print(file)


def sign(
    packs: Annotated[list[str], typer.Argument(metavar="PACK...", help='Names, paths of *.cedar files, or "all".')],
    key: Annotated[Path, typer.Option(help="The private key, as `keygen` writes it.", show_default=False)],
    out: Annotated[Path, typer.Option(help="The bundle to write.", show_default=False)],
    base: Base = "shipped",
    extra: Extra = "none",
    mode: Annotated[str, typer.Option(help=f"As [policy] mode: {' or '.join(MODES)}; shadow allows both.")] = "enforce",
    json: Json = False,
) -> None:
    """Signs packs, as they are and under these settings, so that a guard loads these and no others."""
    engine = Engine.load(packs, settings_of(base, extra, mode))
    with wrong_option("--key"):
        made = bundle.sign(engine, key)
    try:
        out.write_text(jsonlib.dumps(made, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise GuardError(
            f"the bundle cannot be written: {error.strerror}", where=str(out), mend="name another --out"
        ) from None
    if json:
        print_json({"schema": "guard.policy-sign/1", "bundle": str(out), **made["manifest"]})
    else:
        print(f"{out}: {len(engine.packs)} packs, policy {engine.digest[:16]}, signed {made['manifest']['created']}")


def verify(
    file: Annotated[Path, typer.Argument(metavar="BUNDLE", help="The bundle.", show_default=False)],
    public_key: Annotated[Path, typer.Option(help="The public key of whoever signed it.", show_default=False)],
    packs: Annotated[
        list[str] | None,
        typer.Option(help="Packs to hold against it, by commas; else those it names, shipped or beside the bundle."),
    ] = None,
    json: Json = False,
) -> None:
    """Checks a bundle: its signature, and that the packs are as they were signed."""
    problem: PolicyError | None = None
    manifest = None
    try:
        with wrong_option("--public-key"):
            manifest = bundle.opened(file, public_key)
        settings = Settings(**manifest["settings"])
        named = [name for text in packs or [] for name in text.split(",") if name]
        bundle.require(Engine.load(named or _beside(file, manifest["packs"]), settings), file, public_key)
    except PolicyError as error:
        problem = error
    if json:
        print_json(
            {
                "schema": "guard.policy-verify/1",
                "bundle": str(file),
                "verified": problem is None,
                "problem": None if problem is None else str(problem),
                "manifest": manifest,
            }
        )
    elif problem is not None:
        print(f"not verified: {problem}")
    elif manifest is not None:
        said = ", ".join(f"{key} {value}" for key, value in manifest["settings"].items())
        print(f"verified: {len(manifest['packs'])} packs, {said}, signed {manifest['created']}")
    if problem is not None:
        raise typer.Exit(_FAILED)


def _beside(file: Path, listed: list[dict[str, str]]) -> list[str | Path]:
    """The packs of a manifest: those on the shelf by name, the others as files in the folder of the bundle."""
    on_shelf = shipped()
    return [pack["name"] if pack["name"] in on_shelf else file.parent / f"{pack['name']}.cedar" for pack in listed]
