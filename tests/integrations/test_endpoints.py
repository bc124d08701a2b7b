"""Which requests are calls of a known service, told from the request alone."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import guard
from guard import multipart
from guard.integrations.bodies import read_body
from guard.integrations.endpoints import Crossing, Request, recognise, services_at
from guard.integrations.fence import described
from guard.integrations.translations import google_vision
from tests.conftest import OFFICE

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(300)).decode()
URL = f"data:image/png;base64,{PNG}"
JSON = {"content-type": "application/json"}


def asked(
    url: str, body: Any = None, *, method: str = "POST", headers: dict[str, str] | None = None
) -> Crossing | None:
    data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    return recognise(Request(method, url, JSON if headers is None else headers, data))


def operation(url: str, body: Any = None, **named: Any) -> Any:
    found = asked(url, body, **named)
    assert found is not None, url
    return found.operation


CHAT = {"messages": [{"content": [{"type": "image_url", "image_url": {"url": URL}}]}]}
GEMINI = {"contents": [{"parts": [{"inlineData": {"mimeType": "image/png", "data": PNG}}]}]}
CLAUDE = {
    "messages": [{"content": [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}]}]
}
NOVA = {"messages": [{"content": [{"image": {"format": "png", "source": {"bytes": PNG}}}]}]}

MODELS = [
    ("https://api.openai.com/v1/chat/completions", CHAT, "openai", None),
    ("https://eu.api.openai.com/v1/responses", CHAT, "openai", None),
    ("https://r.openai.azure.com/openai/deployments/d/chat/completions", CHAT, "azure_openai", None),
    ("https://r.openai.azure.us/openai/v1/responses", CHAT, "azure_openai", None),
    ("https://r.services.ai.azure.com/models/chat/completions", CHAT, "azure_openai", None),
    ("https://r.cognitiveservices.azure.com/openai/deployments/d/chat/completions", CHAT, "azure_openai", None),
    ("https://api.anthropic.com/v1/messages", CLAUDE, "anthropic", None),
    ("https://generativelanguage.googleapis.com/v1beta/models/g:generateContent", GEMINI, "google", None),
    ("https://generativelanguage.googleapis.com/v1beta/openai/chat/completions", CHAT, "google", None),
    (
        "https://europe-west4-aiplatform.googleapis.com/v1/x/publishers/google/models/g:generateContent",
        GEMINI,
        "google",
        None,
    ),
    ("https://aiplatform.googleapis.com/v1/x/publishers/anthropic/models/c:rawPredict", CLAUDE, "anthropic", None),
    (
        "https://bedrock-runtime.eu-west-1.amazonaws.com/model/amazon.nova-lite-v1%3A0/converse",
        NOVA,
        "other",
        "vlm_describe",
    ),
    ("https://bedrock-runtime.us-gov-west-1.amazonaws.com/model/anthropic.claude-3/invoke", CLAUDE, "anthropic", None),
    ("https://bedrock-runtime-fips.us-east-1.api.aws/model/us.anthropic.claude/converse", NOVA, "anthropic", None),
]


@pytest.mark.parametrize(("url", "body", "service", "action"), MODELS)
def test_a_picture_for_a_model_is_found_and_put_back(url, body, service, action):
    found = asked(url, body)
    assert found is not None
    made = found.operation
    assert (made.service, tuple(made.actions), list(made.opaque), made.broken) == (service, (action,), [], None)
    (path,) = made.payload
    assert found.body.with_payload(made.payload) == json.dumps(body).encode()
    changed = {
        path: value.replace(PNG, "AAAA") if isinstance(value, str) else b"AAAA" for path, value in made.payload.items()
    }
    again = found.body.with_payload(changed)
    assert PNG.encode() not in again
    assert json.loads(again).keys() == body.keys()


@pytest.mark.parametrize(("url", "body"), [(url, {"messages": [{"content": "hello"}]}) for url, *_ in MODELS])
def test_text_for_a_model_is_no_call(url, body):
    assert operation(url, body) is None


@pytest.mark.parametrize("url", [url for url, *_ in MODELS])
def test_a_body_that_is_not_known_beforehand_is_unknown_to_a_model(url):
    found = recognise(Request("POST", url, JSON, unread="a streamed body"))
    assert found is not None
    assert found.operation is not None
    assert "a streamed body" in found.operation.opaque


FACES = [
    ("detect?returnFaceId=true", "POST", {"verify", "identify", "enrol"}),
    ("detect?returnFaceId=false", "POST", {"detect"}),
    ("identify", "POST", {"identify"}),
    ("verify", "POST", {"verify"}),
    ("findsimilars", "POST", {"identify"}),
    ("largepersongroups/g/persons/p/persistedfaces", "POST", {"enrol"}),
]


@pytest.mark.parametrize(
    "host", ["x.cognitiveservices.azure.com", "westus.api.cognitive.microsoft.com", "X.CognitiveServices.Azure.US."]
)
@pytest.mark.parametrize(("path", "method", "actions"), FACES)
def test_the_operations_of_azure_face(host, path, method, actions):
    for prefix in ("face/v1.0", "face/v1.2", "/face//v1.0", "face/v1.2-preview.1", "%66ace/v1.0"):
        made = operation(f"https://{host}/{prefix}/{path}", {"url": "https://x/y"}, method=method)
        assert made.service == "azure_face"
        assert set(made.actions) == actions


def test_reading_and_other_areas_of_azure_are_no_call():
    assert operation("https://x.cognitiveservices.azure.com/face/v1.0/facelists", method="GET") is None
    for path in (
        "speechtotext/v3/x",
        "language/:analyze-text",
        "translator/text/v3.0/translate",
        "tts/cognitiveservices/v1",
    ):
        assert operation(f"https://x.cognitiveservices.azure.com/{path}", b"RIFFxxxxWAVE", headers={}) is None


def test_a_picture_for_azure_vision_is_found():
    made = operation(
        "https://x.cognitiveservices.azure.com/computervision/imageanalysis:analyze?features=caption",
        b"\x89PNG\r\n\x1a\n123",
        headers={},
    )
    assert made.service == "microsoft_ai"
    assert made.payload
    vision = "https://x.cognitiveservices.azure.com/vision/v3.2/analyze"
    assert operation(vision + "?visualFeatures=Description", {"url": "https://x/y.png"}).opaque
    assert operation(vision + "?visualFeatures=Tags", {"url": "https://x/y.png"}) is None
    assert operation(vision, method="GET") is None
    content = "https://x.services.ai.azure.com/contentunderstanding/analyzers/a:analyze"
    assert operation(content, {"inputs": [{"data": PNG}]}).payload == {("inputs", 0, "data"): PNG}
    assert operation(content, {"inputs": [{"url": "https://x/y"}]}).opaque
    assert operation(content, {"description": "an analyzer"}) is None


@pytest.mark.parametrize(
    "url", ["https://rekognition.us-east-1.amazonaws.com", "https://127.0.0.1:9/", "https://a.vpce.amazonaws.com/"]
)
def test_rekognition_is_known_by_its_header_wherever_it_goes(url):
    headers = {"x-amz-target": "RekognitionService.SearchFacesByImage", "content-type": "application/x-amz-json-1.1"}
    made = operation(url, {"Image": {"Bytes": PNG}}, headers=headers)
    assert (made.service, tuple(made.actions)) == ("rekognition_compare", ("identify",))
    assert made.payload == {("Image", "Bytes"): PNG}
    headers["x-amz-target"] = "RekognitionService.DetectLabels"
    assert operation(url, {"Image": {"Bytes": PNG}}, headers=headers) is None


def test_an_operation_of_rekognition_that_is_not_named_could_be_any():
    made = operation("https://rekognition.us-east-1.amazonaws.com/", {"Image": {}}, headers=JSON)
    assert {"identify", "verify", "enrol"} <= set(made.actions)


def test_a_signed_request_cannot_be_rewritten():
    url = "https://bedrock-runtime.eu-west-1.amazonaws.com/model/m/converse"
    assert operation(url, NOVA).rewritable
    assert not operation(url, NOVA, headers={**JSON, "authorization": "AWS4-HMAC-SHA256 x"}).rewritable
    assert not operation(url + "?X-Amz-Signature=1", NOVA).rewritable
    assert not operation(url, NOVA, headers={**JSON, "content-digest": "sha-256=:x:"}).rewritable


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/v1/chat/completions",
        "https://notapi.openai.com.example.org/v1/chat/completions",
        "https://myapi-openai.com/v1/chat/completions",
        "https://s3.amazonaws.com/bucket/a.png",
        "https://storage.googleapis.com/b/o",
        "http://[::1",
        "not a url",
        "",
    ],
)
def test_other_hosts_are_nobody_s(url):
    assert asked(url, CHAT) is None


@given(st.text(max_size=40), st.text(max_size=40), st.binary(max_size=60))
def test_nothing_is_raised(host, path, body):
    recognise(Request("POST", f"https://{host}/{path}", JSON, body))
    found = recognise(Request("POST", f"https://api.openai.com/{path}", {**JSON, "host": host}, body))
    assert found is None or found.operation is None or found.operation.service == "openai"


@pytest.mark.parametrize(
    "url",
    [
        "https://api。openai。com/v1/chat/completions",
        "https://api%2Eopenai.com/v1/chat/completions",
        "https://API.OPENAI.COM.:443/v1/chat/completions",
        "https://a:b@api.openai.com/v1/chat/completions",
    ],
)
def test_every_spelling_of_a_host_is_the_same_host(url):
    assert operation(url, CHAT).service == "openai"


@pytest.fixture
def listed(make_guard):
    def make(name: str) -> None:
        make_guard(OFFICE.replace("[services]", f'[services]\n"{name}" = "azure_face"'))

    return make


HERE = (
    *("127.0.0.1", "localhost", "LOCALHOST.", "127.1", "2130706433", "127.9.9.9", "0.0.0.0", "0", "ip6-localhost"),
    *("[::1]", "[::]", "[0:0::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]"),
)


@pytest.mark.parametrize(
    "name",
    ["127.0.0.1:8000", "127.0.0.1", "127.1:8000", "localhost:8000", "[::1]:8000", "[0:0::1]:8000", "0.0.0.0:8000"],
)
def test_this_machine_is_one_host(listed, name):
    listed(name)
    for host in HERE:
        assert set(operation(f"http://{host}:8000/x", {"a": 1}).actions) >= {"identify", "verify", "enrol"}
        assert services_at(host.strip("[]").lower().rstrip("."), 8000) == {"azure_face"}
        assert (asked(f"http://{host}:8001/x", {"a": 1}) is None) == (name.endswith(":8000"))


@pytest.mark.parametrize("name", ["10.0.0.5:8000", "[::ffff:10.0.0.5]:8000", "167772165:8000", "10.0.0.5"])
@pytest.mark.parametrize(
    "host", ["10.0.0.5", "167772165", "0x0a.5", "10.5", "[::ffff:a00:5]", "10.0.0.5.", "012.0.0.5"]
)
def test_an_address_is_one_however_it_is_written(listed, name, host):
    listed(name)
    assert operation(f"http://{host}:8000/x", {"a": 1}).service == "azure_face"
    assert services_at(host.strip("[]").rstrip("."), 8000) == {"azure_face"}
    assert asked("http://10.0.0.6:8000/x", {"a": 1}) is None


def test_a_host_that_is_listed_in_two_spellings_is_one_service(listed, make_guard):
    with pytest.raises(guard.ConfigError, match="listed twice"):
        make_guard(
            OFFICE.replace("[services]", '[services]\n"10.5:80" = "openai"\n"10.0.0.5:80" = "google"'), name="b.toml"
        )


def test_a_name_that_begins_like_a_number_is_a_name(listed):
    listed("3scale.example")
    assert operation("https://3SCALE.example/x", {"a": 1}).service == "azure_face"
    assert asked("https://4scale.example/x", {"a": 1}) is None


def test_a_request_is_as_long_as_it_states():
    for headers, why in (
        ({"content-length": "2"}, "is not as long as it states"),
        ({"content-length": "20, 20"}, "is not as long as it states"),
        ({"content-length": "", "transfer-encoding": "chunked"}, "states a length and comes in chunks"),
    ):
        broken = operation("https://api.openai.com/v1/audio/speech", b"x" * 20, headers=headers).broken
        assert broken is not None
        assert broken.endswith(why)
    for headers in ({"content-length": " 20 "}, {"transfer-encoding": "chunked"}, {}):
        assert asked("https://api.openai.com/v1/audio/speech", b"x" * 20, headers=headers).operation is None


def test_a_tunnel_to_a_known_host_is_unknown():
    made = operation("https://api.openai.com:443", method="CONNECT")
    assert (tuple(made.actions), list(made.opaque)) == ((None,), ["what goes through a tunnel"])


@pytest.mark.parametrize("name", ["Faces.Example", "FACES.EXAMPLE:443", "faces.example."])
@pytest.mark.parametrize("host", ["faces.example", "Faces.EXAMPLE", "faces.example."])
def test_a_listed_host_has_no_case(listed, name, host):
    listed(name)
    assert operation(f"https://{host}/x", {"a": 1}).service == "azure_face"
    assert services_at(host.lower().rstrip("."), 443) == {"azure_face"}


def test_a_port_that_goes_without_saying(listed):
    listed("faces.example:443")
    assert operation("https://faces.example/x", {"a": 1}).service == "azure_face"
    assert asked("http://faces.example/x", {"a": 1}) is None
    assert operation("https://127.0.0.1/x", {"a": 1}, headers={**JSON, "host": "faces.example"}).service == "azure_face"
    assert (
        operation("https://127.0.0.1/x", {"a": 1}, headers={**JSON, "host": "b.example, faces.example:443"}) is not None
    )


def test_a_request_that_only_reads_may_still_send_something(listed):
    listed("faces.example")
    assert operation("https://faces.example/people", method="GET") is None
    assert operation("https://faces.example/find?image=https%3A%2F%2Fx%2Fy.png", method="GET") is not None
    face = "https://x.cognitiveservices.azure.com/face/v1.2/identify"
    assert "identify" in operation(face, {"faceIds": ["x"]}, method="GET").actions
    override = {**JSON, "x-http-method-override": "POST"}
    assert operation("https://faces.example/people", method="GET", headers=override) is not None


def test_a_header_that_is_given_twice_is_read_whole():
    class Headers:
        def items(self):
            yield "X-Amz-Target", "RekognitionService.DetectLabels"
            yield "x-amz-target", b"RekognitionService.SearchFaces"

    found = recognise(described("POST", "https://127.0.0.1/", Headers(), b"{}"))
    assert found is not None
    assert found.operation is not None
    assert "identify" in found.operation.actions


def test_websockets():
    headers = {"upgrade": "websocket"}
    made = operation("https://api.openai.com/v1/realtime?model=m", method="GET", headers=headers)
    assert (tuple(made.actions), list(made.opaque)) == ((None,), ["the messages of a websocket"])
    assert operation("wss://generativelanguage.googleapis.com/ws/x.BidiGenerateContent", method="GET").opaque
    assert operation("wss://api.openai.com/v1/realtime?intent=transcription", method="GET") is None


def test_what_a_host_can_count_as():
    assert services_at("API.openai.com") == {"openai"}
    assert "azure_face" in services_at("x.cognitiveservices.azure.com", 443)
    assert "anthropic" in services_at("aiplatform.googleapis.com")
    assert services_at("rekognition.eu-west-1.amazonaws.com") == {"rekognition_compare", "rekognition_other"}
    assert services_at("example.com") == frozenset()


# ---- Google Vision and Video Intelligence


def vision(*features: str, **image: Any) -> dict[str, Any]:
    return {"requests": [{"image": image or {"content": PNG}, "features": [{"type": name} for name in features]}]}


VISION = "https://vision.googleapis.com/v1/images:annotate"


def test_features_of_google_vision():
    assert operation(VISION, vision("LABEL_DETECTION", "TEXT_DETECTION")) is None
    made = operation(VISION, vision("FACE_DETECTION", "LABEL_DETECTION"))
    assert (tuple(made.actions), tuple(made.also)) == (("detect",), ("emotion",))
    assert made.payload == {("requests", 0, "image", "content"): PNG}
    assert tuple(operation(VISION, vision("WEB_DETECTION")).actions) == (None,)
    assert tuple(operation(VISION, vision("A_NEW_ONE", "FACE_DETECTION")).also) == ("detect", "emotion")
    made = operation(VISION, vision("WEB_DETECTION", source={"imageUri": "gs://b/o"}))
    assert list(made.opaque) == ["a picture at an address"]
    assert tuple(operation(VISION, {"requests": [{"image": {"content": PNG}, "features": [{"type": 4}]}]}).actions) == (
        None,
    )
    assert google_vision.translate("/v1/operations", {}) is None


def test_features_of_google_video_intelligence():
    url = "https://videointelligence.googleapis.com/v1/videos:annotate"
    made = operation(url, {"inputUri": "gs://b/v.mp4", "features": ["PERSON_DETECTION", "FACE_DETECTION"]})
    assert {*made.actions, *made.also} == {"detect", "track"}
    assert list(made.opaque) == ["a file in a storage bucket"]
    assert operation(url, {"inputUri": "gs://b/v.mp4", "features": ["LABEL_DETECTION"]}) is None


# ---- bodies


def form(*parts: tuple[bytes, bytes]) -> bytes:
    return multipart.join(
        [multipart.Part(b"Content-Disposition: form-data; " + head, content) for head, content in parts], b"b1"
    )


def test_a_form_is_read_by_name_and_put_together_again():
    raw = form(
        (b'name="image[]"; filename="a"', b"one"), (b'name="prompt"', b"p"), (b'name="image[]"; filename="b"', b"two")
    )
    body = read_body(raw, {"content-type": 'multipart/form-data; boundary="b1"'})
    assert body.value == {"image[]": [b"one", b"two"], "prompt": ["p"]}
    assert body.with_payload({("image[]", 0): b"one"}) == raw
    assert body.with_payload({("image[]", 1): b"2"}) == raw.replace(b"two", b"2")


def test_what_cannot_be_read_is_sent_as_it_is_or_not_at_all():
    for headers, raw in (
        ({"content-encoding": "br"}, b"{}"),
        (JSON, b"{"),
        (JSON, b'{"a": 1, "a": 2}'),
        (JSON, b"[" * 100_000),
        ({"content-type": "multipart/form-data"}, b"--x\r\n\r\n--x--\r\n"),
        ({"content-type": "application/grpc"}, b"\0\0\0\0\1x"),
        ({"content-type": "application/x-www-form-urlencoded"}, b"a=b"),
    ):
        body = read_body(raw, headers)
        assert body.unread
        assert body.with_payload({("a",): b"x"}) == raw
        assert body.mapping() == {}


def test_json_without_its_type_and_with_a_byte_order_mark_is_read():
    assert read_body(b'\xef\xbb\xbf {"a": 1}', {}).mapping() == {"a": 1}
    assert read_body(b"", JSON).mapping() == {}
    assert not read_body(b"{broken", {}).is_json


def test_a_payload_that_does_not_fit_is_an_error():
    with pytest.raises((ValueError, KeyError, IndexError, TypeError)):
        read_body(b'{"a": 1}', JSON).with_payload({("b", 0, "c"): b"x"})
