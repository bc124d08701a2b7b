"""Sees the modules that are imported later: first imports, reloads and imports after a ``del sys.modules[...]``.

A finder of ours stands first and lets the others find; what it adds is a call after the module has run.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

__all__ = ["Finder"]


class Finder(MetaPathFinder):
    """Calls `loaded(name, module)` each time a watched module has run; what that raises, the import raises.

    Args:
        watched: whether a module of that name is of interest.
        loaded: called with the name and the module.
    """

    def __init__(self, watched: Callable[[str], bool], loaded: Callable[[str, ModuleType], None]) -> None:
        self._watched = watched
        self._loaded = loaded
        self._busy = threading.local()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """See `importlib.abc.MetaPathFinder.find_spec`."""
        if not self._watched(fullname):
            return None
        busy: set[str] = self._busy.__dict__.setdefault("names", set())
        if fullname in busy:
            return None
        busy.add(fullname)
        try:
            spec = self._found_by_others(fullname, path, target)
        finally:
            busy.discard(fullname)
        if spec is not None and spec.loader is not None and hasattr(spec.loader, "exec_module"):
            spec.loader = _Loader(spec.loader, fullname, self._loaded)
        return spec

    def _found_by_others(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None
    ) -> ModuleSpec | None:
        for finder in list(sys.meta_path):
            if finder is not self and hasattr(finder, "find_spec"):
                spec = finder.find_spec(fullname, path, target)
                if spec is not None:
                    return spec
        return None


class _Loader(Loader):
    """The library's own loader, and a call after it."""

    def __init__(self, loader: Any, name: str, loaded: Callable[[str, ModuleType], None]) -> None:
        self._loader = loader
        self._name = name
        self._then = loaded

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        made: ModuleType | None = self._loader.create_module(spec)
        return made

    def exec_module(self, module: ModuleType) -> None:
        # The module sees its own loader: resources and pickles ask for it.
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        # A package may put another module in its own place while it runs.
        self._then(self._name, sys.modules.get(self._name, module))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)
