"""Every exception that crosses guard's surface.

::

    GuardError
    ├── Denied          the policy said no; ``.decision`` says why and what would lift it
    ├── GuardFault      the guard could not decide or could not record: denied too, counted apart
    ├── ConfigError     guard.toml, a case file or an argument is wrong
    ├── PolicyError     a pack does not parse, validate or lint
    ├── LedgerError     the record cannot be opened, read or written
    └── SourceError     a clip, camera or frame cannot be read

`GuardError` derives from `Exception` and from nothing else: HTTP clients retry what looks like an ``OSError`` and
wrap what looks like a ``ValueError``, and a denial must be neither retried nor wrapped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from guard.facts import Decision

__all__ = ["ConfigError", "Denied", "GuardError", "GuardFault", "LedgerError", "PolicyError", "SourceError"]


class GuardError(Exception):
    """Root of the tree. One line: what is wrong, where, and how to mend it.

    `what` is a sentence without a full stop; `where` names a file, a key or a call; `mend` says what to do.
    """

    def __init__(self, what: str, *, where: str | None = None, mend: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.mend = mend

    def __str__(self) -> str:
        place = f" ({self.where})" if self.where else ""
        mend = f"; {self.mend}" if self.mend else ""
        return f"{self.what}{place}{mend}"

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.what, self.where, self.mend, self._extra()))

    def _extra(self) -> dict[str, object]:
        return {}


class _Decided(GuardError):
    """A refused call. `decision` is what was decided; None where the guard broke before it could decide.

    A pipeline may be refused on every frame and never read why: `what` may be a function, asked when the text is read.
    """

    def __init__(
        self,
        what: str | Callable[[], str],
        *,
        decision: Decision | None = None,
        where: str | None = None,
        mend: str | None = None,
    ) -> None:
        Exception.__init__(self)
        self._what = what
        self.where = where
        self.mend = mend
        self.decision = decision

    @property
    def what(self) -> str:
        """What was refused, and why."""
        if not isinstance(self._what, str):
            self._what = self._what()
        return self._what

    @what.setter
    def what(self, text: str) -> None:
        self._what = text

    def _extra(self) -> dict[str, object]:
        return {"decision": self.decision}


class Denied(_Decided):
    """The policy forbids this call. Nothing was sent."""


class GuardFault(_Decided):
    """The guard could not decide, see or record, so the call was refused. Nothing was sent."""


class ConfigError(GuardError):
    """A configuration, case file or argument that cannot be used as it is."""


class PolicyError(GuardError):
    """A policy pack that does not parse, does not validate against the schema, or fails the lint."""


class LedgerError(GuardError):
    """The record cannot be opened, read or written."""


class SourceError(GuardError):
    """A clip, camera, folder or frame that cannot be read."""


def _rebuild(
    cls: type[GuardError], what: str, where: str | None, mend: str | None, extra: dict[str, object]
) -> GuardError:
    return cls(what, where=where, mend=mend, **extra)
