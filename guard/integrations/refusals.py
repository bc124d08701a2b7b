"""What the user of a library sees when a call of it is refused: the guard's exception that is also the library's own.

::

    class Denied(guard.Denied, openai.PermissionDeniedError)      # made on demand, one per library's class

So ``except guard.Denied`` catches it, and so does the handler that the pipeline already has for its service's 403.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from guard.errors import Denied, GuardFault

__all__ = ["Refuse", "as_native", "plain"]

Refuse = Callable[["Denied | GuardFault"], BaseException]
"""Turns the guard's refusal into what a library's user expects."""


def plain(error: Denied | GuardFault) -> BaseException:
    """The refusal as it is: for libraries that have no 403 of their own."""
    return error


def as_native(
    error: Denied | GuardFault,
    native: type[Exception],
    attributes: Mapping[str, Any] | Callable[[], Mapping[str, Any]] | None = None,
) -> Exception:
    """A refusal that is an instance of `native` as well.

    Args:
        error: what the guard raised.
        native: the library's exception; its constructor is not called.
        attributes: what its constructor would have set, e.g. ``status_code``; or a function that gives it, which is
            called when one of them is first asked for: a pipeline may be refused on every frame and never ask.

    It pickles to the guard's own exception, with the decision: a process that unpickles it may lack the library.
    """
    refusal: Exception = _class(type(error), native)(
        error._what, decision=error.decision, where=error.where, mend=error.mend
    )
    if callable(attributes):
        refusal.__dict__["_attributes"] = attributes
        return refusal
    for name, value in (attributes or {}).items():
        setattr(refusal, name, value)
    return refusal


_classes: dict[tuple[type, type], Any] = {}
_MOST_CLASSES = 256
"""Some libraries make an exception class for each client."""


def _class(ours: type[Denied | GuardFault], native: type[Exception]) -> Any:
    """One class for each pair, named as ours, so that a traceback reads the same with and without the library."""
    made = _classes.get((ours, native))
    if made is not None:
        return made

    def __init__(self: Any, what: Any, **named: Any) -> None:
        ours.__init__(self, what, **named)

    def __getattr__(self: Any, name: str) -> Any:
        attributes = self.__dict__.pop("_attributes", dict)()
        for key, value in attributes.items():
            setattr(self, key, value)
        try:
            return self.__dict__[name]
        except KeyError:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}") from None

    def __reduce__(self: Any) -> tuple[object, ...]:
        alone: Denied | GuardFault = ours(self.what, where=self.where, mend=self.mend, decision=self.decision)
        return alone.__reduce__()

    made = type(
        ours.__name__,
        (ours, native),
        {
            "__init__": __init__,
            "__getattr__": __getattr__,
            "__str__": ours.__str__,
            "__repr__": ours.__repr__,
            "__reduce__": __reduce__,
            "__module__": ours.__module__,
            "__doc__": f"{ours.__doc__} Also a {native.__module__}.{native.__qualname__}.",
        },
    )
    if len(_classes) >= _MOST_CLASSES:
        _classes.clear()
    _classes[ours, native] = made
    return made
