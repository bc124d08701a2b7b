"""Files that the openai library uploads: looked at whole, redacted under their own name."""

from __future__ import annotations

import io
import json

import pytest

import guard
from guard.integrations.openai import ADAPTER
from tests.integrations.llm import JPEG, PATIENT, PICTURE, PNG, is_covered
from tests.integrations.loopback import Arrived
from tests.integrations.openai_calls import answer, azure, clients, messages
from tests.integrations.setting_up import hooked, judged_for, serving

openai = pytest.importorskip("openai", reason="the openai library is not installed")
pytestmark = pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")


_hooks = hooked(ADAPTER)
server = serving(answer, clients)
police = judged_for(PATIENT, "microsoft_azure_openai_2024")


def parts_of(request: Arrived) -> dict[str, bytes]:
    import email.parser

    head = f"Content-Type: {request.headers['Content-Type']}\r\n\r\n".encode()
    message = email.parser.BytesParser().parsebytes(head + request.body)
    assert message.is_multipart()
    return {
        f"{part.get_param('name', header='content-disposition')}|{part.get_filename() or ''}": part.get_payload(
            decode=True
        )
        for part in message.get_payload()
    }


@pytest.mark.parametrize(
    "given",
    [
        lambda path: PNG,
        lambda path: ("face.png", PNG),
        lambda path: ("face.png", PNG, "image/png"),
        lambda path: io.BytesIO(PNG),
        lambda path: ("face.png", io.BytesIO(PNG)),
        lambda path: path,
    ],
    ids=["bytes", "named", "typed", "stream", "named stream", "path"],
)
def test_an_uploaded_picture_arrives_covered_under_its_own_name(given, server, police, tmp_path):
    path = tmp_path / "face.png"
    path.write_bytes(PNG)
    file = given(path)
    with police.frame(PICTURE):
        azure(server).files.create(file=file, purpose="vision")
    (request,) = server.arrived
    name = "face.png" if isinstance(file, tuple) or file is path else "upload"
    parts = parts_of(request)
    assert parts["purpose|"] == b"vision"
    assert is_covered(parts[f"file|{name}"])
    assert path.read_bytes() == PNG
    assert police.guard.ledger.verdicts() == ["redact"]


def test_several_pictures_to_be_edited_arrive_covered(server, police):
    with police.frame(PICTURE):
        azure(server).images.edit(model="m", image=[("a.png", PNG), ("b.png", PNG)], mask=PNG, prompt="x")
    body = server.arrived[0].body
    names = [line for line in body.split(b"\r\n") if b"filename" in line]
    assert len(names) == 3
    assert PNG not in body
    assert police.guard.ledger.verdicts() == ["redact"]


def test_a_stream_goes_out_from_where_it_stood(server, police):
    stream = io.BytesIO(b"leading" + PNG)
    stream.seek(7)
    with police.frame(PICTURE):
        azure(server).files.create(file=stream, purpose="vision")
    assert is_covered(parts_of(server.arrived[0])["file|upload"])
    assert stream.tell() == 7


def test_the_lines_of_a_batch_file_are_looked_at(server, police):
    line = {"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body": {"messages": messages()}}
    words = b'{"custom_id":   "2", "body": {"messages": []}}'
    with police.frame(PICTURE):
        azure(server).files.create(file=("b.jsonl", json.dumps(line).encode() + b"\n" + words), purpose="batch")
    first, second = parts_of(server.arrived[0])["file|b.jsonl"].split(b"\n")
    assert is_covered(json.loads(first)["body"]["messages"][0]["content"][1]["image_url"]["url"])
    assert second == words


def test_a_file_that_breaks_off_is_refused(server, police):
    with police.frame(PICTURE), pytest.raises(openai.PermissionDeniedError):
        azure(server).files.create(file=("a.jpg", JPEG[: len(JPEG) // 2]), purpose="vision")
    server.assert_untouched()


class Exhausted(io.RawIOBase):
    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        raise OSError("gone")


def test_a_file_that_cannot_be_read_is_refused_by_the_guard(server, police):
    with police.frame(PICTURE), pytest.raises(openai.PermissionDeniedError, match="gone") as caught:
        azure(server).files.create(file=("a.png", Exhausted()), purpose="vision")
    assert isinstance(caught.value, guard.GuardFault)
    server.assert_untouched()
    assert police.guard.ledger.verdicts() == ["fault"]


class OneWay(io.RawIOBase):
    """A stream that cannot go back, as a socket's."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def readall(self) -> bytes:
        data, self._data = self._data, b""
        return data


def test_a_stream_that_cannot_go_back_arrives_whole(server, police):
    with police.frame(PICTURE):
        azure(server).files.create(file=("notes.txt", OneWay(b"words")), purpose="assistants")
        azure(server).files.create(file=("a.png", OneWay(PNG)), purpose="vision")
    words, picture = server.arrived
    assert parts_of(words)["file|notes.txt"] == b"words"
    assert is_covered(parts_of(picture)["file|a.png"])
    assert police.guard.ledger.verdicts() == ["redact"]
