"""Envoy's check: 200 where the request may go on as it is, otherwise the answer that the client gets."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("uvicorn", reason="the gateway needs frguard[gateway]")
pytest.importorskip("aiohttp", reason="the gateway needs frguard[gateway]")

from guard.testing import FakeDetector
from tests.gateway import requests as made
from tests.gateway.running import CHECK, ask, running
from tests.gateway.test_proxy import BOTH


def upstreams(*shapes: tuple[str, str]) -> str:
    return "".join(f'[[gateway.upstream]]\nmatch = "{match}"\nshape = "{shape}"\n' for shape, match in shapes)


ALL = CHECK + upstreams(
    ("rekognition", "rekognition.eu-west-1.amazonaws.com"),
    ("azure_face", "faces.cognitiveservices.azure.com"),
    ("azure_openai", "models.openai.azure.com"),
)
AMAZON = {"host": "rekognition.eu-west-1.amazonaws.com"}
FACES = {"host": "faces.cognitiveservices.azure.com:443"}
MODELS = {"host": "Models.OpenAI.Azure.com"}


def test_an_allowed_request_may_go_on_and_a_denied_one_is_answered(make_guard):
    g = make_guard(BOTH + ALL)
    with running(g) as (address,):
        allowed = ask(address, made.IDENTIFY, made.identify(), FACES, source="door")
        assert (allowed.status, allowed.decision, allowed.body) == (200, "allow", b"")
        assert allowed.headers["x-guard-record"] == g.ledger.entries[0].id
        denied = ask(address, made.IDENTIFY, made.identify(), FACES, source="bodycam")
        assert (denied.status, denied.decision) == (403, "deny")
        assert denied.json()["error"]["code"] == "FacePolicyViolation"
        aws = ask(address, "/", made.search(), {**made.AMAZON, **AMAZON}, source="bodycam")
        assert (aws.status, aws.json()["__type"]) == (403, "AccessDeniedException")
    assert g.ledger.verdicts() == ["allow", "deny", "deny"]


def test_what_could_go_on_only_redacted_is_denied(make_guard):
    g = make_guard(BOTH + ALL)
    with running(g) as (address,):
        reply = ask(address, made.CHAT, made.chat(), MODELS, source="bodycam")
    assert (reply.status, reply.decision) == (403, "deny")
    assert "cannot be rewritten" in reply.json()["error"]["message"]
    assert g.ledger.verdicts() == ["deny"]


def test_a_picture_without_a_face_may_go_on(make_guard):
    g = make_guard(BOTH + ALL, detector=FakeDetector())
    with running(g) as (address,):
        assert ask(address, made.CHAT, made.chat(), MODELS, source="bodycam").status == 200
    assert g.ledger.verdicts() == ["allow"]


def test_a_picture_that_readers_see_differently_may_not_go_on(make_guard):
    """It would go out written anew, and here it cannot: a transparent picture, seen over white or over black."""
    import numpy as np

    see_through = np.random.default_rng(1).integers(0, 255, (64, 64, 4), dtype=np.uint8)
    url = f"data:image/png;base64,{made.base64_of(made.png(see_through))}"
    g = make_guard(BOTH + ALL, detector=FakeDetector())
    with running(g) as (address,):
        reply = ask(address, made.CHAT, made.chat(url), MODELS, source="bodycam")
    assert (reply.status, reply.decision) == (403, "fault")
    assert g.ledger.verdicts() == ["fault"]


def test_a_body_of_which_only_a_part_was_handed_over_is_refused(make_guard):
    g = make_guard(BOTH + ALL)
    part = {**FACES, "x-envoy-auth-partial-body": "true"}
    with running(g) as (address,):
        assert ask(address, made.IDENTIFY, made.identify(), part, source="door").decision == "fault"
        whole = {**FACES, "x-envoy-auth-partial-body": "false"}
        assert ask(address, made.IDENTIFY, made.identify(), whole, source="door").decision == "allow"
    assert g.ledger.verdicts() == ["fault", "allow"]


def test_a_host_that_is_not_listed_may_not_be_reached(make_guard):
    with running(make_guard(BOTH + ALL)) as (address,):
        for host in ("elsewhere.example", "rekognition.eu-west-1.amazonaws.com.evil.example", ""):
            reply = ask(address, "/", json.dumps({}).encode(), {"host": host}, source="door")
            assert (reply.status, reply.decision) == (403, "fault")
