"""Ways around the second fence that were tried: each is refused with nothing sent, or stands in the threat model."""

from __future__ import annotations

import asyncio
import base64
import functools
import http.client
import io
import json
import pickle
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wrapt

import guard
from guard.integrations.watching import watch
from tests.conftest import OFFICE, SCENE
from tests.integrations.loopback import Answer, CountingServer, counting_server
from tests.integrations.setting_up import cleaned, serving
from tests.integrations.test_rest import JSON, chat, covered, face_where_it_is_bright, png
from tests.integrations.test_rest import police as police

FACES = b'{"faceIds": ["x"], "personGroupId": "g"}'


_clean = cleaned()
server = serving(Answer({"ok": True}))


def install(*names: str) -> None:
    import importlib

    watch.add([importlib.import_module(f"guard.integrations.{name}").ADAPTER for name in names])


def frame(g: guard.Guard) -> Any:
    return g.source().frame(SCENE)


def identify(server: CountingServer) -> str:
    return server.url + "/face/v1.2/identify"


# ---- requests and urllib3


@pytest.fixture
def requests() -> Any:
    return pytest.importorskip("requests", reason="requests is not installed")


@pytest.fixture
def urllib3() -> Any:
    return pytest.importorskip("urllib3", reason="urllib3 is not installed")


def ways_of_requests(requests: Any, server: CountingServer) -> dict[str, Any]:
    """As a program holds them that was started before the guard was installed."""
    session = requests.Session()
    prepared = session.prepare_request(requests.Request("POST", identify(server), json=json.loads(FACES)))

    class Mine(requests.Session):
        def send(self, request: Any, **kwargs: Any) -> Any:
            return super().send(request, **kwargs)

    return {
        "post": functools.partial(requests.post, identify(server), data=FACES),
        "session post": functools.partial(session.post, identify(server), data=FACES),
        "send": functools.partial(session.send, prepared),
        "unpickled": functools.partial(pickle.loads(pickle.dumps(session)).post, identify(server), data=FACES),
        "subclass": functools.partial(Mine().post, identify(server), data=FACES),
        "adapter": functools.partial(session.get_adapter(server.url).send, prepared),
        "files": functools.partial(requests.post, server.url + "/face/v1.2/identify", files={"a": png()}),
        "file": functools.partial(requests.post, server.url + "/face/v1.2/identify", data=io.BytesIO(FACES)),
    }


def test_references_of_requests_handed_out_before(requests, server, police):
    ways = ways_of_requests(requests, server)
    install("requests", "urllib3")
    g = police("azure_face")
    for name, call in ways.items():
        with frame(g), pytest.raises(guard.Denied):
            call()
        server.assert_untouched()
        assert g.ledger.verdicts() == ["deny"], name
        g.ledger.entries.clear()


def test_connections_used_without_their_pool(urllib3, server, police):
    install("urllib3", "http_client")
    g = police("azure_face")
    host, _, port = server.host.partition(":")
    pool = urllib3.HTTPConnectionPool(host, int(port))
    headers = {"Content-Type": "application/json"}
    ways = {
        "connection": lambda: urllib3.connection.HTTPConnection(host, int(port)).request(
            "POST", "/face/v1.2/identify", body=FACES, headers=headers
        ),
        "pool's connection": lambda: pool._get_conn().request(
            "POST", "/face/v1.2/identify", body=FACES, headers=headers
        ),
        "_make_request": lambda: pool._make_request(
            pool._get_conn(), "POST", "/face/v1.2/identify", body=FACES, headers=headers
        ),
        "standard library": lambda: http.client.HTTPConnection(host, int(port)).request(
            "POST", "/face/v1.2/identify", body=FACES.decode(), headers=headers
        ),
    }
    for name, call in ways.items():
        with frame(g), pytest.raises(guard.Denied):
            call()
        assert server.requests == 0, name
        assert server.bytes == 0, name
    assert g.ledger.verdicts() == ["deny"] * len(ways)


def test_a_tunnel_through_a_proxy_is_judged_by_its_end(server, police):
    install("http_client")
    g = police("azure_openai")
    with counting_server() as proxy, frame(g):
        host, _, port = proxy.host.partition(":")
        connection = http.client.HTTPConnection(host, int(port))
        connection.set_tunnel("x.cognitiveservices.azure.com", 443)
        with pytest.raises(guard.Denied):
            connection.request("POST", "/face/v1.2/findsimilars", body=FACES)
        proxy.assert_untouched()


def test_retries_that_were_asked_for_are_not_made(requests, urllib3, server, police):
    install("requests", "urllib3")
    g = police("azure_face")
    retry = urllib3.Retry(total=5, connect=5, read=5, other=5, status=5, allowed_methods=None, backoff_factor=0.01)
    session = requests.Session()
    session.mount("http://", requests.adapters.HTTPAdapter(max_retries=retry))
    with frame(g), pytest.raises(guard.Denied):
        session.post(identify(server), data=FACES)
    with frame(g), pytest.raises(guard.Denied), urllib3.PoolManager(retries=retry) as pool:
        pool.request("POST", identify(server), body=FACES)
    server.assert_untouched()
    assert g.ledger.verdicts() == ["deny", "deny"]


def test_requests_over_urllib3_leaves_one_record_and_retries_are_part_of_it(requests, urllib3, server, police):
    install("requests", "urllib3")
    g = police("azure_face", OFFICE)
    server.answer = lambda arrived: Answer({}, 503 if server.requests < 3 else 200)
    retry = urllib3.Retry(total=3, status_forcelist=[503], allowed_methods=None, backoff_factor=0.01)
    with requests.Session() as session, frame(g):
        session.mount("http://", requests.adapters.HTTPAdapter(max_retries=retry))
        assert session.post(identify(server), data=FACES).status_code == 200
    assert server.requests == 3
    assert g.ledger.verdicts() == ["allow"]


def test_a_connection_kept_alive_carries_no_forbidden_call(requests, server, police, make_guard):
    install("requests", "urllib3")
    g = police("azure_face")
    with requests.Session() as session:
        assert session.get(server.url + "/face/v1.2/facelists").status_code == 200
        before = (server.connections, server.bytes)
        with frame(g), pytest.raises(guard.Denied):
            session.post(identify(server), data=FACES)
    assert (server.connections, server.bytes) == before


def test_a_proxy_is_not_reached_by_what_is_denied_and_sees_the_redacted_picture(requests, urllib3, server, police):
    install("requests", "urllib3")
    g = police("azure_openai")
    with counting_server() as proxy, frame(g):
        named = {"http": proxy.url}
        bad = chat(png(0)).replace(b"data:image/png;base64,", b"https://example.invalid/")
        with pytest.raises(guard.Denied):
            requests.post(server.url + "/v1/chat/completions", data=bad, headers=JSON, proxies=named)
        with urllib3.ProxyManager(proxy.url) as through, pytest.raises(guard.Denied):
            through.request("POST", server.url + "/v1/chat/completions", body=bad, headers=JSON)
        proxy.assert_untouched()
        requests.post(server.url + "/v1/chat/completions", data=chat(png()), headers=JSON, proxies=named)
        with urllib3.ProxyManager(proxy.url) as through:
            through.request("POST", server.url + "/v1/chat/completions", body=chat(png()), headers=JSON)
        for arrived in proxy.arrived:
            assert arrived.path == server.url + "/v1/chat/completions"
            covered(picture_in(arrived.body))
    server.assert_untouched()
    assert g.ledger.verdicts() == ["deny", "deny", "redact", "redact"]


def picture_in(body: bytes) -> bytes:
    return base64.b64decode(json.loads(body)["messages"][0]["content"][0]["image_url"]["url"].partition(",")[2])


def test_the_caller_s_prepared_request_stays_as_it_was(requests, server, police):
    install("requests")
    g = police("azure_openai")
    prepared = requests.Request("POST", server.url + "/v1/chat/completions", data=chat(png()), headers=JSON).prepare()
    before = (prepared.body, dict(prepared.headers))
    with frame(g), requests.Session() as session:
        session.send(prepared)
        assert (prepared.body, dict(prepared.headers)) == before
        session.send(prepared)
    assert [picture_in(body) != png() for body in server.bodies] == [True, True]


def test_a_session_s_own_authentication_and_hooks_see_what_was_judged(requests, server, police):
    install("requests", "urllib3")
    g = police("azure_openai")
    seen = []

    def answered(response: Any, **_: Any) -> None:
        seen.append(response.request.body)

    with frame(g):
        requests.post(server.url + "/v1/chat/completions", data=chat(png()), headers=JSON, hooks={"response": answered})
    assert seen == server.bodies
    covered(picture_in(seen[0]))


def test_a_hook_that_sends_another_picture_inside_of_a_released_call(requests, server, police):
    install("requests", "urllib3")
    g = police("azure_openai")
    url = server.url + "/v1/chat/completions"

    def answered(response: Any, **_: Any) -> None:
        requests.post(url, data=chat(png()), headers=JSON)

    with frame(g):
        requests.post(url, data=chat(png(0)), headers=JSON, hooks={"response": answered})
    assert server.requests == 2
    covered(picture_in(server.bodies[1]))
    assert g.ledger.verdicts() == ["allow", "redact"]


def test_another_tool_s_wrapping_and_unwrapping_leaves_the_hooks_in_place(requests, urllib3, server, police):
    """As OpenTelemetry's instrumentors do it."""
    install("requests", "urllib3")
    g = police("azure_face")
    for owner, name in ((requests.Session, "send"), (urllib3.connectionpool.HTTPConnectionPool, "urlopen")):
        wrapt.wrap_function_wrapper(owner, name, lambda wrapped, instance, args, kwargs: wrapped(*args, **kwargs))
        assert {coverage.state for coverage in guard.verify()} == {"guarded"}
        with frame(g), pytest.raises(guard.Denied):
            requests.post(identify(server), data=FACES)
        setattr(owner, name, getattr(owner, name).__wrapped__)
        with frame(g), pytest.raises(guard.Denied):
            requests.post(identify(server), data=FACES)
    server.assert_untouched()


@pytest.mark.parametrize("library", ["requests", "urllib3", "httpx", "httpx2", "aiohttp"])
@pytest.mark.parametrize("before", [True, False], ids=["imported before", "imported later"])
def test_the_order_of_import_does_not_matter(library, before, tmp_path):
    pytest.importorskip(library, reason=f"{library} is not installed")
    (tmp_path / "guard.toml").write_text(OFFICE)
    code = textwrap.dedent(f"""
        import sys
        {"import " + library if before else ""}
        import guard
        from guard.integrations.watching import watch
        from guard.integrations.{library} import ADAPTER
        watch.add([ADAPTER])
        assert {before} == ({library!r} in sys.modules)
        from tests.integrations.rest import client
        from tests.integrations.loopback import counting_server
        with counting_server() as server:
            got = client({library!r}).send(
                "POST", server.url, headers={{"X-Amz-Target": "RekognitionService.SearchFacesByImage"}}, body=b"{{}}"
            )
            server.assert_untouched()
        print(type(got.refusal).__mro__[1].__name__ if got.status else type(got.refusal).__name__)
    """)
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=root, timeout=60, check=False
    )
    assert done.stdout.split() == ["GuardFault"], done.stderr  # no guard is loaded there


# ---- httpx and httpx2


@pytest.fixture(params=["httpx", "httpx2"])
def httpx(request) -> Any:
    made = pytest.importorskip(request.param, reason=f"{request.param} is not installed")
    install(request.param)
    return made


def test_a_refusal_of_httpx_is_a_403_and_raises_the_guard_s_and_the_library_s_error(httpx, server, police):
    g = police("azure_face")
    with frame(g), httpx.Client() as session:
        answer = session.post(identify(server), content=FACES)
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "face_policy_violation"
    assert answer.json()["__type"] == "AccessDeniedException"
    assert answer.headers["x-should-retry"] == "false"
    with pytest.raises(httpx.HTTPStatusError) as caught:
        answer.raise_for_status()
    assert isinstance(caught.value, guard.Denied)
    assert caught.value.response is answer
    assert caught.value.request.url == identify(server)
    assert type(pickle.loads(pickle.dumps(caught.value))) is guard.Denied
    server.assert_untouched()


def test_a_refusal_of_httpx_keeps_no_picture(httpx, server, police):
    g = police("azure_face")
    with frame(g), httpx.Client() as session:
        answer = session.post(identify(server), content=FACES)
        other = session.post(identify(server), content=FACES)
    assert answer.extensions["guard"].__traceback__ is None  # its frames hold what was to be sent
    other.headers["x"] = "changed"
    assert "x" not in answer.headers
    assert answer.text == other.text
    assert answer.is_closed


def test_streams_of_httpx(httpx, server, police):
    g = police("azure_face")

    async def later() -> int:
        async with httpx.AsyncClient() as session, session.stream("POST", identify(server), content=FACES) as answer:
            assert b"face_policy_violation" in await answer.aread()
            return answer.status_code

    with frame(g):
        with httpx.Client() as session, session.stream("POST", identify(server), content=FACES) as answer:
            assert b"face_policy_violation" in answer.read()
            assert answer.status_code == 403
        assert asyncio.run(later()) == 403
    server.assert_untouched()


def test_a_transport_used_by_itself_raises(httpx, server, police):
    g = police("azure_face")
    request = httpx.Request("POST", identify(server), content=FACES)

    async def later() -> None:
        async with httpx.AsyncHTTPTransport() as transport:
            await transport.handle_async_request(request)

    with frame(g):
        with pytest.raises(guard.Denied), httpx.HTTPTransport(retries=3) as transport:
            transport.handle_request(request)
        with pytest.raises(guard.Denied):
            asyncio.run(later())
    server.assert_untouched()


def test_a_picture_swapped_by_an_event_hook_or_by_authentication_is_what_is_judged(httpx, server, police):
    g = police("azure_openai")

    class Swap(httpx.Auth):
        def auth_flow(self, request: Any) -> Any:
            yield httpx.Request("POST", request.url, content=chat(png()), headers=JSON)

    with frame(g), httpx.Client() as session:
        session.post(server.url + "/v1/chat/completions", content=chat(png(0)), headers=JSON, auth=Swap())
    covered(picture_in(server.bodies[0]))


def test_a_retrying_transport_is_not_reached(httpx, server, police):
    g = police("azure_face")
    tries = []

    class Retrying(httpx.BaseTransport):
        def handle_request(self, request: Any) -> Any:
            tries.append(request)
            raise AssertionError

    with frame(g), httpx.Client(transport=Retrying()) as session:
        assert session.post(identify(server), content=FACES).status_code == 403
    assert tries == []
    assert g.ledger.verdicts() == ["deny"]


def test_files_of_httpx_are_looked_at(httpx, server, police):
    g = police("azure_openai")
    with frame(g), httpx.Client() as session:
        answer = session.post(server.url + "/v1/images/edits", data={"prompt": "hats"}, files={"image": png()})
    assert answer.status_code == 200, answer.text
    assert b'name="prompt"' in server.bodies[0]
    assert png() not in server.bodies[0]
    assert g.ledger.verdicts() == ["redact"]


def test_a_stored_client_and_its_bound_methods(httpx, server, police):
    guard.uninstall()
    session = httpx.Client()
    post, send = session.post, session._send_single_request
    request = session.build_request("POST", identify(server), content=FACES)
    install(httpx.__name__)
    g = police("azure_face")
    with frame(g):
        assert post(identify(server), content=FACES).status_code == 403
        assert send(request).status_code == 403
    session.close()
    server.assert_untouched()


# ---- aiohttp


@pytest.fixture
def aiohttp() -> Any:
    made = pytest.importorskip("aiohttp", reason="aiohttp is not installed")
    install("aiohttp")
    return made


def run_aiohttp(aiohttp: Any, call: Any, **options: Any) -> Any:
    async def main() -> Any:
        async with aiohttp.ClientSession(**options) as session:
            return await call(session)

    return asyncio.run(main())


def forms(aiohttp: Any) -> dict[str, Any]:
    def form() -> Any:
        made = aiohttp.FormData()
        made.add_field("prompt", "hats")
        made.add_field("image", png(), filename="i.png", content_type="image/png")
        return {"data": made}

    def file() -> Any:
        made = aiohttp.FormData()
        made.add_field("image", io.BytesIO(png()), filename="i.png", content_type="image/png")
        return {"data": made}

    return {
        "form": ("/v1/images/edits", form),
        "file in a form": ("/v1/images/edits", file),
        "json": ("/v1/chat/completions", lambda: {"json": json.loads(chat(png()))}),
        "bytes": ("/v1/chat/completions", lambda: {"data": chat(png()), "headers": JSON}),
        "file": ("/v1/chat/completions", lambda: {"data": io.BytesIO(chat(png())), "headers": JSON}),
    }


@pytest.mark.parametrize("kind", ["form", "file in a form", "json", "bytes", "file"])
def test_every_body_of_aiohttp_is_looked_at(aiohttp, server, police, kind):
    path, options = forms(aiohttp)[kind]
    g = police("azure_openai")

    async def call(session: Any) -> int:
        async with session.post(server.url + path, **options()) as answer:
            return answer.status

    with frame(g):
        assert run_aiohttp(aiohttp, call) == 200
    (body,) = server.bodies
    assert png() not in body
    assert base64.b64encode(png()) not in body
    assert int(server.arrived[0].headers["Content-Length"]) == len(body)
    assert g.ledger.verdicts() == ["redact"]


def test_a_body_of_aiohttp_that_was_read_is_sent_whole_where_nothing_is_to_judge(aiohttp, server, police):
    g = police("azure_openai")

    async def call(session: Any) -> int:
        data = io.BytesIO(b'{"messages": []}')
        async with session.post(server.url + "/v1/chat/completions", data=data, headers=JSON) as answer:
            return answer.status

    assert run_aiohttp(aiohttp, call) == 200
    assert server.bodies == [b'{"messages": []}']
    assert g.ledger.verdicts() == []


def test_a_websocket_to_a_known_service_is_unknown(aiohttp, server, police):
    g = police("azure_openai")

    async def call(session: Any) -> None:
        async with session.ws_connect(server.url.replace("http", "ws") + "/openai/realtime?model=m"):
            pass

    with frame(g), pytest.raises(guard.Denied):
        run_aiohttp(aiohttp, call)
    server.assert_untouched()
    assert g.ledger.entries[0].decision.faces is None


def test_a_middleware_that_swaps_the_picture_is_judged_after(aiohttp, server, police):
    if not hasattr(aiohttp, "ClientHandlerType"):
        pytest.skip("middlewares came with aiohttp 3.12")
    g = police("azure_openai")

    async def swap(request: Any, handler: Any) -> Any:
        await request.update_body(chat(png()))
        return await handler(request)

    async def call(session: Any) -> int:
        async with session.post(
            server.url + "/v1/chat/completions", json=json.loads(chat(png(0))), middlewares=(swap,)
        ) as answer:
            return answer.status

    with frame(g):
        assert run_aiohttp(aiohttp, call) == 200
    covered(picture_in(server.bodies[0]))


def test_sessions_of_aiohttp_handed_out_before_and_used_at_the_same_time(aiohttp, server, make_guard, police):
    guard.uninstall()

    async def main() -> list[Any]:
        async with aiohttp.ClientSession() as session:
            post = session.post
            install("aiohttp")
            denied, allowed = (
                police("azure_face"),
                make_guard(
                    OFFICE.replace("[[source]]", "[[source]]\nmax_age_s = 60.0").replace(
                        "[services]", f'[services]\n"{server.host}" = "azure_face"'
                    ),
                    name="office.toml",
                ),
            )

            async def one(g: Any) -> Any:
                with frame(g):
                    try:
                        async with post(identify(server), data=FACES) as answer:
                            return answer.status
                    except guard.Denied:
                        return "denied"

            return await asyncio.gather(*(one(g) for g in (denied, allowed) * 10))

    assert asyncio.run(main()) == ["denied", 200] * 10
    assert server.requests == 10


def test_the_detector_s_faces_decide_for_each_picture(aiohttp, server, police):
    """Two pictures in one request, one of them with a face: the other goes out as it came."""
    g = police("azure_openai")
    body = json.loads(chat(png()))
    body["messages"] += json.loads(chat(png(0)))["messages"]

    async def call(session: Any) -> int:
        async with session.post(server.url + "/v1/chat/completions", json=body) as answer:
            return answer.status

    assert face_where_it_is_bright(np.full((4, 4), 255))
    with frame(g):
        assert run_aiohttp(aiohttp, call) == 200
    arrived = server.arrived[0].json()["messages"]
    assert arrived[1] == body["messages"][1]
    assert arrived[0] != body["messages"][0]
