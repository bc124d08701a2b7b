"""Asking at a terminal: one question at a time, the most influential first, and each answer says what it changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from guard.errors import ConfigError
from guard.facts import Facts
from guard.facts.attributes import NUMBERS, Value
from guard.init.answers import QUESTIONS, one_of, read_answer
from guard.init.interview import Change, Interview, Option, Question

__all__ = ["Dialogue", "in_words", "some"]

_HOW: Final = "Answer (Enter = unknown; several between commas)"
_SHOWN: Final = 5
_WIDTH: Final = 100
NOTHING: Final = "changes nothing"


@dataclass(frozen=True, slots=True)
class Dialogue:
    """Two callables: `ask` shows a prompt and gives the line that was typed, `tell` prints a line."""

    ask: Callable[[str], str]
    tell: Callable[[str], None]
    asked: list[str] = field(default_factory=list)
    """The facts that were asked for, in order."""

    def value(self, name: str, facts: Facts, options: Sequence[Value] = ()) -> tuple[Value, ...] | None:
        """The answer to one question, None for unknown; asks again until it can be used."""
        while True:
            try:
                return read_answer(name, self.ask(_HOW), facts, options=options)
            except ConfigError as error:
                self.tell(f"  {_complaint(error)}")

    def words(self, question: str, allowed: Sequence[str]) -> list[str]:
        """At least one of `allowed`, by name or number."""
        self.tell(f"\n{question}")
        self.tell("  " + ", ".join(f"{number} {word}" for number, word in enumerate(allowed, start=1)))
        while True:
            try:
                found = one_of(self.ask("Answer (several between commas)"), allowed, where="answer")
            except ConfigError as error:
                self.tell(f"  {_complaint(error)}")
                continue
            if found:
                return found
            self.tell("  this has to be known; name at least one")

    def go_on(self, interview: Interview, skipped: set[str]) -> Interview:
        """Asks for what matters until nothing that matters is left to ask. `skipped` grows by what stays unknown."""
        while questions := interview.questions(skipped):
            question = questions[0]
            self.asked.append(question.name)
            numbered = self._put(question, more=len(questions) - 1)
            values = self.value(question.name, interview.facts, numbered)
            if values is None:
                skipped.add(question.name)
                self.tell("  -> left unknown: what its worst value forbids stays forbidden")
                continue
            later = interview.knowing(interview.facts.replacing({question.name: frozenset(values)}))
            self.tell(f"  -> {in_words(interview.change_to(later))}")
            interview = later
        return interview

    def _put(self, question: Question, more: int) -> list[Value]:
        """Shows the question and what hinges on it; gives the values in the order of their numbers."""
        follow = f" (up to {more} more)" if more else ""
        self.tell(f"\n{QUESTIONS[question.name]}  [{question.name}]{follow}")
        calls = some([f"{call.action} on {call.service}" for call in question.calls])
        self.tell(f"  hinging on it: {calls}" + (f"; rules {some(question.rules)}" if question.rules else ""))
        numbered: list[Value] = []
        effects: dict[str, list[str]] = {}
        for option in question.options:
            label = _label(question.name, option, numbered)
            effects.setdefault(in_words(option.change, among=question.rules), []).append(label)
        for effect, labels in effects.items():
            said = f"{labels[0]} to {labels[-1]}" if question.name in NUMBERS and len(labels) > 1 else ", ".join(labels)
            self.tell(f"  {said}: {effect}" if len(said) + len(effect) < _WIDTH else f"  {said}:\n      {effect}")
        return numbered


def in_words(change: Change, among: Sequence[str] | None = None) -> str:
    """What a change does, in one line. Where many rules cease to forbid, those are named that are left (of `among`)."""
    said = [f"{t.call.action} on {t.call.service}: {t.before.value} -> {t.after.value}" for t in change.turned]
    if len(change.silenced) > _SHOWN:
        left = [rule for rule in change.left if among is None or rule in among]
        said.append(f"{len(change.silenced)} rules no longer forbid, left: {some(left) or 'none'}")
    elif change.silenced:
        said.append(f"{', '.join(change.silenced)} no longer {'forbids' if len(change.silenced) == 1 else 'forbid'}")
    if change.eased:
        said.append(f"{some(change.eased)} {'forbids' if len(change.eased) == 1 else 'forbid'} less")
    return "; ".join(said) or NOTHING


def _complaint(error: ConfigError) -> str:
    return f"{error.what}; {error.mend}" if error.mend else error.what


def _label(name: str, option: Option, numbered: list[Value]) -> str:
    """How an option is shown; one that can be chosen by number is added to `numbered`."""
    value = option.value
    if option.others:
        return "any other"
    if isinstance(value, frozenset):
        if not value:
            return "none"
        (value,) = value
    if name in NUMBERS:
        return f"{value:g}"
    numbered.append(value)
    said = ("yes" if value else "no") if isinstance(value, bool) else str(value)
    return f"{len(numbered)} {said}"


def some(words: Iterable[str]) -> str:
    """The first few of a list, and how many more there are."""
    found = list(words)
    return ", ".join(found[:_SHOWN]) + (f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else "")
