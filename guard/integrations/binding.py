"""How a hook is put in place, found again and taken out.

A Python function keeps its identity: its code is replaced by a trampoline, so that references handed out earlier (bound
methods, ``from lib import f``, partials, subclasses' ``super()``) are guarded too, and no other tool's unwrapping can
take it out. Whatever is not written in Python is replaced by a closure where it is looked up, and in every loaded
module that holds it by name.
"""

from __future__ import annotations

import inspect
import sys
import weakref
from collections.abc import Callable, Mapping
from types import CodeType, FunctionType, ModuleType
from typing import Any

from guard.errors import ConfigError
from guard.integrations.hooks import Hook

__all__ = ["Binding", "bind"]

_CHAIN = 20
_PLACEHOLDER = "guard: the handler of this hook"
_ABSENT: Any = object()
_placed: weakref.WeakSet[FunctionType] = weakref.WeakSet()
"""The closures of ours that stand, or stood, where something that is not written in Python did."""


class Binding:
    """A hook that is in place."""

    def __init__(self, hook: Hook, undo: Callable[[], None], mark: object) -> None:
        self.hook = hook
        self._undo = undo
        self._mark = mark

    def holds(self, module: ModuleType) -> bool:
        """Whether a call through the module as it is now still passes the hook, under whatever others put on top."""
        try:
            _, _, raw = _find(module, self.hook)
        except ConfigError:
            return False
        return _is_marked(raw, self._mark)

    def undo(self) -> None:
        """Puts the library's own back."""
        self._undo()


def bind(hook: Hook, module: ModuleType) -> Binding:
    """Puts the hook in place in a module that is loaded.

    Raises `ConfigError` that names the library's attribute where that cannot be done.
    """
    owner, name, raw = _find(module, hook)
    placed = _function(raw)
    if isinstance(placed, FunctionType) and placed in _placed:
        # A compiled module that is loaded again keeps the closures that were put into its package; each undoes itself.
        return Binding(hook, lambda: None, placed)
    plain = _in_python(raw)
    if plain is not None and name in vars(owner):
        return _swap(hook, plain)
    return _place(hook, owner, name, raw)


def _find(module: ModuleType, hook: Hook) -> tuple[Any, str, Any]:
    """The object that holds the attribute, its name there, and the attribute as it is stored."""
    *path, name = hook.attribute.split(".")
    owner: Any = module
    for step in path:
        owner = getattr(owner, step, _ABSENT)
        if owner is _ABSENT:
            break
    raw = _ABSENT if owner is _ABSENT else _stored(owner, name)
    if raw is _ABSENT:
        raise ConfigError(
            f"{hook.module}.{hook.attribute} is not there, so its calls cannot be guarded",
            where=f"{hook.module} {getattr(module, '__version__', '')}".strip(),
            mend="install a version that `guard doctor` lists as supported",
        )
    return owner, name, raw


def _stored(owner: Any, name: str) -> Any:
    """What `inspect.getattr_static` gives, sooner where the owner is a class and nothing above it has such a name."""
    if isinstance(owner, type) and not any(name in _dict_of(kind) for kind in _mro_of(type(owner))):
        return next((_dict_of(kind)[name] for kind in _mro_of(owner) if name in _dict_of(kind)), _ABSENT)
    return inspect.getattr_static(owner, name, _ABSENT)


_mro_of: Callable[[type], tuple[type, ...]] = type.__dict__["__mro__"].__get__
_dict_of: Callable[[type], Mapping[str, Any]] = type.__dict__["__dict__"].__get__


def _function(raw: Any) -> Any:
    return raw.__func__ if isinstance(raw, (staticmethod, classmethod)) else raw


def _in_python(raw: Any) -> FunctionType | None:
    """The library's function, under what other tools put around it; None where it is not written in Python."""
    found = _function(raw)
    for _ in range(_CHAIN):
        if found is None or isinstance(found, FunctionType):
            return found
        found = _function(getattr(found, "__wrapped__", None))
    return None


def _is_marked(raw: Any, mark: object) -> bool:
    """Whether the mark is somewhere in the chain of wrappers around what the library defined."""
    found = _function(raw)
    for _ in range(_CHAIN):
        if found is mark or getattr(found, "__code__", None) is mark:
            return True
        found = _function(getattr(found, "__wrapped__", None))
        if found is None:
            return False
    return False


# ---- functions in Python


def _swap(hook: Hook, function: FunctionType) -> Binding:
    code = function.__code__
    original = FunctionType(code, function.__globals__, function.__name__, function.__defaults__, function.__closure__)
    original.__kwdefaults__ = function.__kwdefaults__
    original.__qualname__ = function.__qualname__
    original.__module__ = function.__module__
    signature = function.__dict__.get("__signature__", _ABSENT)
    function.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
    trampoline = _trampoline(code, hook.wrap(original))
    function.__code__ = trampoline

    def undo() -> None:
        if function.__code__ is trampoline:
            function.__code__ = code
            if signature is _ABSENT:
                function.__dict__.pop("__signature__", None)
            else:
                function.__signature__ = signature  # type: ignore[attr-defined]

    return Binding(hook, undo, trampoline)


def _trampoline(code: CodeType, handler: Callable[..., Any]) -> CodeType:
    """Code that calls the handler, of the same kind and with the same free variables as `code`.

    The handler stands among its constants: nothing is written into the library's module, and nothing there can be
    replaced to get past it.
    """
    is_async = bool(code.co_flags & inspect.CO_COROUTINE)
    free = "".join(f"    {name} = None\n" for name in code.co_freevars)
    keep = f"        ({', '.join(code.co_freevars)},)\n" if code.co_freevars else ""
    text = (
        "def outer():\n"
        f"{free}"
        f"    {'async ' if is_async else ''}def trampoline(*args, **kwargs):\n"
        f"{keep}"
        f"        handler = {_PLACEHOLDER!r}\n"
        f"        return {'await ' if is_async else ''}handler(*args, **kwargs)\n"
        "    return trampoline\n"
    )
    made: dict[str, Any] = {}
    exec(compile(text, f"<guard hook of {code.co_filename}>", "exec"), made)
    inner: CodeType = made["outer"]().__code__
    constants = tuple(handler if constant == _PLACEHOLDER else constant for constant in inner.co_consts)
    return inner.replace(co_consts=constants, co_name=code.co_name, co_qualname=code.co_qualname)


# ---- everything else


def _place(hook: Hook, owner: Any, name: str, raw: Any) -> Binding:
    own = vars(owner).get(name, _ABSENT)
    original = _function(raw)
    guarded = hook.wrap(original)
    for copied in ("__name__", "__qualname__", "__doc__", "__module__"):
        try:
            setattr(guarded, copied, getattr(original, copied))
        except (AttributeError, TypeError):
            continue
    guarded.__wrapped__ = original  # type: ignore[attr-defined]
    if isinstance(guarded, FunctionType):
        _placed.add(guarded)
    stored: Any = guarded
    if isinstance(owner, type):
        if isinstance(raw, staticmethod):
            stored = staticmethod(guarded)
        elif isinstance(raw, classmethod) or type(raw).__name__ == "classmethod_descriptor":
            stored = classmethod(guarded)
        elif isinstance(original, type(len)):  # a static method of a C++ class: called without an instance
            stored = staticmethod(guarded)
    try:
        setattr(owner, name, stored)
    except (AttributeError, TypeError) as error:
        raise ConfigError(
            f"{hook.module}.{hook.attribute} cannot be replaced: {error}",
            where=hook.module,
            mend="its calls cannot be guarded in this process; see `guard doctor`",
        ) from error
    held = [] if isinstance(owner, type) else _sweep(original, guarded)

    def undo() -> None:
        if not _is_same(vars(owner).get(name), stored):
            return
        if own is _ABSENT:
            delattr(owner, name)
        else:
            setattr(owner, name, own)
        for module, key in held:
            if vars(module).get(key) is guarded:
                setattr(module, key, original)

    return Binding(hook, undo, guarded)


def _is_same(found: Any, stored: Any) -> bool:
    return found is stored or _function(found) is _function(stored)


def _sweep(original: object, guarded: object) -> list[tuple[ModuleType, str]]:
    """Replaces the original wherever a loaded module holds it by name (``from lib import f``)."""
    held: list[tuple[ModuleType, str]] = []
    modules = [module for module in list(sys.modules.values()) if isinstance(module, ModuleType)]
    for module in modules:
        for key, value in list(vars(module).items()):
            if value is original:
                setattr(module, key, guarded)
                held.append((module, key))
    return held
