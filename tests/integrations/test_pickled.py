"""Clients and indexes that come out of a pickle, here and in a process started anew, are guarded as they were."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import guard
from guard.integrations import galleries
from tests.conftest import SCENE
from tests.integrations.deployments import OFFICE, POLICE
from tests.integrations.local_sources import PORTLAND
from tests.integrations.loopback import CountingServer, counting_server

FACES = {"faceIds": ["c5c24a82-6845-4031-9d5d-978df9175426"], "personGroupId": "suspects"}
ROWS = np.random.default_rng(1).normal(size=(16, 8)).astype(np.float32)


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("guard.guard._latest", None)
    yield
    guard.uninstall()
    galleries._names.clear()


@pytest.fixture
def server():
    with counting_server() as counted:
        yield counted


def listed(text: str, server: CountingServer) -> str:
    return f'{text.partition("[services]")[0]}\n[services]\n"{server.host}" = "azure_face"\n'


@pytest.mark.parametrize("before", [True, False], ids=["pickled before", "pickled after"])
def test_a_session_of_requests(make_guard, server, before):
    requests = pytest.importorskip("requests", reason="requests is not installed")
    address = f"{server.url}/face/v1.2/identify"
    data = pickle.dumps(requests.Session()) if before else b""
    guard.install("requests")
    session = pickle.loads(data or pickle.dumps(requests.Session()))
    request = session.prepare_request(requests.Request("POST", address, json=FACES))
    police = make_guard(listed(POLICE, server))
    with police.source().frame(SCENE):
        for call in (
            lambda: session.post(address, json=FACES),
            lambda: copy.deepcopy(session).post(address, json=FACES),
            lambda: session.send(pickle.loads(pickle.dumps(request))),
        ):
            with pytest.raises(guard.Denied):
                call()
    server.assert_untouched()
    office = make_guard(listed(OFFICE, server))
    with office.source().frame(SCENE):
        session.post(address, json=FACES)
    assert server.requests == 1


def hnswlib_index() -> Any:
    hnswlib = pytest.importorskip("hnswlib", reason="hnswlib is not installed")
    index = hnswlib.Index(space="l2", dim=8)
    index.init_index(max_elements=16)
    index.add_items(ROWS)
    return index


def faiss_index() -> Any:
    index = pytest.importorskip("faiss", reason="faiss is not installed").IndexFlatL2(8)
    index.add(ROWS)
    return index


def pickled(item: Any) -> Any:
    return pickle.loads(pickle.dumps(item))


INDEXES = {
    "hnswlib": (hnswlib_index, lambda index: index.knn_query(ROWS[:1], 2)),
    "faiss": (faiss_index, lambda index: index.search(ROWS[:1], 2)),
}


@pytest.mark.parametrize("name", INDEXES)
@pytest.mark.parametrize("again", [pickled, copy.deepcopy])
def test_a_declared_index_stays_a_gallery(make_guard, name, again):
    make, search = INDEXES[name]
    index = make()
    guard.install(name)
    guard.gallery(index, "staff")
    street = make_guard(PORTLAND).source()
    for twin in (again(index), again(again(index))):
        with street.frame(SCENE), pytest.raises(guard.Denied):
            search(twin)
    assert street.guard.ledger.verdicts() == ["deny", "deny"]


@pytest.mark.parametrize("name", INDEXES)
def test_an_index_that_is_not_declared_is_none(make_guard, name):
    make, search = INDEXES[name]
    guard.install(name)
    street = make_guard(PORTLAND).source()
    twin = pickle.loads(pickle.dumps(make()))
    with street.frame(SCENE):
        search(twin)
    assert street.guard.ledger.verdicts() == []


def test_a_wrapper_around_an_index_of_faiss_out_of_a_pickle(make_guard):
    index = faiss_index()
    import faiss

    guard.install("faiss")
    guard.gallery(index, "staff")
    wrapper = faiss.IndexPreTransform(pickle.loads(pickle.dumps(index)))
    street = make_guard(PORTLAND).source()
    with street.frame(SCENE), pytest.raises(guard.Denied):
        wrapper.search(ROWS[:1], 2)
