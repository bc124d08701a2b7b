"""azure-core: every way to make a call, and what is done to it on its way."""

from __future__ import annotations

import copy
import importlib
import subprocess
import sys
import textwrap
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import guard
from guard.integrations.azure import ADAPTER
from guard.integrations.watching import watch
from tests.integrations.azure_core.calls import (
    CHAT,
    FACE,
    FACE_CALLS,
    NO_APPROVAL,
    assert_face_is_covered,
    chat,
    identify,
    picture_of,
    send,
)
from tests.integrations.deployments import OFFICE, POLICE
from tests.integrations.loopback import Answer, CountingServer

core = pytest.importorskip("azure.core", reason="needs azure-core")
pytest.importorskip("requests", reason="azure-core's transport")
from azure.core import PipelineClient  # noqa: E402
from azure.core.pipeline import Pipeline, PipelineRequest  # noqa: E402
from azure.core.pipeline import policies as core_policies  # noqa: E402
from azure.core.pipeline.transport import HttpRequest as OldRequest  # noqa: E402
from azure.core.pipeline.transport import RequestsTransport  # noqa: E402
from azure.core.rest import HttpRequest  # noqa: E402


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


def test_a_header_that_makes_another_method_of_it_is_judged_anew(server, make_guard, picture):
    watch.add([ADAPTER])

    def turn(request: Any) -> None:
        request.headers["X-HTTP-Method-Override"] = "POST"

    with turned(server, turn) as client, make_guard(POLICE).source().frame(picture), pytest.raises(guard.Denied):
        send(client, "GET", "/face/v1.2/largepersongroups/staff/persons")
    server.assert_untouched()


class Transport(core.pipeline.transport.HttpTransport):
    """One of the caller's own."""

    def __init__(self) -> None:
        self.sent: list[Any] = []

    def send(self, request: Any, **_: Any) -> Any:
        self.sent.append(request)
        raise AssertionError("sent")

    def open(self) -> None: ...

    def close(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


def test_pipelines_that_are_copied_or_wired_anew_send_nothing(client, server, make_guard, picture):
    own = Transport()

    class Whole(Pipeline):
        """Runs its policies itself."""

        def run(self, request: Any, **kwargs: Any) -> Any:
            context = core.pipeline.PipelineContext(self._transport)
            return self._impl_policies[0].send(PipelineRequest(request, context))

    def exchanged(pipeline: Any) -> Any:
        pipeline._transport = own
        pipeline._impl_policies[-1].next._sender = own
        return pipeline

    hooks = [core_policies.CustomHookPolicy()]
    pipelines = {
        "a copy": copy.copy(client._pipeline),
        "another transport": Pipeline(own, policies=[core_policies.RetryPolicy(retry_total=2)]),
        "another run": Whole(own, policies=hooks),
        "another transport later": exchanged(Pipeline(RequestsTransport(), policies=hooks)),
    }
    method, path, body = FACE_CALLS["identify"]
    with make_guard(POLICE).source().frame(picture):
        for name, pipeline in pipelines.items():
            with pytest.raises(guard.Denied):
                print(name, pipeline.run(HttpRequest(method, f"{server.url}/face/v1.2{path}", json=body)))
    assert own.sent == []
    server.assert_untouched()
