"""Every HTTP client in one shape, so that one table of tests holds all of them: `send(method, url, ...)`."""

from __future__ import annotations

import asyncio
import importlib
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

import guard

__all__ = ["CLIENTS", "Got", "client"]


@dataclass
class Got:
    """An answer, or the refusal that came instead."""

    status: int
    refusal: Exception | None = None


def _requests(library: Any, method: str, url: str, headers: Mapping[str, str], body: Any) -> Got:
    with library.Session() as session:
        return Got(session.request(method, url, headers=dict(headers), data=body, timeout=10).status_code)


def _urllib3(library: Any, method: str, url: str, headers: Mapping[str, str], body: Any) -> Got:
    with library.PoolManager() as pool:
        return Got(pool.request(method, url, headers=dict(headers), body=body, timeout=10).status)


def _urllib(library: Any, method: str, url: str, headers: Mapping[str, str], body: Any) -> Got:
    request = library.request.Request(url, body, dict(headers), method=method)
    try:
        with library.request.urlopen(request, timeout=10) as answer:
            return Got(answer.status)
    except library.error.HTTPError as error:
        error.close()
        if error.code in (307, 308):  # it does not follow these itself
            return _urllib(library, method, error.headers["Location"], headers, body)
        return Got(error.code)


def _httpx(library: Any, method: str, url: str, headers: Mapping[str, str], body: Any) -> Got:
    with library.Client(follow_redirects=True, trust_env=False) as session:
        answer = session.request(method, url, headers=dict(headers), content=body)
    return Got(answer.status_code, _raised(answer))


def _httpx_async(library: Any, method: str, url: str, headers: Mapping[str, str], body: Any) -> Got:
    async def run() -> Got:
        async with library.AsyncClient(follow_redirects=True, trust_env=False) as session:
            answer = await session.request(method, url, headers=dict(headers), content=_later(body))
        return Got(answer.status_code, _raised(answer))

    return asyncio.run(run())


def _aiohttp(library: Any, method: str, url: str, headers: Mapping[str, str], body: Any) -> Got:
    async def run() -> Got:
        async with (
            # Names are resolved where tests can stand in for it.
            library.ClientSession(connector=library.TCPConnector(resolver=library.ThreadedResolver())) as session,
            session.request(method, url, headers=dict(headers), data=_later(body)) as answer,
        ):
            return Got(answer.status)

    return asyncio.run(run())


def _raised(answer: Any) -> Exception | None:
    try:
        answer.raise_for_status()
    except guard.GuardError as error:
        return error
    return None


def _later(body: Any) -> Any:
    """A generator, as asynchronous clients want it."""
    if body is None or isinstance(body, (bytes, str)):
        return body

    async def chunks() -> Any:
        for chunk in body:
            yield chunk

    return chunks()


CLIENTS = {
    "requests": ("requests", _requests),
    "urllib3": ("urllib3", _urllib3),
    "urllib": ("urllib", _urllib),
    "httpx": ("httpx", _httpx),
    "httpx async": ("httpx", _httpx_async),
    "httpx2": ("httpx2", _httpx),
    "httpx2 async": ("httpx2", _httpx_async),
    "aiohttp": ("aiohttp", _aiohttp),
}


class client:
    """`send` answers with `Got`, whether the library's way of refusing is an exception or a 403."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.library_name, self._send = CLIENTS[name]
        self.library = pytest.importorskip(self.library_name, reason=f"{self.library_name} is not installed")
        if self.library_name == "urllib":
            self.library = SimpleNamespace(request=urllib.request, error=urllib.error)
        module = "http_client" if self.library_name == "urllib" else self.library_name
        self.adapter = importlib.import_module(f"guard.integrations.{module}").ADAPTER

    def send(self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: Any = None) -> Got:
        try:
            return self._send(self.library, method, url, headers or {}, body)
        except (guard.Denied, guard.GuardFault) as error:
            return Got(0, error)
