"""What requests to Rekognition, Bedrock, Azure Face and Azure AI Vision mean, read from JSON-like data alone."""

from __future__ import annotations

import base64
import copy
import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.facts import ACTIONS, SERVICES
from guard.integrations.translations import azure, azure_face, azure_vision, bedrock, rekognition
from guard.integrations.translations.parts import json_object, replaced, settled

PNG = b"\x89PNG\r\n\x1a\n" + bytes(300)
TEXT = base64.b64encode(PNG).decode()
SEALED = "Q" * 400
URL = f"data:image/png;base64,{TEXT}"


# ---- Rekognition


def test_actions_and_services_are_of_the_vocabulary():
    for service, actions in rekognition.KNOWN.values():
        assert service in SERVICES
        assert set(actions) <= set(ACTIONS)
    assert not rekognition.KNOWN.keys() & rekognition.HARMLESS


def test_an_operation_that_is_not_known_could_be_any():
    operation = rekognition.translate("SearchEverybody", {})
    assert operation.service == "rekognition_compare"
    assert operation.actions == ("verify", "identify", "enrol")


@pytest.mark.parametrize(
    ("operation", "params", "also"),
    [
        ("DetectFaces", {}, ()),
        ("DetectFaces", {"Attributes": ["DEFAULT"]}, ()),
        ("DetectFaces", {"Attributes": ["ALL"]}, ("attributes", "categorise", "emotion")),
        ("DetectFaces", {"Attributes": ["GENDER", "EMOTIONS"]}, ("categorise", "emotion")),
        ("DetectFaces", {"Attributes": ["SOMETHING_NEW"]}, ("attributes",)),
        ("IndexFaces", {"DetectionAttributes": ["AGE_RANGE"]}, ("attributes",)),
        ("StartFaceDetection", {"FaceAttributes": "ALL"}, ("attributes", "categorise", "emotion")),
        ("StartFaceDetection", {"FaceAttributes": "DEFAULT"}, ()),
    ],
)
def test_what_is_read_from_faces_is_said_beside_the_action(operation, params, also):
    assert rekognition.translate(operation, params).also == also


@pytest.mark.parametrize(
    ("operation", "settings", "is_judged"),
    [
        ("CreateStreamProcessor", {"Settings": {"FaceSearch": {"CollectionId": "c"}}}, True),
        ("CreateStreamProcessor", {"Settings": {"ConnectedHome": {"Labels": ["PET"]}}}, False),
        ("CreateStreamProcessor", {"Settings": {"ConnectedHome": {}, "FaceSearch": {}}}, True),
        ("UpdateStreamProcessor", {"SettingsForUpdate": {"ConnectedHomeForUpdate": {}}}, False),
        ("UpdateStreamProcessor", {"SettingsForUpdate": {"FaceSearchForUpdate": {}}}, True),
        ("StartMediaAnalysisJob", {"OperationsConfig": {"DetectModerationLabels": {}}}, False),
        ("StartMediaAnalysisJob", {"OperationsConfig": {"SearchFaces": {}}}, True),
    ],
)
def test_what_an_operation_is_told_to_do_says_what_it_is(operation, settings, is_judged):
    found = rekognition.translate(operation, {"Name": "n", **settings})
    assert (found is not None) is is_judged
    assert found is None or found.actions == ("identify",)


def test_pictures_are_found_as_bytes_and_as_text_and_what_is_stored_is_named():
    found = rekognition.translate(
        "CompareFaces", {"SourceImage": {"Bytes": PNG}, "TargetImage": {"Bytes": TEXT}, "SimilarityThreshold": 90}
    )
    assert found.payload == {("SourceImage", "Bytes"): PNG, ("TargetImage", "Bytes"): TEXT}
    assert found.opaque == []
    stored = rekognition.translate("IndexFaces", {"Image": {"S3Object": {"Bucket": "b", "Name": "n"}}})
    assert stored.opaque == ["an S3 object"]
    assert rekognition.translate("SearchFaces", {"FaceId": "f"}).opaque == ["a stored face"]


def test_a_target_header_names_the_operation():
    assert rekognition.operation_of("RekognitionService.SearchFaces") == "SearchFaces"
    assert rekognition.operation_of("DynamoDB_20120810.GetItem") is None
    assert rekognition.operation_of("RekognitionService.") is None


# ---- Bedrock


def in_converse(*blocks: dict[str, Any]) -> Any:
    params = {"modelId": "amazon.nova-lite-v1:0", "messages": [{"role": "user", "content": list(blocks)}]}
    return bedrock.translate("Converse", params)


def in_body(body: Any, model: str = "meta.llama") -> Any:
    return bedrock.translate("InvokeModel", {"modelId": model, "body": json.dumps(body).encode()})


WORDS = [
    {"text": "who is at https://example.com/a.jpg?"},
    {"text": "A" * 5000},
    {"document": {"format": "txt", "name": "notes", "source": {"bytes": b"plain words"}}},
    {"toolUse": {"toolUseId": "1", "name": "fetch", "input": {"url": "https://example.com/a.jpg"}}},
    {"toolResult": {"toolUseId": "1", "content": [{"json": {"url": "https://example.com/a.jpg"}}]}},
    {"reasoningContent": {"reasoningText": {"text": "so", "signature": SEALED}}},
    {"reasoningContent": {"redactedContent": PNG}},
    {"audio": {"format": "mp3", "source": {"bytes": b"sound"}}},
]


@pytest.mark.parametrize("block", WORDS, ids=[next(iter(block)) + str(n) for n, block in enumerate(WORDS)])
def test_words_tools_and_sound_are_no_picture(block):
    assert in_converse(block) is None


PICTURES = [
    {"image": {"format": "png", "source": {"bytes": PNG}}},
    {"image": {"format": "png", "source": {"s3Location": {"uri": "s3://b/face.png"}}}},
    {"image": {"format": "png", "source": {"somethingNew": "face"}}},
    {"video": {"format": "mp4", "source": {"bytes": b"video"}}},
    {"document": {"format": "pdf", "name": "x", "source": {"bytes": b"%PDF"}}},
    {"document": {"format": "txt", "name": "x", "source": {"bytes": PNG}}},
    {"document": {"format": "md", "name": "x", "source": {"bytes": f"![face]({URL})".encode()}}},
    {"document": {"format": "pdf", "name": "x", "source": {"s3Location": {"uri": "s3://b/x.pdf"}}}},
    {"toolResult": {"toolUseId": "1", "content": [{"image": {"format": "png", "source": {"bytes": PNG}}}]}},
    {"guardContent": {"image": {"format": "png", "source": {"bytes": PNG}}}},
    {"text": URL},
    {"text": f"look: {URL}"},
    {"text": TEXT},
]


@pytest.mark.parametrize("block", PICTURES, ids=[next(iter(block)) + str(n) for n, block in enumerate(PICTURES)])
def test_a_picture_counts_wherever_a_conversation_holds_it(block):
    operation = in_converse(block)
    assert operation.payload or operation.opaque
    assert (operation.service, operation.actions) == ("other", ("vlm_describe",))


@pytest.mark.parametrize(
    "body",
    [
        {"messages": [{"content": [{"type": "image", "source": {"type": "base64", "data": TEXT}}]}]},
        {"messages": [{"content": [{"type": "image", "source": {"type": "url", "url": "https://example.com/a"}}]}]},
        {"messages": [{"content": [{"type": "image", "source": {"type": "file", "file_id": "f"}}]}]},
        {"messages": [{"content": [{"type": "image_url", "image_url": {"url": "example.com/a.jpg"}}]}]},
        {"messages": [{"content": [{"type": "image_url", "image_url": URL}]}]},
        {"messages": [{"content": [{"type": "document", "source": {"type": "base64", "data": TEXT}}]}]},
        {"prompt": "x", "images": [TEXT]},
        {"inputText": "x", "inputImage": TEXT},
        {"imageVariationParams": {"images": [TEXT], "text": "x"}, "taskType": "IMAGE_VARIATION"},
        {"image": TEXT, "prompt": "x"},
        {"inputType": "video", "mediaSource": {"base64String": TEXT}},
        {"inputType": "video", "mediaSource": {"s3Location": {"uri": "s3://b/v.mp4"}}},
        {"keyframes": {"frame0": {"type": "image", "source": {"type": "url", "url": "https://example.com/a"}}}},
        {"a field of its own": "Q" * 400},
        {"prompt": TEXT},
        [{"image": TEXT}],
    ],
)
def test_a_picture_counts_in_every_model_s_own_json(body):
    operation = in_body(body)
    assert operation.payload or operation.opaque


@pytest.mark.parametrize(
    "body",
    [
        {"prompt": "who is at https://example.com/a.jpg?", "max_tokens": 5},
        {"messages": [{"role": "user", "content": "x" * 5000}], "anthropic_version": "bedrock-2023-05-31"},
        {"messages": [{"content": [{"type": "document", "source": {"type": "text", "data": "x" * 500}}]}]},
        {"messages": [{"content": [{"type": "redacted_thinking", "data": SEALED}]}]},
        {"messages": [{"content": [{"type": "tool_use", "input": {"image": "https://example.com/a.jpg"}}]}]},
        {"tools": [{"input_schema": {"$schema": "https://json-schema.org/draft/2020-12/schema"}}], "messages": []},
        {"taskType": "TEXT_IMAGE", "textToImageParams": {"text": "a house"}},
        {"texts": ["https://example.com/a.jpg"], "input_type": "search_document"},
    ],
)
def test_a_model_s_request_in_words_is_none(body):
    assert in_body(body) is None


@pytest.mark.parametrize("body", [b"\xff\xfe no json", b"", None, b'{"a": 1, "a": 2}', b"[" * 100_000])
def test_a_body_that_cannot_be_read_is_unknown(body):
    assert bedrock.translate("InvokeModel", {"modelId": "m", "body": body}).opaque


@pytest.mark.parametrize(
    ("model", "service"),
    [
        ("anthropic.claude-3-haiku-20240307-v1:0", "anthropic"),
        ("us.anthropic.claude-sonnet-4-20250514-v1:0", "anthropic"),
        ("arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-v2", "anthropic"),
        ("arn:aws:bedrock:us-east-1:1:inference-profile/eu.anthropic.claude", "anthropic"),
        ("amazon.nova-pro-v1:0", "other"),
        ("arn:aws:bedrock:us-east-1:1:application-inference-profile/abc", "other"),
        ("not-anthropic.model", "other"),
    ],
)
def test_the_maker_of_a_model_says_the_service(model, service):
    assert in_body({"image": TEXT}, model).service == service


@pytest.mark.parametrize(
    ("operation", "params"),
    [
        ("CountTokens", {"input": {"invokeModel": {"body": json.dumps({"image": TEXT}).encode()}}}),
        ("CountTokens", {"input": {"converse": {"messages": [{"content": [PICTURES[0]]}]}}}),
        ("StartAsyncInvoke", {"modelInput": {"image": TEXT}}),
        ("CreateModelInvocationJob", {"inputDataConfig": {"s3InputDataConfig": {"s3Uri": "s3://b/in"}}}),
        ("InvokeAgent", {"sessionState": {"files": [{"source": {"byteContent": {"data": PNG}}}]}}),
        ("Retrieve", {"retrievalQuery": {"image": {"inlineContent": PNG}}}),
    ],
)
def test_other_ways_to_hand_a_picture_to_a_model_count(operation, params):
    found = bedrock.translate(operation, params)
    assert found.payload or found.opaque
    assert replaced(params, found.payload) == params


def test_what_is_moderated_is_not_handed_to_a_model():
    assert bedrock.translate("ApplyGuardrail", {"content": [PICTURES[0]]}) is None


def test_a_path_names_operation_and_model():
    assert bedrock.operation_at("/model/us.anthropic.claude-v1%3A0/invoke") == (
        "InvokeModel",
        "us.anthropic.claude-v1:0",
    )
    assert bedrock.operation_at("/model/m/converse-stream") == ("ConverseStream", "m")
    assert bedrock.operation_at("/guardrail/g/version/1/apply") is None


# ---- putting back


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)


@given(st.lists(json_like, max_size=3) | st.dictionaries(st.text(max_size=3), json_like, max_size=3))
def test_putting_back_what_was_there_changes_nothing(request):
    body = json.dumps(request)
    paths = {}

    def collect(node: Any, path: tuple[Any, ...]) -> None:
        if isinstance(node, dict):
            for key, value in node.items():
                collect(value, (*path, key))
        elif isinstance(node, list):
            for number, value in enumerate(node):
                collect(value, (*path, number))
        elif isinstance(node, str):
            paths[path] = node

    collect(request, ())
    before = copy.deepcopy(request)
    assert replaced(request, paths) == before
    assert replaced({"body": body}, {("body", *path): part for path, part in paths.items()})["body"] is body
    new = replaced(request, dict.fromkeys(paths, "new"))
    assert request == before
    assert json.dumps(new).count('"new"') >= len(paths)


def test_json_inside_of_json_keeps_its_kind():
    for body in ('{"image": "old"}', b'{"image": "old"}', bytearray(b'{"image": "old"}')):
        new = replaced({"x": [{"body": body}]}, {("x", 0, "body", "image"): "new"})["x"][0]["body"]
        assert isinstance(new, str if isinstance(body, str) else bytes)
        assert json_object(new) == {"image": "new"}


def test_a_settled_request_shares_nothing_that_can_change():
    blob, inner = bytearray(b"abc"), [1]
    stream = io.BytesIO(b"0123456789")
    stream.seek(4)
    request = {"a": inner, "b": (blob,), "c": stream}
    own = settled(request)
    inner.append(2)
    blob[0] = 0
    assert own == {"a": [1], "b": [b"abc"], "c": b"456789"}
    assert stream.read() == b"456789"


def test_a_stream_of_something_else_cannot_be_settled():
    class Odd:
        def read(self) -> object:
            return object()

    with pytest.raises(ValueError, match="a stream of object"):
        settled({"body": Odd()})


# ---- Azure


@pytest.mark.parametrize(
    ("method", "path", "query", "actions"),
    [
        ("POST", "/face/v1.2/detect", "", ("verify", "identify", "enrol")),
        ("POST", "/face/v1.2/detect", "returnFaceId=True", ("verify", "identify", "enrol")),
        ("POST", "/face/v1.2/detect", "returnFaceId=0", ("verify", "identify", "enrol")),
        ("POST", "/face/v1.2/detect", "RETURNFACEID=false", ("detect",)),
        ("POST", "/face/v1.2/detect", "returnFaceId=false&RETURNFACEID=true", ("verify", "identify", "enrol")),
        ("POST", "/prefix/face/v1.1-preview.1/Identify/", "", ("identify",)),
        ("POST", "/face/v1.2/verify", "", ("verify",)),
        ("POST", "/face/v1.2/findsimilars", "", ("identify",)),
        ("POST", "/face/v1.2/group", "", ("identify",)),
        ("POST", "/face/v1.0/persongroups/g/persons/p/persistedfaces", "", ("enrol",)),
        ("PUT", "/face/v1.0/persons/p", "", ("enrol",)),
        ("POST", "/face/v1.0/facelists/l/persistedfaces", "", ("enrol",)),
        ("POST", "/face/v1.0/persongroups/g/train", "", ("enrol",)),
        ("PUT", "/face/v1.0/dynamicpersongroups/g", "", ("enrol",)),
        ("POST", "/face/v1.2/detectLiveness-sessions", "", ("detect",)),
        ("POST", "/face/v1.1/detectLivenessWithVerify/singleModal/sessions", "", ("verify",)),
        ("GET", "/face/v1.1/detectLivenessWithVerify/singleModal/sessions/s", "", ("verify",)),
        ("POST", "/face/v1.0/facelists/l/snapshots", "", ("verify", "identify", "enrol")),
        ("POST", "/face//v1.2/identify", "", ("identify",)),
        ("POST", "/face/./v1.2/identify", "", ("identify",)),
        ("POST", "/face/x/../v1.2/detect/../identify", "", ("identify",)),
        ("POST", "/face%2fv1.2%5cidentify", "", ("identify",)),
        ("POST", "/face/v1.2/facelists/%2e%2e/identify", "", ("identify",)),
        ("POST", "/face/v1.2/identify;x=1", "", ("verify", "identify", "enrol")),
        ("POST", "/face/v1.2", "", None),
        ("POST", "/face/v1.2/", "", ("verify", "identify", "enrol")),
        ("GET", "/face/v1.2/identify", "", None),
        ("DELETE", "/face/v1.0/persongroups/g/persons/p", "", None),
        ("PUT", "/face/v1.0/persongroups/g", "", None),
        ("POST", "/surface/v1.2/identify", "", None),
    ],
)
def test_a_request_to_azure_face_means(method, path, query, actions):
    operation = azure_face.translate(method, path, azure_face.query_of(query), None)
    assert actions == (None if operation is None else operation.actions)


def test_members_of_a_group_are_enrolled():
    path = "/face/v1.0/dynamicpersongroups/g"
    assert azure_face.translate("PATCH", path, {}, {"addPersonIds": ["p"]}).actions == ("enrol",)
    assert azure_face.translate("PATCH", path, {}, b'{"AddPersonIds": ["p"]}').actions == ("enrol",)
    assert azure_face.translate("PATCH", path, {}, {"removePersonIds": ["p"]}) is None


def test_a_message_names_no_id():
    name = azure_face.translate("POST", "/face/v1.0/persongroups/secret/persons/somebody/persistedfaces", {}, PNG).name
    assert name == "azure_face.persongroups/persons/persistedfaces"


@pytest.mark.parametrize(
    ("path", "query", "actions", "also"),
    [
        ("/computervision/imageanalysis:analyze", "features=caption", (None,), ()),
        ("/computervision/imageanalysis:analyze", "features=tags,objects,people,read,smartCrops", None, ()),
        ("/computervision/imageanalysis:analyze", "model-name=mine", (None,), ()),
        ("/computervision/imageanalysis:segment", "", (None,), ()),
        ("/computervision/retrieval:vectorizeImage", "", (None,), ()),
        ("/computervision/retrieval:vectorizeText", "", None, ()),
        ("/vision/v3.2/analyze", "visualFeatures=Description", (None,), ()),
        ("/vision/v3.2/analyze", "visualFeatures=Faces", ("detect",), ("attributes", "categorise")),
        ("/vision/v3.2/analyze", "visualFeatures=Faces,Description", (None,), ("attributes", "categorise")),
        ("/vision/v3.2/analyze", "visualFeatures=Tags&details=Landmarks", None, ()),
        ("/vision/v3.2/analyze", "details=celebrities", ("identify",), ()),
        ("/vision/v3.2/analyze", "details=somethingNew", ("identify",), ()),
        ("/vision/v3.2/models/celebrities/analyze", "", ("identify",), ()),
        ("/vision/v3.2/describe", "", (None,), ()),
        ("/vision/v3.2/read/analyze", "", None, ()),
        ("/vision/v3.2/ocr", "", None, ()),
        ("/vision/v3.2/tag", "", None, ()),
    ],
)
def test_a_request_to_azure_ai_vision_means(path, query, actions, also):
    operation = azure_vision.translate("POST", path, azure_face.query_of(query), PNG)
    assert actions == (None if operation is None else operation.actions)
    assert also == (() if operation is None else operation.also)


@pytest.mark.parametrize(
    ("path", "body", "actions"),
    [
        ("faces:detect", {"faceSource": {"data": TEXT}}, ("detect",)),
        ("faces:compare", {"faceSource1": {"data": TEXT}}, ("verify",)),
        ("faces:somethingNew", {"faceSource": {"data": TEXT}}, ("verify", "identify", "enrol")),
        ("personDirectories/d/persons:identify", {"faceSource": {"data": TEXT}}, ("identify",)),
        ("personDirectories/d/faces:find", {"faceSource": {"data": TEXT}}, ("identify",)),
        ("personDirectories/d/persons/p:verify", {"faceSource": {"data": TEXT}}, ("verify",)),
        ("personDirectories/d/persons", {"tags": {"name": "x"}}, ("enrol",)),
        ("personDirectories/d/faces", {"faceSource": {"data": TEXT}}, ("enrol",)),
        ("analyzers/a", {"config": {"personDirectoryId": "d"}}, ("identify",)),
        ("analyzers/a", {"config": {"enableFace": True}}, ("identify",)),
        ("analyzers/a", {"config": {"enableFace": False}}, None),
        ("analyzers/a:analyze", {"url": "https://example.com/a.mp4"}, (None,)),
        ("personDirectories/d", {"description": "x"}, None),
    ],
)
def test_persons_of_content_understanding_are_compared_searched_and_enrolled(path, body, actions):
    host = "x.services.ai.azure.com"
    operation = azure.translate("POST", host, f"/contentunderstanding/{path}", {}, body)
    assert actions == (None if operation is None else operation.actions)
    assert operation is None or operation.service == "microsoft_ai"
    assert azure.translate("GET", host, f"/contentunderstanding/{path}", {}, None) is None


@pytest.mark.parametrize(
    ("host", "path", "service"),
    [
        ("x.cognitiveservices.azure.com", "/face/v1.2/detect", "azure_face"),
        ("127.0.0.1:8000", "/FACE/v1.2/detect", "azure_face"),
        ("x.cognitiveservices.azure.com", "/computervision/imageanalysis:analyze", "microsoft_ai"),
        ("x.openai.azure.com", "/openai/deployments/d/chat/completions", "azure_openai"),
        ("x.openai.azure.com", "/anything", "azure_openai"),
        ("x.openai.azure.com.:443", "/anything", "azure_openai"),
        ("x.cognitiveservices.azure.com", "/openai/v1/responses", "azure_openai"),
        ("x.services.ai.azure.com", "/models/chat/completions", "azure_openai"),
        ("x.services.ai.azure.com", "/api/projects/p/threads/t/messages", "microsoft_ai"),
        ("x.services.ai.azure.com", "/anthropic/v1/messages", "anthropic"),
        ("x.eastus.models.ai.azure.com", "/v1/chat/completions", "microsoft_ai"),
        ("gateway.example.com", "/ai/openai/deployments/d/images/edits", "azure_openai"),
        ("x.cognitiveservices.azure.com", "/speech/transcriptions", None),
        ("x.cognitiveservices.azure.com", "/contentsafety/image:analyze", None),
        ("x.blob.core.windows.net", "/openai/face/v1.2/detect", None),
        ("x.vault.azure.net", "/secrets/s", None),
    ],
)
def test_host_and_path_say_whose_a_request_is(host, path, service):
    assert azure.service_at(host, path) == service


def test_a_declared_service_stands_and_must_name_its_action_unless_it_is_a_model_s():
    body = {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": URL}}]}]}
    for service, actions in (("self_hosted", ("vlm_describe",)), ("microsoft_ai", (None,))):
        operation = azure.translate("POST", "127.0.0.1", "/openai/v1/chat/completions", {}, body, service=service)
        assert (operation.service, operation.actions) == (service, actions)
