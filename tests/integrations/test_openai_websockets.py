"""openai's websockets: a refused message is not sent, a redacted one arrives with the faces covered."""

from __future__ import annotations

import asyncio
import inspect
import json
from typing import Any

import pytest

import guard
from guard.integrations import tripwire
from guard.integrations.openai import ADAPTER
from guard.integrations.threads import ADAPTER as THREADS
from guard.integrations.watching import watch
from tests.integrations.llm import PATIENT, PICTURE, PNG_URL, is_covered
from tests.integrations.setting_up import hooked, judged_for
from tests.integrations.sockets import counting_socket

openai = pytest.importorskip("openai", reason="the openai library is not installed")
pytest.importorskip("websockets", reason="the websockets library is not installed")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

ITEM = {"type": "message", "role": "user"}
FAR = "https://pictures.example/one.jpg"


_hooks = hooked(ADAPTER)


@pytest.fixture
def socket():
    with counting_socket() as counted:
        yield counted


police = judged_for(PATIENT, "microsoft_azure_openai_2024", "openai")


def create(url: str) -> dict[str, Any]:
    return {
        "type": "conversation.item.create",
        "item": {**ITEM, "content": [{"type": "input_image", "image_url": url}]},
    }


def respond(url: str) -> dict[str, Any]:
    return {
        "type": "response.create",
        "model": "m",
        "input": [{**ITEM, "content": [{"type": "input_image", "image_url": url}]}],
    }


def client_of(socket: Any, kind: Any) -> Any:
    return kind(
        api_key="k",
        base_url=socket.url.replace("ws:", "http:") + "/v1",
        websocket_base_url=socket.url + "/v1",
    )


def openings(client: Any) -> dict[str, Any]:
    found = {
        "realtime": (lambda: client.realtime.connect(model="m"), create),
        "beta realtime": (lambda: client.beta.realtime.connect(model="m"), create),
    }
    if hasattr(client.responses, "connect"):
        found["responses"] = (lambda: client.responses.connect(), respond)
    if hasattr(client.beta, "responses") and hasattr(client.beta.responses, "connect"):
        found["beta responses"] = (lambda: client.beta.responses.connect(), respond)
    return found


NAMES = ["realtime", "beta realtime", "responses", "beta responses"]


def opening(client: Any, name: str) -> Any:
    found = openings(client)
    if name not in found:
        pytest.skip(f"openai {openai.__version__} has no {name} websocket")
    return found[name]


def picture_in(message: Any) -> str:
    item = message["item"] if "item" in message else message["input"][0]
    return str(item["content"][0]["image_url"])


@pytest.mark.parametrize("name", NAMES)
def test_a_refused_message_is_not_sent(name, socket, police):
    with client_of(socket, openai.OpenAI) as client:
        connect, message = opening(client, name)
        with police.frame(PICTURE), connect() as connection:
            with pytest.raises(openai.PermissionDeniedError) as caught:
                connection.send(message(FAR))
            assert isinstance(caught.value, guard.Denied)
            assert caught.value.response.status_code == 403
            connection.send({"type": "response.cancel"})
            assert [sent["type"] for sent in socket.wait_for(1)] == ["response.cancel"]
    assert police.guard.ledger.verdicts() == ["deny"]


@pytest.mark.parametrize("name", NAMES)
def test_a_message_arrives_with_the_faces_covered(name, socket, police):
    with client_of(socket, openai.OpenAI) as client:
        connect, message = opening(client, name)
        given = message(PNG_URL)
        with police.frame(PICTURE), connect() as connection:
            connection.send(given)
            (sent,) = socket.wait_for(1)
    assert is_covered(picture_in(sent))
    assert given == message(PNG_URL)
    assert police.guard.ledger.verdicts() == ["redact"]


@pytest.mark.parametrize("name", NAMES)
def test_the_async_ones_are_guarded_too(name, socket, police):
    async def main() -> None:
        async with client_of(socket, openai.AsyncOpenAI) as client:
            connect, message = opening(client, name)
            async with connect() as connection:
                with pytest.raises(openai.PermissionDeniedError):
                    await connection.send(message(FAR))
                assert socket.messages == []
                await connection.send(message(PNG_URL))
                await asyncio.to_thread(socket.wait_for, 1)

    with police.frame(PICTURE):
        asyncio.run(main())
    (sent,) = socket.messages
    assert is_covered(picture_in(json.loads(sent)))
    assert police.guard.ledger.verdicts() == ["deny", "redact"]


def test_the_named_methods_of_a_connection_are_guarded(socket, police):
    client = client_of(socket, openai.OpenAI)
    with client, client.realtime.connect(model="m") as connection, police.frame(PICTURE):
        with pytest.raises(guard.Denied):
            connection.conversation.item.create(item=create(FAR)["item"])
        connection.input_audio_buffer.append(audio="AAAA")
        assert [sent["type"] for sent in socket.wait_for(1)] == ["input_audio_buffer.append"]
    assert police.guard.ledger.verdicts() == ["deny"]


def test_raw_text_and_bytes_are_guarded(socket, police):
    client = client_of(socket, openai.OpenAI)
    with client, client.realtime.connect(model="m") as connection, police.frame(PICTURE):
        if not hasattr(connection, "send_raw"):
            pytest.skip(f"openai {openai.__version__} sends no raw messages")
        for message in (json.dumps(create(FAR)), json.dumps(create(FAR)).encode(), b"\xff\xd8\xff no JSON"):
            with pytest.raises(guard.Denied):
                connection.send_raw(message)
        connection.send_raw(json.dumps(create(PNG_URL)))
        (sent,) = socket.wait_for(1)
    assert is_covered(picture_in(sent))
    assert police.guard.ledger.verdicts() == ["deny"] * 3 + ["redact"]


def test_a_message_that_is_queued_before_the_connection_is_judged(socket, police):
    with client_of(socket, openai.OpenAI) as client, police.frame(PICTURE):
        manager = client.realtime.connect(model="m")
        if not hasattr(manager, "send"):
            pytest.skip(f"openai {openai.__version__} queues nothing beforehand")
        with pytest.raises(openai.PermissionDeniedError):
            manager.send(create(FAR))
        manager.send(create(PNG_URL))
        with manager:
            (sent,) = socket.wait_for(1)
    assert is_covered(picture_in(sent))
    assert police.guard.ledger.verdicts() == ["deny", "redact"]


def test_an_azure_client_s_websocket_counts_as_azure(socket, police):
    client = openai.AzureOpenAI(
        azure_endpoint=socket.url.replace("ws:", "http:"),
        websocket_base_url=socket.url + "/openai",
        api_key="k",
        api_version="v",
        azure_deployment="d",
    )
    with client, client.realtime.connect(model="m") as connection, police.frame(PICTURE):
        send = connection.send
        with pytest.raises(openai.PermissionDeniedError):
            send(create(FAR))
    assert [entry.decision.service for entry in police.guard.ledger.entries] == ["azure_openai"]
    assert socket.messages == []


def test_a_lane_of_a_shared_socket_is_guarded(police):
    session = pytest.importorskip("openai.lib.responses_websocket", reason="this version shares no socket")
    assert {hook.attribute for hook in ADAPTER.hooks_in(session._session, session._session.__name__)} == {
        "ResponsesWebSocketLane.send",
        "AsyncResponsesWebSocketLane.send",
    }


def test_a_method_of_before_the_install_is_guarded(socket, police):
    guard.uninstall()
    with client_of(socket, openai.OpenAI) as client, client.realtime.connect(model="m") as connection:
        send = connection.send
        watch.add([THREADS, ADAPTER])
        with police.frame(PICTURE), pytest.raises(guard.Denied):
            send(create(FAR))
        assert socket.messages == []


# ---- what is refused before, and beside, an open connection


LISTED = '\n[services]\n"{host}" = "{service}"\n'


@pytest.fixture
def watched(make_guard, socket):
    """A source whose guard lists the service, with the tripwire up."""
    listed = LISTED.format(host=socket.url.removeprefix("ws://"), service="openai")
    cam = make_guard(PATIENT + listed, packs=["microsoft_azure_openai_2024", "openai"]).source()
    tripwire.arm()
    yield cam
    tripwire.disarm()


def test_a_message_that_is_refused_beforehand_opens_no_connection(socket, police):
    with client_of(socket, openai.OpenAI) as client, police.frame(PICTURE):
        manager = client.realtime.connect(model="m")
        if not hasattr(manager, "send"):
            pytest.skip(f"openai {openai.__version__} queues nothing beforehand")
        with pytest.raises(openai.PermissionDeniedError):
            manager.send(create(FAR))
    assert (socket.paths, socket.messages) == ([], [])


@pytest.mark.parametrize("name", NAMES)
def test_the_tripwire_lets_a_guarded_connection_be_made(name, socket, watched):
    with client_of(socket, openai.OpenAI) as client:
        connect, message = opening(client, name)
        with watched.frame(PICTURE), connect() as connection:
            with pytest.raises(openai.PermissionDeniedError):
                connection.send(message(FAR))
            connection.send({"type": "response.cancel"})
            assert [sent["type"] for sent in socket.wait_for(1)] == ["response.cancel"]
    assert len(socket.paths) == 1
    assert watched.guard.ledger.verdicts() == ["deny"]


@pytest.mark.parametrize("name", NAMES)
def test_the_tripwire_lets_a_guarded_async_connection_be_made(name, socket, watched):
    async def main() -> None:
        async with client_of(socket, openai.AsyncOpenAI) as client:
            connect, message = opening(client, name)
            async with connect() as connection:
                with pytest.raises(openai.PermissionDeniedError):
                    await connection.send(message(FAR))
                await connection.send({"type": "response.cancel"})
                await asyncio.to_thread(socket.wait_for, 1)

    with watched.frame(PICTURE):
        asyncio.run(main())
    assert [json.loads(sent)["type"] for sent in socket.messages] == ["response.cancel"]
    assert len(socket.paths) == 1
    assert watched.guard.ledger.verdicts() == ["deny"]


def closes_once(socket: Any) -> None:
    """The service restarts after the first message, and answers every later one."""
    socket.answer = lambda _: RESTART if len(socket.messages) == 1 else {"type": "error", "event_id": "e", "error": {}}


RESTART = 1012


def again(connect: Any, send: Any) -> Any:
    """A connection that is made again when it breaks off; something is said while it is being made."""
    if "on_reconnecting" not in inspect.signature(connect).parameters:
        pytest.skip(f"openai {openai.__version__} does not connect again")
    return connect(model="m", on_reconnecting=send, initial_delay=0.01)


def test_a_connection_that_is_made_again_passes_the_tripwire_and_says_what_was_judged(socket, watched):
    closes_once(socket)

    def say(_: Any) -> None:
        with pytest.raises(openai.PermissionDeniedError):
            held[0].send(create(FAR))
        held[0].send(create(PNG_URL))

    held: list[Any] = []
    client = client_of(socket, openai.OpenAI)
    with client, watched.frame(PICTURE), again(client.realtime.connect, say) as connection:
        held.append(connection)
        connection.send({"type": "response.cancel"})
        assert next(iter(connection)).type == "error"
    assert len(socket.paths) == 2
    assert is_covered(picture_in(json.loads(socket.messages[1])))
    assert watched.guard.ledger.verdicts() == ["deny", "redact"]


def test_an_async_connection_that_is_made_again_passes_the_tripwire(socket, watched):
    closes_once(socket)

    async def main() -> None:
        async with client_of(socket, openai.AsyncOpenAI) as client:
            waiting: list[Any] = []

            def say(_: Any) -> None:
                waiting.append(asyncio.ensure_future(held[0].send(create(PNG_URL))))

            held: list[Any] = []
            async with again(client.realtime.connect, say) as connection:
                held.append(connection)
                await connection.send({"type": "response.cancel"})
                async for event in connection:
                    assert event.type == "error"
                    break
                await asyncio.gather(*waiting)

    with watched.frame(PICTURE):
        asyncio.run(main())
    assert len(socket.paths) == 2
    assert is_covered(picture_in(json.loads(socket.messages[1])))
    assert watched.guard.ledger.verdicts() == ["redact"]


def test_a_websocket_past_the_client_is_refused_by_the_tripwire(socket, watched):
    from websockets.sync.client import connect

    with watched.frame(PICTURE), pytest.raises(guard.GuardFault):
        connect(socket.url)
    assert socket.paths == []


def test_an_async_websocket_past_the_client_is_refused_by_the_tripwire(socket, watched):
    client = pytest.importorskip("websockets.asyncio.client", reason="this version of websockets has another one")

    async def main() -> None:
        async with client.connect(socket.url):
            raise AssertionError("opened")

    with watched.frame(PICTURE), pytest.raises(guard.GuardFault):
        asyncio.run(main())
    assert socket.paths == []
    assert watched.guard.ledger.verdicts() == ["fault"]


def test_a_client_s_own_websocket_address_says_whose_it_is(socket, make_guard):
    """The queue of a connection that is not made yet is judged for the service that it will reach."""
    listed = LISTED.format(host=socket.url.removeprefix("ws://"), service="google")
    cam = make_guard(PATIENT + listed, packs=["microsoft_azure_openai_2024", "openai"]).source()
    client = openai.OpenAI(api_key="k", base_url="http://127.0.0.1:9/v1", websocket_base_url=socket.url + "/v1")
    with client, cam.frame(PICTURE):
        manager = client.realtime.connect(model="m")
        if not hasattr(manager, "send"):
            pytest.skip(f"openai {openai.__version__} queues nothing beforehand")
        manager.send(create(PNG_URL))
    assert [entry.decision.service for entry in cam.guard.ledger.entries] == ["google"]
