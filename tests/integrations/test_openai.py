"""The openai library: a refused call sends nothing, a redacted one arrives with the faces covered."""

from __future__ import annotations

import asyncio
import copy
import functools
import io
import json
import pickle
import subprocess
import sys
import textwrap
import threading
from typing import Any

import pytest

import guard
from guard.integrations.openai import ADAPTER
from guard.integrations.threads import ADAPTER as THREADS
from guard.integrations.watching import watch
from guard.testing import FakeDetector
from tests.conftest import OFFICE
from tests.integrations.llm import JPEG, PATIENT, PICTURE, PNG, PNG_TEXT, PNG_URL, is_covered, is_untouched
from tests.integrations.loopback import Answer, Arrived, counting_server

openai = pytest.importorskip("openai", reason="the openai library is not installed")
pytestmark = pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")

SERVICES = OFFICE.replace("[services]\n", '[services]\n"HOST" = "self_hosted"\n')
COMPLETION = {
    "id": "c",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "a street"}}],
}


def answer(request: Arrived) -> Answer:
    if b'"stream":true' in request.body.replace(b" ", b""):
        chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": []}
        lines = f"data: {json.dumps(chunk)}\n\n" * 2 + "data: [DONE]\n\n"
        return Answer(lines.encode(), headers={"Content-Type": "text/event-stream"})
    if request.path.endswith("/chat/completions"):
        return Answer(COMPLETION)
    return Answer({"id": "x", "object": "thing", "data": [], "output": [], "created": 1})


@pytest.fixture(autouse=True)
def _hooks(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("guard.guard._latest", None)
    watch.add([THREADS, ADAPTER])
    yield
    guard.uninstall()


@pytest.fixture
def server():
    with counting_server(answer) as counted:
        yield counted
    for client in clients:
        client.close()
    clients.clear()


@pytest.fixture
def police(make_guard):
    return make_guard(PATIENT, packs=["microsoft_azure_openai_2024"]).source()


@pytest.fixture
def blind(make_guard):
    """A police source whose detector breaks."""
    return make_guard(
        packs=["microsoft_azure_openai_2024"], detector=FakeDetector(error=RuntimeError("no network"))
    ).source()


clients: list[Any] = []


def azure(server: Any, kind: Any = None, **options: Any) -> Any:
    return remembered(
        (kind or openai.AzureOpenAI), azure_endpoint=server.url, api_version="v", azure_deployment="d", **options
    )


def plain(server: Any, kind: Any = None, **options: Any) -> Any:
    return remembered(kind or openai.OpenAI, base_url=server.url + "/v1", **options)


def remembered(kind: Any, **options: Any) -> Any:
    client = kind(api_key="k", **options)
    if isinstance(client, openai.OpenAI):
        clients.append(client)
    return client


def messages(url: str = PNG_URL) -> list[dict[str, Any]]:
    return [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "what happens here?"},
                {"type": "image_url", "image_url": {"url": url}},
            ],
        }
    ]


def inputs(**picture: Any) -> list[dict[str, Any]]:
    return [
        {"role": "user", "content": [{"type": "input_image", "detail": "low", **(picture or {"image_url": PNG_URL})}]}
    ]


HTTPS = "https://pictures.example/one.jpg"
REFUSED = {
    "chat": lambda c: c.chat.completions.create(model="m", messages=messages(HTTPS)),
    "chat, streamed": lambda c: c.chat.completions.create(model="m", messages=messages(HTTPS), stream=True),
    "chat, stream helper": lambda c: c.chat.completions.stream(model="m", messages=messages(HTTPS)).__enter__(),
    "chat, parsed": lambda c: c.chat.completions.parse(model="m", messages=messages(HTTPS)),
    "chat, raw response": lambda c: c.chat.completions.with_raw_response.create(model="m", messages=messages(HTTPS)),
    "chat, streaming response": lambda c: c.chat.completions.with_streaming_response.create(
        model="m", messages=messages(HTTPS)
    ).__enter__(),
    "responses": lambda c: c.responses.create(model="m", input=inputs(image_url=HTTPS)),
    "responses, file id": lambda c: c.responses.create(model="m", input=inputs(file_id="file-1")),
    "responses, earlier one": lambda c: c.responses.create(model="m", input="and who?", previous_response_id="r"),
    "responses, extra body": lambda c: c.responses.create(
        model="m", input="x", extra_body={"input": inputs(image_url=HTTPS)}
    ),
    "images edit": lambda c: c.images.edit(model="m", image=("a.gif", b"GIF89a" + bytes([255] * 99)), prompt="x"),
    "images variation": lambda c: c.images.create_variation(image=b"GIF89a" + bytes([255] * 99)),
    "file": lambda c: c.files.create(file=("a.pdf", b"%PDF-1.4"), purpose="user_data"),
    "batch": lambda c: c.batches.create(input_file_id="f", endpoint="/v1/chat/completions", completion_window="24h"),
    "post": lambda c: c.post("/responses", body={"input": inputs(image_url=HTTPS)}, cast_to=object),
    "post, whole address": lambda c: c.post(
        str(c.base_url) + "chat/completions", body={"messages": messages(HTTPS)}, cast_to=object
    ),
    "put": lambda c: c.put("/anything", body={"messages": messages(HTTPS)}, cast_to=object),
    "moderations": lambda c: c.moderations.create(
        model="m", input=[{"type": "image_url", "image_url": {"url": HTTPS}}]
    ),
}


@pytest.mark.parametrize("call", REFUSED.values(), ids=REFUSED.keys())
def test_a_refused_call_sends_nothing_and_is_not_retried(call, server, police):
    with police.frame(PICTURE), pytest.raises(openai.PermissionDeniedError) as caught:
        call(azure(server))
    assert isinstance(caught.value, guard.Denied)
    server.assert_untouched()
    assert police.guard.ledger.verdicts() == ["deny"]


@pytest.mark.parametrize("call", REFUSED.values(), ids=REFUSED.keys())
def test_a_refused_call_of_the_async_client_sends_nothing(call, server, police):
    async def main() -> None:
        async with azure(server, openai.AsyncAzureOpenAI) as client:
            made = call(client)
            await (made.__aenter__() if hasattr(made, "__aenter__") else made)

    with_async = {
        REFUSED["chat, stream helper"]: lambda c: c.chat.completions.stream(model="m", messages=messages(HTTPS)),
        REFUSED["chat, streaming response"]: lambda c: c.chat.completions.with_streaming_response.create(
            model="m", messages=messages(HTTPS)
        ),
    }
    call = with_async.get(call, call)
    with police.frame(PICTURE), pytest.raises(openai.PermissionDeniedError) as caught:
        asyncio.run(main())
    assert isinstance(caught.value, guard.Denied)
    server.assert_untouched()
    assert police.guard.ledger.verdicts() == ["deny"]


def test_the_refusal_is_what_a_handler_of_the_library_expects(server, police):
    with police.frame(PICTURE), pytest.raises(openai.APIStatusError) as caught:
        azure(server).responses.create(model="m", input=inputs(image_url=HTTPS))
    error = caught.value
    assert (error.status_code, error.code, error.param) == (403, "face_policy_violation", None)
    assert error.response.status_code == 403
    assert error.response.json()["error"]["code"] == "face_policy_violation"
    assert "azure_openai" in error.message
    assert error.decision.verdict is guard.Verdict.DENY
    assert error.request_id is None
    assert type(pickle.loads(pickle.dumps(error))) is guard.Denied


def test_a_broken_guard_refuses_as_the_library_does(server, blind):
    with blind.frame(PICTURE), pytest.raises(openai.PermissionDeniedError) as caught:
        azure(server).chat.completions.create(model="m", messages=messages())
    assert isinstance(caught.value, guard.GuardFault)
    server.assert_untouched()


CARRIED = {
    "chat": (
        lambda c: c.chat.completions.create(model="m", messages=messages()),
        lambda body: body["messages"][0]["content"][1]["image_url"]["url"],
    ),
    "chat, streamed": (
        lambda c: list(c.chat.completions.create(model="m", messages=messages(), stream=True)),
        lambda body: body["messages"][0]["content"][1]["image_url"]["url"],
    ),
    "responses": (
        lambda c: c.responses.create(model="m", input=inputs()),
        lambda body: body["input"][0]["content"][0]["image_url"],
    ),
    "extra body": (
        lambda c: c.responses.create(model="m", input="x", extra_body={"input": inputs()}),
        lambda body: body["input"][0]["content"][0]["image_url"],
    ),
    "post": (
        lambda c: c.post("/responses", body={"input": inputs()}, cast_to=object),
        lambda body: body["input"][0]["content"][0]["image_url"],
    ),
}


@pytest.mark.parametrize(("call", "find"), CARRIED.values(), ids=CARRIED.keys())
def test_faces_are_covered_on_the_way(call, find, server, police):
    with police.frame(PICTURE):
        call(azure(server))
    assert server.requests == 1
    assert is_covered(find(server.arrived[0].json()))
    assert police.guard.ledger.verdicts() == ["redact"]


@pytest.mark.parametrize(("call", "find"), CARRIED.values(), ids=CARRIED.keys())
def test_what_shows_no_face_goes_out_as_it_is(call, find, server, make_guard):
    g = make_guard(PATIENT, detector=FakeDetector())
    with g.source().frame(PICTURE):
        call(azure(server))
    assert find(server.arrived[0].json()) == PNG_URL
    assert g.ledger.verdicts() == ["allow"]


def test_the_callers_objects_stay_as_they_were(server, police):
    given, extra = messages(), {"metadata": {"a": "b"}}
    before = copy.deepcopy((given, extra))
    with police.frame(PICTURE):
        azure(server).chat.completions.create(model="m", messages=given, extra_body=extra)
    assert (given, extra) == before
    assert server.arrived[0].json()["metadata"] == {"a": "b"}


def test_async_calls_are_covered_too(server, police):
    async def main() -> None:
        async with azure(server, openai.AsyncAzureOpenAI) as client:
            async for _ in await client.chat.completions.create(model="m", messages=messages(), stream=True):
                pass

    with police.frame(PICTURE):
        asyncio.run(main())
    assert server.requests == 1
    assert is_covered(server.arrived[0].json()["messages"][0]["content"][1]["image_url"]["url"])
    assert police.guard.ledger.verdicts() == ["redact"]


def test_a_call_that_carries_no_picture_is_not_touched(server, police):
    body = {"model": "m", "messages": [{"role": "user", "content": "who is at https://x.org/a.jpg?"}]}
    with police.frame(PICTURE):
        azure(server).chat.completions.create(**body)
        azure(server).post("/embeddings", body={"input": [PNG_TEXT]}, cast_to=object)
        azure(server).files.list()
    assert server.arrived[0].json() == body
    assert server.requests == 3
    assert police.guard.ledger.entries == []


def test_without_a_guard_a_picture_goes_nowhere_and_words_do(server):
    with pytest.raises(openai.PermissionDeniedError, match="no guard is loaded"):
        plain(server).chat.completions.create(model="m", messages=messages())
    server.assert_untouched()
    plain(server).chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}])
    assert server.requests == 1


def test_what_the_code_says_it_is_for_is_judged(server, police):
    with police.frame(PICTURE), police.intent("vlm_identify"), pytest.raises(openai.PermissionDeniedError):
        azure(server).chat.completions.create(model="m", messages=messages())
    server.assert_untouched()
    (entry,) = police.guard.ledger.entries
    assert (entry.decision.action, entry.decision.service) == ("vlm_identify", "azure_openai")


def test_the_service_is_the_client_s_or_what_the_deployment_says_of_the_host(server, make_guard):
    g = make_guard(SERVICES.replace("HOST", server.host))
    with g.source().frame(PICTURE):
        plain(server).chat.completions.create(model="m", messages=messages())
        azure(server).chat.completions.create(model="m", messages=messages())
    assert [(entry.decision.action, entry.decision.service) for entry in g.ledger.entries] == [
        ("vlm_describe", "self_hosted"),
        ("vlm_describe", "self_hosted"),
    ]
    other = make_guard(OFFICE, name="other.toml")
    with other.source().frame(PICTURE):
        plain(server).chat.completions.create(model="m", messages=messages())
    assert [(entry.decision.action, entry.decision.service) for entry in other.ledger.entries] == [(None, "openai")]


# ---- files


def parts_of(request: Arrived) -> dict[str, bytes]:
    import email.parser

    head = f"Content-Type: {request.headers['Content-Type']}\r\n\r\n".encode()
    message = email.parser.BytesParser().parsebytes(head + request.body)
    assert message.is_multipart()
    return {
        f"{part.get_param('name', header='content-disposition')}|{part.get_filename() or ''}": part.get_payload(
            decode=True
        )
        for part in message.get_payload()
    }


@pytest.mark.parametrize(
    "given",
    [
        lambda path: PNG,
        lambda path: ("face.png", PNG),
        lambda path: ("face.png", PNG, "image/png"),
        lambda path: io.BytesIO(PNG),
        lambda path: ("face.png", io.BytesIO(PNG)),
        lambda path: path,
    ],
    ids=["bytes", "named", "typed", "stream", "named stream", "path"],
)
def test_an_uploaded_picture_arrives_covered_under_its_own_name(given, server, police, tmp_path):
    path = tmp_path / "face.png"
    path.write_bytes(PNG)
    file = given(path)
    with police.frame(PICTURE):
        azure(server).files.create(file=file, purpose="vision")
    (request,) = server.arrived
    name = "face.png" if isinstance(file, tuple) or file is path else "upload"
    parts = parts_of(request)
    assert parts["purpose|"] == b"vision"
    assert is_covered(parts[f"file|{name}"])
    assert path.read_bytes() == PNG
    assert police.guard.ledger.verdicts() == ["redact"]


def test_several_pictures_to_be_edited_arrive_covered(server, police):
    with police.frame(PICTURE):
        azure(server).images.edit(model="m", image=[("a.png", PNG), ("b.png", PNG)], mask=PNG, prompt="x")
    body = server.arrived[0].body
    names = [line for line in body.split(b"\r\n") if b"filename" in line]
    assert len(names) == 3
    assert PNG not in body
    assert police.guard.ledger.verdicts() == ["redact"]


def test_a_stream_goes_out_from_where_it_stood(server, police):
    stream = io.BytesIO(b"leading" + PNG)
    stream.seek(7)
    with police.frame(PICTURE):
        azure(server).files.create(file=stream, purpose="vision")
    assert is_covered(parts_of(server.arrived[0])["file|upload"])
    assert stream.tell() == 7


def test_the_lines_of_a_batch_file_are_looked_at(server, police):
    line = {"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body": {"messages": messages()}}
    words = b'{"custom_id":   "2", "body": {"messages": []}}'
    with police.frame(PICTURE):
        azure(server).files.create(file=("b.jsonl", json.dumps(line).encode() + b"\n" + words), purpose="batch")
    first, second = parts_of(server.arrived[0])["file|b.jsonl"].split(b"\n")
    assert is_covered(json.loads(first)["body"]["messages"][0]["content"][1]["image_url"]["url"])
    assert second == words


def test_a_file_that_breaks_off_is_refused(server, police):
    with police.frame(PICTURE), pytest.raises(openai.PermissionDeniedError):
        azure(server).files.create(file=("a.jpg", JPEG[: len(JPEG) // 2]), purpose="vision")
    server.assert_untouched()


class Exhausted(io.RawIOBase):
    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        raise OSError("gone")


def test_a_file_that_cannot_be_read_is_refused_by_the_guard(server, police):
    with police.frame(PICTURE), pytest.raises(openai.PermissionDeniedError, match="gone") as caught:
        azure(server).files.create(file=("a.png", Exhausted()), purpose="vision")
    assert isinstance(caught.value, guard.GuardFault)
    server.assert_untouched()
    assert police.guard.ledger.verdicts() == ["fault"]


class OneWay(io.RawIOBase):
    """A stream that cannot go back, as a socket's."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def readall(self) -> bytes:
        data, self._data = self._data, b""
        return data


def test_a_stream_that_cannot_go_back_arrives_whole(server, police):
    with police.frame(PICTURE):
        azure(server).files.create(file=("notes.txt", OneWay(b"words")), purpose="assistants")
        azure(server).files.create(file=("a.png", OneWay(PNG)), purpose="vision")
    words, picture = server.arrived
    assert parts_of(words)["file|notes.txt"] == b"words"
    assert is_covered(parts_of(picture)["file|a.png"])
    assert police.guard.ledger.verdicts() == ["redact"]


# ---- ways around


def test_what_a_subclass_puts_in_on_the_way_is_another_call(server, police):
    class Late(openai.AzureOpenAI):
        def _prepare_options(self, options: Any) -> Any:
            options = super()._prepare_options(options)
            options.json_data = {**options.json_data, "messages": messages(HTTPS)}
            return options

    for given in ("words", messages()[0]["content"]):
        with police.frame(PICTURE), pytest.raises(openai.PermissionDeniedError):
            azure(server, Late).chat.completions.create(model="m", messages=[{"role": "user", "content": given}])
    server.assert_untouched()
    assert police.guard.ledger.verdicts() == ["deny", "redact", "deny"]


def test_references_of_before_the_install_are_guarded(server, police):
    guard.uninstall()
    client = azure(server)
    ways = {
        "method": client.chat.completions.create,
        "partial": functools.partial(client.chat.completions.create, model="m"),
        "post": lambda **body: client.post("/chat/completions", body=body, cast_to=object),
        "request": lambda **body: client.request(object, _options(body)),
        "built by hand": lambda **body: client._client.send(client._build_request(_options(body))),
        "class function": lambda **body: openai._base_client.SyncAPIClient.request(client, object, _options(body)),
        "copy": client.with_options(max_retries=5, timeout=3).chat.completions.create,
        "subclass": azure(server, type("Mine", (openai.AzureOpenAI,), {})).chat.completions.create,
    }
    watch.add([THREADS, ADAPTER])
    for name, way in ways.items():
        arguments = {"messages": messages(HTTPS)} | ({} if name == "partial" else {"model": "m"})
        with police.frame(PICTURE), pytest.raises(guard.Denied):
            way(**arguments)
        server.assert_untouched()
    assert police.guard.ledger.verdicts() == ["deny"] * len(ways)


def _options(body: Any) -> Any:
    from openai._models import FinalRequestOptions

    return FinalRequestOptions.construct(method="post", url="/chat/completions", json_data=body)


def test_a_subclass_that_overrides_request_is_guarded_where_it_calls_on(server, police):
    class Logged(openai.AzureOpenAI):
        def request(self, *args: Any, **kwargs: Any) -> Any:
            return super().request(*args, **kwargs)

    with police.frame(PICTURE), pytest.raises(guard.Denied):
        azure(server, Logged).chat.completions.create(model="m", messages=messages(HTTPS))
    server.assert_untouched()


def test_another_tool_s_wrapping_and_unwrapping_leaves_the_guard_in_place(server, police):
    import wrapt

    def tracing(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        return wrapped(*args, **kwargs)

    kind = openai._base_client.SyncAPIClient
    original = kind.request
    wrapt.wrap_function_wrapper("openai._base_client", "SyncAPIClient.request", tracing)
    with police.frame(PICTURE), pytest.raises(guard.Denied):
        azure(server).chat.completions.create(model="m", messages=messages(HTTPS))
    kind.request = kind.request.__wrapped__
    assert kind.request is original
    with police.frame(PICTURE), pytest.raises(guard.Denied):
        azure(server).chat.completions.create(model="m", messages=messages(HTTPS))
    server.assert_untouched()
    assert {item.state for item in guard.verify()} == {"guarded"}


def test_a_hook_that_was_overwritten_is_put_back(server, police):
    kind = openai._base_client.SyncAPIClient
    mine = kind.request

    def straight(self: Any, *args: Any, **kwargs: Any) -> Any:
        return None

    kind.request = straight
    try:
        guard.verify()
        with police.frame(PICTURE), pytest.raises(guard.Denied):
            azure(server).chat.completions.create(model="m", messages=messages(HTTPS))
    finally:
        guard.uninstall()
        kind.request = mine
    server.assert_untouched()


def test_threads_and_pools_are_guarded(server, police):
    client = azure(server)
    caught: list[BaseException] = []

    def work() -> None:
        try:
            client.chat.completions.create(model="m", messages=messages(HTTPS))
        except guard.Denied as error:
            caught.append(error)

    with police.frame(PICTURE):
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    outside = threading.Thread(target=work)
    outside.start()
    outside.join()
    assert [error.decision.source for error in caught] == ["bodycam"] * 4 + [None]
    server.assert_untouched()


def test_sources_do_not_mix_between_tasks_of_one_client(server, make_guard):
    office = OFFICE.replace('id = "door"', 'id = "door"\nmax_age_s = 60')
    office = make_guard(office, name="o.toml", detector=FakeDetector()).source()
    police = make_guard(PATIENT, name="p.toml").source()

    async def one(client: Any, source: Any) -> None:
        with source.frame(PICTURE):
            await client.chat.completions.create(model="m", messages=messages(), user=source.id)

    async def main() -> None:
        async with azure(server, openai.AsyncAzureOpenAI) as client:
            await asyncio.gather(*(one(client, source) for source in [office, police] * 8))

    asyncio.run(main())
    sent = [request.json() for request in server.arrived]
    covered = {"door": [], "bodycam": []}
    for body in sent:
        covered[body["user"]].append(is_covered(body["messages"][0]["content"][1]["image_url"]["url"]))
    assert covered == {"door": [False] * 8, "bodycam": [True] * 8}


def test_a_retry_after_a_failure_sends_the_same_judged_picture(server, police):
    seen: list[int] = []

    def flaky(request: Arrived) -> Answer:
        seen.append(1)
        return Answer({}, 503, {"Retry-After-Ms": "1"}) if len(seen) < 3 else Answer(COMPLETION)

    server.answer = flaky
    with police.frame(PICTURE):
        azure(server, max_retries=3).chat.completions.create(model="m", messages=messages())
    urls = [request.json()["messages"][0]["content"][1]["image_url"]["url"] for request in server.arrived]
    assert len(urls) == 3
    assert len(set(urls)) == 1
    assert is_covered(urls[0])
    assert police.guard.ledger.verdicts() == ["redact"]


def test_a_redirect_carries_what_was_judged(server, police):
    with counting_server(Answer(COMPLETION)) as other:
        server.answer = Answer({}, 307, {"Location": other.url + "/v1/chat/completions"})
        with police.frame(PICTURE):
            azure(server).chat.completions.create(model="m", messages=messages())
        assert is_covered(other.arrived[0].json()["messages"][0]["content"][1]["image_url"]["url"])
    assert police.guard.ledger.verdicts() == ["redact"]


def test_a_message_of_the_library_s_own_kind_is_read(server, police):
    earlier = openai.types.chat.ChatCompletion.model_validate(COMPLETION).choices[0].message
    with police.frame(PICTURE):
        azure(server).chat.completions.create(model="m", messages=[*messages(), earlier])
        azure(server).post("/chat/completions", body={"messages": [*messages(), earlier]}, cast_to=object)
    for request in server.arrived:
        assert request.json()["messages"][1]["content"] == "a street"
        assert is_covered(request.json()["messages"][0]["content"][1]["image_url"]["url"])


def test_before_and_after_the_import_and_after_a_reload(server, tmp_path):
    (tmp_path / "guard.toml").write_text(__import__("tests.conftest", fromlist=["POLICE"]).POLICE)
    code = textwrap.dedent("""
        import sys
        {first}
        {second}
        guard.load(sys.argv[1], ledger=guard.testing.MemoryLedger(), detector=guard.testing.FakeDetector())
        client = openai.AzureOpenAI(azure_endpoint=sys.argv[2], api_key="k", api_version="v", azure_deployment="d")
        try:
            client.responses.create(model="m", input="x", previous_response_id="r")
        except openai.PermissionDeniedError as error:
            print(isinstance(error, guard.Denied))
    """)
    loads = ("import guard, guard.testing; guard.install('openai')", "import openai")
    reloads = (f"{loads[0]}; {loads[1]}", "import importlib; importlib.reload(openai._base_client)")
    for first, second in (loads, loads[::-1], reloads):
        done = subprocess.run(
            [sys.executable, "-c", code.format(first=first, second=second), tmp_path / "guard.toml", server.url],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stdout.split() == ["True"], done.stderr
    server.assert_untouched()


def test_uninstall_gives_the_library_back(server):
    guard.uninstall()
    plain(server).chat.completions.create(model="m", messages=messages())
    assert is_untouched(server.arrived[0].json()["messages"][0]["content"][1]["image_url"]["url"])
