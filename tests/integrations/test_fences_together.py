"""With every adapter installed and the tripwire armed: one call of an SDK, one decision, one record, one request."""

from __future__ import annotations

import asyncio
import base64
import importlib
from typing import Any

import pytest

import guard
from guard.testing import FakeDetector
from tests.conftest import OFFICE, POLICE, SCENE
from tests.integrations.loopback import Answer, CountingServer
from tests.integrations.setting_up import cleaned, serving
from tests.integrations.test_rest import face_where_it_is_bright, png, url_of

_clean = cleaned()
server = serving(Answer({"ok": True}))


def listed(text: str, server: CountingServer, service: str) -> str:
    """The SDKs are imported inside the frame, which takes its time."""
    text = text.replace("[[source]]", "[[source]]\nmax_age_s = 60.0").partition("[services]")[0]
    return text + f'\n[services]\n"{server.host}" = "{service}"\n'


def needed(name: str) -> Any:
    return pytest.importorskip(name, reason=f"{name} is not installed")


MESSAGES = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url_of(png())}}]}]
CLAUDE = [
    {
        "role": "user",
        "content": [
            {
                "type": "image",
                "source": {"type": "base64", "media_type": "image/png", "data": base64.b64encode(png()).decode()},
            }
        ],
    }
]


def openai_call(server: CountingServer) -> None:
    with needed("openai").OpenAI(base_url=server.url + "/v1", api_key="k", max_retries=2) as client:
        client.chat.completions.create(model="m", messages=MESSAGES)


def openai_async(server: CountingServer) -> None:
    async def run() -> None:
        async with needed("openai").AsyncOpenAI(base_url=server.url + "/v1", api_key="k", max_retries=2) as client:
            await client.chat.completions.create(model="m", messages=MESSAGES)

    asyncio.run(run())


def anthropic_call(server: CountingServer) -> None:
    with needed("anthropic").Anthropic(base_url=server.url, api_key="k", max_retries=2) as client:
        client.messages.create(model="m", max_tokens=5, messages=CLAUDE)


def anthropic_async(server: CountingServer) -> None:
    async def run() -> None:
        async with needed("anthropic").AsyncAnthropic(base_url=server.url, api_key="k", max_retries=2) as client:
            await client.messages.create(model="m", max_tokens=5, messages=CLAUDE)

    asyncio.run(run())


def _genai(server: CountingServer) -> Any:
    needed("google.genai")
    genai = importlib.import_module("google.genai")
    client = genai.Client(api_key="k", http_options={"base_url": server.url})
    part = genai.types.Part.from_bytes(data=png(), mime_type="image/png")
    return client, part


def genai_call(server: CountingServer) -> None:
    client, part = _genai(server)
    client.models.generate_content(model="m", contents=[part])


def genai_async(server: CountingServer) -> None:
    client, part = _genai(server)

    async def run() -> None:
        await client.aio.models.generate_content(model="m", contents=[part])
        await client.aio.aclose() if hasattr(client.aio, "aclose") else None

    asyncio.run(run())


MODELS = {
    "openai": (openai_call, "azure_openai"),
    "openai async": (openai_async, "azure_openai"),
    "anthropic": (anthropic_call, "azure_openai"),
    "anthropic async": (anthropic_async, "azure_openai"),
    "google-genai": (genai_call, "azure_openai"),
    "google-genai async": (genai_async, "azure_openai"),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("intent", [None, "vlm_describe"])
def test_a_call_to_a_model_is_decided_once(make_guard, server, name, intent):
    call, service = MODELS[name]
    g = make_guard(listed(POLICE, server, service), detector=FakeDetector(face_where_it_is_bright))
    guard.install(tripwire=True)
    source = g.source()
    with source.frame(SCENE):
        if intent is None:
            call(server)
        else:
            with source.intent(intent):
                call(server)
    assert g.ledger.verdicts() == ["redact"]
    assert server.requests == 1
    assert base64.b64encode(png()) not in server.bodies[0]


def _boto3(server: CountingServer) -> Any:
    return needed("boto3").client(
        "rekognition",
        endpoint_url=server.url,
        region_name="us-east-1",
        aws_access_key_id="a",
        aws_secret_access_key="b",
    )


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("text", [POLICE, OFFICE], ids=["denied", "allowed"])
def test_a_call_of_boto3_is_decided_once(make_guard, server, text):
    g = make_guard(listed(text, server, "rekognition_compare"))
    guard.install(tripwire=True)
    client = _boto3(server)
    with g.source().frame(SCENE):
        try:
            client.search_faces_by_image(CollectionId="c", Image={"Bytes": png()})
        except guard.Denied:
            server.assert_untouched()
        else:
            assert server.requests == 1
        client.detect_labels(Image={"Bytes": png()})
    assert len(g.ledger.entries) == 1
