"""Ways around the guard with the openai library: none sends a byte."""

from __future__ import annotations

import asyncio
import collections
import contextvars
import copy
import functools
import io
import json
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
from tests.integrations.llm import PATIENT, PICTURE, PNG_URL, is_covered, is_untouched
from tests.integrations.loopback import Answer, Arrived, counting_server
from tests.integrations.openai_calls import COMPLETION, HTTPS, answer, azure, clients, messages, plain
from tests.integrations.setting_up import hooked, judged_for, serving

openai = pytest.importorskip("openai", reason="the openai library is not installed")
pytestmark = pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")


_hooks = hooked(ADAPTER)
server = serving(answer, clients)
police = judged_for(PATIENT, "microsoft_azure_openai_2024")


TEXT = json.dumps({"messages": messages(HTTPS)})
TWICE = TEXT.replace('"messages"', '"messages": [], "messages"', 1)
ODD = {
    "an iterator of messages": lambda c: c.chat.completions.create(model="m", messages=iter(messages(HTTPS))),
    "a mapping of another kind": lambda c: c.chat.completions.create(
        model="m", messages=[collections.UserDict(messages(HTTPS)[0])]
    ),
    "a tuple": lambda c: c.chat.completions.create(model="m", messages=tuple(messages(HTTPS))),
    "a body in bytes": lambda c: c.post("/x", cast_to=object, content=TEXT.encode()),
    "a body in UTF-16": lambda c: c.post("/x", cast_to=object, content=TEXT.encode("utf-16")),
    "a body with a byte order mark": lambda c: c.post("/x", cast_to=object, content=TEXT.encode("utf-8-sig")),
    "a stream": lambda c: c.post("/x", cast_to=object, content=io.BytesIO(TEXT.encode())),
    "a key given twice": lambda c: c.post("/x", cast_to=object, content=TWICE.encode()),
    "a body that comes in pieces": lambda c: c.post("/x", cast_to=object, content=(x for x in [TEXT.encode()])),
    "a DELETE with a body": lambda c: c.delete("/x", cast_to=object, body={"messages": messages(HTTPS)}),
    "a picture inside of a prompt": lambda c: c.completions.create(model="m", prompt=PNG_URL + " who?"),
    "a video that breaks off": lambda c: c.post(
        "/videos", cast_to=object, body={"prompt": "x"}, files=[("input_reference", ("a.mp4", MP4))]
    ),
    "a piece of an upload": lambda c: c.uploads.parts.create("u", data=b"abc"),
    "a thread": lambda c: c.post("/threads/t/runs", cast_to=object, body={"assistant_id": "a"}),
    "a tuning": lambda c: c.fine_tuning.jobs.create(model="m", training_file="f"),
}
MP4 = b"\0\0\0\x18ftypmp42" + bytes(50)


@pytest.mark.parametrize("call", ODD.values(), ids=ODD.keys())
def test_odd_ways_to_send_a_picture_send_nothing(call, server, police):
    try:
        with police.frame(PICTURE), pytest.raises(openai.PermissionDeniedError):
            call(azure(server))
    except TypeError as error:
        pytest.skip(f"openai {openai.__version__}: {error}")
    server.assert_untouched()
    assert police.guard.ledger.verdicts() in (["deny"], ["fault"])


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


def test_clients_that_are_copied_or_wired_anew_send_nothing(server, police):
    """Before and after the install; whatever sends underneath."""
    http = sys.modules["httpx2" if "httpx2" in vars(openai._base_client) else "httpx"]

    class Sending(http.BaseTransport):
        """A transport of the caller's own."""

        def handle_request(self, request: Any) -> Any:
            sent.append(request)
            raise AssertionError("sent")

    def exchanged(client: Any) -> Any:
        client._client = http.Client(transport=Sending(), base_url=server.url)
        return client

    def with_itself_bound_again(client: Any) -> Any:
        client.request = functools.partial(openai._base_client.SyncAPIClient.request, client)
        client.post = functools.partial(openai._base_client.SyncAPIClient.post, client)
        return client

    sent: list[Any] = []
    makers = {
        "shallow": lambda: copy.copy(azure(server)),
        "with another transport": lambda: azure(server).with_options(http_client=http.Client(transport=Sending())),
        "of its own transport": lambda: azure(server, http_client=http.Client(transport=Sending())),
        "mounted": lambda: azure(server, http_client=http.Client(mounts={"all://": Sending()})),
        "exchanged": lambda: exchanged(azure(server)),
        "bound again": lambda: with_itself_bound_again(azure(server)),
    }
    guard.uninstall()
    early = {f"{name}, before": make() for name, make in makers.items()}
    stored = {name: client.chat.completions.with_raw_response.create for name, client in early.items()}
    watch.add([THREADS, ADAPTER])
    late = {name: make() for name, make in makers.items()}
    ways = {**stored, **{name: client.chat.completions.create for name, client in late.items()}}
    for name, way in ways.items():
        with police.frame(PICTURE), pytest.raises(guard.Denied):
            print(name, way(model="m", messages=messages(HTTPS)))
        server.assert_untouched()
    assert sent == []
    assert police.guard.ledger.verdicts() == ["deny"] * len(ways)


def test_a_request_that_only_reads_by_its_name_is_judged(server, police):
    client = azure(server)
    with police.frame(PICTURE), pytest.raises(guard.Denied):
        client.request(object, _options({"messages": messages(HTTPS)}, "get"))
    server.assert_untouched()
    client.get("/models", cast_to=object)
    assert (server.requests, police.guard.ledger.verdicts()) == (1, ["deny"])


def test_a_context_of_a_call_that_is_over_releases_nothing(server, make_guard):
    """A picture that was let through may have to be covered by the time that it is sent again."""
    kept: list[contextvars.Context] = []

    class Late(openai.AzureOpenAI):
        def _prepare_options(self, options: Any) -> Any:
            kept.append(contextvars.copy_context())
            return super()._prepare_options(options)

    g = make_guard(PATIENT, packs=["microsoft_azure_openai_2024"], detector=FakeDetector())
    with g.source().frame(PICTURE):
        client = azure(server, Late)
        client.chat.completions.create(model="m", messages=messages())
        kept[0].run(client._build_request, _options({"messages": messages()}))
    assert g.ledger.verdicts() == ["allow", "allow"]


def _options(body: Any, method: str = "post") -> Any:
    from openai._models import FinalRequestOptions

    return FinalRequestOptions.construct(method=method, url="/chat/completions", json_data=body)


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
