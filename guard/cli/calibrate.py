"""`guard models calibrate`: what the detector misses on footage of one's own, and which settings miss less."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from guard.cli.options import Json
from guard.cli.output import print_json
from guard.errors import GuardError

if TYPE_CHECKING:
    from guard.calibration.result import Calibration, Setting

__all__ = ["calibrate"]


def calibrate(
    clips: Annotated[
        list[Path], typer.Argument(help="Videos of your own, or folders of pictures.", show_default=False)
    ],
    config: Annotated[Path | None, typer.Option("--config", help="A guard.toml: the setting in use.")] = None,
    source: Annotated[str | None, typer.Option("--source", help="The source whose setting it is.")] = None,
    target: Annotated[float, typer.Option(min=0.0, max=1.0, help="The recall that is wanted.")] = 0.95,
    smallest: Annotated[float, typer.Option(min=8.0, help="Width in pixels from which on a face counts.")] = 20.0,
    every: Annotated[float, typer.Option(min=0.01, help="Seconds from one frame looked at to the next.")] = 0.5,
    frames: Annotated[int, typer.Option(min=1, help="Look at no more frames than this.")] = 600,
    out: Annotated[Path, typer.Option(help="The contact sheet, a PNG that its owner alone can read.")] = Path(
        "calibration.png"
    ),
    redacted: Annotated[bool, typer.Option("--redacted", help="Hide the faces in the contact sheet.")] = False,
    json: Json = False,
) -> None:
    """Estimates what the detector misses on your footage, beside a heavier one (`frguard[calibrate]`)."""
    from guard.calibration import calibrate as run
    from guard.calibration.centerface import CenterFace
    from guard.calibration.sheet import Sheet
    from guard.vision import Detector

    if out.suffix.lower() != ".png":
        raise GuardError("the contact sheet is a PNG", where="--out", mend="let its name end in .png")
    min_face_px, face_score = _in_use(config, source)
    with _progress() as progress:
        found = run(
            clips,
            Detector(),
            CenterFace(),
            min_face_px=min_face_px,
            face_score=face_score,
            smallest_px=smallest,
            target=target,
            every_s=every,
            most_frames=frames,
            sheet=Sheet(out, redacted=redacted),
            progress=progress,
        )
    if json:
        print_json(found.to_json())
    else:
        _show(found)
    for line in found.broken:
        print(f"guard: {line}", file=sys.stderr)
    if found.broken:
        raise typer.Exit(1)


def _in_use(config: Path | None, source: str | None) -> tuple[int, float]:
    if config is None:
        if source is not None:
            raise GuardError("a source is of a file", where="--source", mend="name the file with --config")
        from guard.vision.operating_point import FACE_SCORE, MIN_FACE_PX

        return MIN_FACE_PX, FACE_SCORE
    from guard.config import load_config

    sources = load_config(config).sources
    if source is None and len(sources) == 1:
        (source,) = sources
    if source is None or source not in sources:
        raise GuardError("name the source", where="--source", mend=f"one of: {', '.join(sources)}")
    return sources[source].min_face_px, sources[source].face_score


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None] | None]:
    """A progress bar on stderr, where that is a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("frames", total=None)
        yield lambda done, most: bar.update(task, completed=done, total=most)


def _show(found: Calibration) -> None:
    from guard.calibration.estimating import FEWEST

    looked = f"{found.frames:,} frames of {found.clips:,} clips"
    print(f"{looked}, faces of {found.smallest_px:g} px and more, beside {found.second}")
    print(f"now       {_said(found.current)}")
    if found.proposed is None:
        best = max(found.tried, key=lambda each: each.counts.recall or 0.0)
        print(f"no setting reaches {found.target:g}; the best is")
        print(f"          {_said(best)}")
    else:
        print(f"proposed  {_said(found.proposed)}")
    if len(found.current.stretches) < FEWEST:
        print("too little footage to say how sure that is: give more of it")
    if found.sheet is not None:
        print(f"look at the disagreements: {found.sheet}")


def _said(setting: Setting) -> str:
    stated = setting.to_json()
    name = f"min_face_px = {setting.min_face_px}, face_score = {setting.face_score}"
    if stated["recall"] is None:
        return f"{name}: no face to hold it against"
    missed = f"{stated['missed_face_seconds_per_hour']:,.0f} face-seconds an hour{_between(stated['missed_interval'])}"
    return (
        f"{name}: recall {stated['recall']:.3f}{_between(stated['recall_interval'])}, missed {missed}, "
        f"{setting.counts.first:,} seen by it alone, {setting.detect_ms:.1f} ms a frame"
    )


def _between(bounds: list[float] | None) -> str:
    return "" if bounds is None else f" ({bounds[0]:,.3g} to {bounds[1]:,.3g})"
