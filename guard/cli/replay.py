"""`guard replay`: a clip goes through the guard, and what came of it is shown."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from guard.cli.options import At, ConfigPath, Json, SourceId, instant
from guard.cli.output import print_json
from guard.cli.reloading import reload_on_hangup
from guard.config import load_config
from guard.errors import ConfigError, GuardError, LedgerError
from guard.facts import ACTIONS
from guard.guard import load
from guard.matchers import MATCHERS, open_matcher
from guard.replay.clip import Clip, open_clip
from guard.replay.result import Replay
from guard.replay.run import replay as run_replay
from guard.replay.stopping import Stop
from guard.report import sealed, write_report

if TYPE_CHECKING:
    from rich.table import Table

    from guard.guard import Guard
    from guard.source import Source

__all__ = ["replay"]

_LEDGER = "decisions.db"


def replay(
    clip: Annotated[
        str, typer.Argument(help="A video, a folder of pictures, a camera (0), or an address (rtsp://...).")
    ],
    config: ConfigPath,
    source: SourceId = None,
    action: Annotated[str, typer.Option(help="What is tried on every frame.")] = "identify",
    service: Annotated[
        str, typer.Option(help="A service of the vocabulary or a name under [services].")
    ] = "self_hosted",
    matcher: Annotated[
        str | None, typer.Option(help=f"{' or '.join(MATCHERS)}; left out: a stand-in that only counts.")
    ] = None,
    model: Annotated[Path | None, typer.Option(help="The model file of the matcher sface.")] = None,
    gallery: Annotated[Path | None, typer.Option(help="Folder of portraits, name.jpg or name/*.jpg.")] = None,
    at: At = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the outputs; default guard-out/CLIP.")] = None,
    json: Json = False,
) -> None:
    """Runs a clip through the guard as a pipeline would: on every frame it tries the call."""
    day = instant(at)
    if action not in ACTIONS:
        raise GuardError(f"no action is called {action!r}", where="--action", mend=f"known are {', '.join(ACTIONS)}")
    if matcher is not None and matcher not in MATCHERS:
        raise GuardError(
            f"no matcher is called {matcher!r}", where="--matcher", mend=f"known are {', '.join(MATCHERS)}"
        )
    configured = load_config(config).ledger is not None
    with closing(open_clip(clip)) as opened:
        folder = _folder(out if out is not None else Path("guard-out") / opened.stem)
        # What fails on every frame is said once, at the end, and not in the log's words on every frame.
        logging.getLogger("guard").addHandler(logging.NullHandler())
        # Without a [ledger] in the file the record goes beside the other outputs.
        with load(config, ledger=None if configured else folder / _LEDGER, at=day) as guard:
            judged = _source(guard, source, service)
            if guard.mode == "shadow":
                print("guard: SHADOW MODE: verdicts are recorded and not enforced, every call is made", file=sys.stderr)
            far_end = open_matcher(matcher, gallery=gallery, model=model)
            with _progress(opened) as advance, Stop().listening() as stop, reload_on_hangup(guard):
                result = run_replay(
                    opened,
                    guard,
                    judged,
                    action=action,
                    service=guard.resolve_service(service),
                    matcher=far_end,
                    out=folder,
                    progress=advance,
                    stop=stop,
                )
            write_report(result)  # also where the ledger cannot be closed
    _seal(result)
    _tell(result, as_json=json)
    if result.broke_off is not None:
        print(f"guard: {result.broke_off}; what was decided until then is kept", file=sys.stderr)
        raise typer.Exit(1)


def _tell(result: Replay, *, as_json: bool) -> None:
    for note in result.notes:
        print(f"guard: note: {note}", file=sys.stderr)
    for fault, count in result.faults.items():
        print(f"guard: fault in {count:,} calls: {' '.join(fault.split())}", file=sys.stderr)
    if as_json:
        print_json(result.to_json())
    else:
        _show(result)


def _seal(result: Replay) -> None:
    """Adds to the report what the ledger states of the run: only when it is closed is all of it sealed."""
    try:
        write_report(result, sealed(result))
    except LedgerError as error:
        print(f"guard: note: the report has no statement of the ledger: {error}", file=sys.stderr)


def _source(guard: Guard, source: str | None, service: str) -> Source:
    """The source, the service checked with it: a wrong word on the command line is not a wrong configuration."""
    try:
        judged = guard.source(source)
    except ConfigError as error:
        raise GuardError(error.what, where=f"--source, {error.where}", mend=error.mend) from None
    try:
        guard.resolve_service(service)
    except ConfigError as error:
        raise GuardError(error.what, where="--service", mend=error.mend) from None
    return judged


def _folder(out: Path) -> Path:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GuardError(
            f"the folder cannot be made: {error.strerror}", where=str(out), mend="name another --out"
        ) from None
    return out.absolute()


@contextmanager
def _progress(clip: Clip) -> Iterator[Callable[[int], None] | None]:
    """A progress bar on stderr, where that is a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(Path(clip.name).name or clip.name, total=clip.total)
        yield lambda done: bar.update(task, completed=done)


def _show(result: Replay) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    console.print()
    console.print(_calls(result))
    console.print()
    for row in result.calls:
        if row.unenforced:
            console.print(
                Text(f"SHADOW MODE: {row.unenforced:,} calls were made whatever the verdict; nothing was enforced")
            )
        if row.faulted:
            console.print(f"{row.faulted:,} of the denied: the guard itself could not judge")
    if result.reasons:
        console.print(_rules(result))
        console.print()
    if result.people:
        console.print(_people(result))
        console.print()
    console.print(_cost(result))
    console.print()
    seen = f"{result.frames:,} frames, {result.seconds:.2f} s, faces in {result.frames_with_faces:,}"
    console.print(Text(f"{seen}; source {result.source}"))
    for name, path in result.outputs.to_json().items():
        if path is not None:
            # Not wrapped: a path is there to be copied.
            print(f"{name:<7} {_nearer(Path(path))}")


def _calls(result: Replay) -> Table:
    made = _table("Calls", "call", "attempted", "allowed", "redacted", "denied", "reached", numbers=5)
    for row in result.calls:
        counts = (row.attempted, row.allowed, row.redacted, row.denied, row.reached_service)
        made.add_row(f"{row.action} at {row.service}", *(f"{count:,}" for count in counts))
    return made


def _rules(result: Replay) -> Table:
    from rich.text import Text

    made = _table("Rules that forbade", "rule", "citation", "calls", numbers=1)
    for ruled in result.reasons:
        reason = ruled.reason
        made.add_row(Text(reason.rule), Text(f"{reason.title}. {reason.cite}"), f"{ruled.count:,}")
    return made


def _people(result: Replay) -> Table:
    from rich.text import Text

    made = _table("Recognised", "person", "frames", numbers=1)
    for person, count in result.people.items():
        made.add_row(Text(person), f"{count:,}")
    return made


def _cost(result: Replay) -> Table:
    names = ("p50", "p95", "p99", "max")
    made = _table("Cost per frame, microseconds", "stage", *names, numbers=len(names))
    for stage, values in result.latency_us.items():
        made.add_row(stage, *("-" if values[name] is None else f"{values[name]:,.1f}" for name in names))
    return made


def _table(title: str, *columns: str, numbers: int) -> Table:
    """A table without rows, whose last `numbers` columns hold numbers."""
    from rich.table import Table

    made = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="dim")
    for position, column in enumerate(columns):
        made.add_column(column, justify="right" if position >= len(columns) - numbers else "left", overflow="fold")
    return made


def _nearer(path: Path) -> Path:
    """The path as seen from here, where it lies below."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
