"""What gets past the hooks inside a process does not get past a gateway beside it: it sees bytes, not libraries."""

from __future__ import annotations

import ctypes
import importlib
import json
import shutil
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("uvicorn", reason="the gateway needs frguard[gateway]")
pytest.importorskip("aiohttp", reason="the gateway needs frguard[gateway]")

from cryptography import x509

import guard
from tests.gateway import requests as made
from tests.gateway.running import HEADER, TRUSTED, Certificates, running, send_raw, upstream
from tests.gateway.test_proxy import BOTH
from tests.integrations.loopback import CountingServer, counting_server

BODY = json.dumps(made.search()).encode()


def request_bytes() -> bytes:
    lines = {"host": "127.0.0.1", **made.AMAZON, HEADER: "bodycam", "connection": "close"}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"POST / HTTP/1.1\r\n{head}content-length: {len(BODY)}\r\n\r\n".encode() + BODY


def by_socket(address: str, folder: Path) -> bytes:
    return send_raw(address, request_bytes())


def by_libc(address: str, folder: Path) -> bytes:
    """Neither Python's sockets nor its audit events see this."""
    libc = ctypes.CDLL(None, use_errno=True)
    peer = struct.pack("=H", socket.AF_INET) + struct.pack("!H", int(address.rpartition(":")[2]))
    peer += socket.inet_aton("127.0.0.1") + bytes(8)
    raw = libc.socket(socket.AF_INET, socket.SOCK_STREAM, 0)
    try:
        assert libc.connect(raw, peer, len(peer)) == 0
        data = request_bytes()
        assert libc.send(raw, data, len(data), 0) == len(data)
        got, buffer = b"", ctypes.create_string_buffer(65536)
        while (size := libc.recv(raw, buffer, len(buffer), 0)) > 0:
            got += buffer.raw[:size]
        return got
    finally:
        libc.close(raw)


def by_another_python(address: str, folder: Path) -> bytes:
    """An interpreter without site-packages: no guard, no hook."""
    code = "import socket, sys; s = socket.create_connection(('127.0.0.1', int(sys.argv[1]))); "
    code += "s.sendall(sys.stdin.buffer.read()); sys.stdout.buffer.write(s.makefile('rb').read())"
    command = [sys.executable, "-S", "-I", "-c", code, address.rpartition(":")[2]]
    return subprocess.run(command, input=request_bytes(), capture_output=True, timeout=60, check=True).stdout


def by_curl(address: str, folder: Path) -> bytes:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    (folder / "body").write_bytes(BODY)
    command = ["curl", "-si", "--data-binary", f"@{folder / 'body'}"]
    for header in {**made.AMAZON, HEADER: "bodycam"}.items():
        command += ["-H", ": ".join(header)]
    return subprocess.run([*command, f"http://{address}/"], capture_output=True, timeout=60, check=True).stdout


def by_bash(address: str, folder: Path) -> bytes:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("bash is not installed")
    (folder / "request").write_bytes(request_bytes())
    code = f"exec 3<>/dev/tcp/127.0.0.1/{address.rpartition(':')[2]}; cat {folder / 'request'} >&3; cat <&3"
    return subprocess.run([bash, "-c", code], capture_output=True, timeout=60, check=True).stdout


def by_another_interpreter(address: str, folder: Path) -> bytes:
    """One beside this in the same process: its modules are its own, no hook and no audit hook of ours is in it."""
    try:
        interpreters = importlib.import_module("_interpreters" if sys.version_info >= (3, 13) else "_xxsubinterpreters")
    except ImportError:
        pytest.skip("this Python has no second interpreter")
    request, answer = folder / "request", folder / "answer"
    request.write_bytes(request_bytes())
    code = f"""
import socket
with socket.create_connection(("127.0.0.1", {address.rpartition(":")[2]})) as s:
    s.sendall(open({str(request)!r}, "rb").read())
    open({str(answer)!r}, "wb").write(s.makefile("rb").read())
"""
    made = interpreters.create()
    try:
        interpreters.run_string(made, code)
    finally:
        interpreters.destroy(made)
    return answer.read_bytes()


def by_pieces(address: str, folder: Path) -> bytes:
    """Cut into pieces by hand, each sent when the one before has gone."""
    head, _, body = request_bytes().partition(b"\r\n\r\n")
    head = head.replace(f"content-length: {len(BODY)}".encode(), b"transfer-encoding: chunked")
    pieces = [body[start : start + 99] for start in range(0, len(body), 99)]
    return send_raw(address, head + b"\r\n\r\n" + b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in [*pieces, b""]))


WAYS: list[Callable[[str, Path], bytes]] = [
    by_socket,
    by_libc,
    by_another_python,
    by_another_interpreter,
    by_pieces,
    by_curl,
    by_bash,
]


@pytest.fixture
def service() -> Iterator[CountingServer]:
    with counting_server() as server:
        yield server


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_a_call_past_every_hook_is_denied_and_recorded(make_guard, service, tmp_path, way):
    g = make_guard(BOTH + TRUSTED + upstream("rekognition", service.url))
    with running(g) as (address,):
        got = way(address, tmp_path)
    assert got.split(b"\r\n")[0].split(b" ")[1] == b"403"
    assert b"AccessDeniedException" in got
    service.assert_untouched()
    assert g.ledger.verdicts() == ["deny"]
    assert g.ledger.entries[0].decision.source == "bodycam"


def test_a_request_behind_another_is_judged_on_its_own(make_guard, service):
    """Where a first one is said to have ended, whoever reads the bytes reads a second."""
    g = make_guard(BOTH + TRUSTED + upstream("rekognition", service.url))
    first = request_bytes().replace(b"SearchFacesByImage", b"DetectLabels").replace(b"connection: close\r\n", b"")
    first = first.replace(f"content-length: {len(BODY)}".encode(), b"content-length: 2")[: -len(BODY)] + b"{}"
    with running(g) as (address,):
        got = send_raw(address, first + request_bytes())
    assert [part.split(b" ")[0] for part in got.split(b"HTTP/1.1 ")[1:]] == [b"200", b"403"]
    assert service.bodies == [b"{}"]
    assert g.ledger.verdicts() == ["deny"]


@pytest.mark.parametrize(
    "line", ["CONNECT 127.0.0.1:443", "POST http://nobody.invalid/", "POST http://127.0.0.1/", "POST //127.0.0.1/"]
)
def test_a_tunnel_or_a_whole_url_leads_nowhere_else(make_guard, service, line):
    g = make_guard(BOTH + TRUSTED + upstream("rekognition", service.url))
    with running(g) as (address,):
        got = send_raw(address, request_bytes().replace(b"POST /", line.encode(), 1))
    assert got.split(b" ")[1] in (b"400", b"403"), got
    service.assert_untouched()


def test_an_sdk_that_is_wired_past_its_hooks_is_denied(make_guard, service, tmp_path):
    """botocore's endpoint, called below the hooked methods, over mutual TLS."""
    boto3 = pytest.importorskip("boto3", reason="needs boto3")
    from botocore.config import Config

    authority = Certificates(tmp_path)
    certificate, key = authority.server()
    listener = (
        f'[[gateway.listener]]\nbind = "127.0.0.1:0"\nserves = "proxy"\ncertificate = "{certificate}"\n'
        f'key = "{key}"\nclient_ca = "{authority.ca}"\n'
    )
    g = make_guard(BOTH + listener + upstream("rekognition", service.url))
    with running(g) as (address,):
        client = boto3.client(
            "rekognition",
            region_name="eu-west-1",
            endpoint_url=f"https://{address}",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            verify=str(authority.ca),
            config=Config(client_cert=tuple(map(str, authority.make("camera", x509.DNSName("bodycam"))))),
        )
        operation = client.meta.service_model.operation_model("SearchFacesByImage")
        params = {"CollectionId": "staff", "Image": {"Bytes": made.png()}}
        request = client._convert_to_request_dict(params, operation, client.meta.endpoint_url)
        answer, parsed = client._endpoint.make_request(operation, request)
        assert (answer.status_code, parsed["Error"]["Code"]) == (403, "AccessDeniedException")
        with pytest.raises(client.exceptions.AccessDeniedException):
            client.compare_faces(SourceImage={"Bytes": made.png()}, TargetImage={"Bytes": made.png()})
    service.assert_untouched()
    assert g.ledger.verdicts() == ["deny", "deny"]


def test_openai_s_own_client_gets_its_own_exception(make_guard, service):
    openai = pytest.importorskip("openai", reason="needs openai")
    g = make_guard(BOTH + TRUSTED + upstream("azure_openai", service.url))
    with running(g) as (address,):
        client = openai.OpenAI(
            api_key="k", base_url=f"http://{address}/v1", default_headers={HEADER: "bodycam"}, max_retries=3
        )
        with client, pytest.raises(openai.PermissionDeniedError) as caught:
            client.post("/chat/completions", cast_to=object, body=made.chat("https://example.com/a.jpg"))
    assert caught.value.code == "face_policy_violation"
    service.assert_untouched()
    assert g.ledger.verdicts() == ["deny"]


def test_an_sdk_s_websocket_is_not_opened(make_guard, service):
    """In process the connection stands before its first message is judged; here there is none."""
    openai = pytest.importorskip("openai", reason="needs openai")
    exceptions = pytest.importorskip("websockets.exceptions", reason="needs websockets")
    g = make_guard(BOTH + TRUSTED + upstream("openai", service.url))
    with running(g) as (address,):
        client = openai.OpenAI(
            api_key="k",
            base_url=f"http://{address}/v1",
            websocket_base_url=f"ws://{address}/v1",
            default_headers={HEADER: "door"},
        )
        with client, pytest.raises(exceptions.InvalidStatus) as caught:
            client.realtime.connect(model="m").enter()
    assert caught.value.response.status_code == 403
    service.assert_untouched()


def test_a_gateway_in_a_process_that_is_guarded_itself_decides_once(make_guard, service):
    """Its own HTTP client is hooked then, and sends what was released without being asked again."""
    guard.install("aiohttp")
    try:
        g = make_guard(BOTH + TRUSTED + upstream("rekognition", service.url))
        with running(g) as (address,):
            got = send_raw(address, request_bytes().replace(b"SearchFacesByImage", b"DetectFaces"))
    finally:
        guard.uninstall()
    assert got.split(b" ")[1] == b"200"
    assert [(entry.decision.source, entry.verdict) for entry in g.ledger.entries] == [("bodycam", "allow")]
    assert service.requests == 1
