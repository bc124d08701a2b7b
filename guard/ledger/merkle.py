"""The Merkle tree of RFC 6962, section 2.1, with SHA-256: leaves, nodes, roots and inclusion proofs."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

__all__ = ["EMPTY_ROOT", "Frontier", "inclusion_path", "leaf_hash", "root_of_path"]

EMPTY_ROOT = sha256(b"").digest()


def leaf_hash(data: bytes) -> bytes:
    """The hash of a leaf's bytes: SHA-256 over a zero byte and the data."""
    return sha256(b"\x00" + data).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


class Frontier:
    """All that is needed of a tree to append to it and to name its root: one hash for every bit set in `size`.

    Attributes:
        size: number of leaves.
        peaks: roots of the complete subtrees, 32 bytes each, the largest first.
    """

    __slots__ = ("peaks", "size")

    def __init__(self, size: int = 0, peaks: Sequence[bytes] = ()) -> None:
        """Raises `ValueError` where `peaks` cannot belong to a tree of `size` leaves."""
        if size < 0 or len(peaks) != size.bit_count() or any(len(peak) != 32 for peak in peaks):
            raise ValueError(f"{len(peaks)} hashes are no frontier of {size} leaves")
        self.size = size
        self.peaks = list(peaks)

    def append(self, leaf: bytes) -> None:
        """Adds the hash of one more leaf."""
        size = self.size
        while size & 1:
            leaf = _node(self.peaks.pop(), leaf)
            size >>= 1
        self.peaks.append(leaf)
        self.size += 1

    def root(self) -> bytes:
        """The tree's root, 32 bytes."""
        if not self.peaks:
            return EMPTY_ROOT
        root = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            root = _node(peak, root)
        return root


def inclusion_path(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The audit path of leaf `index` in the tree over these leaf hashes (RFC 6962, section 2.1.1), leaf end first.

    Raises `IndexError` where the tree has no such leaf.
    """
    if not 0 <= index < len(leaves):
        raise IndexError(f"no leaf {index} among {len(leaves)}")
    level, path = list(leaves), []
    while len(level) > 1:
        if index ^ 1 < len(level):
            path.append(level[index ^ 1])
        above = [_node(level[at], level[at + 1]) for at in range(0, len(level) - 1, 2)]
        level = above + level[len(above) * 2 :]
        index >>= 1
    return path


def root_of_path(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """The root that an audit path leads to (RFC 9162, section 2.1.3.2); None where it fits no such leaf and size."""
    if not 0 <= index < size:
        return None
    last, root = size - 1, leaf
    for hash in path:
        if last == 0:
            return None
        if index & 1 or index == last:
            root = _node(hash, root)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            root = _node(root, hash)
        index, last = index >> 1, last >> 1
    return root if last == 0 else None
