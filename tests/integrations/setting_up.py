"""Fixtures that the tests of several libraries share, made for each: ``server = serving(answer, clients)``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import guard
from guard.integrations.hooks import Adapter
from guard.integrations.threads import ADAPTER as THREADS
from guard.integrations.watching import watch
from tests.integrations.loopback import Answer, Arrived, CountingServer, counting_server

__all__ = ["hooked", "judged_for", "serving"]


def hooked(adapter: Adapter) -> Any:
    """For every test of a module: the library is hooked, and no guard is loaded yet."""

    @pytest.fixture(autouse=True)
    def hooks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        monkeypatch.setattr("guard.guard._latest", None)
        watch.add([THREADS, adapter])
        yield
        guard.uninstall()

    return hooks


def serving(answer: Callable[[Arrived], Answer], clients: list[Any]) -> Any:
    """A service on loopback; when the test is over the clients of that list are closed."""

    @pytest.fixture
    def server() -> Iterator[CountingServer]:
        with counting_server(answer) as counted:
            yield counted
        for client in clients:
            client.close()
        clients.clear()

    return server


def judged_for(text: str, *packs: str) -> Any:
    """The source of that deployment, judged by these packs."""

    @pytest.fixture
    def source(make_guard: Callable[..., guard.Guard]) -> Any:
        return make_guard(text, packs=list(packs)).source()

    return source
