"""The tree against the vectors of RFC 6962 and its implementers, and against the definition in the RFC's own words."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.ledger.merkle import EMPTY_ROOT, Frontier, inclusion_path, leaf_hash, root_of_path

LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def defined(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962, section 2.1, word for word."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return sha256(b"\x01" + defined(leaves[:split]) + defined(leaves[split:])).digest()


def test_the_roots_are_those_of_the_standards_vectors():
    tree = Frontier()
    assert tree.root() == EMPTY_ROOT
    for number, (leaf, root) in enumerate(zip(LEAVES, ROOTS[1:], strict=True)):
        tree.append(leaf_hash(bytes.fromhex(leaf)))
        assert tree.root().hex() == root, number


@given(st.lists(st.binary(max_size=3).map(leaf_hash), max_size=70))
def test_a_frontier_has_the_root_of_the_definition_at_every_size(leaves: list[bytes]):
    tree = Frontier()
    for number, leaf in enumerate(leaves):
        tree.append(leaf)
        assert tree.root() == defined(leaves[: number + 1])
        assert Frontier(tree.size, tree.peaks).root() == tree.root()


@given(st.integers(1, 70), st.data())
def test_a_path_leads_from_its_leaf_to_the_root_and_from_no_other(size: int, data: st.DataObject):
    leaves = [leaf_hash(bytes([number])) for number in range(size)]
    index = data.draw(st.integers(0, size - 1))
    path = inclusion_path(leaves, index)
    root = defined(leaves)
    assert root_of_path(leaves[index], index, size, path) == root
    assert root_of_path(leaf_hash(b"another"), index, size, path) != root
    other = data.draw(st.integers(0, size + 3))
    if other != index:
        assert root_of_path(leaves[index], other, size, path) != root
    assert root_of_path(leaves[index], index, size, [*path, leaves[0]]) is None
    if path:
        assert root_of_path(leaves[index], index, size, path[:-1]) is None


def test_what_cannot_be_a_frontier_or_a_leaf_is_refused():
    with pytest.raises(ValueError, match="no frontier"):
        Frontier(3, [b"x" * 32])
    with pytest.raises(ValueError, match="no frontier"):
        Frontier(1, [b"short"])
    with pytest.raises(IndexError):
        inclusion_path([leaf_hash(b"")], 1)
