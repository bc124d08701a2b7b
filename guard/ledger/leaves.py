"""What a ledger is made of: leaves, each one kind of statement, as JSON whose very bytes are hashed.

A kind is a subclass of `Leaf`. Its fields are texts, numbers, booleans and lists of them: a test refuses a kind that
could hold bytes or vectors. Canonical form: keys sorted, no spaces, UTF-8; what is hashed is what is stored.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from guard.errors import LedgerError

__all__ = [
    "MAX_BYTES",
    "Calls",
    "Closed",
    "Created",
    "FactsLeaf",
    "Leaf",
    "Lost",
    "Opened",
    "Policy",
    "Prune",
    "canonical",
    "check",
    "encode",
    "fields_of",
    "kinds",
]

MAX_BYTES: Final = 65_536
"""The longest leaf. No statement about calls needs more; a picture would."""


class Leaf(msgspec.Struct, kw_only=True, tag_field="kind", forbid_unknown_fields=True):
    """One statement. `seq` is its place in the tree, counted from 0; the ledger sets it when the leaf is written.

    A leaf that has a field `until` (an instant as text, see `instants.text_of`) falls under ``prune --before``.
    """

    seq: int = -1

    def rest(self, stated: Leaf) -> Leaf | None:
        """What is left to say once `stated`, an earlier state of this leaf, is in the tree; None = nothing.

        Asked where a leaf that is still pending was put into the tree by another process, which took this one for dead.
        A kind that counts something takes off what was counted; here the newer state is simply said as well.
        """
        return self


class Created(Leaf, tag="created"):
    """The first leaf of every ledger: the format, and the name that every checkpoint is over."""

    at: str
    version: int
    origin: str


class Opened(Leaf, tag="opened"):
    """A process opened the ledger. `key` is the C2SP verifier key of the checkpoints that it will sign."""

    at: str
    session: str
    guard: str
    key: str
    checkpoint_records: int
    checkpoint_seconds: float


class Closed(Leaf, tag="closed"):
    """That process closed the ledger. It is written in one commit with the checkpoint over it."""

    at: str
    session: str


class FactsLeaf(Leaf, tag="facts"):
    """What the digest of facts stands for. It precedes the first record that cites it."""

    digest: str
    facts: dict[str, Any]


class Policy(Leaf, tag="policy"):
    """What the digest of a policy stands for. It precedes the first record that cites it."""

    digest: str
    packs: list[str]
    base: str
    extra: str


class Calls(Leaf, tag="call"):
    """One attempted call, or a run of `count` equal denials: first and last of them, `at` and `until`.

    Attributes:
        id, last_id: ids of the first and the last decision.
        frame, last_frame: the caller's numbers of their frames.
        captured_at, last_captured_at: capture instants of their frames.
        faces, faces_most: fewest and most faces seen in one of the pictures; None = unknown in all of them.
        enforced: False only where the guard ran in shadow mode and let the call pass whatever the verdict.
        redactable: whether the call's pictures could have gone out without their faces; None = nobody looked at them,
            and the faces are those of the frame around it.
        judged_facts, judged_actions: digests of the facts of every source that judged, every action that the call could
            be; empty where there was one, which the record names.
        contradicted: what of the source was seen to be otherwise than declared, with the evidence, a line each.
        latency_us, latency_us_max: sum and largest of the microseconds that the decisions took.
        supersedes: `seq` of an earlier record of the same call, which no longer counts.
    """

    session: str
    id: str
    last_id: str
    count: int
    at: str
    until: str
    clock: str
    source: str | None
    frame: int | None
    last_frame: int | None
    captured_at: str | None
    last_captured_at: str | None
    action: str | None
    service: str | None
    verdict: str
    fault: str | None
    faces: int | None
    faces_most: int | None
    rules: list[str]
    judged_under: list[str | None]
    policy_digest: str
    facts_digest: str
    enforced: bool
    redactable: bool | None
    judged_facts: list[str]
    judged_actions: list[str | None]
    contradicted: list[str]
    latency_us: float
    latency_us_max: float
    supersedes: int | None = None


class Lost(Leaf, tag="lost"):
    """So many refusals have no record, since the file could not be written for longer than memory could hold them."""

    at: str
    session: str
    calls: int


class Prune(Leaf, tag="prune"):
    """Leaves from before `before` were removed and only their hashes kept: `ranges` of first and last `seq`."""

    at: str
    before: str
    calls: int
    ranges: list[list[int]]


def kinds() -> dict[str, type[Leaf]]:
    """Every kind that this process knows, by its name."""
    found: dict[str, type[Leaf]] = {}
    waiting = Leaf.__subclasses__()
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        found[str(kind.__struct_config__.tag)] = kind
    return found


def encode(leaf: Leaf) -> bytes:
    """The canonical bytes of a leaf."""
    return msgspec.json.encode(leaf, order="sorted")


def check(leaf: Leaf) -> None:
    """Raises `LedgerError` where a leaf cannot be written as JSON or is longer than `MAX_BYTES`."""
    try:
        length = len(encode(leaf))
    except (TypeError, ValueError, OverflowError) as error:
        raise LedgerError(f"a leaf cannot be written: {error}", where=type(leaf).__name__) from error
    if length > MAX_BYTES:
        raise LedgerError(f"a leaf of {length} bytes is too long", where=type(leaf).__name__)


def canonical(fields: dict[str, Any]) -> bytes:
    """The canonical bytes of a leaf's fields, whatever its kind."""
    return msgspec.json.encode(fields, order="sorted")


def fields_of(body: bytes | str) -> dict[str, Any]:
    """The fields of a stored leaf, its `kind` among them. Raises `msgspec.DecodeError`."""
    return _fields.decode(body)


_fields = msgspec.json.Decoder(dict[str, Any])
