"""The command line: arguments in, text or JSON out, no logic.

Exit status: 0 done, 1 could not run or a wrong command line, 2 a check failed, 3 the configuration or a policy is
invalid.
"""

from __future__ import annotations

import importlib
import os
import sys

from guard._imports import MissingDependency, explained
from guard.cli.output import fail, fail_unexpected
from guard.errors import ConfigError, GuardError, PolicyError

__all__ = ["main"]

# A command's module is loaded when it is asked for: `guard decide` answers in well under a second.
_COMMANDS = {
    "init": ("guard.cli.init", "init", "Write a first guard.toml from a few questions or flags."),
    "redact": ("guard.cli.redact", "redact", "Copy clips with every face hidden."),
    "replay": ("guard.cli.replay", "replay", "Run a clip, folder, camera or stream through the guard."),
    "report": ("guard.cli.report", "report", "Write the report of a replay again, from its record."),
    "sweep": ("guard.cli.sweep", "sweep", "Decide, record and redact whole archives, resumable."),
    "watch": ("guard.cli.watch", "watch", "Show live feeds and their verdicts on a page of this machine."),
    "decide": ("guard.cli.decide", "decide", "Decide one call and explain the decision."),
    "policy": ("guard.cli.policy", "policy_app", "List, show, check and test policy packs."),
    "source": ("guard.cli.source", "source_app", "Compare what a source says of itself with what can be seen."),
    "seal": ("guard.cli.seal", "seal", "Sign a clip with the facts under which it was taken."),
    "bench": ("guard.cli.bench", "bench", "Measure what the guard costs per frame on this machine."),
    "gateway": ("guard.cli.gateway", "gateway", "Guard calls from beside a pipeline: a proxy, and Envoy's check."),
    "ledger": ("guard.cli.ledger", "ledger_app", "Look into the record."),
    "models": ("guard.cli.models", "models_app", "List the detector files; measure them on your footage."),
    "doctor": ("guard.cli.doctor", "doctor", "Say what is installed and whether it works."),
}


def main(argv: list[str] | None = None) -> int:
    """Runs the command line and returns its exit status; `guard` on the shell is this.

    A user's mistake is one line, never a traceback; with ``--json`` it is an object of schema ``guard.error/1``.
    """
    arguments = sys.argv[1:] if argv is None else argv
    as_json = "--json" in arguments
    try:
        return _run(arguments)
    except MissingDependency as error:
        return fail(error, 1, as_json=as_json)
    except (ConfigError, PolicyError) as error:
        return fail(error, 3, as_json=as_json)
    except GuardError as error:
        return fail(error, 1, as_json=as_json)
    except ImportError as error:
        return fail(explained(error), 1, as_json=as_json)
    except BrokenPipeError:
        # The reader went away (`guard ... | head`): nothing more can be said, and nothing went wrong here.
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - stays open for the interpreter's last flush
        return 1
    except KeyboardInterrupt:
        print("guard: interrupted", file=sys.stderr)
        return 130
    except Exception as error:
        if os.environ.get("GUARD_DEBUG"):
            raise
        return fail_unexpected(error, as_json=as_json)


def _run(arguments: list[str]) -> int:
    import typer
    from typer.main import get_command

    try:
        status = get_command(_app(arguments)).main(args=arguments, prog_name="guard", standalone_mode=False)
    except typer.Exit as stop:
        return int(stop.exit_code)
    except typer.Abort:
        raise KeyboardInterrupt from None
    except Exception as error:
        # click's own usage errors, by shape: typer may carry a copy of click of its own.
        message = getattr(error, "format_message", None)
        if message is None:
            raise
        text = str(message()).strip() or "no command was given"
        raise GuardError(text.rstrip("."), mend="see `guard --help`") from None
    return status if isinstance(status, int) else 0


def _app(arguments: list[str]):  # type: ignore[no-untyped-def]
    import typer

    app = typer.Typer(
        name="guard",
        help="Stops facial recognition where policy forbids it, and measures what that costs.",
        add_completion=False,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )

    def version(value: bool) -> None:
        if value:
            from guard import __version__

            print(f"guard {__version__}")
            raise typer.Exit

    @app.callback()
    def root(
        version: bool = typer.Option(False, "--version", callback=version, is_eager=True, help="Print the version."),
    ) -> None:
        pass

    asked = next((argument for argument in arguments if not argument.startswith("-")), None)
    for name, (module, attribute, text) in _COMMANDS.items():
        if name == asked:
            command = getattr(importlib.import_module(module), attribute)
            if isinstance(command, typer.Typer):
                app.add_typer(command, name=name, help=text)
            else:
                app.command(name, help=text)(command)
        else:
            app.command(name, help=text)(_not_loaded)
    return app


def _not_loaded() -> None:
    """Stands for a command in the overview; never runs, since the asked-for one is always loaded."""
    raise GuardError("this command was not loaded", mend="report this as a defect")
