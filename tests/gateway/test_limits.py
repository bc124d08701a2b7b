"""Down, slow or over its limits: nothing goes on, and what happened stands in the record."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

pytest.importorskip("uvicorn", reason="the gateway needs frguard[gateway]")
pytest.importorskip("aiohttp", reason="the gateway needs frguard[gateway]")

from guard.testing import FakeDetector, MemoryLedger
from tests.conftest import BOX
from tests.gateway import requests as made
from tests.gateway.running import CHECK, HEADER, TRUSTED, ask, connection, running, settings, upstream
from tests.gateway.test_proxy import BOTH
from tests.integrations.loopback import CountingServer, counting_server


@pytest.fixture
def service() -> Iterator[CountingServer]:
    with counting_server() as server:
        yield server


class Stuck(FakeDetector):
    """Sees nothing until it is let go."""

    def __init__(self) -> None:
        super().__init__([BOX])
        self.entered = threading.Semaphore(0)
        self.go = threading.Event()

    def detect(self, image, **options):
        self.entered.release()
        assert self.go.wait(30)
        return super().detect(image, **options)


@pytest.mark.parametrize("listener", [TRUSTED, CHECK], ids=["proxy", "check"])
def test_a_body_over_the_limit_is_refused_and_recorded(make_guard, service, listener):
    g = make_guard(BOTH + settings(max_body_bytes=2000) + listener + upstream("azure_face", service.url))
    with running(g) as (address,):
        reply = ask(address, made.IDENTIFY, b"x" * 2001, source="door")
        assert (reply.status, reply.decision) == (413, "fault")
        client = connection(address)
        chunks = (b"y" * 500 for _ in range(6))
        with contextlib.suppress(BrokenPipeError):  # it may have hung up while the rest was on its way
            client.request("POST", made.IDENTIFY, chunks, {HEADER: "door"}, encode_chunked=True)
        assert client.getresponse().status == 413
        client.close()
        assert ask(address, made.IDENTIFY, made.identify(), source="door").status == 200
    assert g.ledger.verdicts() == ["fault", "fault", "allow"]
    assert service.requests == (listener == TRUSTED)


def test_a_verdict_after_the_deadline_is_a_refusal_and_its_record_says_so(make_guard, service):
    detector = Stuck()
    g = make_guard(BOTH + settings(deadline_s=0.2) + TRUSTED + upstream("azure_openai", service.url), detector=detector)
    with running(g) as (address,):
        reply = ask(address, made.CHAT, made.chat(), source="bodycam")
        assert (reply.status, reply.decision) == (403, "fault")
        assert "0.2 s" in reply.json()["error"]["message"]
        detector.go.set()
    service.assert_untouched()
    assert g.ledger.verdicts() == ["fault"]
    assert "0.2 s" in g.ledger.entries[0].fault


def test_a_request_that_waited_too_long_for_a_thread_is_refused_unjudged(make_guard, service):
    detector = Stuck()
    config = settings(deadline_s=0.2, workers=1) + TRUSTED + upstream("azure_openai", service.url)
    g = make_guard(BOTH + config, detector=detector)
    with running(g) as (address,):
        first = threading.Thread(target=ask, args=(address, made.CHAT, made.chat()), kwargs={"source": "bodycam"})
        first.start()
        assert detector.entered.acquire(timeout=20)
        assert ask(address, made.CHAT, made.chat(), source="door").status == 403
        detector.go.set()
        first.join()
    service.assert_untouched()
    assert g.ledger.verdicts() == ["fault", "fault"]
    assert detector.seen == 1


def test_one_request_too_many_is_refused_at_once_and_recorded(make_guard, service):
    detector = Stuck()
    config = settings(max_requests=1, deadline_s=20) + TRUSTED + upstream("azure_openai", service.url)
    g = make_guard(BOTH + config, detector=detector)
    with running(g) as (address,):
        first = threading.Thread(target=ask, args=(address, made.CHAT, made.chat()), kwargs={"source": "bodycam"})
        first.start()
        assert detector.entered.acquire(timeout=20)
        reply = ask(address, made.CHAT, made.chat(), source="bodycam")
        assert (reply.status, reply.decision) == (503, "fault")
        assert g.ledger.verdicts() == ["fault"]
        detector.go.set()
        first.join()
        assert ask(address, made.CHAT, made.chat(), source="bodycam").status == 200
    assert g.ledger.verdicts() == ["fault", "redact", "redact"]


def test_a_client_that_never_ends_its_request_is_refused(make_guard, service):
    g = make_guard(BOTH + settings(read_s=0.2) + TRUSTED + upstream("azure_face", service.url))
    with running(g) as (address,):
        client = connection(address)
        client.putrequest("POST", made.IDENTIFY)
        client.putheader("content-length", "100")
        client.putheader(HEADER, "door")
        client.endheaders(b"{")
        answer = client.getresponse()
        assert (answer.status, answer.headers["x-guard-decision"]) == (403, "fault")
        client.close()
    service.assert_untouched()
    assert g.ledger.verdicts() == ["fault"]


def test_a_client_that_leaves_in_the_middle_is_nothing(make_guard, service):
    g = make_guard(BOTH + TRUSTED + upstream("azure_face", service.url))
    with running(g) as (address,):
        client = connection(address)
        client.putrequest("POST", made.IDENTIFY)
        client.putheader("content-length", "100")
        client.putheader(HEADER, "door")
        client.endheaders(b"{")
        client.close()
        assert ask(address, made.IDENTIFY, made.identify(), source="door").status == 200
    assert service.requests == 1
    assert g.ledger.verdicts() == ["allow"]


def test_a_record_that_cannot_be_written_releases_nothing(make_guard, service):
    ledger = MemoryLedger()
    ledger.fail = "the disk is full"
    g = make_guard(BOTH + TRUSTED + upstream("azure_face", service.url), ledger=ledger)
    with running(g) as (address,):
        reply = ask(address, made.IDENTIFY, made.identify(), source="door")
        assert (reply.status, reply.decision) == (403, "fault")
    service.assert_untouched()


@pytest.mark.parametrize("where", ["translate", "detect", "rewrite"])
def test_a_stage_that_breaks_releases_nothing_and_is_recorded(make_guard, service, monkeypatch, where, caplog):
    from guard.gateway import judging, translating

    def broken(*args: object, **kwargs: object) -> None:
        raise RuntimeError("broken")

    detector = FakeDetector([BOX], error=RuntimeError("broken") if where == "detect" else None)
    if where == "translate":
        monkeypatch.setattr(translating, "recognise", broken)
    elif where == "rewrite":
        monkeypatch.setattr(judging.Body, "with_payload", broken)
    g = make_guard(BOTH + TRUSTED + upstream("azure_openai", service.url), detector=detector)
    with running(g) as (address,):
        reply = ask(address, made.CHAT, made.chat(), source="bodycam")
    assert (reply.status, reply.decision) == (403, "fault")
    service.assert_untouched()
    assert g.ledger.verdicts() == ["fault"]


def test_a_gateway_that_breaks_outside_of_judging_releases_nothing(make_guard, service, monkeypatch, caplog):
    from guard.gateway import door

    g = make_guard(BOTH + TRUSTED + upstream("azure_face", service.url))
    with running(g) as (address,):
        monkeypatch.setattr(door, "named_source", lambda *args: 1 / 0)
        reply = ask(address, made.IDENTIFY, made.identify(), source="door")
        assert (reply.status, reply.decision) == (403, "fault")
    service.assert_untouched()


def test_a_closed_guard_releases_nothing(make_guard, service):
    g = make_guard(BOTH + TRUSTED + upstream("azure_face", service.url))
    with running(g) as (address,):
        g.close()
        assert ask(address, made.IDENTIFY, made.identify(), source="door").status == 403
    service.assert_untouched()


def test_many_clients_with_opposite_sources_each_get_their_own_verdict(make_guard, service):
    g = make_guard(BOTH + TRUSTED + upstream("azure_face", service.url))
    wrong: list[object] = []

    def work(number: int) -> None:
        client = connection(address)
        for turn in range(15):
            source = ("door", "bodycam")[(number + turn) % 2]
            body = json.dumps(made.identify())
            client.request("POST", made.IDENTIFY, body, {"content-type": "application/json", HEADER: source})
            answer = client.getresponse()
            answer.read()
            if answer.status != {"door": 200, "bodycam": 403}[source]:
                wrong.append((source, answer.status))
        client.close()

    with running(g) as (address,):
        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []
    assert sorted(set(g.ledger.verdicts())) == ["allow", "deny"]
    assert len(g.ledger.entries) == 8 * 15
    assert service.requests == g.ledger.verdicts().count("allow") == 60


def test_what_was_begun_is_ended_when_it_is_told_to_stop(make_guard, service):
    detector = Stuck()
    config = settings(deadline_s=20) + TRUSTED + upstream("azure_openai", service.url)
    g = make_guard(BOTH + config, detector=detector)
    replies: list[int] = []
    with running(g) as (address,):
        call = threading.Thread(
            target=lambda: replies.append(ask(address, made.CHAT, made.chat(), source="bodycam").status)
        )
        call.start()
        assert detector.entered.acquire(timeout=20)
        threading.Timer(0.3, detector.go.set).start()
    call.join()
    assert replies == [200]
    assert g.ledger.verdicts() == ["redact"]


def test_an_answer_does_not_wait_for_the_client_s_acknowledgement():
    """Nagle's algorithm is off on accepted connections: asyncio sees to that where the protocol is named."""
    from guard.config import Listener
    from guard.gateway.serving import _bound

    with _bound(Listener("127.0.0.1:0", "proxy")) as listening:
        assert listening.proto == socket.IPPROTO_TCP


def raw_connection(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=20)


def is_closed(raw: socket.socket) -> bool:
    try:
        return raw.recv(1000) == b""
    except ConnectionError:
        return True


def test_a_heading_that_never_ends_or_is_never_sent_closes_the_connection(make_guard, service, monkeypatch):
    from guard.gateway import protocol

    monkeypatch.setattr(protocol, "HEADING_S", 0.3)
    g = make_guard(BOTH + TRUSTED + upstream("azure_face", service.url))
    with running(g) as (address,):
        with raw_connection(address) as silent, raw_connection(address) as slow:
            slow.sendall(b"POST / HTTP/1.1\r\nhost: 127.0.0.1\r\nx-a: ")
            assert is_closed(silent)
            assert is_closed(slow)
        monkeypatch.setattr(protocol, "HEADING_S", 20)
        with raw_connection(address) as long:
            with suppress(ConnectionError):
                long.sendall(b"POST / HTTP/1.1\r\nhost: 127.0.0.1\r\nx-a: " + b"a" * 1_000_000)
            assert is_closed(long)
        kept = connection(address)
        for _ in range(2):
            kept.request(
                "POST", made.IDENTIFY, json.dumps(made.identify()), {"content-type": "application/json", HEADER: "door"}
            )
            answer = kept.getresponse()
            answer.read()
            assert answer.status == 200
        kept.close()
    assert service.requests == 2
