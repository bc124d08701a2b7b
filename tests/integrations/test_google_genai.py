"""The google-genai library: a refused call sends nothing, a redacted one arrives with the faces covered."""

from __future__ import annotations

import asyncio
import base64
import copy
import io
import json
import pickle
from typing import Any

import pytest

import guard
from guard.approvals import Approval
from guard.integrations import tripwire
from guard.integrations.google_genai import ADAPTER
from guard.integrations.threads import ADAPTER as THREADS
from guard.integrations.watching import watch
from guard.testing import FakeDetector
from tests.integrations.llm import CITY, PICTURE, PNG, PNG_TEXT, is_covered
from tests.integrations.loopback import Answer, Arrived
from tests.integrations.setting_up import hooked, judged_for, serving
from tests.integrations.sockets import counting_socket

genai = pytest.importorskip("google.genai", reason="the google-genai library is not installed")
types = genai.types
errors = genai.errors
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

GENERATED = {"candidates": [{"content": {"role": "model", "parts": [{"text": "a street"}]}, "finishReason": "STOP"}]}
UPLOADED = {"file": {"name": "files/1", "uri": "https://x/1", "mimeType": "image/png", "state": "ACTIVE"}}


def answer(request: Arrived) -> Answer:
    if "streamGenerateContent" in request.path:
        text = f"data: {json.dumps(GENERATED)}\n\n" * 2
        return Answer(text.encode(), headers={"Content-Type": "text/event-stream"})
    if request.path.startswith("/upload"):
        return Answer({}, headers={"x-goog-upload-url": f"http://{request.headers['Host']}/put"})
    if request.path.startswith("/put"):
        return Answer(UPLOADED, headers={"x-goog-upload-status": "final"})
    if "interactions" in request.path:
        return Answer({"id": "i", "status": "completed", "outputs": [], "steps": [], "created": "2026-01-01T00:00:00Z"})
    return Answer({"totalTokens": 3} if "countTokens" in request.path else GENERATED)


_hooks = hooked(ADAPTER)
clients: list[Any] = []
server = serving(answer, clients)
city = judged_for(CITY, "us_san_francisco")


def client_of(server: Any, **options: Any) -> Any:
    client = genai.Client(api_key="k", http_options=types.HttpOptions(base_url=server.url, **options))
    clients.append(client)
    return client


def picture() -> Any:
    return types.Part.from_bytes(data=PNG, mime_type="image/png")


def far() -> Any:
    return types.Part.from_uri(file_uri="https://pictures.example/one.jpg", mime_type="image/jpeg")


REFUSED = {
    "generate_content": lambda m: m.models.generate_content(model="g", contents=["who?", far()]),
    "a file of before": lambda m: m.models.generate_content(
        model="g", contents=["who?", types.File(uri="https://x/files/1", mime_type="image/png")]
    ),
    "cached content": lambda m: m.models.generate_content(
        model="g", contents="who?", config={"cached_content": "cachedContents/1"}
    ),
    "system instruction": lambda m: m.models.generate_content(
        model="g", contents="who?", config={"system_instruction": [far()]}
    ),
    "extra body": lambda m: m.models.generate_content(
        model="g",
        contents="who?",
        config={"http_options": {"extra_body": {"contents": [{"parts": [{"fileData": {"fileUri": "https://x"}}]}]}}},
    ),
    "count_tokens": lambda m: m.models.count_tokens(model="g", contents=[far()]),
    "a PDF": lambda m: m.models.generate_content(
        model="g", contents=[types.Part.from_bytes(data=b"%PDF-1.4" * 40, mime_type="application/pdf")]
    ),
    "caches": lambda m: m.caches.create(model="g", config={"contents": [types.Content(role="user", parts=[far()])]}),
    "upload": lambda m: m.files.upload(file=io.BytesIO(b"%PDF-1.4"), config={"mime_type": "application/pdf"}),
}


@pytest.mark.parametrize("call", REFUSED.values(), ids=REFUSED.keys())
def test_a_refused_call_sends_nothing_and_is_not_retried(call, server, city):
    with city.frame(PICTURE), pytest.raises(errors.ClientError) as caught:
        call(client_of(server, retry_options={"attempts": 3, "initial_delay": 0.01}))
    assert isinstance(caught.value, guard.Denied)
    server.assert_untouched()
    assert city.guard.ledger.verdicts() == ["deny"]


@pytest.fixture(params=["aiohttp", "httpx"])
def transport(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "httpx":
        monkeypatch.setattr("google.genai._api_client.BaseApiClient._use_aiohttp", lambda self: False)
    else:
        pytest.importorskip("aiohttp")
    return request.param


def run(server: Any, call: Any) -> Any:
    async def main() -> Any:
        client = client_of(server)
        try:
            made = await call(client.aio)
            return [chunk async for chunk in made] if hasattr(made, "__aiter__") else made
        finally:
            if hasattr(client.aio, "aclose"):
                await client.aio.aclose()

    return asyncio.run(main())


@pytest.mark.parametrize("call", REFUSED.values(), ids=REFUSED.keys())
def test_a_refused_async_call_sends_nothing_whatever_the_transport(call, server, city, transport):
    with city.frame(PICTURE), pytest.raises(errors.ClientError) as caught:
        run(server, call)
    assert isinstance(caught.value, guard.Denied)
    server.assert_untouched()
    assert city.guard.ledger.verdicts() == ["deny"]


def test_a_refused_stream_sends_nothing(server, city, transport):
    with city.frame(PICTURE), pytest.raises(errors.ClientError):
        list(client_of(server).models.generate_content_stream(model="g", contents=[far()]))
    with city.frame(PICTURE), pytest.raises(errors.ClientError):
        run(server, lambda m: m.models.generate_content_stream(model="g", contents=[far()]))
    server.assert_untouched()
    assert city.guard.ledger.verdicts() == ["deny", "deny"]


def test_the_refusal_is_what_a_handler_of_the_library_expects(server, city):
    with city.frame(PICTURE), pytest.raises(errors.APIError) as caught:
        client_of(server).models.generate_content(model="g", contents=[far()])
    error = caught.value
    assert (error.code, error.status) == (403, "PERMISSION_DENIED")
    assert "google" in error.message
    assert error.details["error"]["details"] == [{"reason": "face_policy_violation"}]
    assert type(pickle.loads(pickle.dumps(error))) is guard.Denied


def decoded(text: str) -> bytes:
    return base64.b64decode(text.replace("-", "+").replace("_", "/"))


def data_in(request: Arrived) -> bytes:
    for part in request.json()["contents"][0]["parts"]:
        if "inlineData" in part:
            return base64.b64decode(
                part["inlineData"]["data"], altchars=b"-_" if "_" in part["inlineData"]["data"] else None
            )
    raise AssertionError("no picture")


def test_faces_are_covered_on_the_way(server, city):
    with city.frame(PICTURE):
        client = client_of(server)
        client.models.generate_content(model="g", contents=["who?", picture()])
        list(client.models.generate_content_stream(model="g", contents=["who?", picture()]))
        client.models.count_tokens(model="g", contents=[picture()])
        chat = client.chats.create(model="g")
        chat.send_message([picture(), "who?"])
    assert server.requests == 4
    assert all(is_covered(data_in(request)) for request in server.arrived)
    assert city.guard.ledger.verdicts() == ["redact"] * 4


def test_async_calls_are_covered_too(server, city, transport):
    with city.frame(PICTURE):
        run(server, lambda m: m.models.generate_content(model="g", contents=["who?", picture()]))
        run(server, lambda m: m.models.generate_content_stream(model="g", contents=["who?", picture()]))
    assert server.requests == 2
    assert all(is_covered(data_in(request)) for request in server.arrived)
    assert city.guard.ledger.verdicts() == ["redact", "redact"]


def test_what_shows_no_face_goes_out_as_it_is(server, make_guard):
    g = make_guard(CITY, packs=["us_san_francisco"], detector=FakeDetector())
    with g.source().frame(PICTURE):
        client_of(server).models.generate_content(model="g", contents=[picture()])
    assert data_in(server.arrived[0]) == PNG
    assert g.ledger.verdicts() == ["allow"]


def test_the_callers_objects_stay_as_they_were(server, city):
    contents = [types.Content(role="user", parts=[picture(), types.Part(text="who?")])]
    before = copy.deepcopy(contents)
    with city.frame(PICTURE):
        client_of(server).models.generate_content(model="g", contents=contents)
    assert contents == before


def test_words_are_not_touched(server, city):
    with city.frame(PICTURE):
        client_of(server).models.generate_content(model="g", contents="who is at https://x.org/a.jpg?")
        client_of(server).models.embed_content(model="e", contents="x")
    assert server.requests == 2
    assert city.guard.ledger.entries == []


def test_a_picture_for_a_picture_model_is_judged(server, city):
    server.answer = Answer({"predictions": []})
    image = types.Image(image_bytes=PNG, mime_type="image/png")
    with city.frame(PICTURE):
        try:
            client_of(server).models.generate_videos(model="v", prompt="x", image=image)
        except ValueError:
            pytest.skip("this version gives pictures to video models on Vertex AI only")
    sent = server.arrived[0].json()["instances"][0]["image"]["bytesBase64Encoded"]
    assert is_covered(decoded(sent))
    assert city.guard.ledger.verdicts() == ["redact"]


@pytest.mark.parametrize("given", ["path", "stream", "typed"])
def test_an_uploaded_picture_arrives_covered(given, server, city, tmp_path):
    path = tmp_path / "face.png"
    path.write_bytes(PNG)
    file, config = {
        "path": (path, None),
        "stream": (io.BytesIO(PNG), {"mime_type": "image/png"}),
        "typed": (str(path), types.UploadFileConfig(display_name="a face")),
    }[given]
    with city.frame(PICTURE):
        client_of(server).files.upload(file=file, config=config)
    start, put = server.arrived
    assert start.headers["X-Goog-Upload-Header-Content-Type"] == "image/png"
    assert int(start.headers["X-Goog-Upload-Header-Content-Length"]) == len(put.body)
    assert is_covered(put.body)
    assert path.read_bytes() == PNG
    assert city.guard.ledger.verdicts() == ["redact"]


def test_an_async_upload_arrives_covered(server, city, transport, tmp_path):
    path = tmp_path / "face.png"
    path.write_bytes(PNG)
    with city.frame(PICTURE):
        run(server, lambda m: m.files.upload(file=path))
    assert is_covered(server.arrived[1].body)
    assert city.guard.ledger.verdicts() == ["redact"]


def test_an_uploaded_text_is_not_touched(server, city, tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("words")
    with city.frame(PICTURE):
        client_of(server).files.upload(file=path)
    assert server.arrived[1].body == b"words"
    assert city.guard.ledger.entries == []


def test_a_missing_file_is_refused_by_the_guard(server, city, tmp_path):
    with city.frame(PICTURE), pytest.raises(errors.ClientError, match="FileNotFoundError") as caught:
        client_of(server).files.upload(file=tmp_path / "none.png")
    assert isinstance(caught.value, guard.GuardFault)
    server.assert_untouched()


def test_a_file_handed_to_the_inner_upload_is_judged_but_not_replaced(server, city):
    with city.frame(PICTURE), pytest.raises(errors.ClientError, match="announced"):
        client_of(server)._api_client.upload_file(io.BytesIO(PNG), server.url + "/put", len(PNG))
    server.assert_untouched()


def interaction(**part: Any) -> dict[str, Any]:
    return {"model": "g", "input": [{"type": "text", "text": "who?"}, {"type": "image", **part}]}


def test_interactions_are_guarded(server, city):
    client = client_of(server)
    if not hasattr(client, "interactions"):
        pytest.skip("this version has no interactions")
    with city.frame(PICTURE), pytest.raises(guard.Denied):
        client.interactions.create(**interaction(uri="https://pictures.example/one.jpg", mime_type="image/jpeg"))
    with city.frame(PICTURE), pytest.raises(guard.Denied):
        client.interactions.create(model="g", input="and who?", previous_interaction_id="i")
    with city.frame(PICTURE), pytest.raises(guard.Denied):
        run(server, lambda m: m.interactions.create(model="g", input="and who?", previous_interaction_id="i"))
    server.assert_untouched()
    with city.frame(PICTURE):
        client.interactions.create(**interaction(data=base64.b64encode(PNG).decode(), mime_type="image/png"))
        run(
            server,
            lambda m: m.interactions.create(**interaction(data=base64.b64encode(PNG).decode(), mime_type="image/png")),
        )
    for request in server.arrived:
        text = request.body.decode()
        assert base64.b64encode(PNG).decode() not in text
        assert is_covered(base64.b64decode(text.split('"data":')[1].split('"')[1]))
    assert server.requests == 2
    assert city.guard.ledger.verdicts() == ["deny"] * 3 + ["redact"] * 2


# ---- the Live interface


def reply(message: Any) -> Any:
    return {"setupComplete": {}} if "setup" in message else None


def speaking(socket: Any) -> Any:
    """A client that speaks to that websocket."""
    client = genai.Client(api_key="k", http_options=types.HttpOptions(base_url=socket.url.replace("ws:", "http:")))
    clients.append(client)
    # Left alone it speaks TLS only.
    client._api_client._websocket_base_url = lambda *given: socket.url
    client._api_client._websocket_ssl_ctx = {}
    return client


def live(source: Any, talk: Any, config: Any = None) -> list[Any]:
    with counting_socket(reply) as socket:

        async def main() -> None:
            async with speaking(socket).aio.live.connect(model="g", config=config or {}) as session:
                await talk(session)

        with source.frame(PICTURE):
            asyncio.run(main())
        return [json.loads(message) for message in socket.messages]


def test_a_live_message_arrives_covered_or_not_at_all(server, city):
    blob = types.Blob(data=PNG, mime_type="image/png")
    parts = [types.Part(inline_data=blob)]

    async def talk(session: Any) -> None:
        with pytest.raises(errors.ClientError):
            await session.send_client_content(turns=types.Content(role="user", parts=[far()]))
        await session.send_realtime_input(video=blob)
        await session.send_client_content(turns=types.Content(role="user", parts=parts))
        await session.send_realtime_input(text="who?")
        await session.send_realtime_input(audio=types.Blob(data=b"\0\1" * 99, mime_type="audio/pcm"))

    setup, video, content, *rest = live(city, talk)
    assert is_covered(decoded(video["realtime_input"]["video"]["data"]))
    assert is_covered(decoded(content["client_content"]["turns"][0]["parts"][0]["inlineData"]["data"]))
    assert len(rest) == 2
    assert city.guard.ledger.verdicts() == ["deny", "redact", "redact"]


def test_a_live_session_is_not_opened_with_what_cannot_be_looked_at(server, city):
    async def talk(session: Any) -> None:
        raise AssertionError("opened")

    for config in (
        {"session_resumption": {"handle": "h"}},
        types.LiveConnectConfig(system_instruction=types.Content(parts=[picture()])),
    ):
        with pytest.raises(errors.ClientError):
            live(city, talk, config)
    assert city.guard.ledger.verdicts() == ["deny", "deny"]


def test_every_method_of_a_session_that_sends_is_hooked():
    module = genai.live
    names = {hook.attribute for hook in ADAPTER.hooks_in(module, "google.genai.live")}
    assert names >= {f"AsyncSession.{name}" for name in vars(module.AsyncSession) if name.startswith("send")}


@pytest.fixture
def listening(make_guard):
    """A websocket that the guard's file lists, and a source of that guard, with the tripwire up."""
    with counting_socket(reply) as socket:
        listed = f'{CITY}\n[services]\n"{socket.url.removeprefix("ws://")}" = "google"\n'
        cam = make_guard(listed, packs=["us_san_francisco"]).source()
        tripwire.arm()
        yield socket, cam
        tripwire.disarm()


def test_the_tripwire_lets_a_guarded_live_session_be_opened(server, listening):
    socket, cam = listening

    async def main() -> None:
        async with speaking(socket).aio.live.connect(model="g", config={}) as session:
            with pytest.raises(errors.ClientError):
                await session.send_client_content(turns=types.Content(role="user", parts=[far()]))
            await session.send_realtime_input(video=types.Blob(data=PNG, mime_type="image/png"))
            await asyncio.to_thread(socket.wait_for, 2)

    with cam.frame(PICTURE):
        asyncio.run(main())
    _, video = socket.wait_for(2)
    assert is_covered(decoded(video["realtime_input"]["video"]["data"]))
    assert len(socket.paths) == 1
    assert cam.guard.ledger.verdicts() == ["deny", "redact"]


@pytest.mark.filterwarnings("ignore:Realtime music generation is experimental")
def test_the_tripwire_lets_a_session_for_music_be_opened(server, listening):
    socket, cam = listening
    socket.answer = lambda _: {"setupComplete": {}}

    async def main() -> None:
        client = speaking(socket)
        if not hasattr(client.aio.live, "music"):
            pytest.skip("this version makes no music")
        async with client.aio.live.music.connect(model="g") as session:
            with pytest.raises(errors.ClientError):
                await session.set_weighted_prompts(
                    prompts=[types.WeightedPrompt(text=f"as in data:image/png;base64,{PNG_TEXT} here", weight=1)]
                )
            await session.set_weighted_prompts(prompts=[types.WeightedPrompt(text="slow", weight=1)])
            await session.play()
            await asyncio.to_thread(socket.wait_for, 3)

    with cam.frame(PICTURE):
        asyncio.run(main())
    assert [next(iter(message)) for message in socket.wait_for(3)] == ["setup", "clientContent", "playbackControl"]
    assert cam.guard.ledger.verdicts() == ["deny"]


def test_a_live_session_past_its_hooks_is_refused_by_the_tripwire(server, listening):
    """As a hook that another tool took out would leave it, or the library's websocket used by itself."""
    socket, cam = listening
    guard.uninstall()
    tripwire.arm()

    async def main() -> None:
        async with speaking(socket).aio.live.connect(model="g", config={}):
            raise AssertionError("opened")

    with cam.frame(PICTURE), pytest.raises(guard.GuardFault):
        asyncio.run(main())
    assert (socket.paths, socket.messages) == ([], [])
    assert cam.guard.ledger.verdicts() == ["fault"]


def test_what_is_released_for_another_service_opens_no_live_session(server, listening):
    socket, cam = listening
    guard.uninstall()
    tripwire.arm()

    async def main() -> None:
        with Approval("openai", (None,), sealed=True):
            async with speaking(socket).aio.live.connect(model="g", config={}):
                raise AssertionError("opened")

    with cam.frame(PICTURE), pytest.raises(guard.GuardFault):
        asyncio.run(main())
    assert socket.paths == []


def test_a_request_that_only_reads_by_its_name_is_judged(server, city):
    """Google's servers take another method for a request from a header."""
    client = client_of(server)
    body = {"contents": [{"parts": [{"fileData": {"fileUri": "https://pictures.invalid/one.jpg"}}]}]}
    options = types.HttpOptions(headers={"X-HTTP-Method-Override": "POST"})
    with city.frame(PICTURE), pytest.raises(errors.ClientError):
        client._api_client.request("get", "models/g:generateContent", body, options)
    server.assert_untouched()
    assert city.guard.ledger.verdicts() == ["deny"]


def test_references_of_before_the_install_are_guarded(server, city):
    guard.uninstall()
    client = client_of(server)
    ways = [
        lambda: client.models.generate_content(model="g", contents=[far()]),
        lambda: client.chats.create(model="g").send_message([far()]),
        lambda: client._api_client.request("post", "models/g:generateContent", {"cachedContent": "c"}),
        lambda: list(client._api_client.request_streamed("post", "models/g:x", {"cachedContent": "c"})),
    ]
    stored = client.models.generate_content
    ways.append(lambda: stored(model="g", contents=[far()]))
    watch.add([THREADS, ADAPTER])
    for way in ways:
        with city.frame(PICTURE), pytest.raises(errors.ClientError):
            way()
    server.assert_untouched()
    assert city.guard.ledger.verdicts() == ["deny"] * len(ways)
