"""boto3: pictures for models of Bedrock."""

from __future__ import annotations

import base64
import io
import json
import re
import threading
from typing import Any

import cv2
import pytest

import guard
from guard.testing import FakeDetector
from tests.conftest import BOX
from tests.integrations.amazon.calls import (
    OREGON,
    assert_face_is_covered,
    converse,
    decoded,
    image,
    straight_to_the_endpoint,
)
from tests.integrations.loopback import Answer

pytest.importorskip("boto3", reason="needs boto3")
botocore = pytest.importorskip("botocore")


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
