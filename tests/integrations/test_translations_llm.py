"""What a request to a vision-language model carries: found where pictures belong, and nowhere else."""

from __future__ import annotations

import base64
import copy
import json

import cv2
import numpy as np
import pytest

from guard.integrations.translations import anthropic, google, openai
from guard.integrations.translations.parts import replaced

PNG = cv2.imencode(".png", np.random.default_rng(3).integers(0, 255, (24, 24, 3), np.uint8))[1].tobytes()
TEXT64 = base64.b64encode(PNG).decode()
URL = "data:image/png;base64," + TEXT64
OTHER = "data:image/png;base64," + base64.b64encode(PNG[::-1]).decode()


def chat(*parts: object) -> dict[str, object]:
    return {"model": "m", "messages": [{"role": "user", "content": list(parts)}]}


def responses(*items: object) -> dict[str, object]:
    return {"model": "m", "input": list(items)}


def contents(*parts: object) -> dict[str, object]:
    return {"contents": [{"role": "user", "parts": list(parts)}]}


IMAGE_URL = {"type": "image_url", "image_url": {"url": URL}}
CARRIED = {
    "chat": (openai, "/chat/completions", chat(IMAGE_URL), URL),
    "chat, file": (openai, "/chat/completions", chat({"type": "file", "file": {"file_data": URL}}), URL),
    "responses": (
        openai,
        "/v1/responses",
        responses({"role": "user", "content": [{"type": "input_image", "image_url": URL}]}),
        URL,
    ),
    "responses, tool output": (
        openai,
        "/responses",
        responses(
            {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_image", "image_url": URL}]}
        ),
        URL,
    ),
    "responses, screenshot": (
        openai,
        "/responses",
        responses({"type": "computer_call_output", "output": {"type": "computer_screenshot", "image_url": URL}}),
        URL,
    ),
    "responses, a picture made earlier": (
        openai,
        "/responses",
        responses({"type": "image_generation_call", "id": "i", "status": "completed", "result": TEXT64}),
        TEXT64,
    ),
    "responses, mask of a tool": (
        openai,
        "/responses",
        {"input": "x", "tools": [{"type": "image_generation", "input_image_mask": {"image_url": URL}}]},
        URL,
    ),
    "responses, variable of a prompt": (
        openai,
        "/responses",
        {"prompt": {"id": "p", "variables": {"who": {"type": "input_image", "image_url": URL}}}},
        URL,
    ),
    "images, multipart": (openai, "/images/edits", {"prompt": "x", "image[]": [PNG]}, PNG),
    "azure": (openai, "/openai/deployments/d/chat/completions?api-version=1", chat(IMAGE_URL), URL),
    "words that are a picture": (openai, "/chat/completions", {"messages": [{"role": "user", "content": URL}]}, URL),
    "words that are a picture, in odd letters": (
        openai,
        "/chat/completions",
        {"messages": [{"role": "user", "content": URL.replace("data:image", "DaTa:iMage")}]},
        URL.replace("data:image", "DaTa:iMage"),
    ),
    "spelling of the scheme": (
        openai,
        "/chat/completions",
        chat({"type": "image_url", "image_url": {"url": URL.replace("data:image", " DATA:Image")}}),
        URL.replace("data:image", " DATA:Image"),
    ),
    "a batch file": (
        openai,
        "/files",
        {"purpose": "batch", "file": json.dumps({"body": chat(IMAGE_URL)}).encode()},
        URL,
    ),
    "messages": (
        anthropic,
        "/v1/messages",
        chat({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": TEXT64}}),
        TEXT64,
    ),
    "messages, tool result": (
        anthropic,
        "/v1/messages",
        chat(
            {
                "type": "tool_result",
                "content": [{"type": "image", "source": {"type": "base64", "media_type": "x", "data": TEXT64}}],
            }
        ),
        TEXT64,
    ),
    "messages, said to be text": (
        anthropic,
        "/v1/messages",
        chat({"type": "document", "source": {"type": "base64", "media_type": "text/plain", "data": TEXT64}}),
        TEXT64,
    ),
    "message batches": (
        anthropic,
        "/v1/messages/batches?beta=true",
        {
            "requests": [
                {"custom_id": "a", "params": chat({"type": "image", "source": {"type": "base64", "data": TEXT64}})}
            ]
        },
        TEXT64,
    ),
    "anthropic files": (anthropic, "/v1/files", {"file": PNG}, PNG),
    "generateContent": (
        google,
        "/v1beta/models/g:generateContent",
        contents({"inlineData": {"mimeType": "image/png", "data": TEXT64}}),
        TEXT64,
    ),
    "generateContent, bytes": (
        google,
        "models/g:generateContent",
        contents({"inline_data": {"mime_type": "image/png", "data": PNG}}),
        PNG,
    ),
    "generateContent, a tool's answer": (
        google,
        "models/g:generateContent",
        contents(
            {
                "functionResponse": {
                    "name": "f",
                    "response": {},
                    "parts": [{"inlineData": {"mimeType": "image/png", "data": TEXT64}}],
                }
            }
        ),
        TEXT64,
    ),
    "predict": (google, "models/i:predict", {"instances": [{"image": {"bytesBase64Encoded": TEXT64}}]}, TEXT64),
    "predict, parameters": (
        google,
        "models/i:predict",
        {"instances": [{"prompt": "x"}], "parameters": {"mask": {"image": {"bytesBase64Encoded": TEXT64}}}},
        TEXT64,
    ),
    "interactions": (
        google,
        "/v1beta/interactions",
        {"input": [{"type": "image", "data": TEXT64, "mime_type": "image/png"}]},
        TEXT64,
    ),
    "an uploaded picture": (google, "upload/v1beta/files", {"file": PNG}, PNG),
}


@pytest.mark.parametrize("case", CARRIED.values(), ids=CARRIED.keys())
def test_a_picture_is_found_and_put_back_in_a_copy(case):
    module, path, body, picture = case
    before = copy.deepcopy(body)
    operation = module.translate(path, body)
    assert list(operation.payload.values()) == [picture]
    assert operation.actions == (None,)
    assert list(operation.opaque) == []
    assert replaced(body, operation.payload) == body

    new = OTHER if isinstance(picture, str) else b"other"
    changed = replaced(body, dict.fromkeys(operation.payload, new))
    assert module.translate(path, changed) != operation
    assert (new if isinstance(new, str) else new.decode()) in str(changed)
    assert str(picture) not in str(changed)
    assert body == before


HTTPS = "https://example.com/a"
REFERRED = {
    "chat, address": (openai, "/chat/completions", chat({"type": "image_url", "image_url": {"url": HTTPS}})),
    "chat, no picture in it": (openai, "/chat/completions", chat({"type": "image_url", "image_url": {"href": "x"}})),
    "chat, file id": (openai, "/chat/completions", chat({"type": "file", "file": {"file_id": "file-1"}})),
    "chat, a video": (openai, "/chat/completions", chat({"type": "video_url", "video_url": {"url": HTTPS}})),
    "responses, address": (openai, "/responses", responses({"content": [{"type": "input_image", "image_url": HTTPS}]})),
    "responses, file id": (openai, "/responses", responses({"content": [{"type": "input_image", "file_id": "f"}]})),
    "responses, file address": (
        openai,
        "/responses",
        responses({"content": [{"type": "input_file", "file_url": HTTPS}]}),
    ),
    "responses, earlier one": (openai, "/responses", {"input": "x", "previous_response_id": "resp_1"}),
    "responses, conversation": (openai, "/responses", {"input": "x", "conversation": {"id": "conv_1"}}),
    "responses, item": (openai, "/responses", responses({"type": "item_reference", "id": "i"})),
    "responses, container": (
        openai,
        "/responses",
        {"input": "x", "tools": [{"type": "code_interpreter", "container": {"type": "auto", "file_ids": ["file-1"]}}]},
    ),
    "batch": (openai, "/batches", {"input_file_id": "file-1", "endpoint": "/v1/chat/completions"}),
    "tuning": (openai, "/fine_tuning/jobs", {"training_file": "file-1", "model": "m"}),
    "thread": (openai, "/threads/thread_1/runs", {"assistant_id": "a"}),
    "piece of an upload": (openai, "/uploads/upload_1/parts", {"data": b"some text"}),
    "client secret": (openai, "/realtime/client_secrets", {"session": {"type": "realtime"}}),
    "call": (openai, "/v1/realtime/calls", {"sdp": "v=0"}),
    "a PDF": (openai, "/files", {"purpose": "user_data", "file": b"%PDF-1.7 plain"}),
    "a zip": (openai, "/files", {"purpose": "assistants", "file": b"PK\x03\x04\xff\xfe"}),
    "text with a picture": (openai, "/files", {"purpose": "assistants", "file": b"see " + URL.encode()}),
    "a mail": (openai, "/files", {"file": b"Subject: x\n\n" + b"\n".join([b"A" * 76] * 9)}),
    "no base64": (openai, "/chat/completions", chat({"type": "file", "file": {"file_data": "!" + TEXT64}})),
    "words around a picture": (openai, "/chat/completions", chat({"type": "text", "text": "see " + URL})),
    "an object nobody knows": (openai, "/chat/completions", chat(object())),
    "anthropic, address": (anthropic, "/v1/messages", chat({"type": "image", "source": {"type": "url", "url": HTTPS}})),
    "anthropic, file id": (
        anthropic,
        "/v1/messages",
        chat({"type": "document", "source": {"type": "file", "file_id": "file_1"}}),
    ),
    "anthropic, container": (anthropic, "/v1/messages", {"container": "container_1", **chat()}),
    "anthropic, container in a batch": (
        anthropic,
        "/v1/messages/batches",
        {"requests": [{"params": {"container": {"id": "container_1"}, **chat()}}]},
    ),
    "anthropic, upload to a container": (
        anthropic,
        "/v1/messages",
        chat({"type": "container_upload", "file_id": "file_1"}),
    ),
    "google, file": (google, "models/g:generateContent", contents({"fileData": {"fileUri": HTTPS}})),
    "google, file, other spelling": (google, "models/g:generateContent", contents({"file_data": {"file_uri": "x"}})),
    "google, bucket": (google, "models/i:predict", {"instances": [{"image": {"gcsUri": "gs://b/o"}}]}),
    "google, cache": (google, "models/g:generateContent", {"cachedContent": "cachedContents/1", **contents()}),
    "google, earlier one": (google, "/v1beta/interactions", {"input": "x", "previous_interaction_id": "i"}),
    "google, batch": (google, "batchPredictionJobs", {"inputConfig": {"gcsSource": {"uris": ["gs://b/o"]}}}),
    "google, batch by file": (
        google,
        "models/g:batchGenerateContent",
        {"batch": {"inputConfig": {"fileName": "files/1"}}},
    ),
    "google, tuning": (google, "tuningJobs", {"supervisedTuningSpec": {"trainingDatasetUri": "gs://b/o"}}),
    "google, token": (google, "/v1alpha/auth_tokens", {"uses": 1}),
}


@pytest.mark.parametrize("case", REFERRED.values(), ids=REFERRED.keys())
def test_what_cannot_be_looked_at_is_said_so(case):
    module, path, body = case
    operation = module.translate(path, body)
    assert operation.opaque
    assert operation.payload == {}
    assert operation.actions == (None,)


NOTHING = {
    "words": (
        openai,
        "/chat/completions",
        {"messages": [{"role": "user", "content": "who is at https://x.org/a.jpg?"}]},
    ),
    "words in a part": (openai, "/chat/completions", chat({"type": "text", "text": HTTPS + "/a.jpg"})),
    "long words": (openai, "/chat/completions", chat({"type": "text", "text": TEXT64})),
    "sound": (
        openai,
        "/chat/completions",
        chat({"type": "input_audio", "input_audio": {"data": TEXT64, "format": "wav"}}),
    ),
    "a tool that takes pictures": (
        openai,
        "/chat/completions",
        {
            **chat({"type": "text", "text": "x"}),
            "tools": [
                {
                    "type": "function",
                    "function": {"name": "f", "parameters": {"properties": {"image_url": {"type": "string"}}}},
                }
            ],
        },
    ),
    "what a search found": (
        openai,
        "/responses",
        responses(
            {"type": "web_search_call", "action": {"type": "search", "sources": [{"type": "url", "url": HTTPS}]}},
            {
                "type": "message",
                "content": [
                    {"type": "output_text", "text": "x", "annotations": [{"type": "url_citation", "url": HTTPS}]}
                ],
            },
        ),
    ),
    "a new conversation": (openai, "/conversations", {"items": [{"role": "user", "content": "x"}]}),
    "transcription": (openai, "/audio/transcriptions", {"model": "w", "file": b"\xff\xfb\x90"}),
    "a picture to be made": (openai, "/images/generations", {"prompt": "a street"}),
    "a file of words": (openai, "/files", {"purpose": "assistants", "file": "grüße\n".encode()}),
    "a batch of words": (openai, "/files", {"purpose": "batch", "file": b'{"body": {"input": "x"}}\n{"body": {}}\n'}),
    "the same server": (openai, "/anything", {}),
    "no body": (openai, "/responses/resp_1/cancel", None),
    "anthropic, words": (anthropic, "/v1/messages", chat({"type": "text", "text": "x"})),
    "anthropic, a document of words": (
        anthropic,
        "/v1/messages",
        chat({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "words " * 99}}),
    ),
    "anthropic, a tool's arguments": (
        anthropic,
        "/v1/messages",
        chat({"type": "tool_use", "name": "f", "input": {"image_url": HTTPS, "file_id": "x"}}),
    ),
    "anthropic, skills": (anthropic, "/v1/messages", {"container": {"skills": [{"skill_id": "x"}]}, **chat()}),
    "google, words": (google, "models/g:generateContent", contents({"text": HTTPS})),
    "google, sound": (
        google,
        "models/g:generateContent",
        contents({"inlineData": {"mimeType": "audio/wav", "data": base64.b64encode(b"RIFF" * 99).decode()}}),
    ),
    "google, a tool's answer": (
        google,
        "models/g:generateContent",
        contents({"functionResponse": {"name": "f", "response": {"image_url": HTTPS, "file_id": "x"}}}),
    ),
    "google, embedding": (google, "models/e:embedContent", {"content": {"parts": [{"text": "x"}]}}),
}


@pytest.mark.parametrize("case", NOTHING.values(), ids=NOTHING.keys())
def test_a_request_without_a_picture_is_none(case):
    module, path, body = case
    assert module.translate(path, body) is None


def test_a_batch_file_keeps_the_lines_that_hold_no_picture():
    plain = b'{"custom_id":  "1", "body": {"input": "x"}}'
    data = b"\n".join([plain, json.dumps({"custom_id": "2", "body": chat(IMAGE_URL)}).encode(), b""])
    body = {"purpose": "batch", "file": data}
    operation = openai.translate("/v1/files", body)
    assert replaced(body, operation.payload) == body
    changed = replaced(body, dict.fromkeys(operation.payload, OTHER))["file"].split(b"\n")
    assert changed[0] == plain
    assert json.loads(changed[1]) == {
        "custom_id": "2",
        "body": chat({"type": "image_url", "image_url": {"url": OTHER}}),
    }
    assert changed[2] == b""


def test_a_picture_that_json_hides_behind_escapes_is_found():
    data = json.dumps({"body": chat(IMAGE_URL)}).replace("data:", "\\u0064ata:").replace("/", "\\/").encode()
    operation = openai.translate("/files", {"file": data + b"\n" + data})
    assert list(operation.payload.values()) == [URL, URL]


def test_a_key_given_twice_cannot_be_looked_at():
    data = b'{"input": [], "input": "x"}'
    assert openai.translate("/responses", data).opaque


def test_a_body_of_bytes_is_read_as_json():
    body = json.dumps(chat(IMAGE_URL)).encode()
    operation = openai.translate("/chat/completions", body)
    assert list(operation.payload.values()) == [URL]
    changed = replaced(body, dict.fromkeys(operation.payload, OTHER))
    assert json.loads(changed) == chat({"type": "image_url", "image_url": {"url": OTHER}})


def test_elsewhere_than_at_a_vision_language_service_the_call_is_named():
    for module, path in ((openai, "/chat/completions"), (anthropic, "/v1/messages"), (google, "m:generateContent")):
        assert module.translate(path, chat(IMAGE_URL), service="self_hosted").actions == ("vlm_describe",)
        assert module.translate(path, chat(IMAGE_URL), service="azure_openai").actions == (None,)


def test_names_for_messages_hold_no_ids():
    assert openai.translate("/v1/threads/thread_abc/runs", {}).name == "openai.threads.runs"
    assert openai.translate("/chat/completions", chat(IMAGE_URL)).name == "openai.chat.completions"
    assert anthropic.translate("/v1/messages", {"container": "c"}).name == "anthropic.messages"
    assert google.translate("/v1/projects/secret/models/g:predict", {"file_id": "x"}).name == "google.predict"


def test_a_request_nested_or_numbered_beyond_the_bounds_cannot_be_looked_at():
    deep: object = "x"
    for _ in range(80):
        deep = [deep]
    assert openai.translate("/responses", {"input": deep}).opaque
    assert openai.translate("/responses", {"input": ["x"] * 200_001}).opaque


def test_messages_on_a_websocket_are_read_as_requests_are():
    item = {"type": "message", "role": "user", "content": [{"type": "input_image", "image_url": URL}]}
    event = {"type": "conversation.item.create", "item": item}
    assert list(openai.translate_event(event).payload.values()) == [URL]
    assert list(openai.translate_event(json.dumps(event).encode()).payload.values()) == [URL]
    assert openai.translate_event({"type": "response.create", "response": {"conversation": "auto"}}) is None
    assert openai.translate_event({"type": "response.create", "previous_response_id": "r"}).opaque
    assert openai.translate_event({"type": "input_audio_buffer.append", "audio": TEXT64}) is None
    live = {"realtimeInput": {"video": {"data": TEXT64, "mimeType": "image/png"}}}
    assert list(google.translate_event(live).payload.values()) == [TEXT64]
    assert google.translate_event({"realtime_input": {"audio": {"data": "AAAA", "mime_type": "audio/pcm"}}}) is None
    assert google.translate_event({"setup": {"model": "m", "sessionResumption": {"handle": "h"}}}).opaque
