"""`/healthz` says whether a call could be released now; `/metrics` counts; neither tells of sources or contents."""

from __future__ import annotations

import pytest

pytest.importorskip("uvicorn", reason="the gateway needs frguard[gateway]")
pytest.importorskip("aiohttp", reason="the gateway needs frguard[gateway]")

from guard.gateway import status
from guard.integrations import Coverage
from guard.testing import FakeDetector, MemoryLedger
from tests.gateway import requests as made
from tests.gateway.running import STATUS, TRUSTED, ask, running, upstream
from tests.gateway.test_proxy import BOTH
from tests.integrations.loopback import counting_server

CONFIG = BOTH + TRUSTED + STATUS + upstream("azure_face", "http://127.0.0.1:9")


@pytest.fixture(autouse=True)
def _asked_anew(monkeypatch):
    monkeypatch.setattr(status, "KEPT_S", 0)


def health(address: str):
    return ask(address, "/healthz", method="GET")


def test_a_gateway_that_can_release_calls_is_healthy(make_guard):
    g = make_guard(CONFIG)
    with running(g) as (_, address):
        reply = health(address)
    assert reply.status == 200
    assert reply.json() == {
        "schema": "guard.health/1",
        "status": "ok",
        "policy": g.policy_digest,
        "checks": {"ledger": "ok", "detector": "ok", "libraries": "ok"},
    }


class FullDisk(MemoryLedger):
    def flush(self) -> None:
        raise OSError("no space left")


@pytest.mark.parametrize(
    ("check", "options"),
    [
        ("ledger", {"ledger": FullDisk()}),
        ("detector", {"detector": FakeDetector(error=RuntimeError("broken model"))}),
        ("libraries", {}),
    ],
)
def test_what_would_refuse_calls_is_named(make_guard, monkeypatch, check, options, caplog):
    if check == "libraries":
        monkeypatch.setattr(status, "verify", lambda: (Coverage("toy", "1", "open", "its hook is gone"),))
    with running(make_guard(CONFIG, **options)) as (_, address):
        reply = health(address)
        assert reply.status == 503
        checks = reply.json()["checks"]
        assert {name for name, said in checks.items() if said != "ok"} == {check}
        assert b"guard_gateway_healthy 0.0" in ask(address, "/metrics", method="GET").body


def test_a_check_that_hangs_is_not_waited_for(make_guard, monkeypatch):
    import threading

    go = threading.Event()

    class Hanging(MemoryLedger):
        def flush(self) -> None:
            go.wait(30)

    monkeypatch.setattr(status, "CHECK_S", 0.1)
    with running(make_guard(CONFIG, ledger=Hanging())) as (_, address):
        assert "no answer" in health(address).json()["checks"]["ledger"]
        go.set()


def test_a_closed_guard_is_not_healthy(make_guard):
    g = make_guard(CONFIG)
    with running(g) as (_, address):
        g.close()
        assert "closed" in health(address).json()["checks"]["ledger"]


def test_the_metrics_count_what_was_decided(make_guard):
    with counting_server() as service:
        g = make_guard(BOTH + TRUSTED + STATUS + upstream("azure_face", service.url))
        with running(g) as (address, page):
            ask(address, made.IDENTIFY, made.identify(), source="door")
            ask(address, made.IDENTIFY, made.identify(), source="bodycam")
            ask(address, made.IDENTIFY, made.identify())
            text = ask(page, "/metrics", method="GET").body.decode()
    assert 'guard_gateway_requests_total{decision="allow",shape="azure_face"} 1.0' in text
    assert 'guard_gateway_requests_total{decision="deny",shape="azure_face"} 1.0' in text
    assert 'guard_gateway_requests_total{decision="fault",shape="azure_face"} 1.0' in text
    assert 'guard_gateway_refusals_total{reason="source"} 1.0' in text
    assert "guard_gateway_judging_seconds_count 3.0" in text
    assert "guard_gateway_in_flight 0.0" in text
    assert f'guard_gateway_policy{{digest="{g.policy_digest[:16]}"}} 1.0' in text
    assert "bodycam" not in text


def test_the_status_listener_forwards_nothing(make_guard):
    with running(make_guard(CONFIG)) as (_, address):
        assert ask(address, made.IDENTIFY, made.identify(), source="door").status == 404
        assert ask(address, "/healthz", b"").status == 405
