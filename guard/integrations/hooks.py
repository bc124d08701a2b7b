"""What an adapter consists of: the places in a library through which its identity calls pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

__all__ = ["Adapter", "Hook"]


@dataclass(frozen=True, slots=True)
class Hook:
    """One function or method of a library.

    Attributes:
        module: the module that defines it, e.g. ``botocore.client``; importing that module binds the hook.
        attribute: dotted name inside, e.g. ``BaseClient._emit_api_params``.
        wrap: gets the original and gives what runs instead of it: a function of the same kind (``async def`` for a
            coroutine function), whose first argument is the instance where it is a method.
        required: a library in which a required hook cannot be bound is refused; an optional one is absent in some of
            the supported versions.
    """

    module: str
    attribute: str
    wrap: Callable[[Callable[..., Any]], Callable[..., Any]]
    required: bool = True


@dataclass(frozen=True, slots=True)
class Adapter:
    """All hooks of one library. It never imports the library.

    Attributes:
        name: as in the table of `guard doctor`.
        distributions: the names under which the library is installed, most usual first.
        supported: the versions that were tested, as a PEP 440 specifier.
        hooks: the places that are known beforehand.
        discover: for a module, a function that finds further hooks in it once it is loaded.
        note: what cannot be guarded in it, for `guard doctor`; None where nothing is known.
    """

    name: str
    distributions: tuple[str, ...]
    supported: str
    hooks: tuple[Hook, ...] = ()
    discover: Mapping[str, Callable[[ModuleType], Iterable[Hook]]] = field(default_factory=dict)
    note: str | None = None

    @property
    def modules(self) -> frozenset[str]:
        """The modules whose import binds a hook."""
        return frozenset({hook.module for hook in self.hooks} | self.discover.keys())

    def hooks_in(self, module: ModuleType, name: str) -> list[Hook]:
        """The hooks of the module of that name, which is loaded."""
        known = [hook for hook in self.hooks if hook.module == name]
        return known + list(self.discover[name](module) if name in self.discover else ())
