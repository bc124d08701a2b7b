"""`guard redact`: clips and pictures in which no face can be recognised."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from guard.cli.options import Json
from guard.cli.output import print_json
from guard.errors import GuardError
from guard.redacting import Redacted, Redaction, redact_all
from guard.redacting.batch import targets
from guard.replay.stopping import Stop
from guard.vision import Detector
from guard.vision.memory import HOLD_S
from guard.vision.operating_point import FACE_SCORE, MIN_FACE_PX
from guard.vision.redaction import STYLES

__all__ = ["redact"]


def redact(
    clips: Annotated[list[Path], typer.Argument(help="Videos, pictures, or folders of them.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to write, or a folder for several.")],
    style: Annotated[str, typer.Option(help=f"{', '.join(STYLES)}. Only solid cannot be undone.")] = "solid",
    margin: Annotated[float, typer.Option(help="How far a region reaches beyond its face, as a part of it.")] = 0.25,
    min_face_px: Annotated[int, typer.Option(min=1, help="Smallest face width that matters, in pixels.")] = MIN_FACE_PX,
    face_score: Annotated[float, typer.Option(min=0.0, max=1.0, help="Detection threshold.")] = FACE_SCORE,
    hold: Annotated[float, typer.Option(help="Seconds for which a face stays hidden while it is missed.")] = HOLD_S,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Make files again that are there already.")] = False,
    json: Json = False,
) -> None:
    """Copies clips and pictures with every detected face hidden; sound and time stamps are kept, metadata are not.

    A face that the detector misses throughout stays visible: see the docs for how often that happens.
    """
    chosen = next((known for known in STYLES if known == style), None)
    if chosen is None:
        raise GuardError(f"no style is called {style!r}", where="--style", mend=f"known are {', '.join(STYLES)}")
    if not 0.0 <= margin <= 10.0 or not 0.0 <= hold <= 3600.0:
        raise GuardError("--margin lies from 0 to 10 and --hold from 0 to 3600", where="command line")
    redaction = Redaction(style=chosen, margin=margin, min_face_px=min_face_px, face_score=face_score, hold_s=hold)
    pairs = targets(clips, out)
    done: list[Redacted] = []
    failed: list[GuardError] = []
    with _progress(pairs) as advance, Stop().listening() as stop:
        for result in redact_all(
            pairs, redaction, detector=Detector(), overwrite=overwrite, progress=advance, stop=stop
        ):
            if isinstance(result, GuardError):
                failed.append(result)
            else:
                done.append(result)
    if len(pairs) == 1 and failed:
        raise failed[0]
    _tell(done, failed, as_json=json)
    if failed or any(result.broke_off is not None for result in done):
        raise typer.Exit(1)


def _tell(done: list[Redacted], failed: list[GuardError], *, as_json: bool) -> None:
    if as_json:
        errors = [{"error": error.what, "where": error.where, "mend": error.mend} for error in failed]
        print_json({"schema": "guard.redact/1", "clips": [result.to_json() for result in done], "failed": errors})
    else:
        for result in done:
            print(f"{result.out}  {_in_words(result)}")
    for error in failed:
        print("guard: " + " ".join(str(error).split()), file=sys.stderr)
    for result in done:
        for note in result.notes:
            print(f"guard: note: {result.out}: {note}", file=sys.stderr)
        if result.broke_off is not None:
            print(f"guard: {result.broke_off}; it is redacted up to there", file=sys.stderr)


def _in_words(result: Redacted) -> str:
    if result.frames == 1:
        return "faces hidden" if result.frames_with_faces else "no face"
    return f"{result.frames:,} frames, faces in {result.frames_with_faces:,}, bridged in {result.frames_bridged:,}"


@contextmanager
def _progress(pairs: list[tuple[Path, Path]]) -> Iterator[Callable[[int, float], None] | None]:
    """A progress bar on stderr, where that is a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=len(pairs))
        yield lambda number, part: bar.update(task, completed=number + part, description=pairs[number][0].name)
