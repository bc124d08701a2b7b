"""The tripwire: no connection to a known service but from a call that the guard has seen, whatever makes it."""

from __future__ import annotations

import asyncio
import http.client
import socket
import sys
import threading
import urllib.request
from typing import Any

import pytest

import guard
from guard.approvals import Approval
from guard.integrations import Operation, passage, tripwire
from tests.conftest import OFFICE
from tests.integrations.loopback import CountingServer, counting_server
from tests.integrations.rest import CLIENTS, client
from tests.integrations.setting_up import cleaned, serving

_clean = cleaned()
server = serving()


@pytest.fixture
def office(make_guard, server) -> guard.Guard:
    g = make_guard(
        OFFICE.replace("[[source]]", "[[source]]\nmax_age_s = 60.0").replace(
            "[services]", f'[services]\n"{server.host}" = "azure_face"'
        )
    )
    tripwire.arm()
    return g


def port_of(server: CountingServer) -> int:
    return int(server.host.partition(":")[2])


def raw_socket(server: CountingServer) -> None:
    with socket.socket() as made:
        made.connect(("127.0.0.1", port_of(server)))


async def _opened(server: CountingServer) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", port_of(server))
    writer.close()


WAYS: dict[str, Any] = {
    "socket": raw_socket,
    "create_connection": lambda server: socket.create_connection(("127.0.0.1", port_of(server))).close(),
    "http.client": lambda server: http.client.HTTPConnection(server.host).request("GET", "/"),
    "urllib": lambda server: urllib.request.urlopen(server.url).close(),
    "asyncio": lambda server: asyncio.run(_opened(server)),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_connection_past_every_hook_is_refused_and_recorded(office, server, way):
    with pytest.raises(guard.GuardFault, match="outside of every call"):
        WAYS[way](server)
    server.assert_untouched()
    assert office.ledger.verdicts() == ["fault"]


def resolved(host: Any, event: str = "socket.getaddrinfo") -> None:
    """What the interpreter announces before it resolves a name: no test names a service to a resolver."""
    sys.audit(event, host, *((443, 0, 0, 0) if event.endswith("info") else ()))


def test_known_names_are_not_resolved_and_others_are(office):
    for host in ("api.openai.com", "API.Anthropic.com.", b"rekognition.eu-west-1.amazonaws.com", "x.openai.azure.com"):
        with pytest.raises(guard.GuardFault):
            resolved(host)
    with pytest.raises(guard.GuardFault):
        resolved("api.openai.com", "socket.gethostbyname")
    assert socket.getaddrinfo("localhost", 80)
    assert socket.getaddrinfo(None, 80)


def test_other_connections_are_left_alone(office):
    with counting_server() as other:
        raw_socket(other)
        assert other.connections <= 1
    left, right = socket.socketpair()
    left.close()
    right.close()
    assert office.ledger.verdicts() == []


def test_inside_of_a_released_call_connections_are_made(office, server):
    operation = Operation("sdk", "azure_face", ("identify",), {})
    with office.source().frame(_picture()), passage(operation):
        raw_socket(server)
        asyncio.run(_opened(server))
    with pytest.raises(guard.GuardFault):
        raw_socket(server)
    assert office.ledger.verdicts() == ["allow", "fault"]


def test_a_released_call_to_another_service_opens_nothing(office, server):
    with Approval("openai", (None,), sealed=True), pytest.raises(guard.GuardFault):
        raw_socket(server)
    server.assert_untouched()


def test_a_thread_beside_a_released_call_is_refused(office, server):
    caught: list[BaseException] = []

    def run() -> None:
        try:
            raw_socket(server)
        except guard.GuardFault as error:
            caught.append(error)

    with Approval("azure_face", ("identify",), sealed=True):
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    assert len(caught) == 1


def test_names_are_resolved_in_worker_threads_for_a_call_that_runs(office):
    async def resolve() -> None:
        loop = asyncio.get_running_loop()
        with pytest.raises(guard.GuardFault):
            await loop.getaddrinfo("api.openai.com", 1)
        with Approval("openai", (), sealed=False), pytest.raises(OSError, match="stand-in"):
            await loop.getaddrinfo("api.openai.com", 1)

    def absent(*given: Any, **named: Any) -> Any:
        sys.audit("socket.getaddrinfo", *given)
        raise OSError("stand-in")

    original = socket.getaddrinfo
    socket.getaddrinfo = absent
    try:
        asyncio.run(resolve())
    finally:
        socket.getaddrinfo = original


@pytest.mark.parametrize("name", CLIENTS)
def test_guarded_clients_pass_it_with_and_without_something_to_judge(office, server, name):
    from guard.integrations.watching import watch

    made = client(name)
    with pytest.raises(guard.GuardFault):
        raw_socket(server)
    watch.add([made.adapter])
    with office.source().frame(_picture()):
        got = made.send("POST", server.url + "/face/v1.2/identify", body=b'{"faceIds": []}')
        assert (got.status, got.refusal) == (200, None)
        got = made.send("GET", server.url + "/face/v1.2/facelists")
        assert (got.status, got.refusal) == (200, None)
    assert office.ledger.verdicts() == ["fault", "allow"]


def test_with_no_guard_loaded_it_still_refuses(server, make_guard):
    tripwire.arm()
    with pytest.raises(guard.GuardFault, match="no guard is loaded"):
        resolved("api.openai.com")


def test_after_uninstall_it_is_inert(office, server):
    guard.uninstall()
    assert not tripwire.is_armed()
    raw_socket(server)
    tripwire.arm()
    with pytest.raises(guard.GuardFault):
        raw_socket(server)


def test_install_arms_it_only_where_it_is_asked_for():
    guard.install("requests")
    assert not tripwire.is_armed()
    guard.install("requests", tripwire=True)
    assert tripwire.is_armed()


def test_the_standard_library_has_python_s_version():
    import platform

    guard.install("http.client")
    stands = {coverage.name: coverage for coverage in guard.verify()}
    assert stands["http.client"].version == platform.python_version()
    assert stands["http.client"].state == "guarded"


def _picture() -> Any:
    import numpy as np

    return np.random.default_rng(3).integers(60, 90, (120, 160, 3), np.uint8)
