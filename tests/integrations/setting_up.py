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

__all__ = ["cleaned", "hooked", "judged_for", "serving"]

_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


def cleaned() -> Any:
    """For every test of a module: no guard is loaded yet, nothing leads to a proxy, and no hook stays."""

    @pytest.fixture(autouse=True)
    def clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        monkeypatch.setattr("guard.guard._latest", None)
        for name in _PROXIES:
            monkeypatch.delenv(name, raising=False)
        yield
        guard.uninstall()

    return clean


def hooked(adapter: Adapter) -> Any:
    """For every test of a module: the library is hooked, and no guard is loaded yet."""

    @pytest.fixture(autouse=True)
    def hooks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        monkeypatch.setattr("guard.guard._latest", None)
        watch.add([THREADS, adapter])
        yield
        guard.uninstall()

    return hooks


def serving(answer: Answer | Callable[[Arrived], Answer] | None = None, clients: list[Any] | None = None) -> Any:
    """A service on loopback; when the test is over the clients of that list are closed."""

    @pytest.fixture
    def server() -> Iterator[CountingServer]:
        with counting_server(answer) as counted:
            yield counted
        for client in clients or ():
            client.close()
        if clients:
            clients.clear()

    return server


def judged_for(text: str, *packs: str) -> Any:
    """The source of that deployment, judged by these packs."""

    @pytest.fixture
    def source(make_guard: Callable[..., guard.Guard]) -> Any:
        return make_guard(text, packs=list(packs)).source()

    return source
