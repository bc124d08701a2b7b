"""Whether a Ray cluster answers, before Ray is asked: needs no Ray."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from guard.errors import GuardError
from guard.sweep import ray


@pytest.fixture
def closed() -> Iterator[int]:
    """A port of loopback at which nobody listens: it is taken, so that nobody else gets it."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def test_at_a_closed_port_nobody_is_waited_for(closed: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ray.subprocess, "run", None)
    for address in (f"127.0.0.1:{closed}", f"ray://127.0.0.1:{closed}"):
        with pytest.raises(GuardError) as found:
            ray.check_answers(address)
        assert str(found.value).startswith(f"the Ray cluster does not answer: Connection refused ({address}); start it")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import time; time.sleep(600)", "nothing came within 0.5 s"),
        ("import sys; print('W noise'); sys.exit('ConnectionError: no local node')", "ConnectionError: no local node"),
        ("import os; os._exit(3)", "Ray ended"),
    ],
)
def test_whoever_is_sent_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch, code: str, said: str):
    monkeypatch.setattr(ray, "_TRY", code)
    monkeypatch.setattr(ray, "_ANSWER_S", 0.5 if "sleep" in code else 60.0)
    with pytest.raises(GuardError, match=f"does not answer: {said}"):
        ray.check_answers("auto")


def test_a_cluster_that_answers_is_let_be(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ray, "_TRY", "import sys; assert sys.argv[1] == 'auto'")
    ray.check_answers("auto")
