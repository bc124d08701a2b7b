"""What the adapters of libraries that recognise faces in this very process have in common.

A recogniser here counts as the service ``self_hosted``. A vector that is made of a face may serve to compare two faces,
to search a gallery or to fill one: the call does not say which, so it is judged as all three.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from guard.approvals import covered
from guard.errors import Denied, GuardFault
from guard.integrations.operation import Operation
from guard.integrations.passage import passage

if TYPE_CHECKING:
    from guard.source import Source

__all__ = ["COMPARE", "EMBED", "SELF_HOSTED", "Wrap", "carrying", "comparing", "judging", "making", "preparation"]

SELF_HOSTED = "self_hosted"

EMBED = ("identify", "verify", "enrol")
"""What a vector that is made of a face may be for."""

COMPARE = ("identify", "verify")
"""What it may be for that two vectors are compared: one pair, or one of many."""

Wrap = Callable[[Callable[..., Any]], Callable[..., Any]]


def judging(
    name: str, actions: Sequence[str], payload: Any = None, also: Sequence[str] = ()
) -> AbstractContextManager[Any]:
    """`passage` for a call here. A refusal says which call of which library it was."""
    return passage(Operation(name, SELF_HOSTED, actions, payload, also=also), _naming(name))


def carrying(name: str, actions: Sequence[str] = EMBED, also: Sequence[str] = ()) -> Wrap:
    """For a function that gets pictures: whose frames they are, or views of, judges too."""

    def wrap(original: Callable[..., Any]) -> Callable[..., Any]:
        def guarded(*args: Any, **kwargs: Any) -> Any:
            with judging(name, actions, (args, kwargs), also) as (args, kwargs):
                return original(*args, **kwargs)

        return guarded

    return wrap


def comparing(name: str, actions: Sequence[str] = COMPARE) -> Wrap:
    """For a function that gets vectors, any number of them."""

    def wrap(original: Callable[..., Any]) -> Callable[..., Any]:
        def guarded(*args: Any, **kwargs: Any) -> Any:
            with judging(name, actions):
                return original(*args, **kwargs)

        return guarded

    return wrap


def making(name: str) -> Wrap:
    """For a function that makes a recogniser, see `preparation`."""

    def wrap(original: Callable[..., Any]) -> Callable[..., Any]:
        def guarded(*args: Any, **kwargs: Any) -> Any:
            with preparation(name):
                return original(*args, **kwargs)

        return guarded

    return wrap


@contextmanager
def preparation(name: str) -> Iterator[None]:
    """The making of a recogniser, which identifies nobody yet: each use of it is judged on its own.

    It is made where it may be put to some use: by the current frame's source or, outside of every frame, by any source
    of the guard. Pipelines load their models before the first frame, and so learn of a denial there.
    Raises `Denied` or `GuardFault`.
    """
    if covered(SELF_HOSTED, EMBED):
        yield
        return
    source, actions = _who_may(EMBED)
    if source is None:
        with judging(name, actions):
            yield
        return
    from guard.integrations.judging import attempt

    call = attempt(Operation(name, SELF_HOSTED, actions), source)
    try:
        call.pass_through()
    except (Denied, GuardFault) as error:
        raise _naming(name)(error) from None
    with call.approval(sealed=True):
        yield


def _who_may(actions: Sequence[str]) -> tuple[Source | None, Sequence[str]]:
    """A source that may do one of these actions, and that action; the first source and all of them where none may."""
    from guard.facts import Verdict

    sources = tuple(_sources())
    for source in sources:
        for action in actions:
            decision = source.authorize(action, SELF_HOSTED)
            if decision.verdict is Verdict.ALLOW and decision.fault is None:
                return source, (action,)
    return (sources[0] if sources else None), actions


def _sources() -> Iterable[Source]:
    from guard.autoload import guard_of_children
    from guard.frames import current_frame
    from guard.guard import latest

    seen = current_frame()
    if seen is not None:
        return (seen.source,)
    guard = latest() or guard_of_children()
    return () if guard is None else guard.sources.values()


def _naming(name: str) -> Callable[[Denied | GuardFault], Denied | GuardFault]:
    def refuse(error: Denied | GuardFault) -> Denied | GuardFault:
        error.where = error.where or name
        return error

    return refuse
