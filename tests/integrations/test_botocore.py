"""boto3: every face operation of Rekognition, and pictures for models of Bedrock, in every way to call them."""

from __future__ import annotations

import base64
import functools
import importlib
import io
import json
import pickle
import re
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
import numpy as np
import pytest

import guard
from guard.integrations.botocore import ADAPTER
from guard.integrations.translations import rekognition
from guard.integrations.watching import watch
from guard.testing import FakeDetector
from tests.conftest import BOX
from tests.integrations.aws_calls import CREDENTIALS, REGION, parameters
from tests.integrations.deployments import OFFICE, POLICE
from tests.integrations.loopback import Answer, counting_server

boto3 = pytest.importorskip("boto3", reason="needs boto3")
botocore = pytest.importorskip("botocore")
from botocore.config import Config  # noqa: E402
from botocore.stub import Stubber  # noqa: E402

# Oregon lets no face be recognised in the pictures of a body camera, whatever the service.
OREGON = POLICE.replace("US-OH", "US-OR")
# In the Union nobody reads emotions at work.
FRANCE = OFFICE.replace('"SG"', '"FR"')
FACE = "11111111-1111-1111-1111-111111111111"


@pytest.fixture(autouse=True)
def _clean(monkeypatch):
    monkeypatch.setattr("guard.guard._latest", None)
    yield
    guard.uninstall()


@pytest.fixture
def server():
    with counting_server() as service:
        yield service


@pytest.fixture(scope="module")
def session():
    return boto3.Session(region_name=REGION, **CREDENTIALS)


@pytest.fixture
def make_client(server, session):
    made = []

    def make(service: str = "rekognition", **config: Any) -> Any:
        client = session.client(service, endpoint_url=server.url, config=Config(**config))
        made.append(client)
        return client

    yield make
    for client in made:
        client.close()


@pytest.fixture
def client(make_client):
    """Made before the guard is installed."""
    made = make_client()
    watch.add([ADAPTER])
    return made


@pytest.fixture
def bedrock(make_client, session):
    if "bedrock-runtime" not in session.get_available_services():
        pytest.skip("this botocore knows no Bedrock")
    made = make_client("bedrock-runtime")
    watch.add([ADAPTER])
    return made


@pytest.fixture
def png(picture) -> bytes:
    return cv2.imencode(".png", picture)[1].tobytes()


def call(client: Any, operation: str, **params: Any) -> Any:
    return getattr(client, botocore.xform_name(operation))(**{**parameters(client, operation), **params})


def search(client: Any) -> Any:
    return client.search_faces(CollectionId="staff", FaceId=FACE)


# ---- Rekognition


def test_every_operation_of_this_botocore_is_known(client):
    known = rekognition.KNOWN.keys() | rekognition.HARMLESS | rekognition.BY_SETTINGS.keys()
    assert set(client.meta.service_model.operation_names) <= known


def known_here(client: Any, operations: Iterable[str]) -> list[str]:
    return [name for name in operations if name in client.meta.service_model.operation_names]


def test_a_face_operation_of_an_unknown_source_reaches_nobody(client, server, make_guard):
    g = make_guard(OFFICE)
    for number, operation in enumerate(known_here(client, rekognition.KNOWN), 1):
        with pytest.raises(client.exceptions.AccessDeniedException) as caught:
            call(client, operation)
        assert isinstance(caught.value, guard.Denied)
        assert g.ledger.verdicts() == ["deny"] * number, operation
    server.assert_untouched()


def test_police_compare_no_faces_and_an_office_may(client, server, make_guard, picture):
    comparing = [name for name, (service, _) in rekognition.KNOWN.items() if service == "rekognition_compare"]
    police, office = make_guard(POLICE), make_guard(OFFICE, name="office.toml")
    for operation in known_here(client, comparing):
        server.clear()
        with police.source().frame(picture), pytest.raises(guard.Denied):
            call(client, operation)
        assert server.requests == 0, operation
        with office.source().frame(picture):
            call(client, operation)
        assert server.requests == 1, operation
    assert set(police.ledger.verdicts()) == {"deny"}
    assert set(office.ledger.verdicts()) == {"allow"}


def test_what_is_no_face_operation_passes_untouched_and_unrecorded(client, server, make_guard):
    g = make_guard(POLICE)
    for number, operation in enumerate(known_here(client, sorted(rekognition.HARMLESS)), 1):
        call(client, operation)
        assert (server.requests, g.ledger.entries) == (number, []), operation


def test_detecting_faces_is_no_recognition(client, server, make_guard, picture, png):
    g = make_guard(POLICE)
    with g.source().frame(picture):
        client.detect_faces(Image={"Bytes": png})
    assert (server.requests, g.ledger.verdicts()) == (1, ["allow"])
    assert [(entry.decision.action, entry.decision.service) for entry in g.ledger.entries] == [
        ("detect", "rekognition_other")
    ]


@pytest.mark.parametrize(
    ("operation", "asked"),
    [
        ("DetectFaces", {"Attributes": ["ALL"]}),
        ("DetectFaces", {"Attributes": ["DEFAULT", "EMOTIONS"]}),
        ("StartFaceDetection", {"FaceAttributes": "ALL"}),
        ("GetFaceDetection", {}),
    ],
)
def test_reading_emotions_is_more_than_detecting(client, server, make_guard, picture, operation, asked):
    g = make_guard(FRANCE)
    with g.source().frame(picture), pytest.raises(guard.Denied) as caught:
        call(client, operation, **asked)
    assert caught.value.decision.action == "emotion"
    server.assert_untouched()
    with g.source().frame(picture):
        call(client, "DetectFaces", Attributes=["DEFAULT"])
    assert server.requests == 1


def test_an_intent_does_not_hide_what_is_read_from_faces(client, server, make_guard, picture):
    door = make_guard(FRANCE).source()
    with door.frame(picture), door.intent("detect"), pytest.raises(guard.Denied):
        call(client, "DetectFaces", Attributes=["ALL"])
    server.assert_untouched()
    with door.frame(picture), door.intent("detect"):
        call(client, "GetFaceDetection")
    assert server.requests == 1


def test_a_stream_processor_that_searches_faces_is_judged_and_one_for_labels_is_not(
    client, server, make_guard, picture
):
    cam = make_guard(POLICE).source()
    with cam.frame(picture):
        with pytest.raises(guard.Denied):
            call(client, "CreateStreamProcessor", Settings={"FaceSearch": {"CollectionId": "x"}})
        with pytest.raises(guard.Denied):
            call(client, "StartStreamProcessor")
        server.assert_untouched()
        call(client, "CreateStreamProcessor", Settings={"ConnectedHome": {"Labels": ["PET"]}})
        with cam.intent("detect"):
            call(client, "StartStreamProcessor")
    assert server.requests == 2


# ---- ways to call


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


def straight_to_the_endpoint(client: Any, operation: str, params: dict[str, Any]) -> Any:
    model = client.meta.service_model.operation_model(operation)
    request = client._serializer.serialize_to_request(params, model)
    request["url"] = client.meta.endpoint_url
    request["context"] = {
        "client_region": REGION,
        "client_config": client.meta.config,
        "has_streaming_input": False,
        "auth_type": None,
    }
    return client._endpoint.make_request(model, request)


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


# ---- Bedrock


def converse(bedrock: Any, *blocks: dict[str, Any], model: str = "us.amazon.nova-lite-v1:0") -> Any:
    if "Converse" not in bedrock.meta.service_model.operation_names:
        pytest.skip("this botocore cannot converse")
    content = [{"text": "What happens here?"}, *blocks]
    return bedrock.converse(modelId=model, messages=[{"role": "user", "content": content}])


def image(data: bytes, kind: str = "png") -> dict[str, Any]:
    return {"image": {"format": kind, "source": {"bytes": data}}}


def assert_face_is_covered(data: bytes, picture: np.ndarray) -> None:
    arrived = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    left, top, right, bottom = BOX
    assert arrived.shape == picture.shape
    assert (arrived[top:bottom, left:right] != picture[top:bottom, left:right]).mean() > 0.9
    assert (arrived[-10:, -30:] == picture[-10:, -30:]).all()


def decoded(text: str) -> bytes:
    return base64.b64decode(text)


@pytest.mark.parametrize("model", ["us.amazon.nova-lite-v1:0", "anthropic.claude-sonnet-4"])
def test_a_picture_for_a_model_goes_out_with_its_faces_covered(bedrock, server, make_guard, picture, png, model):
    g = make_guard(OREGON)
    block = image(png)
    with g.source().frame(picture):
        converse(bedrock, block, model=model)
    assert g.ledger.verdicts() == ["redact"]
    assert g.ledger.entries[0].decision.service == ("anthropic" if "anthropic" in model else "other")
    sent = server.arrived[0].json()["messages"][0]["content"]
    data = decoded(sent[1]["image"]["source"]["bytes"])
    assert data.startswith(b"\x89PNG")
    assert_face_is_covered(data, picture)
    assert sent[0] == {"text": "What happens here?"}
    assert block == image(png)


def test_a_picture_without_faces_goes_out_as_it_is(bedrock, server, make_guard, picture, png):
    g = make_guard(OREGON, detector=FakeDetector())
    with g.source().frame(picture):
        converse(bedrock, image(png))
    assert g.ledger.verdicts() == ["allow"]
    assert decoded(server.arrived[0].json()["messages"][0]["content"][1]["image"]["source"]["bytes"]) == png


def test_a_conversation_in_words_passes_unrecorded(bedrock, server, make_guard):
    g = make_guard(OREGON)
    converse(bedrock, {"text": "See https://example.com/street.jpg"})
    assert (server.requests, g.ledger.entries) == (1, [])


def test_a_picture_for_a_model_is_looked_at_once_with_the_fences_below_it(bedrock, server, make_guard, picture, png):
    guard.install()
    detector = FakeDetector([BOX])
    g = make_guard(f'{OREGON}\n[services]\n"{server.host}" = "anthropic"\n', detector=detector)
    with g.source().frame(picture):
        seen = detector.seen
        bedrock.invoke_model(modelId="some.model", body=json.dumps(bodies(png)["llama"]).encode())
    assert detector.seen == seen + 1
    assert g.ledger.verdicts() == ["redact"]
    (data,) = pictures_in(server.arrived[0].json())
    assert_face_is_covered(data, picture)


@pytest.mark.parametrize(
    "block",
    [
        {"image": {"format": "png", "source": {"s3Location": {"uri": "s3://bucket/face.png"}}}},
        {"video": {"format": "mp4", "source": {"s3Location": {"uri": "s3://bucket/walk.mp4"}}}},
        {"document": {"format": "pdf", "name": "x", "source": {"bytes": b"%PDF-1.7 faces"}}},
        {"toolResult": {"toolUseId": "1", "content": [image(b"not a picture")]}},
    ],
    ids=["s3 image", "s3 video", "pdf", "tool result"],
)
def test_what_cannot_be_looked_at_is_not_handed_to_a_model(bedrock, server, make_guard, picture, block):
    g = make_guard(OREGON)
    try:
        with g.source().frame(picture), pytest.raises(guard.Denied):
            converse(bedrock, block)
    except botocore.exceptions.ParamValidationError:
        pytest.skip("this botocore does not know such a block")
    server.assert_untouched()


def test_a_picture_among_a_tool_s_results_is_covered(bedrock, server, make_guard, picture, png):
    g = make_guard(OREGON)
    with g.source().frame(picture):
        converse(bedrock, {"toolResult": {"toolUseId": "1", "content": [image(png)]}})
    block = server.arrived[0].json()["messages"][0]["content"][1]["toolResult"]["content"][0]
    assert_face_is_covered(decoded(block["image"]["source"]["bytes"]), picture)


def bodies(png: bytes) -> dict[str, dict[str, Any]]:
    text = base64.b64encode(png).decode()
    source = {"type": "base64", "media_type": "image/png", "data": text}
    url = f"data:image/png;base64,{text}"
    return {
        "anthropic": {"messages": [{"role": "user", "content": [{"type": "image", "source": source}]}]},
        "llama": {"prompt": "who?", "images": [text]},
        "titan": {"inputText": "who?", "inputImage": text},
        "pixtral": {"messages": [{"content": [{"type": "image_url", "image_url": {"url": url}}]}]},
    }


def pictures_in(node: Any) -> list[bytes]:
    found = []
    if isinstance(node, dict):
        node = list(node.values())
    if isinstance(node, list):
        for item in node:
            found += pictures_in(item)
    elif isinstance(node, str) and len(node) > 200:
        found.append(base64.b64decode(re.sub(r"^data:[^,]*,", "", node)))
    return found


@pytest.mark.parametrize("kind", ["bytes", "text", "bytearray", "stream"])
def test_a_picture_in_a_model_s_own_json_is_covered(bedrock, server, make_guard, picture, png, kind):
    g = make_guard(OREGON)
    for number, (shape, content) in enumerate(bodies(png).items()):
        text = json.dumps(content)
        body: Any = text if kind == "text" else text.encode()
        if kind in ("bytearray", "stream"):
            body = bytearray(body) if kind == "bytearray" else io.BytesIO(body)
        with g.source().frame(picture):
            bedrock.invoke_model(modelId="some.model", body=body)
        (data,) = pictures_in(server.arrived[number].json())
        assert_face_is_covered(data, picture)
        if kind == "stream":
            assert body.read() == text.encode(), shape
        elif kind == "bytearray":
            assert body == text.encode(), shape


def test_a_body_whose_key_is_given_twice_is_refused(bedrock, server, make_guard, picture):
    with make_guard(OREGON).source().frame(picture), pytest.raises(guard.Denied):
        bedrock.invoke_model(modelId="some.model", body=b'{"messages": [], "messages": ["x"]}')
    server.assert_untouched()


def test_a_stream_of_answers_is_part_of_the_call(bedrock, server, make_guard, picture, png):
    server.answer = Answer(b"", headers={"Content-Type": "application/vnd.amazon.eventstream"})
    g = make_guard(OREGON)
    with g.source().frame(picture):
        answer = bedrock.invoke_model_with_response_stream(
            modelId="some.model", body=json.dumps(bodies(png)["llama"]).encode()
        )
        assert list(answer["body"]) == []
    (data,) = pictures_in(server.arrived[0].json())
    assert_face_is_covered(data, picture)
    assert g.ledger.verdicts() == ["redact"]


def test_a_presigned_url_of_a_call_that_hinges_on_pixels_is_not_given(bedrock, server, make_guard, picture, png):
    body = json.dumps(bodies(png)["llama"]).encode()
    with make_guard(OREGON).source().frame(picture), pytest.raises(guard.Denied, match="presigned"):
        bedrock.generate_presigned_url("invoke_model", Params={"modelId": "some.model", "body": body})
    server.assert_untouched()


def test_a_model_s_request_straight_to_the_endpoint_is_covered_too(bedrock, server, make_guard, picture, png):
    g = make_guard(OREGON)
    params = {"modelId": "some.model", "body": json.dumps(bodies(png)["llama"]).encode()}
    with g.source().frame(picture):
        straight_to_the_endpoint(bedrock, "InvokeModel", params)
    (data,) = pictures_in(server.arrived[0].json())
    assert_face_is_covered(data, picture)
    assert g.ledger.verdicts() == ["redact"]


def test_what_another_thread_does_to_the_parameters_meanwhile_is_not_sent(bedrock, server, make_guard, picture, png):
    face = cv2.imencode(".png", picture)[1].tobytes()
    content: list[Any] = [image(png)]
    judging = threading.Event()

    def slow(pixels: Any) -> Any:
        content.append(image(face))  # as a thread of the caller's would, while the first picture is looked at
        judging.set()
        return []

    g = make_guard(OREGON, detector=FakeDetector(slow))
    with g.source().frame(picture):
        content.clear()
        content.append(image(png))
        if "Converse" not in bedrock.meta.service_model.operation_names:
            pytest.skip("this botocore cannot converse")
        bedrock.converse(modelId="some.model", messages=[{"role": "user", "content": content}])
    assert judging.is_set()
    assert len(server.arrived[0].json()["messages"][0]["content"]) == 1
