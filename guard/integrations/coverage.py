"""What of this interpreter's libraries is guarded, for `guard doctor`: each installed one is imported and looked at."""

from __future__ import annotations

import importlib
import warnings
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from guard import autoload
from guard.errors import GuardError
from guard.integrations.hooks import Adapter
from guard.integrations.installing import install, uninstall
from guard.integrations.registry import adapters
from guard.integrations.watching import installed, watch

__all__ = ["Library", "children", "libraries"]


@dataclass(frozen=True, slots=True)
class Library:
    """One library, as `guard doctor` prints it.

    Attributes:
        name: the adapter's.
        version: what is installed, None where nothing is.
        supported: the versions that were tested, as a PEP 440 specifier.
        state: ``guarded``, ``not installed``, or ``not guardable``.
        why: why it is not guardable; else what in it is known not to be guarded, None where nothing is.
        tested: whether the installed version lies within `supported`; None where that cannot be told.
    """

    name: str
    version: str | None
    supported: str
    state: str
    why: str | None
    tested: bool | None

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


def libraries() -> list[Library]:
    """Guards this process, imports every installed library that there is an adapter for, and says how each stands."""
    known = adapters()
    was_installed = bool(watch.names)
    with suppress(GuardError):  # which library could not be guarded is told below, one by one
        install()
    try:
        return _looked_at(known)
    finally:
        if not was_installed:
            uninstall()


def _looked_at(known: dict[str, Adapter]) -> list[Library]:
    broken = {name: why for name, adapter in known.items() if (why := _imported(adapter)) is not None}
    standing = {coverage.name: coverage for coverage in watch.verify()}
    found: list[Library] = []
    for name, adapter in known.items():
        version = installed(adapter)
        state, why = "guarded", adapter.note
        coverage = standing.get(name)
        if version is None:
            state = "not installed"
        elif coverage is None or coverage.state == "open":
            state, why = "not guardable", "it could not be hooked" if coverage is None else coverage.why
        elif name in broken and coverage.state != "guarded":
            state, why = "not guardable", broken[name]
        found.append(Library(name, version, adapter.supported, state, why, _is_supported(version, adapter.supported)))
    return found


def children() -> str:
    """Whether processes that this interpreter starts anew can be guarded, in one line."""
    if autoload.is_enabled():
        return "guarded where guard.install(children=True) is called; forked ones always"
    return "forked ones are guarded, spawned ones are not: run `python -m guard.autoload enable` once"


def _imported(adapter: Adapter) -> str | None:
    """Why the library cannot be imported, None where it can or is not installed."""
    if installed(adapter) is None:
        return None
    required = {hook.module for hook in adapter.hooks if hook.required} | adapter.discover.keys()
    for module in sorted(required or adapter.modules):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                importlib.import_module(module)
        except BaseException as error:  # a library may leave by sys.exit, too
            if isinstance(error, KeyboardInterrupt):
                raise
            return f"{module} cannot be imported: {' '.join(str(error).split())}"
    return None


def _is_supported(version: str | None, supported: str) -> bool | None:
    if version is None or not supported:
        return None
    try:
        from packaging.specifiers import SpecifierSet
    except ImportError:
        return None
    return SpecifierSet(supported).contains(version, prereleases=True)
