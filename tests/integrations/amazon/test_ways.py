"""boto3: every way to make a call, and what is done to it on its way."""

from __future__ import annotations

import base64
import copy
import functools
import importlib
import json
import pickle
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
import pytest

import guard
from guard.integrations.botocore import ADAPTER
from guard.integrations.watching import watch
from tests.integrations.amazon.calls import (
    FACE,
    FRANCE,
    OREGON,
    call,
    search,
    straight_to_the_endpoint,
)
from tests.integrations.aws_calls import CREDENTIALS, REGION
from tests.integrations.deployments import OFFICE, POLICE
from tests.integrations.loopback import Answer

boto3 = pytest.importorskip("boto3", reason="needs boto3")
botocore = pytest.importorskip("botocore")
from botocore.stub import Stubber  # noqa: E402


def ways(client: Any) -> dict[str, Any]:
    named = {"CollectionId": "staff", "FaceId": FACE}
    mine = type("Mine", (type(client),), {})
    mine_client = mine.__new__(mine)
    mine_client.__dict__.update(client.__dict__)
    return {
        "bound method": functools.partial(client.search_faces, **named),
        "class's function": functools.partial(type(client).search_faces, client, **named),
        "private": functools.partial(client._make_api_call, "SearchFaces", named),
        "base class's": functools.partial(
            botocore.client.BaseClient._make_api_call, client, "SearchFaces", dict(named)
        ),
        "subclass": functools.partial(mine_client.search_faces, **named),
        "presigned": functools.partial(client.generate_presigned_url, "search_faces", Params=named),
        "endpoint": functools.partial(straight_to_the_endpoint, client, "SearchFaces", named),
    }


@pytest.mark.parametrize("installed", ["before", "after"])
def test_no_way_to_call_gets_past(server, make_client, make_guard, picture, installed):
    if installed == "before":
        watch.add([ADAPTER])
        known = ways(make_client())
    else:
        known = ways(make_client())
        watch.add([ADAPTER])
    with make_guard(POLICE).source().frame(picture):
        for name, way in known.items():
            with pytest.raises(guard.Denied):
                print(name, way())
            server.assert_untouched()


def test_an_allowed_call_goes_out_once_whichever_way(server, client, make_guard, picture):
    g = make_guard(OFFICE)
    with g.source().frame(picture):
        for number, (name, way) in enumerate(ways(client).items(), 1):
            way()
            assert g.ledger.verdicts() == ["allow"] * number, name
    assert server.requests == len(ways(client)) - 1  # a presigned URL is for others to use
    assert server.arrived[0].json() == {"CollectionId": "staff", "FaceId": FACE}


def test_boto3_imported_later_is_guarded():
    code = f"""
        import sys, guard
        from guard.integrations.watching import watch
        from guard.integrations.botocore import ADAPTER
        watch.add([ADAPTER])
        assert "botocore" not in sys.modules
        import boto3
        from tests.integrations.loopback import counting_server
        with counting_server() as server:
            client = boto3.client("rekognition", region_name={REGION!r}, endpoint_url=server.url, **{CREDENTIALS!r})
            try:
                client.search_faces(CollectionId="x", FaceId={FACE!r})
            except guard.GuardFault as fault:
                assert isinstance(fault, client.exceptions.AccessDeniedException)
                server.assert_untouched()
                print("refused:", fault)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True, cwd=_root()
    )
    assert done.stdout.startswith("refused: rekognition.SearchFaces was refused: no guard is loaded")


def _root() -> str:
    return __file__.rpartition("/tests/")[0]


@pytest.mark.parametrize("mode", ["legacy", "standard", "adaptive"])
def test_a_denial_is_not_retried(server, make_client, make_guard, picture, mode):
    client = make_client(retries={"mode": mode, "max_attempts": 5})
    watch.add([ADAPTER])
    g = make_guard(POLICE)
    with g.source().frame(picture), pytest.raises(guard.Denied):
        search(client)
    assert g.ledger.verdicts() == ["deny"]
    server.assert_untouched()


def test_a_released_call_is_judged_once_however_often_it_is_retried(server, make_client, make_guard, picture):
    client = make_client(retries={"mode": "standard", "max_attempts": 3})
    watch.add([ADAPTER])
    answers = [Answer({"__type": "ThrottlingException"}, 400), Answer({"__type": "ThrottlingException"}, 400), Answer()]
    server.answer = lambda request: answers.pop(0)
    g = make_guard(OFFICE)
    with g.source().frame(picture):
        search(client)
    assert (server.requests, g.ledger.verdicts()) == (3, ["allow"])


def test_a_refusal_reads_as_amazon_s_own(client, make_guard, picture):
    with make_guard(POLICE).source().frame(picture), pytest.raises(client.exceptions.ClientError) as caught:
        search(client)
    denied = caught.value
    assert isinstance(denied, client.exceptions.AccessDeniedException)
    assert isinstance(denied, guard.Denied)
    assert denied.response["Error"]["Code"] == "AccessDeniedException"
    assert "AWS-2020" in denied.response["Error"]["Message"]
    assert denied.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert denied.operation_name == "SearchFaces"
    again = pickle.loads(pickle.dumps(denied))
    assert type(again) is guard.Denied
    assert again.decision == denied.decision


def test_a_caller_s_handler_that_changes_the_parameters_comes_before_the_judgement(client, server, make_guard, picture):
    def more(params: dict[str, Any], **_: Any) -> dict[str, Any]:
        return {**params, "Attributes": ["ALL"]}

    client.meta.events.register("provide-client-params.rekognition.DetectFaces", more)
    with make_guard(FRANCE).source().frame(picture), pytest.raises(guard.Denied):
        call(client, "DetectFaces")
    server.assert_untouched()


def test_a_request_that_is_changed_after_its_judgement_is_judged_anew(client, server, make_guard, picture):
    def swap(params: dict[str, Any], **_: Any) -> None:
        params["body"] = json.dumps({**json.loads(params["body"]), "Attributes": ["ALL"]}).encode()

    client.meta.events.register("before-call.rekognition.DetectFaces", swap)
    g = make_guard(FRANCE)
    with g.source().frame(picture), pytest.raises(guard.Denied) as caught:
        call(client, "DetectFaces")
    assert caught.value.decision.action == "emotion"
    server.assert_untouched()


def test_a_harmless_request_that_is_turned_into_a_search_is_judged(client, server, make_guard, picture):
    def turn(params: dict[str, Any], **_: Any) -> None:
        params["headers"]["X-Amz-Target"] = "RekognitionService.SearchFaces"
        params["body"] = json.dumps({"CollectionId": "staff", "FaceId": FACE}).encode()

    client.meta.events.register("before-call.rekognition.DetectLabels", turn)
    with make_guard(POLICE).source().frame(picture), pytest.raises(guard.Denied):
        call(client, "DetectLabels")
    server.assert_untouched()


def test_a_stub_s_queue_is_not_touched_by_a_denied_call(client, make_guard, picture):
    with Stubber(client) as stub:
        stub.add_response("search_faces", {})
        with make_guard(POLICE).source().frame(picture), pytest.raises(guard.Denied):
            search(client)
        with pytest.raises(AssertionError):
            stub.assert_no_pending_responses()


def test_threads_of_several_sources_are_judged_apart(client, server, make_guard, picture):
    office, police = make_guard(OFFICE, name="o.toml").source(), make_guard(POLICE).source()
    wrong = []

    def work(number: int) -> None:
        source = office if number % 2 else police
        for _ in range(10):
            with source.frame(picture):
                try:
                    search(client)
                    reached = True
                except guard.Denied:
                    reached = False
            if reached is not (source is office):
                wrong.append(number)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert wrong == []
    assert server.requests == 40


def test_another_tool_s_wrapping_and_unwrapping_changes_nothing(client, server, make_guard, picture):
    wrapt = pytest.importorskip("wrapt")
    for name in ("_make_api_call", "_emit_api_params"):
        wrapt.wrap_function_wrapper(
            "botocore.client", f"BaseClient.{name}", lambda wrapped, instance, args, kwargs: wrapped(*args, **kwargs)
        )
    with make_guard(POLICE).source().frame(picture):
        with pytest.raises(guard.Denied):
            search(client)
        for name in ("_make_api_call", "_emit_api_params"):
            setattr(botocore.client.BaseClient, name, getattr(botocore.client.BaseClient, name).__wrapped__)
        with pytest.raises(guard.Denied):
            search(client)
    server.assert_untouched()
    assert [coverage.state for coverage in guard.verify()] == ["guarded"]


def test_a_request_that_is_signed_by_hand_meets_the_fence_below(make_client, server, make_guard, picture):
    client = make_client()
    guard.install()
    body = json.dumps({"CollectionId": "staff", "FaceId": FACE}).encode()
    headers = {"X-Amz-Target": "RekognitionService.SearchFaces", "Content-Type": "application/x-amz-json-1.1"}
    request = botocore.awsrequest.AWSRequest("POST", server.url, headers, body)
    g = make_guard(POLICE)
    with g.source().frame(picture), pytest.raises(botocore.exceptions.HTTPClientError, match="AWS-2020"):
        client._endpoint.http_session.send(request.prepare())
    assert g.ledger.verdicts() == ["deny"]
    server.assert_untouched()


@pytest.fixture
def reload():
    """Reloads a module; what that replaced is put back at the end."""
    kept = []

    def again(module: Any) -> Any:
        kept.append((module, dict(vars(module))))
        return importlib.reload(module)

    yield again
    for module, before in kept:
        vars(module).update(before)


def test_a_reloaded_module_is_guarded(server, make_client, make_guard, picture, reload):
    before = make_client()
    watch.add([ADAPTER])
    endpoint, module = reload(botocore.endpoint), reload(botocore.client)
    assert endpoint.Endpoint is not type(before._endpoint)
    with make_guard(POLICE).source().frame(picture):
        for client in (before, make_client()):
            with pytest.raises(guard.Denied):
                search(client)
    assert module is botocore.client
    server.assert_untouched()


def test_uninstalled_it_is_amazon_s_client_again(client, server):
    guard.uninstall()
    search(client)
    assert server.requests == 1


def test_an_endpoint_that_is_declared_counts_as_what_is_declared(client, server, make_guard, picture):
    g = make_guard(f'{POLICE}\n[services]\n"{server.host}" = "self_hosted"\n')
    with g.source().frame(picture):
        search(client)
    assert [entry.decision.service for entry in g.ledger.entries] == ["self_hosted"]


def test_a_call_is_decided_once_with_the_fences_below_it(make_client, server, make_guard, picture):
    client = make_client()
    guard.install()
    g = make_guard(OFFICE)
    with g.source().frame(picture):
        for number, way in enumerate((lambda: search(client), lambda: call(client, "DetectFaces")), 1):
            way()
            assert (server.requests, g.ledger.verdicts()) == (number, ["allow"] * number)
    with make_guard(POLICE, name="p.toml").source().frame(picture), pytest.raises(guard.Denied):
        search(client)
    assert server.requests == 2


def test_parameters_that_cannot_be_read_are_refused_and_recorded(client, server, make_guard, picture):
    endless: dict[str, Any] = {}
    endless["Image"] = endless
    g = make_guard(OFFICE)
    with g.source().frame(picture), pytest.raises(guard.GuardFault, match="cannot be read"):
        client.search_faces_by_image(**endless)
    assert g.ledger.verdicts() == ["fault"]
    server.assert_untouched()


# ---- what is done to a client, and what is done last


def straight(endpoint: Any) -> Any:
    """An endpoint of the caller's own, which sends what it is given."""

    class Straight(type(endpoint)):  # type: ignore[misc]
        def make_request(self, operation_model: Any, request_dict: Any) -> Any:
            return self._send_request(request_dict, operation_model)

    made = Straight.__new__(Straight)
    made.__dict__.update(endpoint.__dict__)
    return made


class Session:
    """An HTTP session of the caller's own."""

    def __init__(self) -> None:
        self.sent: list[Any] = []

    def send(self, request: Any) -> Any:
        self.sent.append(request)
        raise AssertionError("sent")

    def close(self) -> None: ...


def test_clients_that_are_copied_stripped_or_wired_anew_send_nothing(make_client, server, make_guard, picture):
    watch.add([ADAPTER])
    session = Session()

    def copied(client: Any) -> Any:
        made = type(client).__new__(type(client))
        made.__dict__.update(copy.copy(client.__dict__))
        return made

    def stripped(client: Any) -> Any:
        events = client.meta.events
        for name in (
            "provide-client-params",
            "before-parameter-build",
            "before-call",
            "before-send",
            "request-created",
        ):
            for handler in list(events._emitter._handlers.prefix_search(f"{name}.rekognition")):
                events.unregister(f"{name}.rekognition.SearchFaces", handler)
        return client

    def of_another_session(client: Any) -> Any:
        client._endpoint.http_session = session
        return client

    def bound_again(client: Any) -> Any:
        client.search_faces = type(client).search_faces.__get__(client)
        client._make_api_call = functools.partial(type(client)._make_api_call, client)
        return client

    g = make_guard(POLICE)
    for change in (copied, stripped, of_another_session, bound_again):
        client = change(make_client())
        with g.source().frame(picture), pytest.raises(guard.Denied):
            search(client)
        server.assert_untouched()
    assert session.sent == []
    assert g.ledger.verdicts() == ["deny"] * 4


def test_an_endpoint_of_one_s_own_is_judged_with_its_client_and_by_the_fence_without(
    make_client, server, make_guard, picture
):
    client = make_client()
    client._endpoint = straight(client._endpoint)
    guard.install()
    with make_guard(POLICE).source().frame(picture):
        with pytest.raises(guard.Denied):
            search(client)
        with pytest.raises((guard.Denied, botocore.exceptions.HTTPClientError), match="AWS-2020"):
            straight_to_the_endpoint(client, "SearchFaces", {"CollectionId": "staff", "FaceId": FACE})
    server.assert_untouched()


def test_another_picture_that_is_put_in_right_before_it_is_sent_is_judged_on_its_own(
    make_client, session, server, make_guard, picture
):
    """The call was released for the picture that was judged, and for no other, whatever it is for."""
    if "bedrock-runtime" not in session.get_available_services():
        pytest.skip("this botocore knows no Bedrock")
    bedrock = make_client("bedrock-runtime")
    guard.install()
    png = cv2.imencode(".png", picture)[1].tobytes()
    given = json.dumps({"prompt": "who?", "images": [base64.b64encode(png).decode()]}).encode()
    g = make_guard(f'{OREGON}\n[services]\n"{server.host}" = "other"\n')

    def swap(request: Any, **_: Any) -> None:
        request.body = given

    with g.source().frame(picture):
        bedrock.invoke_model(modelId="some.model", body=given)
        bedrock.meta.events.register("before-send.bedrock-runtime.InvokeModel", swap)
        with pytest.raises(botocore.exceptions.HTTPClientError) as caught:
            bedrock.invoke_model(modelId="some.model", body=given)
        assert isinstance(caught.value.kwargs["error"], (guard.Denied, guard.GuardFault))
    assert server.requests == 1
    assert server.bodies[0] != given
    assert g.ledger.verdicts()[:2] == ["redact", "redact"]
    assert set(g.ledger.verdicts()[2:]) <= {"deny", "fault"}
