"""What waits to be written: open runs, closed ones, releases, leaves of other kinds.

Taking is cheap and cannot fail. Writing may fail anywhere: then the same is written at the next try.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from guard.ledger.entry import Entry
from guard.ledger.leaves import Calls, FactsLeaf, Leaf, Policy
from guard.ledger.runs import RUN_SECONDS, Kind, Run, kind_of
from guard.ledger.store import Store

__all__ = ["Drafts", "Other"]


@dataclass(frozen=True, slots=True)
class Other:
    """A leaf of another kind than a call. `pending`: it still grows, and is kept under `name`."""

    leaf: Leaf
    name: str | None
    pending: bool


class Drafts:
    """Everything that one session has taken and not yet put into the tree.

    Args:
        session: the session that writes.
        limit: how many statements are kept while the file cannot be written.

    Attributes:
        lost: how many calls found no room in memory since the last commit.
        first: the first leaf of the session.
    """

    def __init__(self, session: str, limit: int) -> None:
        self.lost = self.first = 0
        self._session = session
        self._limit = limit
        self._serial = 0
        self._open: dict[Kind, Run] = {}
        self._ready: list[Run | Entry | Other] = []
        self._held: set[int] = set()
        self._changed: dict[str, Run | Other] = {}
        self._others: dict[str, Other] = {}
        self._stored: dict[str, Leaf] = {}
        self._stated: dict[str, list[Leaf]] = {}
        self._described: set[str] | None = None
        self._writing = _Writing()

    # ---- taking

    @property
    def ready(self) -> bool:
        """Whether anything is to become a leaf."""
        return bool(self._ready)

    @property
    def changed(self) -> bool:
        """Whether anything pending has changed since it was last written."""
        return bool(self._changed)

    @property
    def open(self) -> bool:
        """Whether a run is open, which has to be closed in time."""
        return bool(self._open)

    def take(self, entry: Entry, now_s: float) -> None:
        """Takes an entry; `now_s` is of `time.monotonic`."""
        if entry.settled:
            return
        kind = kind_of(entry)
        run = self._open.get(kind)
        if entry.released or entry.again:
            if run is not None:
                self._finish(kind)
            if id(entry) not in self._held:
                self._held.add(id(entry))
                self._hold(entry)
            return
        if run is None or not run.takes(entry):
            if run is not None:
                self._finish(kind)
            self._serial += 1
            run = self._open[kind] = Run(entry, f"run-{self._serial}", now_s)
        self._changed[run.name] = run

    def take_other(self, other: Other) -> None:
        """Takes a leaf of another kind."""
        name = other.name and f"leaf-{other.name}"
        if name:
            self._changed.pop(name, None)
            self._others.pop(name, None)
        if name and other.pending:
            self._changed[name] = self._others[name] = other
        else:
            self._hold(other)

    def refuse(self, entries: list[Entry], why: str, now_s: float) -> None:
        """Turns releases that could not be written into the refusals that they now are."""
        refused = {id(entry) for entry in entries}
        self._ready = [draft for draft in self._ready if id(draft) not in refused]
        self._held -= refused
        for entry in entries:
            entry.refused = why
            self.take(entry, now_s)
            entry.settled = True

    def finish(self, now_s: float, *, all: bool = False) -> None:
        """Closes the runs that have been open for long enough; with `all`, everything that is pending."""
        for kind, run in list(self._open.items()):
            if all or now_s - run.began >= RUN_SECONDS:
                self._finish(kind)
        if all:
            for name, other in list(self._others.items()):
                self._changed.pop(name, None)
                self._hold(Other(other.leaf, other.name, pending=False))
            self._others.clear()

    def _finish(self, kind: Kind) -> None:
        run = self._open.pop(kind)
        self._changed.pop(run.name, None)
        self._hold(run)

    def _hold(self, draft: Run | Entry | Other) -> None:
        if len(self._ready) < self._limit:
            self._ready.append(draft)
        elif isinstance(draft, Run):
            self.lost += draft.count
        elif isinstance(draft, Entry):
            self.lost += 1

    # ---- writing

    def write(self, store: Store, policies: Mapping[str, Mapping[str, Any]], *, pending: bool) -> None:
        """Puts what is ready into the open transaction and, if `pending`, replaces the pending leaves that changed."""
        self._writing = _Writing(pending=pending)
        if self._described is None:
            self._described = store.described()
        for digest, policy in policies.items():
            if not self._knows(digest):
                store.append(
                    Policy(digest=digest, packs=list(policy["packs"]), base=policy["base"], extra=policy["extra"])
                )
        for draft in self._ready:
            if isinstance(draft, Run):
                self._write_run(store, draft)
            elif isinstance(draft, Entry):
                self._write_entry(store, draft)
            else:
                self._write_other(store, draft)
        if pending:
            for name, changed in self._changed.items():
                if isinstance(changed, Run):
                    self._pend_run(store, changed)
                else:
                    self._pend_other(store, name, changed)

    def written(self) -> None:
        """What `write` put into the transaction is on disk."""
        done = self._writing
        self._ready = []
        self._held.clear()
        self.lost = 0
        for entry in done.settled:
            entry.settled = True
        for run, leaf in done.runs:
            run.stored = leaf
        for name, stored in done.others.items():
            if stored is None:
                self._stored.pop(name, None)
                self._stated.pop(name, None)
            else:
                self._stored[name] = stored
        if self._described is not None:
            self._described |= done.described
        if done.pending:
            self._changed = {}

    def reopened(self) -> None:
        """The file was opened again, and may be another one."""
        self._described = None

    def _write_run(self, store: Store, run: Run) -> None:
        if run.stored is not None and not store.withdraw(self._session, run.name):
            run.split()
        if run.count:
            self._cite(store, run.cited)
            store.append(run.leaf(self._session))

    def _write_entry(self, store: Store, entry: Entry) -> None:
        self._cite(store, entry)
        leaf = Run(entry).leaf(self._session)
        if entry.again:
            store.supersede(leaf, self.first)
        else:
            store.append(leaf)
        if leaf.verdict == "deny" and leaf.enforced:
            self._writing.settled.append(entry)

    def _write_other(self, store: Store, other: Other) -> None:
        leaf: Leaf | None = other.leaf
        if other.name is not None:
            leaf = self._rest(store, f"leaf-{other.name}", other.leaf)
            self._writing.others[f"leaf-{other.name}"] = None
        if leaf is not None:
            store.append(leaf)

    def _pend_run(self, store: Store, run: Run) -> None:
        if run.stored is not None and not store.withdraw(self._session, run.name):
            run.split()
        self._cite(store, run.cited)
        leaf = run.leaf(self._session)
        store.pend(self._session, run.name, leaf)
        self._writing.runs.append((run, leaf))

    def _pend_other(self, store: Store, name: str, other: Other) -> None:
        leaf = self._rest(store, name, other.leaf)
        if leaf is not None:
            store.pend(self._session, name, leaf)
            self._writing.others[name] = leaf

    def _rest(self, store: Store, name: str, leaf: Leaf) -> Leaf | None:
        """What of a leaf is not in the tree already."""
        if name in self._writing.others:  # it ended in this very transaction: the name begins anew
            return leaf
        if name in self._stored and not store.withdraw(self._session, name):
            self._stated.setdefault(name, []).append(self._stored.pop(name))
        rest: Leaf | None = leaf
        for stated in self._stated.get(name, ()):
            rest = None if rest is None else rest.rest(stated)
        return rest

    def _cite(self, store: Store, entry: Entry) -> None:
        for facts in (entry.decision.facts, *entry.judged_facts):
            if not self._knows(facts.digest):
                store.append(FactsLeaf(digest=facts.digest, facts=facts.to_json()))

    def _knows(self, digest: str) -> bool:
        if (self._described is not None and digest in self._described) or digest in self._writing.described:
            return True
        self._writing.described.add(digest)
        return False


class _Writing:
    """What becomes true once the open transaction is on disk."""

    __slots__ = ("described", "others", "pending", "runs", "settled")

    def __init__(self, *, pending: bool = False) -> None:
        self.pending = pending
        self.settled: list[Entry] = []
        self.runs: list[tuple[Run, Calls]] = []
        self.others: dict[str, Leaf | None] = {}
        self.described: set[str] = set()
