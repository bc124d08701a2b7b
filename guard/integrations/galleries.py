"""Which vector indexes are galleries of faces: those that the user declares, and no others.

A vector index does not know what its vectors are of. One that is declared is guarded wherever its library is
(`guard.install`): to search in it is an identification, to add to it an enrolment.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from guard.errors import ConfigError
from guard.integrations.local import judging

__all__ = ["ADD", "SEARCH", "declared", "gallery", "in_gallery", "on_declaration", "remembered"]

T = TypeVar("T")

SEARCH = ("identify",)
ADD = ("enrol",)

_LIBRARIES = ("faiss", "hnswlib", "usearch", "numpy")
_DEPTH = 4
_WIDTH = 64
"""How far is looked for a declared index among those that an index wraps."""

_INNER = ("index", "base_index", "refine_index", "storage", "at")
_links: weakref.WeakKeyDictionary[type, tuple[str, ...]] = weakref.WeakKeyDictionary()
"""Which of these a class of faiss has: looked up once, not at every search."""

_names: dict[tuple[str, int], tuple[Callable[[], Any], str]] = {}
"""By identity of the object and, where it stands for a C++ object, by that one's address too."""

_listeners: list[Callable[[Any], None]] = []


def gallery(index: T, name: str) -> T:
    """Declares a vector index to be a gallery of faces, and gives it back: ``index = guard.gallery(index, "staff")``.

    Args:
        index: an index of faiss, hnswlib or usearch, or a numpy array of vectors that is handed to their functions. A
            copy of it by `copy` or `pickle` stays a gallery; one that is cloned or read from a file is to be declared
            again. An index that is wrapped in another
            one of faiss (`IndexIDMap`, `IndexPreTransform`, ...) makes that one a gallery too.
        name: what refusals call it.

    The guard does not keep it alive. May be called before or after `guard.install`; without that it does nothing.
    Raises `ConfigError` for what is no such index.
    """
    if not name.strip():
        raise ConfigError("a gallery needs a name", mend='guard.gallery(index, "staff")')
    roots = {cls.__module__.partition(".")[0] for cls in type(index).__mro__}
    if not roots.intersection(_LIBRARIES):
        raise ConfigError(
            f"a {type(index).__module__}.{type(index).__qualname__} is no index that can be declared",
            where=f"gallery {name}",
            mend="declare an index of faiss, hnswlib or usearch, or wrap its search with Source.protect",
        )
    for key in _keys(index):
        # An object that only points at an index inside another one may be gone at once, and the index lives on.
        kept = _is_of_faiss(index) and not getattr(index, "thisown", True)
        _names[key] = ((lambda: index) if kept else weakref.ref(index, partial(_forget, key)), name)
    for listener in _listeners:
        listener(index)
    return index


def declared(index: Any) -> str | None:
    """The name of the gallery that this is, or that it hands its searches on to; None where it is none."""
    if not _names:
        return None
    known = _names.get(("object", id(index)))
    if known is not None and known[0]() is index:
        return known[1]
    return _of_what_it_wraps(index) if _is_of_faiss(index) else None


def _of_what_it_wraps(index: Any) -> str | None:
    todo, seen = [(index, 0)], 0
    while todo and seen < _WIDTH:
        item, depth = todo.pop()
        seen += 1
        known = _names.get(("address", int(item.this)))
        if known is not None:
            return known[1]
        if depth < _DEPTH:
            todo.extend((inner, depth + 1) for inner in _wrapped(item))
    return None


def in_gallery(name: str, actions: tuple[str, ...] = SEARCH) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """For a method of an index, or a function that gets one: guarded where one of its arguments is declared."""

    def wrap(original: Callable[..., Any]) -> Callable[..., Any]:
        def guarded(*args: Any, **kwargs: Any) -> Any:
            found = next((which for item in (*args, *kwargs.values()) if (which := declared(item))), None)
            if found is None:
                return original(*args, **kwargs)
            with judging(f"{name} in gallery {found}", actions):
                return original(*args, **kwargs)

        return guarded

    return wrap


def remembered(original: Callable[..., Any]) -> Callable[..., Any]:
    """For ``__reduce_ex__`` of an index: what is declared is declared again where it comes out of its pickle."""

    def reduce_ex(self: Any, protocol: Any) -> Any:
        made = original(self, protocol)
        name = declared(self)
        if name is None:
            return made
        make, args, state, *_ = made
        return _declared_again, (name, make, args, state)

    return reduce_ex


def _declared_again(name: str, make: Callable[..., Any], args: tuple[Any, ...], state: Any) -> Any:
    index = make(*args)
    index.__setstate__(state)
    return gallery(index, name)


def on_declaration(listener: Callable[[Any], None]) -> None:
    """Has `listener` called with every index that is declared from now on."""
    _listeners.append(listener)


def _is_of_faiss(index: Any) -> bool:
    """Whether it stands for a C++ object of faiss: several Python objects may stand for the same one."""
    return hasattr(type(index), "thisown") and type(getattr(index, "this", None)).__name__ == "SwigPyObject"


def _keys(index: Any) -> list[tuple[str, int]]:
    keys = [("object", id(index))]
    return [*keys, ("address", int(index.this))] if _is_of_faiss(index) else keys


def _wrapped(index: Any) -> list[Any]:
    """The indexes that an index of faiss hands its searches on to."""
    kind = type(index)
    links = _links.get(kind)
    if links is None:
        links = _links[kind] = tuple(name for name in _INNER if hasattr(kind, name))
    faiss = sys.modules.get("faiss")
    if not links or faiss is None:
        return []
    inner = [getattr(index, name, None) for name in links if name != "at"]
    if "at" in links:  # shards and replicas
        inner += [index.at(number) for number in range(min(index.count(), _WIDTH))]
    # What is inside comes out as the base class, which does not show what it wraps itself.
    return [faiss.downcast_index(item) for item in inner if isinstance(item, faiss.Index)] + [
        faiss.downcast_IndexBinary(item) for item in inner if isinstance(item, faiss.IndexBinary)
    ]


def _forget(key: tuple[str, int], dead: weakref.ref[Any]) -> None:
    known = _names.get(key)
    if known is not None and known[0] is dead:
        del _names[key]
