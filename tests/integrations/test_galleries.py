"""Vector indexes: those that are declared are galleries of faces, whatever wraps them, and no others are touched."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest

import guard
from guard.integrations import galleries
from guard.integrations.faiss import ADAPTER as FAISS
from guard.integrations.hnswlib import ADAPTER as HNSWLIB
from guard.integrations.usearch import ADAPTER as USEARCH
from guard.integrations.watching import watch
from tests.conftest import OFFICE
from tests.integrations.local_sources import PORTLAND, frame

DIM = 8
ROWS = np.random.default_rng(1).normal(size=(16, DIM)).astype(np.float32)
IDS = np.arange(16, dtype=np.int64)


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("guard.guard._latest", None)
    monkeypatch.setattr("guard.integrations.faiss._declared", set())
    yield
    guard.uninstall()
    galleries._names.clear()


@pytest.fixture
def street(make_guard):
    return make_guard(PORTLAND).source()


@pytest.fixture
def door(make_guard):
    return make_guard(OFFICE).source()


def install() -> None:
    watch.add([FAISS, HNSWLIB, USEARCH])


def actions(source: Any) -> list[Any]:
    return [entry.decision.action for entry in source.guard.ledger.entries]


# ---- declaring


@pytest.mark.parametrize("thing", [[1.0], {"a": 1}, "index", None, object()])
def test_what_is_no_index_cannot_be_declared(thing):
    with pytest.raises(guard.ConfigError, match="is no index that can be declared"):
        guard.gallery(thing, "staff")


def test_a_gallery_has_a_name():
    with pytest.raises(guard.ConfigError, match="needs a name"):
        guard.gallery(np.zeros((2, 2)), " ")


def test_declaring_gives_the_index_back_and_does_not_keep_it():
    matrix = np.zeros((2, 2))
    assert guard.gallery(matrix, "staff") is matrix
    assert galleries.declared(matrix) == "staff"
    assert galleries.declared(matrix.copy()) is None
    del matrix
    gc.collect()
    assert galleries._names == {}


# ---- faiss


@pytest.fixture
def faiss() -> Any:
    return pytest.importorskip("faiss", reason="faiss is not installed")


def flat(faiss: Any) -> Any:
    index = faiss.IndexFlatL2(DIM)
    index.add(ROWS)
    return index


def inverted(faiss: Any) -> Any:
    index = faiss.IndexIVFFlat(faiss.IndexFlatL2(DIM), DIM, 2)
    index.train(ROWS)
    index.add(ROWS)
    return index


def graph(faiss: Any) -> Any:
    index = faiss.IndexHNSWFlat(DIM, 4)
    index.add(ROWS)
    return index


KINDS = {"flat": flat, "inverted": inverted, "graph": graph}

SEARCHES = {
    "search": lambda index: index.search(ROWS[:1], 2),
    "range_search": lambda index: index.range_search(ROWS[:1], 1.0),
    "assign": lambda index: index.assign(ROWS[:1], 1),
    "search_and_reconstruct": lambda index: index.search_and_reconstruct(ROWS[:1], 2),
    "the function under another name": lambda index: raw_search(index),
    "a base class's": lambda index: type(index).__mro__[0].search(index, ROWS[:1], 2),
}


def raw_search(index: Any) -> Any:
    import faiss

    distances, labels = np.zeros((1, 2), np.float32), np.zeros((1, 2), np.int64)
    index.search_c(1, faiss.swig_ptr(ROWS[:1]), 2, faiss.swig_ptr(distances), faiss.swig_ptr(labels))
    return distances, labels


@pytest.mark.parametrize("order", ["declared first", "installed first"])
@pytest.mark.parametrize("way", SEARCHES)
@pytest.mark.parametrize("kind", KINDS)
def test_searching_a_declared_index_of_faiss_is_an_identification(kind, way, order, faiss, street):
    index = KINDS[kind](faiss)
    if order == "installed first":
        install()
    guard.gallery(index, "staff")
    if order == "declared first":
        install()
    with street.frame(frame()), pytest.raises(guard.Denied, match="in gallery staff"):
        SEARCHES[way](index)
    assert actions(street) == ["identify"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_method_that_was_stored_before_is_refused(kind, faiss, street):
    index = KINDS[kind](faiss)
    stored, low = index.search, index.search_c
    install()
    guard.gallery(index, "staff")
    with street.frame(frame()):
        with pytest.raises(guard.Denied):
            stored(ROWS[:1], 2)
        with pytest.raises(guard.Denied):
            low(1, None, 1, None, None)


def test_adding_to_a_declared_index_of_faiss_is_an_enrolment(faiss, street):
    index = guard.gallery(faiss.IndexIDMap2(faiss.IndexFlatL2(DIM)), "staff")
    other = guard.gallery(faiss.IndexFlatL2(DIM), "guests")
    install()
    with street.frame(frame()):
        for call in (
            lambda: index.add_with_ids(ROWS, IDS),
            lambda: other.add(ROWS),
            lambda: other.merge_from(flat(faiss)),
        ):
            with pytest.raises(guard.Denied):
                call()
    assert actions(street) == ["enrol"] * 3
    assert index.ntotal == other.ntotal == 0


WRAPPERS = {
    "IndexIDMap": lambda faiss, index: faiss.IndexIDMap(index),
    "IndexRefineFlat": lambda faiss, index: faiss.IndexRefineFlat(index, faiss.swig_ptr(ROWS)),
    "IndexPreTransform": lambda faiss, index: faiss.IndexPreTransform(index),
    "a wrapper of a wrapper": lambda faiss, index: faiss.IndexPreTransform(faiss.IndexIDMap(index)),
    "IndexShards": lambda faiss, index: shards(faiss, index),
    "IndexReplicas": lambda faiss, index: replicas(faiss, index),
}


def shards(faiss: Any, index: Any) -> Any:
    made = faiss.IndexShards(DIM)
    made.add_shard(index)
    return made


def replicas(faiss: Any, index: Any) -> Any:
    made = faiss.IndexReplicas(DIM)
    made.add_replica(index)
    return made


@pytest.mark.parametrize("way", WRAPPERS)
def test_an_index_that_wraps_a_declared_one_is_a_gallery_too(way, faiss, street):
    index = guard.gallery(faiss.IndexFlatL2(DIM) if "IDMap" in way or "wrapper" in way else flat(faiss), "staff")
    install()
    outer = WRAPPERS[way](faiss, index)
    with street.frame(frame()), pytest.raises(guard.Denied, match="staff"):
        outer.search(ROWS[:1], 2)


def test_another_proxy_of_the_same_index_is_the_same_gallery(faiss, street):
    index = guard.gallery(flat(faiss), "staff")
    outer = faiss.IndexIDMap(index) if index.ntotal == 0 else faiss.IndexPreTransform(index)
    install()
    proxy = faiss.downcast_index(outer.index)
    assert proxy is not index
    with street.frame(frame()), pytest.raises(guard.Denied):
        proxy.search(ROWS[:1], 2)


def test_an_index_inside_another_one_can_be_declared(faiss, street):
    outer = faiss.IndexIDMap(faiss.IndexFlatL2(DIM))
    guard.gallery(outer.index, "staff")  # what Python holds of it is gone after this line
    gc.collect()
    install()
    with street.frame(frame()), pytest.raises(guard.Denied):
        outer.search(ROWS[:1], 2)


def test_an_index_of_faiss_that_is_gone_is_forgotten(faiss):
    index = guard.gallery(faiss.IndexFlatL2(DIM), "staff")
    assert len(galleries._names) == 2
    del index
    gc.collect()
    assert galleries._names == {}


def test_arrays_that_are_declared_are_galleries_of_faiss_functions(faiss, street):
    matrix = guard.gallery(ROWS.copy(), "staff")
    install()
    with street.frame(frame()):
        with pytest.raises(guard.Denied):
            faiss.knn(ROWS[:1], matrix, 2)
        with pytest.raises(guard.Denied):
            faiss.pairwise_distances(ROWS[:1], matrix)
        assert faiss.knn(ROWS[:1], ROWS, 2)[1].shape == (1, 2)
    assert actions(street) == ["identify"] * 2


@pytest.mark.parametrize("kind", KINDS)
def test_an_index_of_faiss_that_is_not_declared_is_untouched(kind, faiss, street):
    guard.gallery(flat(faiss), "staff")
    index = KINDS[kind](faiss)
    wanted = index.search(ROWS[:2], 3)
    install()
    with street.frame(frame()):
        found = index.search(ROWS[:2], 3)
        index.add(ROWS)
    assert all(np.array_equal(*pair) for pair in zip(wanted, found, strict=True))
    assert street.guard.ledger.entries == []


@pytest.mark.parametrize("kind", KINDS)
def test_an_allowed_search_of_faiss_is_recorded_once(kind, faiss, door):
    index = KINDS[kind](faiss)
    wanted = index.search(ROWS[:2], 3)
    guard.gallery(index, "staff")
    install()
    with door.frame(frame()):
        found = index.search(ROWS[:2], 3)
        index.add(ROWS)
    assert all(np.array_equal(*pair) for pair in zip(wanted, found, strict=True))
    assert actions(door) == ["identify", "enrol"]


def test_uninstall_gives_faiss_back(faiss, street):
    index = guard.gallery(flat(faiss), "staff")
    install()
    guard.uninstall()
    assert index.search(ROWS[:1], 1)[1].shape == (1, 1)
    assert street.guard.ledger.entries == []


def test_a_binary_index_can_be_declared(faiss, street):
    index = faiss.IndexBinaryFlat(16)
    index.add(np.zeros((4, 2), np.uint8))
    guard.gallery(index, "staff")
    install()
    with street.frame(frame()), pytest.raises(guard.Denied):
        index.search(np.zeros((1, 2), np.uint8), 1)


# ---- hnswlib


@pytest.fixture
def hnswlib() -> Any:
    return pytest.importorskip("hnswlib", reason="hnswlib is not installed")


def hnsw(hnswlib: Any, kind: str) -> Any:
    index = getattr(hnswlib, kind)(space="l2", dim=DIM)
    index.init_index(max_elements=64)
    index.add_items(ROWS)
    return index


@pytest.mark.parametrize("kind", ["Index", "BFIndex"])
def test_a_declared_index_of_hnswlib_is_a_gallery(kind, hnswlib, street, door):
    index, other = hnsw(hnswlib, kind), hnsw(hnswlib, kind)
    guard.gallery(index, "staff")
    install()
    with street.frame(frame()):
        for call in (lambda: index.knn_query(ROWS[:1], k=2), lambda: index.add_items(ROWS)):
            with pytest.raises(guard.Denied, match="staff"):
                call()
        assert other.knn_query(ROWS[:1], k=1)[0].shape == (1, 1)
    assert actions(street) == ["identify", "enrol"]
    with door.frame(frame()):
        assert index.knn_query(ROWS[:1], k=2)[0][0, 0] == 0
    assert actions(door) == ["identify"]


# ---- usearch


@pytest.fixture
def usearch() -> Any:
    return pytest.importorskip("usearch.index", reason="usearch is not installed")


def keyed(usearch: Any) -> Any:
    index = usearch.Index(ndim=DIM)
    index.add(IDS, ROWS)
    return index


KEYED = {
    "search": (lambda lib, index: index.search(ROWS[0], 2), "identify"),
    "search by name": (lambda lib, index: index.search(vectors=ROWS[0], count=2), "identify"),
    "join": (lambda lib, index: index.join(keyed(lib)), "identify"),
    "joined": (lambda lib, index: keyed(lib).join(index), "identify"),
    "cluster": (lambda lib, index: index.cluster(), "identify"),
    "distance": (lambda lib, index: index.pairwise_distance(IDS[:1], IDS[1:2]), "identify"),
    "add": (lambda lib, index: index.add(99, ROWS[0]), "enrol"),
}


@pytest.mark.parametrize("way", KEYED)
def test_a_declared_index_of_usearch_is_a_gallery(way, usearch, street):
    index = keyed(usearch)
    stored = index.search
    guard.gallery(index, "staff")
    install()
    call, action = KEYED[way]
    with street.frame(frame()):
        with pytest.raises(guard.Denied, match="staff"):
            call(usearch, index)
        with pytest.raises(guard.Denied):
            stored(ROWS[0], 1)
    assert actions(street) == [action, "identify"]


def test_a_subclass_of_usearch_s_index_is_a_gallery_too(usearch, street):
    class Staff(usearch.Index):  # type: ignore[misc, name-defined]
        pass

    index = guard.gallery(Staff(ndim=DIM), "staff")
    install()
    with street.frame(frame()), pytest.raises(guard.Denied):
        index.search(ROWS[0], 1)


def test_an_allowed_search_of_usearch_is_recorded_once_and_others_not_at_all(usearch, door):
    index, other = guard.gallery(keyed(usearch), "staff"), keyed(usearch)
    install()
    with door.frame(frame()):
        assert index.search(ROWS[3], 1).keys[0] == 3
        assert other.search(ROWS[3], 1).keys[0] == 3
    assert actions(door) == ["identify"]


def test_an_exact_search_in_a_declared_array_is_an_identification(usearch, street):
    matrix = guard.gallery(ROWS.copy(), "staff")
    install()
    with street.frame(frame()):
        with pytest.raises(guard.Denied):
            usearch.search(matrix, ROWS[0], 1)
        assert usearch.search(ROWS, ROWS[0], 1, exact=True) is not None
    assert actions(street) == ["identify"]


def test_a_search_inside_an_allowed_identification_is_part_of_it(usearch, door):
    index = guard.gallery(keyed(usearch), "staff")
    install()
    find = door.protect(lambda: index.search(ROWS[0], 1), action="identify", service="self_hosted")
    with door.frame(frame()):
        find()
    assert actions(door) == ["identify"]
