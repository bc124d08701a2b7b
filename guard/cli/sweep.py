"""`guard sweep`: whole folders through the guard, and the check of what it left."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from guard.cli.options import At, Json, SourceId, instant
from guard.cli.output import print_json
from guard.config import load_config
from guard.errors import GuardError
from guard.facts import ACTIONS, SERVICES
from guard.replay.stopping import Stop
from guard.sweep import Summary
from guard.sweep import sweep as run_sweep
from guard.sweep.order import Order, order_of
from guard.sweep.task import PATIENCE_S

__all__ = ["sweep"]

_FAILED = 2


def sweep(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Videos, and folders with videos in or below them.", show_default=False)
    ] = None,
    config: Annotated[Path | None, typer.Option("--config", help="The guard.toml.", show_default=False)] = None,
    source: SourceId = None,
    action: Annotated[list[str] | None, typer.Option(help="What is tried on every frame; repeatable.")] = None,
    service: Annotated[list[str] | None, typer.Option(help="Towards whom; repeatable.")] = None,
    redact: Annotated[bool, typer.Option("--redact", help="Also write a copy of each clip with faces hidden.")] = False,
    out: Annotated[Path, typer.Option(help="Folder for everything that is written.")] = Path("guard-sweep"),
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; one a core unless told.")] = None,
    ray: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="On this Ray cluster; `local` starts one of --workers cores.")
    ] = None,
    patience: Annotated[
        int,
        typer.Option(
            min=1, max=1_000_000, help="Seconds without a finished frame after which a process counts as hung."
        ),
    ] = int(PATIENCE_S),
    at: At = None,
    verify: Annotated[bool, typer.Option("--verify", help="Check what lies in --out, and decide nothing.")] = False,
    public_key: Annotated[
        Path | None, typer.Option(help="With --verify: the public key of whoever signs, kept elsewhere.")
    ] = None,
    json: Json = False,
) -> None:
    """Decides and records every clip of whole folders. Run again, it goes on where it stopped."""
    if verify:
        _verify(out, public_key, json=json)
        return
    if not paths or config is None:
        raise GuardError("PATHS and --config are needed", where="command line", mend="see `guard sweep --help`")
    order = _order(config, source, action, service, instant(at), out, redact=redact)
    # What fails on every frame is told once, by the summary.
    logging.getLogger("guard").addHandler(logging.NullHandler())
    with _progress(paths, order) as progress, Stop().listening() as stop:
        if ray is None:
            summary = run_sweep(paths, order, workers=workers, patience_s=patience, progress=progress, stop=stop)
        else:
            from guard.sweep.ray import sweep as sweep_on_ray

            summary = sweep_on_ray(
                paths, order, address=ray, workers=workers, patience_s=patience, progress=progress, stop=stop
            )
    if json:
        print_json(summary.to_json())
    else:
        _show(summary)
    for path, reason in summary.broken:
        print(f"guard: {reason if str(path) in reason else f'{reason} ({path})'}", file=sys.stderr)
    if not summary.complete:
        raise typer.Exit(1)


def _order(
    config: Path,
    source: str | None,
    actions: list[str] | None,
    services: list[str] | None,
    at: Any,
    out: Path,
    *,
    redact: bool,
) -> Order:
    """The order, its words checked: a wrong one on the command line is not a wrong configuration."""
    read = load_config(config)
    actions, services = actions or ["identify"], services or ["self_hosted"]
    for word, option, known in (
        *((each, "--action", ACTIONS) for each in actions),
        *((each, "--service", (*SERVICES, *read.services)) for each in services),
    ):
        if word not in known:
            raise GuardError(f"{word!r} is not known", where=option, mend=f"known are {', '.join(sorted(known))}")
    if source is not None and source not in read.sources:
        known_sources = ", ".join(read.sources)
        raise GuardError(f"no source is called {source!r}", where="--source", mend=f"name one of: {known_sources}")
    if source is None and len(read.sources) > 1:
        raise GuardError(
            "the file describes several sources", where="--source", mend=f"name one of: {', '.join(read.sources)}"
        )
    return order_of(read, out, source=source, actions=actions, services=services, at=at, redact=redact)


@contextmanager
def _progress(paths: list[Path], order: Order) -> Iterator[Callable[[Path, float], None] | None]:
    """A progress bar on stderr, where that is a terminal: bytes done, of those that are counted meanwhile."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    from guard.sweep.walking import clips

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("counting", total=None)
        working: dict[Path, float] = {}
        done = 0.0
        over = threading.Event()

        def count() -> None:
            found = total = 0
            for clip in clips(paths, leave_out=order.out):
                if over.is_set():
                    return
                if not isinstance(clip, GuardError):
                    found, total = found + 1, total + _size(clip)
            bar.update(task, total=total, description=f"{found:,} clips")

        def tell(path: Path, part: float) -> None:
            nonlocal done
            if part < 1.0:
                working[path] = part * _size(path)
            else:
                working.pop(path, None)
                done += _size(path)
            bar.update(task, completed=done + sum(working.values()))

        # Nobody waits for it: an archive of a million files takes a while to be counted.
        threading.Thread(target=count, name="guard-counting", daemon=True).start()
        try:
            yield tell
        finally:
            over.set()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _show(summary: Summary) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    calls = Table(title="Calls", title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="dim")
    names = ("attempted", "allowed", "redacted", "denied")
    for column in ("call", *names):
        calls.add_column(column, justify="left" if column == "call" else "right", overflow="fold")
    for (action, service), counts in summary.calls.items():
        calls.add_row(f"{action} at {service}", *(f"{counts[name]:,}" for name in names))
    console.print(calls)
    for (rule, _, cite), count in summary.reasons.most_common():
        print(f"{rule}: {count:,} calls ({cite})")
    files = summary.files
    print(
        f"{files['found']:,} files: {files['made']:,} done now, {files['units'] - files['made']:,} before, "
        f"{files['found'] - files['units'] - files['broken']:,} the same as another, {files['broken']:,} broken"
    )
    print(
        f"{summary.frames:,} frames, {summary.seconds / 3600:.3f} h, faces in {summary.frames_with_faces:,}; "
        f"{summary.broke_off:,} clips end before their end; source {summary.source}"
    )
    if any(counts["unenforced"] for counts in summary.calls.values()):
        print("SHADOW MODE: nothing was enforced")
    if summary.interrupted:
        print("interrupted: run it again, and it goes on from here")
    print(f"index   {summary.index}")


def _verify(out: Path, public_key: Path | None, *, json: bool) -> None:
    from guard.ledger.keys import public_key as read_key
    from guard.sweep.verifying import verify_sweep

    found = verify_sweep(out, public_key=None if public_key is None else read_key(public_key))
    if json:
        print_json(found.to_json())
    else:
        state = "verified" if found.verified else "NOT VERIFIED"
        print(f"{state}: {found.calls:,} calls in {found.units:,} units")
        for problem in found.problems:
            print(f"  {problem}")
        if not found.pinned:
            print("no --public-key was given: this proves inner consistency only")
    if not found.verified:
        raise typer.Exit(_FAILED)
