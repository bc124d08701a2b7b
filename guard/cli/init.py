"""`guard init`: a first guard.toml from a few questions, or from flags."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import product, starmap
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from guard.cli.options import Json, wrong_option
from guard.cli.output import print_json
from guard.errors import GuardError
from guard.explaining import lifted_in_words
from guard.facts import ACTIONS, SERVICES, VOCABULARY, Facts, format_instant
from guard.init.answers import FLAGS, QUESTIONS, flag_of, one_of, read_answer, read_fact
from guard.init.dialogue import Dialogue, some
from guard.init.interview import Call, Interview, Question
from guard.init.writing import as_toml, refuse_to_overwrite, write_new
from guard.policy import Engine

__all__ = ["init"]

_FIRST: Final = ("operator.type", "place.country")
_Text = Annotated[str | None, typer.Option(show_default=False)]


def init(
    operator: Annotated[str | None, typer.Option(help="Who runs the pipeline, such as private or us_police.")] = None,
    acts_for: Annotated[str | None, typer.Option(help="For whom; self = for nobody else.")] = None,
    country: Annotated[str | None, typer.Option(help="Where the camera is used: ISO 3166-1, such as FR.")] = None,
    subdivision: Annotated[str | None, typer.Option(help="State or province: ISO 3166-2, such as US-CA.")] = None,
    locality: Annotated[str | None, typer.Option(help="City or county.")] = None,
    mount: Annotated[str | None, typer.Option(help="How the camera is mounted.")] = None,
    control: Annotated[str | None, typer.Option(help="controlled, or wild.")] = None,
    access: Annotated[str | None, typer.Option(help="Who can go there.")] = None,
    timing: Annotated[str | None, typer.Option(help="When faces are compared.")] = None,
    purpose: Annotated[str | None, typer.Option(help="What for.")] = None,
    fact: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="Any other fact; repeat.")] = None,
    action: Annotated[list[str] | None, typer.Option(help="What is to be done; repeat, or several by commas.")] = None,
    service: Annotated[list[str] | None, typer.Option(help="Which service does it; repeat, or by commas.")] = None,
    source: Annotated[str, typer.Option(help="The id of the source.")] = "camera-1",
    out: Annotated[Path, typer.Option(metavar="FILE", help="The file to write.")] = Path("guard.toml"),
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing; what no flag says stays unknown.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
    json: Json = False,
) -> None:
    """Writes a guard.toml, asking only for facts on which a verdict hinges, and says what each answer changes.

    A value may be "unknown", or several between commas. Without a terminal nothing is asked.
    """
    flags = (operator, acts_for, country, subdivision, locality, control, access, mount, timing, purpose)
    said = {name: text for name, text in zip(FLAGS, flags, strict=True) if text is not None}
    with wrong_option("--fact"):
        said |= dict(map(read_fact, fact or ()))
    if not source.strip():
        raise GuardError("a source needs an id", where="--source", mend='such as "door-1"')
    if not force:
        refuse_to_overwrite(out)
    talk = None if yes or json or not sys.stdin.isatty() else Dialogue(_ask, print)
    facts, skipped = _declared(said, talk)
    actions = _words(action, ACTIONS, "--action", talk)
    services = _words(service, SERVICES, "--service", talk)
    engine = Engine.load()
    now = datetime.now(UTC)
    interview = Interview(
        engine, facts, starmap(Call, product(actions, services)), now if now >= engine.reviewed else None
    )
    if talk is not None:
        interview = talk.go_on(interview, skipped)
    left = interview.questions()
    rows = _verdicts(interview, left)
    notes = ["", "Verdicts on that day:", *map(_row, rows)]
    write_new(out, as_toml(source, interview.facts, now, notes), interview.facts, force=force)
    if json:
        print_json(
            {
                "schema": "guard.init/1",
                "path": str(out),
                "source": source,
                "at": interview.at and format_instant(interview.at),
                "facts": interview.facts.to_json(),
                "verdicts": rows,
                "unknown": [_question(question) for question in left],
            }
        )
        return
    _print(interview, rows, left, out)


def _ask(prompt: str) -> str:
    return str(typer.prompt(f"  {prompt}", default="", show_default=False))


def _declared(said: Mapping[str, str], talk: Dialogue | None) -> tuple[Facts, set[str]]:
    """What the flags say and, of the first two facts, what is answered; and which facts are said to be unknown."""
    facts, skipped = Facts(), set[str]()
    for name in (*_FIRST, *QUESTIONS):
        if name in said:
            with wrong_option(flag_of(name).partition(" ")[0]):
                values = read_answer(name, said[name], facts, where=name)
        elif name in _FIRST and facts.known(name) is None:
            values = _first(name, facts, talk)
        else:
            continue
        if values is None:
            skipped.add(name)
        else:
            facts = facts.replacing({name: frozenset(values)})
    return facts, skipped


def _first(name: str, facts: Facts, talk: Dialogue | None) -> tuple[Any, ...] | None:
    options = VOCABULARY.get(name, ())
    if talk is None:
        mend = f"one of {', '.join(map(str, options))}" if options else "such as FR"
        raise GuardError(f"nobody said: {QUESTIONS[name]}", where=FLAGS[name], mend=f"{mend}, or unknown")
    talk.tell(f"\n{QUESTIONS[name]}  [{name}]")
    if options:
        talk.tell("  " + ", ".join(f"{number} {word}" for number, word in enumerate(options, start=1)))
    return talk.value(name, facts, options)


def _words(given: list[str] | None, allowed: tuple[str, ...], flag: str, talk: Dialogue | None) -> list[str]:
    with wrong_option(flag):
        found = one_of(",".join(given or ()), allowed, where=flag)
    if found:
        return found
    question = "Which actions are planned?" if allowed is ACTIONS else "Towards which services?"
    if talk is None:
        raise GuardError(f"nobody said: {question}", where=flag, mend=f"one or more of {', '.join(allowed)}")
    return talk.words(question, allowed)


def _verdicts(interview: Interview, left: list[Question]) -> list[dict[str, Any]]:
    """The verdict on every call. What would lift a denial is worked out where no unknown fact matters to it any more:
    before that it takes long, and the facts are what is missing first."""
    rows = []
    for call, column in interview.engine.table(interview.facts, interview.calls, interview.at).items():
        ruling = column.with_faces
        unknown = [question.name for question in left if call in question.calls]
        lifted = [] if call in interview.lost else None if unknown else ruling.lifted_by()
        rules = [reason.rule for reason in ruling.reasons]
        row = {"action": call[0], "service": call[1], "verdict": ruling.verdict.value, "rules": rules}
        rows.append({**row, "unknown": unknown, "lifted_by": lifted})
    return rows


def _row(row: Mapping[str, Any]) -> str:
    said = f"{row['action']} on {row['service']}: {row['verdict']}"
    if row["rules"]:
        said += f" ({some(row['rules'])})"
    if row["unknown"]:
        return f"{said}; unknown and it matters: {some(row['unknown'])}"
    if row["verdict"] == "deny":
        lifted = row["lifted_by"]
        said += f"; lifted by {lifted_in_words(lifted)}" if lifted else "; nothing that can be supplied lifts it"
    return said


def _question(question: Question) -> dict[str, Any]:
    calls = [{"action": call.action, "service": call.service} for call in question.calls]
    return {"name": question.name, "flag": flag_of(question.name), "calls": calls, "rules": list(question.rules)}


def _values(name: str) -> str:
    values = ["yes" if value is True else "no" if value is False else value for value in VOCABULARY.get(name, ())]
    return f" {', '.join(values)}" if values else ""


def _print(interview: Interview, rows: list[dict[str, Any]], left: list[Question], out: Path) -> None:
    print(f"\nVerdicts on {interview.at:%Y-%m-%d}:" if interview.at else "\nVerdicts (the clock is not believed):")
    for row in rows:
        print(f"  {_row(row)}")
    if left:
        print("\nStill unknown, and a verdict or a rule hinges on it (the most influential first):")
        for question in left:
            print(f"  {flag_of(question.name)}\n      {QUESTIONS[question.name]}{_values(question.name)}")
    else:
        print("\nNo unknown fact matters to these calls.")
    action, service = interview.calls[0]
    print(f"\nwritten: {out}")
    print(f"next: guard decide --config {out} --action {action} --service {service}")
