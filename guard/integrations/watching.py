"""What is guarded in this process, and whether it still is."""

from __future__ import annotations

import logging
import os
import platform
import sys
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from types import ModuleType
from typing import Literal

from guard.errors import ConfigError
from guard.integrations.binding import Binding, bind
from guard.integrations.hooks import Adapter, Hook
from guard.integrations.importing import Finder

__all__ = ["Coverage", "Watch", "check", "watch"]

log = logging.getLogger("guard.integrations")

State = Literal["guarded", "waiting", "not installed", "open"]

CHECK_EVERY = 64
"""After how many judged calls the hooks are looked at again."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """One library in this process.

    Attributes:
        name: the adapter's.
        version: of the installed distribution, None where there is none.
        state: ``guarded``; ``waiting`` for its import; ``not installed``; ``open`` where its calls can get past.
        why: what is wrong where it is open, else what is known not to be guarded in it; None where nothing is.
    """

    name: str
    version: str | None
    state: State
    why: str | None = None


class Watch:
    """The hooks of this process. There is one, `watch`."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._adapters: dict[str, Adapter] = {}
        self._bindings: dict[tuple[str, str, str], tuple[ModuleType, Binding]] = {}
        self._bound: list[Binding] = []
        self._open: dict[str, str] = {}
        self._finder = Finder(self._is_watched, self._loaded)
        self._judged = 0

    # ---- what `guard.install` and the others do

    def add(self, adapters: Iterable[Adapter]) -> None:
        """Guards these libraries, imported or not yet. Raises `ConfigError` for each hook that cannot be bound, named.

        A library that could not be guarded whole stays open: every call that reaches the guard is refused then.
        """
        failed: list[ConfigError] = []
        with self._lock:
            self._stand_first()
            for adapter in adapters:
                self._adapters[adapter.name] = adapter
                for name in sorted(adapter.modules):
                    module = sys.modules.get(name)
                    if module is not None and not _is_half_imported(module):
                        failed += self._bind(adapter, name, module)
        if failed:
            raise _together(failed)

    def remove(self) -> None:
        """Takes every hook out."""
        with self._lock:
            if self._finder in sys.meta_path:
                sys.meta_path.remove(self._finder)
            for binding in reversed(self._bound):
                binding.undo()
            self._bound.clear()
            self._bindings.clear()
            self._adapters.clear()
            self._open.clear()

    def verify(self) -> tuple[Coverage, ...]:
        """Looks at every hook, puts back what another tool removed, and says how each library stands."""
        with self._lock:
            self._put_back()
            return tuple(self._coverage(adapter) for adapter in self._adapters.values())

    def check(self) -> str | None:
        """Why no call may be judged: a library of this process is open. None where none is.

        Every `CHECK_EVERY` calls the hooks are looked at; in between the last answer stands.
        """
        self._judged += 1
        if self._judged % CHECK_EVERY == 0:
            with self._lock:
                self._put_back()
        if not self._open:
            return None
        name, why = next(iter(self._open.items()))
        return f"calls of {name} can get past the guard in this process: {why}"

    def renew(self) -> None:
        """In a child that was forked: whoever held the lock is not there any more."""
        self._lock = threading.RLock()

    @property
    def names(self) -> tuple[str, ...]:
        """The libraries that are watched."""
        return tuple(self._adapters)

    # ---- binding

    def _put_back(self) -> None:
        if self._adapters:
            self._stand_first()
        for adapter in self._adapters.values():
            failed: list[ConfigError] = []
            for name in sorted(adapter.modules):
                module = sys.modules.get(name)
                if module is not None and not _is_half_imported(module):
                    failed += self._bind(adapter, name, module)
            if not failed:  # until then it stays open: another thread may be asking
                self._open.pop(adapter.name, None)

    def _stand_first(self) -> None:
        if sys.meta_path[:1] != [self._finder]:
            if self._finder in sys.meta_path:
                sys.meta_path.remove(self._finder)
            sys.meta_path.insert(0, self._finder)

    def _is_watched(self, name: str) -> bool:
        return any(name in adapter.modules for adapter in self._adapters.values())

    def _loaded(self, name: str, module: ModuleType) -> None:
        """A watched module has run. What cannot be guarded is not imported."""
        failed: list[ConfigError] = []
        with self._lock:
            for adapter in self._adapters.values():
                if name in adapter.modules:
                    failed += self._bind(adapter, name, module)
        if failed:
            raise _together(failed)

    def _bind(self, adapter: Adapter, name: str, module: ModuleType) -> list[ConfigError]:
        failed: list[ConfigError] = []
        for hook in self._hooks(adapter, name, module, failed):
            key = (adapter.name, hook.module, hook.attribute)
            known = self._bindings.get(key)
            if known is not None and known[1].holds(module):
                continue
            try:
                binding = bind(hook, module)
            except ConfigError as error:
                if hook.required:
                    failed.append(error)
                continue
            self._bindings[key] = (module, binding)
            self._bound.append(binding)
            if known is not None and known[0] is module:
                log.warning("the hook on %s.%s had been removed and was put back", hook.module, hook.attribute)
        if failed:
            self._open[adapter.name] = str(_together(failed))
            log.error("%s cannot be guarded: %s", adapter.name, self._open[adapter.name])
        return failed

    def _hooks(self, adapter: Adapter, name: str, module: ModuleType, failed: list[ConfigError]) -> list[Hook]:
        try:
            return adapter.hooks_in(module, name)
        except Exception as error:  # noqa: BLE001 - an adapter that breaks guards nothing, and that must be heard
            mend = f"mend the adapter {adapter.name!r}, or leave it out: guard.install() takes names"
            failed.append(ConfigError(f"its hooks cannot be found: {error}", where=name, mend=mend))
            return []

    def _coverage(self, adapter: Adapter) -> Coverage:
        version = installed(adapter)
        why = self._open.get(adapter.name)
        if why is not None:
            return Coverage(adapter.name, version, "open", why)
        if any(key[0] == adapter.name for key in self._bindings):
            return Coverage(adapter.name, version, "guarded", adapter.note)
        return Coverage(adapter.name, version, "waiting" if version else "not installed", adapter.note)


def installed(adapter: Adapter) -> str | None:
    """The version of the library, None where it is not installed."""
    for distribution in adapter.distributions:
        try:
            return metadata.version(distribution)
        except metadata.PackageNotFoundError:
            continue
    if all(module.partition(".")[0] in sys.stdlib_module_names for module in adapter.modules):
        return platform.python_version()
    return None


def _is_half_imported(module: ModuleType) -> bool:
    """Whether another thread, or an import further up, is still running it; the finder sees its end."""
    return bool(getattr(getattr(module, "__spec__", None), "_initializing", False))


def _together(failed: list[ConfigError]) -> ConfigError:
    if len(failed) == 1:
        return failed[0]
    return ConfigError("; ".join(error.what for error in failed), where=failed[0].where, mend=failed[0].mend)


watch = Watch()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=watch.renew)


def check() -> str | None:
    """See `Watch.check`."""
    return watch.check()
