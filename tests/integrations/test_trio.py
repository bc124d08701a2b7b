"""httpx on trio: judged beside trio's event loop as beside asyncio's, and each task on its own."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

import guard
from guard.integrations import Operation, passage
from guard.testing import FakeDetector
from tests.conftest import SCENE
from tests.integrations.deployments import OFFICE, POLICE
from tests.integrations.loopback import CountingServer
from tests.integrations.setting_up import serving
from tests.integrations.test_rest import chat, face_where_it_is_bright, png

trio = pytest.importorskip("trio", reason="trio is not installed")

FACES = {"faceIds": ["c5c24a82-6845-4031-9d5d-978df9175426"], "personGroupId": "suspects"}


@pytest.fixture(params=["httpx", "httpx2"], autouse=True)
def httpx(request, monkeypatch) -> Any:
    made = pytest.importorskip(request.param, reason=f"{request.param} is not installed")
    monkeypatch.setattr("guard.guard._latest", None)
    guard.install()
    yield importlib.import_module(request.param)
    guard.uninstall()
    assert made


server = serving()


def listed(text: str, server: CountingServer, service: str) -> str:
    return f'{text.partition("[services]")[0]}\n[services]\n"{server.host}" = "{service}"\n'


def post(httpx: Any, url: str, **body: Any) -> Any:
    async def main() -> Any:
        async with httpx.AsyncClient(trust_env=False) as client:
            return await client.post(url, **body)

    return trio.run(main)


def test_a_denied_call_is_answered_with_a_403_that_no_server_sent(httpx, server, make_guard):
    g = make_guard(listed(POLICE, server, "azure_face"))
    with g.source().frame(SCENE):
        answer = post(httpx, f"{server.url}/face/v1.2/identify", json=FACES)
    with pytest.raises(guard.Denied):
        answer.raise_for_status()
    server.assert_untouched()
    assert g.ledger.verdicts() == ["deny"]


def test_an_allowed_call_is_decided_once_and_a_picture_goes_out_covered(httpx, server, make_guard):
    office = make_guard(listed(OFFICE, server, "azure_face"))
    with office.source().frame(SCENE):
        assert post(httpx, f"{server.url}/face/v1.2/identify", json=FACES).status_code == 200
    assert office.ledger.verdicts() == ["allow"]
    police = make_guard(listed(POLICE, server, "azure_openai"), detector=FakeDetector(face_where_it_is_bright))
    with police.source().frame(SCENE):
        post(httpx, f"{server.url}/openai/v1/chat/completions", content=chat(png()))
    assert police.ledger.verdicts() == ["redact"]
    assert len(server.bodies) == 2
    assert server.bodies[1] != chat(png())


def test_a_task_that_is_started_inside_of_a_released_call_is_judged_on_its_own(make_guard):
    g = make_guard(OFFICE)
    operation = Operation("toy.identify", "azure_face", ("identify",), None)

    async def again() -> None:
        with passage(operation):
            pass

    async def main() -> None:
        with passage(operation):
            await again()  # a part of it
            async with trio.open_nursery() as nursery:
                nursery.start_soon(again)

    with g.source().frame(SCENE):
        trio.run(main)
    assert g.ledger.verdicts() == ["allow", "allow"]
