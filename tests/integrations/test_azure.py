"""azure-core: Azure Face, AI Vision and models behind Azure, in every way to call them."""

from __future__ import annotations

import asyncio
import base64
import gzip
import importlib
import json
import pickle
import re
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
import numpy as np
import pytest

import guard
from guard.integrations.azure import ADAPTER
from guard.integrations.watching import watch
from guard.testing import FakeDetector
from tests.conftest import BOX
from tests.integrations.deployments import OFFICE, POLICE
from tests.integrations.loopback import Answer, CountingServer, counting_server

core = pytest.importorskip("azure.core", reason="needs azure-core")
pytest.importorskip("requests", reason="azure-core's transport")
from azure.core import AsyncPipelineClient, PipelineClient  # noqa: E402
from azure.core.exceptions import HttpResponseError  # noqa: E402
from azure.core.pipeline import Pipeline, PipelineRequest  # noqa: E402
from azure.core.pipeline import policies as core_policies  # noqa: E402
from azure.core.pipeline.transport import HttpRequest as OldRequest  # noqa: E402
from azure.core.pipeline.transport import RequestsTransport  # noqa: E402
from azure.core.rest import HttpRequest  # noqa: E402

NO_APPROVAL = OFFICE[: OFFICE.index("[[source.evidence]]")]
FACE = "c5c24a82-6845-4031-9d5d-978df9175426"
CHAT = "/openai/deployments/gpt/chat/completions?api-version=2024-10-21"

FACE_CALLS = {
    "identify": ("POST", "/identify", {"faceIds": [FACE], "largePersonGroupId": "staff"}),
    "verify": ("POST", "/verify", {"faceId1": FACE, "faceId2": FACE}),
    "verify a person": ("POST", "/verify", {"faceId": FACE, "personId": "p", "largePersonGroupId": "staff"}),
    "find similar": ("POST", "/findsimilars", {"faceId": FACE, "largeFaceListId": "staff"}),
    "group": ("POST", "/group", {"faceIds": [FACE]}),
    "detect for comparison": ("POST", "/detect?returnFaceId=true", {"url": "https://example.com/a.jpg"}),
    "detect, left to the service": ("POST", "/detect", {"url": "https://example.com/a.jpg"}),
    "person": ("POST", "/largepersongroups/staff/persons", {"name": "somebody"}),
    "person's name": ("PATCH", "/largepersongroups/staff/persons/p", {"name": "somebody"}),
    "face": ("POST", "/largepersongroups/staff/persons/p/persistedfaces", {"url": "https://example.com/a.jpg"}),
    "face of a list": ("POST", "/largefacelists/staff/persistedfaces", {"url": "https://example.com/a.jpg"}),
    "training": ("POST", "/largepersongroups/staff/train", None),
    "members": ("PATCH", "/dynamicpersongroups/staff", {"addPersonIds": ["p"]}),
    "liveness": ("POST", "/detectLivenessWithVerify-sessions", {"livenessOperationMode": "Passive"}),
    "result of liveness": ("GET", "/detectLivenessWithVerify/singleModal/sessions/s", None),
    "not known": ("POST", "/compareEverybody", {"faceIds": [FACE]}),
    "a body that is read": ("GET", "/identify", {"faceIds": [FACE]}),
    "another method on top": ("GET", "/identify?override", None),
    "detour": ("POST", "/./largefacelists/../identify", {"faceIds": [FACE]}),
    "capitals": ("POST", "/IDENTIFY", {"faceIds": [FACE], "largePersonGroupId": "staff"}),
    "escaped": ("POST", "/%69dentify", {"faceIds": [FACE], "largePersonGroupId": "staff"}),
}

HARMLESS_CALLS = [
    ("GET", "/face/v1.2/largepersongroups"),
    ("GET", "/face/v1.2/largepersongroups/staff/persons/p"),
    ("DELETE", "/face/v1.2/largepersongroups/staff/persons/p/persistedfaces/f"),
    ("DELETE", "/face/v1.2/detectLivenessWithVerify-sessions/s"),
    ("PUT", "/face/v1.2/largefacelists/staff"),
    ("GET", "/openai/deployments/gpt"),
    ("POST", "/contentsafety/image:analyze"),
    ("POST", "/some/other/service"),
]


@pytest.fixture(autouse=True)
def _clean(monkeypatch):
    monkeypatch.setattr("guard.guard._latest", None)
    yield
    guard.uninstall()


@pytest.fixture
def server():
    with counting_server() as service:
        yield service


@pytest.fixture
def client(server) -> Iterator[Any]:
    """Made before the guard is installed."""
    retrying = core_policies.RetryPolicy(retry_total=3, retry_backoff_factor=0)
    made = PipelineClient(server.url, policies=[core_policies.CustomHookPolicy(), retrying])
    watch.add([ADAPTER])
    yield made
    made.close()


@pytest.fixture
def png(picture) -> bytes:
    return cv2.imencode(".png", picture)[1].tobytes()


def send(client: Any, method: str, path: str, body: Any = None, **more: Any) -> Any:
    given = {"content": body} if isinstance(body, bytes) else {"json": body} if body is not None else {}
    if path.endswith("?override"):
        more["headers"] = {"X-HTTP-Method-Override": "POST"}
    return client.send_request(HttpRequest(method, client._base_url + path, **given, **more))


def identify(client: Any) -> Any:
    method, path, body = FACE_CALLS["identify"]
    return send(client, method, f"/face/v1.2{path}", body)


# ---- Azure Face


def test_police_reach_azure_face_with_nothing_and_an_office_may(client, server, make_guard, picture):
    police, office = make_guard(POLICE), make_guard(OFFICE, name="office.toml")
    for name, (method, path, body) in FACE_CALLS.items():
        server.clear()
        with police.source().frame(picture), pytest.raises(HttpResponseError) as caught:
            send(client, method, f"/face/v1.2{path}", body)
        assert isinstance(caught.value, guard.Denied), name
        assert server.requests == 0, name
        with office.source().frame(picture):
            send(client, method, f"/face/v1.2{path}", body)
        assert server.requests == 1, name
    assert police.ledger.verdicts() == ["deny"] * len(FACE_CALLS)
    assert office.ledger.verdicts() == ["allow"] * len(FACE_CALLS)


def test_without_microsoft_s_approval_a_template_is_not_made_and_a_face_may_be_detected(
    client, server, make_guard, picture, png
):
    g = make_guard(NO_APPROVAL)
    with g.source().frame(picture):
        for query in ("", "?returnFaceId=true", "?returnFaceId=TRUE", "?returnFaceId=false&returnFaceId=true"):
            with pytest.raises(guard.Denied):
                send(client, "POST", f"/face/v1.0/detect{query}", png)
        server.assert_untouched()
        send(client, "POST", "/face/v1.0/detect?returnFaceId=false&returnFaceAttributes=blur,mask", png)
    assert (server.requests, server.bodies) == (1, [png])
    assert g.ledger.entries[-1].decision.action == "detect"


def test_an_intent_says_what_a_template_is_for_and_hides_no_emotion(client, server, make_guard, picture, png):
    g = make_guard(OFFICE)
    door = g.source()
    with door.frame(picture), door.intent("verify"):
        send(client, "POST", "/face/v1.0/detect", png)
        with pytest.raises(guard.Denied) as caught:
            send(client, "POST", "/face/v1.0/detect?returnFaceAttributes=age,emotion", png)
    assert [entry.decision.action for entry in g.ledger.entries] == ["verify", "emotion"]
    assert caught.value.decision.reasons[0].rule == "MS-FACE.attributes"
    assert server.requests == 1


def test_deleting_listing_and_other_services_pass_unrecorded(client, server, make_guard):
    g = make_guard(POLICE)
    for number, (method, path) in enumerate(HARMLESS_CALLS, 1):
        send(client, method, path, {"name": "x"} if method == "PUT" else None)
        assert (server.requests, g.ledger.entries) == (number, []), path


def test_a_refusal_reads_as_azure_s_own(client, make_guard, picture):
    with make_guard(POLICE).source().frame(picture), pytest.raises(HttpResponseError) as caught:
        identify(client)
    denied = caught.value
    assert isinstance(denied, guard.Denied)
    assert (denied.status_code, denied.reason, denied.response) == (403, "Forbidden", None)
    assert denied.error.code == "FacePolicyViolation"
    assert "MS-FACE.us-police" in denied.message
    assert "MS-FACE.us-police" in str(denied)
    assert type(pickle.loads(pickle.dumps(denied))) is guard.Denied


# ---- ways to call


def ways(client: Any) -> dict[str, Callable[[], Any]]:
    method, path, body = FACE_CALLS["identify"]
    url = client._base_url + f"/face/v1.2{path}"

    def request() -> Any:
        return HttpRequest(method, url, json=body)

    def old() -> Any:
        made = OldRequest(method, url)
        made.set_json_body(body)
        return made

    run, send_request = client._pipeline.run, client.send_request
    hooked = PipelineRequest(request(), core.pipeline.PipelineContext(client._pipeline._transport))
    return {
        "client": lambda: send_request(request()),
        "pipeline": lambda: run(request()),
        "older request": lambda: run(old()),
        "base class's": lambda: Pipeline.run(client._pipeline, request()),
        "subclass": lambda: type("Mine", (Pipeline,), {})(client._pipeline._transport).run(request()),
        "no policies": lambda: Pipeline(client._pipeline._transport).run(request()),
        "last step": lambda: client._pipeline._impl_policies[-1].next.send(hooked),
        "transport": lambda: client._pipeline._transport.send(request()),
        "a raw request hook": lambda: client._pipeline.run(request(), raw_request_hook=lambda pipeline_request: None),
    }


def test_no_way_to_call_gets_past(client, server, make_guard, picture):
    client._pipeline._transport.open()
    with make_guard(POLICE).source().frame(picture):
        for name, way in ways(client).items():
            with pytest.raises(guard.Denied):
                print(name, way())
            server.assert_untouched()


def test_an_allowed_call_goes_out_once_whichever_way(client, server, make_guard, picture):
    g = make_guard(OFFICE)
    with g.source().frame(picture):
        for number, (name, way) in enumerate(ways(client).items(), 1):
            way()
            assert (server.requests, len(g.ledger.entries)) == (number, number), name
    assert all(request.json() == FACE_CALLS["identify"][2] for request in server.arrived)


def test_azure_core_imported_later_is_guarded():
    code = """
        import sys, guard
        from guard.integrations.watching import watch
        from guard.integrations.azure import ADAPTER
        watch.add([ADAPTER])
        assert not any(name == "azure" or name.startswith("azure.") for name in sys.modules)
        from azure.core import PipelineClient
        from azure.core.exceptions import HttpResponseError
        from azure.core.rest import HttpRequest
        from tests.integrations.loopback import counting_server
        with counting_server() as server, PipelineClient(server.url, policies=[]) as client:
            try:
                client.send_request(HttpRequest("POST", server.url + "/face/v1.2/identify", json={"faceIds": ["x"]}))
            except guard.GuardFault as fault:
                assert isinstance(fault, HttpResponseError) and fault.status_code == 403
                server.assert_untouched()
                print("refused:", fault)
    """
    root = __file__.rpartition("/tests/")[0]
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, cwd=root)
    assert done.stdout.startswith("refused: azure_face.identify was refused: no guard is loaded"), done.stderr


def test_a_denial_of_a_request_that_may_be_repeated_is_not_retried(client, server, make_guard, picture):
    g = make_guard(POLICE)
    with g.source().frame(picture), pytest.raises(guard.Denied):
        send(client, *("GET", "/face/v1.2/detectLivenessWithVerify-sessions/s"))
    with g.source().frame(picture), pytest.raises(guard.Denied):
        client._pipeline._transport.send(HttpRequest("POST", f"{server.url}/face/v1.2/identify", json={}))
    assert g.ledger.verdicts() == ["deny", "deny"]
    server.assert_untouched()


def test_a_released_call_is_judged_once_however_often_it_is_retried(client, server, make_guard, picture):
    answers = [Answer(status=503), Answer(status=503), Answer()]
    server.answer = lambda request: answers.pop(0)
    g = make_guard(OFFICE)
    with g.source().frame(picture):
        send(client, "GET", "/face/v1.2/detectLivenessWithVerify-sessions/s")
    assert (server.requests, g.ledger.verdicts()) == (3, ["allow"])


class Turning(core_policies.SansIOHTTPPolicy):
    """A policy of the caller's that makes another request of it."""

    def __init__(self, turn: Callable[[Any], None]) -> None:
        self.turn = turn

    def on_request(self, request: Any) -> None:
        self.turn(request.http_request)


def turned(server: CountingServer, turn: Callable[[Any], None]) -> Any:
    policies = [core_policies.RetryPolicy(retry_total=3, retry_backoff_factor=0), Turning(turn)]
    return PipelineClient(server.url, policies=policies)


def test_a_request_that_a_policy_turns_into_another_is_judged_anew_and_not_retried(server, make_guard, picture):
    watch.add([ADAPTER])
    g = make_guard(NO_APPROVAL)

    def turn(request: Any) -> None:
        request.url = request.url.replace("returnFaceId=false", "returnFaceId=true")

    with turned(server, turn) as client, g.source().frame(picture):
        for path in ("/face/v1.2/detect?returnFaceId=false", "/face/v1.2/detectLiveness-sessions?returnFaceId=false"):
            client_call = HttpRequest("POST", server.url + path, json={"url": "https://example.com/a.jpg"})
            if "detect?" not in path:
                client.send_request(client_call)
                continue
            with pytest.raises(guard.Denied):
                client.send_request(client_call)
            server.assert_untouched()


def test_a_harmless_request_that_a_policy_turns_into_a_search_is_judged(server, make_guard, picture):
    watch.add([ADAPTER])

    def turn(request: Any) -> None:
        request.url = f"{server.url}/face/v1.2/identify"

    with turned(server, turn) as client, make_guard(POLICE).source().frame(picture):
        for path in ("/face/v1.2/largepersongroups", "/other"):
            with pytest.raises(guard.Denied):
                send(client, "POST", path, {"faceIds": [FACE]})
    server.assert_untouched()


def test_a_redirect_to_a_search_is_judged(server, make_guard, picture):
    watch.add([ADAPTER])
    server.answer = Answer(status=307, headers={"Location": f"{server.url}/face/v1.2/identify"})
    policies = [core_policies.RedirectPolicy(), core_policies.RetryPolicy(retry_total=2, retry_backoff_factor=0)]
    with PipelineClient(server.url, policies=policies) as client:
        police = make_guard(POLICE)
        with police.source().frame(picture), pytest.raises(guard.Denied):
            send(client, "POST", "/harmless", {"faceIds": [FACE]})
        assert police.ledger.verdicts() == ["deny"]
    assert [request.path for request in server.arrived] == ["/harmless"]


def test_another_tool_s_wrapping_and_unwrapping_changes_nothing(client, server, make_guard, picture):
    wrapt = pytest.importorskip("wrapt")
    wrapt.wrap_function_wrapper("azure.core.pipeline._base", "Pipeline.run", lambda f, self, args, kw: f(*args, **kw))
    with make_guard(POLICE).source().frame(picture):
        with pytest.raises(guard.Denied):
            identify(client)
        Pipeline.run = Pipeline.run.__wrapped__
        with pytest.raises(guard.Denied):
            identify(client)
    server.assert_untouched()


@pytest.fixture
def reloaded():
    """The module as it is after a reload; what the reload replaced is put back at the end."""
    module = sys.modules["azure.core.pipeline._base"]
    before = dict(vars(module))
    yield lambda: importlib.reload(module)
    vars(module).update(before)


def test_a_reloaded_module_is_guarded(client, server, make_guard, picture, reloaded):
    again = reloaded()
    assert again.Pipeline is not Pipeline
    with make_guard(POLICE).source().frame(picture):
        for run in (client._pipeline.run, again.Pipeline(RequestsTransport()).run):
            with pytest.raises(guard.Denied):
                run(HttpRequest("POST", f"{server.url}/face/v1.2/identify", json={"faceIds": [FACE]}))
    server.assert_untouched()


def test_threads_of_several_sources_are_judged_apart(client, server, make_guard, picture):
    office, police = make_guard(OFFICE, name="o.toml").source(), make_guard(POLICE).source()

    def work(number: int) -> list[bool]:
        source = office if number % 2 else police
        reached = []
        for _ in range(5):
            with source.frame(picture):
                try:
                    identify(client)
                    reached.append(True)
                except guard.Denied:
                    reached.append(False)
        return reached

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(work, range(6))) == [[False] * 5, [True] * 5] * 3
    assert server.requests == 15


def test_an_endpoint_that_is_declared_counts_as_what_is_declared(client, server, make_guard, picture, png):
    g = make_guard(f'{POLICE}\n[services]\n"{server.host}" = "self_hosted"\n')
    with g.source().frame(picture):
        identify(client)
        send(client, "POST", CHAT, chat(png))
    judged = [(entry.decision.action, entry.decision.service) for entry in g.ledger.entries]
    assert judged == [("identify", "self_hosted"), ("vlm_describe", "self_hosted")]


def test_a_call_is_decided_once_with_the_fences_below_it(client, server, make_guard, picture, png):
    guard.install()
    face = make_guard(f'{OFFICE.strip()}\n"{server.host}" = "azure_face"\n')
    with face.source().frame(picture):
        identify(client)
    model = make_guard(f'{POLICE}\n[services]\n"{server.host}" = "azure_openai"\n', name="p.toml")
    with model.source().frame(picture):
        send(client, "POST", CHAT, chat(png))
        with pytest.raises(guard.Denied):
            identify(client)
    assert server.requests == 2
    assert face.ledger.verdicts() == ["allow"]
    assert model.ledger.verdicts() == ["redact", "deny"]
    assert_face_is_covered(picture_of(server.bodies[1]), picture)


# ---- models and pictures


def chat(data: bytes, kind: str = "png") -> dict[str, Any]:
    url = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    content = [{"type": "text", "text": "who is this?"}, {"type": "image_url", "image_url": {"url": url}}]
    return {"messages": [{"role": "user", "content": content}]}


def picture_of(body: bytes) -> bytes:
    (text,) = re.findall(rb"data:image/[a-z]+;base64,([A-Za-z0-9+/=]+)", body)
    return base64.b64decode(text)


def assert_face_is_covered(data: bytes, picture: np.ndarray) -> None:
    arrived = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    left, top, right, bottom = BOX
    assert arrived.shape == picture.shape
    assert (arrived[top:bottom, left:right] != picture[top:bottom, left:right]).mean() > 0.9
    assert (arrived[-10:, -30:] == picture[-10:, -30:]).all()


def stream_of(data: bytes) -> Iterator[bytes]:
    yield data[:100]
    yield data[100:]


class File:
    def __init__(self, data: bytes) -> None:
        import io

        self._file = io.BytesIO(data)
        self.read, self.seek, self.tell, self.seekable = (
            self._file.read,
            self._file.seek,
            self._file.tell,
            self._file.seekable,
        )


@pytest.mark.parametrize("kind", ["json", "text", "bytes", "generator", "file"])
def test_a_picture_for_a_model_goes_out_with_its_faces_covered(client, server, make_guard, picture, png, kind):
    body = chat(png)
    text = json.dumps(body)
    given: dict[str, Any] = {
        "json": {"json": body},
        "text": {"content": text},
        "bytes": {"content": text.encode()},
        "generator": {"content": stream_of(text.encode())},
        "file": {"content": File(text.encode())},
    }[kind]
    request = HttpRequest("POST", server.url + CHAT, headers={"Content-Type": "application/json"}, **given)
    g = make_guard(POLICE)
    before = request.content
    with g.source().frame(picture):
        client.send_request(request)
    (arrived,) = server.arrived
    data = picture_of(arrived.body)
    assert data.startswith(b"\x89PNG")
    assert_face_is_covered(data, picture)
    assert arrived.json()["messages"][0]["content"][0] == body["messages"][0]["content"][0]
    assert g.ledger.verdicts() == ["redact"]
    assert g.ledger.entries[0].decision.service == "azure_openai"
    assert request.content is before
    assert body == chat(png)


def test_a_picture_without_faces_goes_out_as_it_is(client, server, make_guard, picture, png):
    g = make_guard(POLICE, detector=FakeDetector())
    request = HttpRequest("POST", server.url + CHAT, json=chat(png))
    with g.source().frame(picture):
        client.send_request(request)
    assert g.ledger.verdicts() == ["allow"]
    assert server.bodies == [request.content.encode()]


def test_a_conversation_in_words_passes_unrecorded(client, server, make_guard):
    g = make_guard(POLICE)
    send(client, "POST", CHAT, {"messages": [{"role": "user", "content": "see https://example.com/a.jpg"}]})
    assert (server.requests, g.ledger.entries) == (1, [])


@pytest.mark.parametrize("what", ["address", "compressed", "damaged", "twice", "form"])
def test_what_cannot_be_looked_at_is_not_handed_to_a_model(client, server, make_guard, picture, png, what):
    text = json.dumps(chat(png)).encode()
    headers = {"Content-Type": "application/json"}
    given: dict[str, Any] = {
        "address": {"content": re.sub(rb"data:[^\"]+", b"https://example.com/a.jpg", text)},
        "compressed": {"content": gzip.compress(text, mtime=0)},
        "damaged": {"content": text[:-1]},
        "twice": {"content": b'{"messages": [],' + text[1:]},
        "form": {"files": {"image": png}},
    }[what]
    if what == "compressed":
        headers["Content-Encoding"] = "gzip"
    with make_guard(POLICE).source().frame(picture), pytest.raises(guard.Denied):
        client.send_request(HttpRequest("POST", server.url + CHAT, headers=headers, **given))
    server.assert_untouched()


def test_pictures_that_are_stored_go_where_they_are_sent(make_guard, picture, png):
    """The account's own storage is no model, whatever its folders are called."""
    watch.add([ADAPTER])
    sent = []

    class Kept(RequestsTransport):
        def send(self, request: Any, **kwargs: Any) -> Any:
            sent.append(request.content)
            return None

    make_guard(POLICE)
    url = "https://account.blob.core.windows.net/openai/deployments/face/v1.2/detect"
    Pipeline(Kept()).run(HttpRequest("PUT", url, content=png))
    assert sent == [png]


VISION = "/computervision/imageanalysis:analyze?api-version=2024-02-01&features="


def test_a_described_picture_is_covered_and_its_tags_are_no_description(client, server, make_guard, picture, png):
    g = make_guard(POLICE)
    with g.source().frame(picture):
        send(client, "POST", f"{VISION}tags,read,people", png)
        assert (server.bodies, g.ledger.entries) == ([png], [])
        send(client, "POST", f"{VISION}tags,caption", png)
        with pytest.raises(guard.Denied):
            send(client, "POST", f"{VISION}caption", {"url": "https://example.com/a.jpg"})
    assert_face_is_covered(server.bodies[1], picture)
    assert g.ledger.verdicts() == ["redact", "deny"]
    assert {entry.decision.service for entry in g.ledger.entries} == {"microsoft_ai"}


@pytest.mark.parametrize(
    "path", ["/vision/v3.2/models/celebrities/analyze", "/vision/v3.2/analyze?visualFeatures=Tags&details=Celebrities"]
)
def test_celebrities_are_not_recognised(client, server, make_guard, picture, png, path):
    with make_guard(OFFICE).source().frame(picture), pytest.raises(guard.Denied) as caught:
        send(client, "POST", path, png)
    assert caught.value.decision.action == "identify"
    server.assert_untouched()


def test_a_request_that_cannot_be_read_is_refused_and_recorded(client, server, make_guard, picture, monkeypatch):
    def broken(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("no idea")

    monkeypatch.setattr("guard.integrations.translations.azure_face.translate", broken)
    g = make_guard(OFFICE)
    with g.source().frame(picture), pytest.raises(guard.GuardFault, match="no idea"):
        identify(client)
    assert g.ledger.verdicts() == ["fault"]
    server.assert_untouched()


# ---- asynchronous


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


# ---- the clients that stand on it


def test_the_face_client_is_guarded(server, make_guard, picture, png):
    face = pytest.importorskip("azure.ai.vision.face", reason="needs azure-ai-vision-face")
    from azure.core.credentials import AzureKeyCredential

    server.answer = Answer([])
    police, office = make_guard(POLICE), make_guard(OFFICE, name="o.toml")
    with face.FaceClient(server.url, AzureKeyCredential("k")) as client:
        detect = client.detect
        watch.add([ADAPTER])
        models = {"detection_model": "detection_03", "recognition_model": "recognition_04"}
        with police.source().frame(picture):
            for returned in (True, False):
                with pytest.raises(guard.Denied):
                    detect(png, return_face_id=returned, **models)
            with pytest.raises(HttpResponseError):
                client.find_similar(face_id=FACE, face_ids=[FACE])
        server.assert_untouched()
        with office.source().frame(picture):
            detect(png, return_face_id=True, **models)
            client.group(face_ids=[FACE, FACE])
    assert server.bodies[0] == png
    assert (server.requests, office.ledger.verdicts()) == (2, ["allow", "allow"])


def test_the_inference_client_is_guarded(server, make_guard, picture, png):
    inference = pytest.importorskip("azure.ai.inference", reason="needs azure-ai-inference")
    from azure.core.credentials import AzureKeyCredential

    usage = {"completion_tokens": 1, "prompt_tokens": 1, "total_tokens": 2}
    server.answer = Answer({"choices": [], "created": 1, "id": "x", "model": "m", "usage": usage})
    g = make_guard(POLICE)
    with inference.ChatCompletionsClient(server.url, AzureKeyCredential("k")) as client:
        watch.add([ADAPTER])
        with g.source().frame(picture):
            client.complete(messages=chat(png)["messages"])
    assert_face_is_covered(picture_of(server.bodies[0]), picture)
    assert g.ledger.verdicts() == ["redact"]


def test_the_image_analysis_client_is_guarded(server, make_guard, picture, png):
    analysis = pytest.importorskip("azure.ai.vision.imageanalysis", reason="needs azure-ai-vision-imageanalysis")
    from azure.core.credentials import AzureKeyCredential

    server.answer = Answer({"metadata": {"width": 1, "height": 1}, "modelVersion": "1"})
    g = make_guard(POLICE)
    with analysis.ImageAnalysisClient(server.url, AzureKeyCredential("k")) as client:
        watch.add([ADAPTER])
        with g.source().frame(picture):
            client.analyze(png, visual_features=["CAPTION"])
            client.analyze(png, visual_features=["TAGS"])
    assert_face_is_covered(server.bodies[0], picture)
    assert server.bodies[1] == png
    assert g.ledger.verdicts() == ["redact"]
