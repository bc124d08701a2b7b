"""A first `guard.toml`: only facts on which a verdict hinges are asked for, and every answer says what it changes."""

from __future__ import annotations

from guard.init.answers import read_answer
from guard.init.interview import Call, Change, Interview, Option, Question
from guard.init.writing import as_toml, write_new

__all__ = ["Call", "Change", "Interview", "Option", "Question", "as_toml", "read_answer", "write_new"]
