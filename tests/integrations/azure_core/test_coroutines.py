"""azure-core: coroutines, their transports, and the threads that these send from."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

import guard
from guard.integrations.azure import ADAPTER
from guard.integrations.watching import watch
from tests.integrations.azure_core.calls import (
    CHAT,
    FACE,
    assert_face_is_covered,
    chat,
    picture_of,
    stream_of,
)
from tests.integrations.deployments import OFFICE, POLICE
from tests.integrations.loopback import CountingServer

pytest.importorskip("azure.core", reason="needs azure-core")
pytest.importorskip("requests", reason="azure-core's transport")
from azure.core import AsyncPipelineClient
from azure.core.exceptions import HttpResponseError
from azure.core.pipeline import policies as core_policies
from azure.core.rest import HttpRequest


def run(server: CountingServer, use: Callable[[Any], Awaitable[None]]) -> None:
    pytest.importorskip("aiohttp", reason="azure-core's asynchronous transport")

    async def main() -> None:
        policies = [core_policies.AsyncRetryPolicy(retry_total=3, retry_backoff_factor=0)]
        async with AsyncPipelineClient(server.url, policies=policies) as client:
            watch.add([ADAPTER])  # after the client was made
            await use(client)

    asyncio.run(main())


def test_no_asynchronous_way_to_call_gets_past(server, make_guard, picture):
    def request() -> Any:
        return HttpRequest("POST", f"{server.url}/face/v1.2/identify", json={"faceIds": [FACE]})

    async def use(client: Any) -> None:
        with make_guard(POLICE).source().frame(picture):
            for call in (client.send_request, client._pipeline.run, client._pipeline._transport.send):
                with pytest.raises(guard.Denied):
                    await call(request())
            liveness = HttpRequest("GET", f"{server.url}/face/v1.2/detectLivenessWithVerify-sessions/s")
            with pytest.raises(HttpResponseError) as caught:
                await client.send_request(liveness)
            assert isinstance(caught.value, guard.Denied)

    run(server, use)
    server.assert_untouched()


def test_tasks_of_several_sources_are_judged_apart(server, make_guard, picture):
    office, police = make_guard(OFFICE, name="o.toml"), make_guard(POLICE)

    async def one(client: Any, source: Any) -> bool:
        with source.frame(picture):
            try:
                await client.send_request(
                    HttpRequest("POST", f"{server.url}/face/v1.2/identify", json={"faceIds": [FACE]})
                )
            except guard.Denied:
                return False
            return True

    async def use(client: Any) -> None:
        reached = await asyncio.gather(*(one(client, g.source()) for g in [office, police] * 8))
        assert reached == [True, False] * 8

    run(server, use)
    assert server.requests == 8
    assert office.ledger.verdicts() == ["allow"] * 8


@pytest.mark.parametrize("kind", ["json", "stream"])
def test_a_picture_for_a_model_is_covered_in_coroutines_too(server, make_guard, picture, png, kind):
    async def stream() -> AsyncIterator[bytes]:
        for part in stream_of(json.dumps(chat(png)).encode()):
            yield part

    async def use(client: Any) -> None:
        given = {"json": chat(png)} if kind == "json" else {"content": stream()}
        with make_guard(POLICE).source().frame(picture):
            await client.send_request(HttpRequest("POST", server.url + CHAT, **given))

    run(server, use)
    assert_face_is_covered(picture_of(server.bodies[0]), picture)


def test_a_coroutine_s_call_is_decided_once_with_the_fences_below_it(server, make_guard, picture, png):
    g = make_guard(f'{POLICE}\n[services]\n"{server.host}" = "azure_openai"\n')

    async def use(client: Any) -> None:
        guard.install()
        with g.source().frame(picture):
            await client.send_request(HttpRequest("POST", server.url + CHAT, json=chat(png)))

    run(server, use)
    assert (server.requests, g.ledger.verdicts()) == (1, ["redact"])


def threaded() -> Any:
    from azure.core.pipeline.transport import AsyncioRequestsTransport

    return AsyncioRequestsTransport()


def in_threads(server: CountingServer, use: Callable[[Any], Awaitable[None]], **options: Any) -> None:
    async def main() -> None:
        guard.install()
        async with AsyncPipelineClient(server.url, transport=threaded(), policies=[], **options) as client:
            await use(client)

    asyncio.run(main())


@pytest.mark.parametrize(("text", "verdicts"), [(OFFICE, ["allow"]), (POLICE, ["deny"])], ids=["allowed", "denied"])
def test_a_call_that_a_worker_thread_sends_is_decided_once(server, make_guard, picture, text, verdicts):
    g = make_guard(f'{text.partition("[services]")[0]}\n[services]\n"{server.host}" = "azure_face"\n')

    async def use(client: Any) -> None:
        request = HttpRequest("POST", f"{server.url}/face/v1.2/identify", json={"faceIds": [FACE]})
        with g.source().frame(picture):
            try:
                await client.send_request(request)
            except guard.Denied:
                server.assert_untouched()

    in_threads(server, use)
    assert g.ledger.verdicts() == verdicts
    assert server.requests == verdicts.count("allow")


def test_a_picture_that_a_worker_thread_sends_is_covered_once(server, make_guard, picture, png):
    g = make_guard(f'{POLICE}\n[services]\n"{server.host}" = "azure_openai"\n')

    async def use(client: Any) -> None:
        with g.source().frame(picture):
            await client.send_request(HttpRequest("POST", server.url + CHAT, json=chat(png)))

    in_threads(server, use)
    assert_face_is_covered(picture_of(server.bodies[0]), picture)
    assert (server.requests, g.ledger.verdicts()) == (1, ["redact"])


def test_another_call_in_the_worker_thread_is_judged_on_its_own(server, make_guard, picture):
    g = make_guard(f'{OFFICE.partition("[services]")[0]}\n[services]\n"{server.host}" = "azure_face"\n')
    import requests

    def again(answer: Any, **kwargs: Any) -> None:
        requests.post(f"{server.url}/face/v1.2/identify", json={"faceIds": [FACE, FACE]})

    async def use(client: Any) -> None:
        client._pipeline._transport.open()
        client._pipeline._transport.session.hooks["response"].append(again)
        with g.source().frame(picture):
            await client.send_request(HttpRequest("POST", f"{server.url}/face/v1.2/identify", json={"faceIds": [FACE]}))

    in_threads(server, use)
    assert (server.requests, g.ledger.verdicts()) == (2, ["allow", "allow"])
