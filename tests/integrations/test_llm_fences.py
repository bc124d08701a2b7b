"""A call of a vision-language client is decided once, with every fence below it up."""

from __future__ import annotations

import asyncio
import importlib.util
import io
from typing import Any

import pytest

import guard
from guard.integrations.hosts import service_at
from guard.integrations.registry import chosen
from guard.integrations.threads import ADAPTER as THREADS
from guard.integrations.watching import watch
from tests.integrations.llm import CITY, PICTURE, PNG, PNG_TEXT, PNG_URL
from tests.integrations.loopback import Answer, Arrived, counting_server

NAMES = ["openai", "anthropic", "google-genai", "httpx", "httpx2", "aiohttp", "requests", "urllib3"]


def answer(request: Arrived) -> Answer:
    if request.path.startswith("/upload"):
        return Answer({}, headers={"x-goog-upload-url": f"http://{request.headers['Host']}/put"})
    if request.path.startswith("/put"):
        return Answer({"file": {"name": "files/1"}}, headers={"x-goog-upload-status": "final"})
    return Answer({"id": "x", "object": "thing", "data": [], "choices": [], "content": [], "candidates": []})


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("guard.guard._latest", None)
    with counting_server(answer) as counted:
        watch.add([THREADS, *chosen(NAMES).values()])
        yield counted
        guard.uninstall()


CHAT = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": PNG_URL}}]}]
SOURCE = {"type": "base64", "media_type": "image/png", "data": PNG_TEXT}


def openai_of(server: Any) -> Any:
    import openai

    return openai.OpenAI(base_url=server.url + "/v1", api_key="k")


def async_openai_of(server: Any) -> Any:
    import openai

    return openai.AsyncOpenAI(base_url=server.url + "/v1", api_key="k")


def anthropic_of(server: Any) -> Any:
    import anthropic

    return anthropic.Anthropic(base_url=server.url, api_key="k")


def google_of(server: Any) -> Any:
    from google import genai

    return genai.Client(api_key="k", http_options=genai.types.HttpOptions(base_url=server.url))


def chat(server: Any) -> None:
    with openai_of(server) as client:
        client.chat.completions.create(model="m", messages=CHAT)


def upload(server: Any) -> None:
    with openai_of(server) as client:
        client.files.create(file=("a.png", PNG), purpose="vision")


def chat_later(server: Any) -> None:
    async def main() -> None:
        async with async_openai_of(server) as client:
            await client.chat.completions.create(model="m", messages=CHAT)

    asyncio.run(main())


def message(server: Any) -> None:
    with anthropic_of(server) as client:
        content = [{"type": "image", "source": SOURCE}]
        client.messages.create(model="m", max_tokens=9, messages=[{"role": "user", "content": content}])


def generate(server: Any) -> None:
    from google.genai import types

    client = google_of(server)
    client.models.generate_content(model="g", contents=[types.Part.from_bytes(data=PNG, mime_type="image/png")])
    client.close()


def generate_later(server: Any) -> None:
    from google.genai import types

    async def main() -> None:
        client = google_of(server)
        part = types.Part.from_bytes(data=PNG, mime_type="image/png")
        await client.aio.models.generate_content(model="g", contents=[part])
        await client.aio.aclose()
        client.close()

    asyncio.run(main())


def upload_to_google(server: Any) -> None:
    client = google_of(server)
    client.files.upload(file=io.BytesIO(PNG), config={"mime_type": "image/png"})
    client.close()


CALLS = {
    "openai": (chat, "openai", "openai"),
    "openai, a file": (upload, "openai", "openai"),
    "openai, async": (chat_later, "openai", "openai"),
    "anthropic": (message, "anthropic", "anthropic"),
    "google": (generate, "google", "google.genai"),
    "google, async": (generate_later, "google", "google.genai"),
    "google, a file": (upload_to_google, "google", "google.genai"),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("intent", [None, "vlm_describe"])
@pytest.mark.parametrize(("call", "service", "library"), CALLS.values(), ids=CALLS.keys())
def test_one_decision_and_one_record(call, service, library, intent, server, make_guard):
    if importlib.util.find_spec(library.partition(".")[0]) is None:
        pytest.skip(f"{library} is not installed")
    pytest.importorskip(library)
    config = f'{CITY}\n[services]\n"{server.host}" = "{service}"\n'
    source = make_guard(config, packs=["us_san_francisco"]).source()
    with source.frame(PICTURE):
        if intent is None:
            call(server)
        else:
            with source.intent(intent):
                call(server)
    assert source.guard.ledger.verdicts() == ["redact"]
    assert server.requests in (1, 2)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_an_http_hook_puts_in_is_judged_by_the_fence(server, make_guard):
    openai = pytest.importorskip("openai")
    http = pytest.importorskip("httpx2" if "httpx2" in vars(openai._base_client) else "httpx")
    config = f'{CITY}\n[services]\n"{server.host}" = "openai"\n'
    source = make_guard(config, packs=["us_san_francisco"]).source()
    far = b'{"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x.y/z"}}]}]}'

    def late(request: Any) -> None:
        request.stream = http.ByteStream(far)
        request._content = far
        request.headers["Content-Length"] = str(len(far))

    client = openai.OpenAI(
        base_url=server.url + "/v1",
        api_key="k",
        http_client=http.Client(event_hooks={"request": [late]}),
        max_retries=0,
    )
    with client, source.frame(PICTURE), pytest.raises((guard.Denied, openai.APIError)):
        client.chat.completions.create(model="m", messages=CHAT)
    assert server.requests == 0
    assert source.guard.ledger.verdicts() == ["redact", "deny"]


HOSTS = {
    "https://api.openai.com/v1": ("openai", "openai"),
    "https://me.openai.azure.com/openai/v1": ("openai", "azure_openai"),
    "https://me.services.ai.azure.com/openai/v1": ("openai", "azure_openai"),
    "https://me.services.ai.azure.com/anthropic": ("anthropic", "anthropic"),
    "https://generativelanguage.googleapis.com/v1beta/openai": ("openai", "google"),
    "https://bedrock-runtime.us-east-1.amazonaws.com": ("anthropic", "anthropic"),
    "https://r-aiplatform.googleapis.com/v1": ("anthropic", "anthropic"),
    "http://127.0.0.1:8000/v1": ("openai", "openai"),
    "http://[broken": ("openai", "openai"),
}


@pytest.mark.parametrize(("url", "expected"), HOSTS.items(), ids=HOSTS.keys())
def test_a_known_host_is_what_it_is_whichever_client_speaks_to_it(url, expected):
    default, service = expected
    assert service_at(url, default) == service


def test_a_listed_host_is_what_the_deployment_says(make_guard):
    make_guard(f'{CITY}\n[services]\n"127.0.0.1:8000" = "self_hosted"\n"api.openai.com" = "other"\n')
    assert service_at("http://127.0.0.1:8000/v1", "openai") == "self_hosted"
    assert service_at("http://127.0.0.1:8001/v1", "openai") == "openai"
    assert service_at("https://api.openai.com/v1", "openai") == "other"
