"""Runs the listeners of a gateway until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import ssl
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvicorn

from guard.config import GatewayConfig, Listener
from guard.errors import ConfigError, GuardError
from guard.gateway.checking import answer_check
from guard.gateway.door import Door, Limits
from guard.gateway.judging import Judge
from guard.gateway.metrics import Metrics
from guard.gateway.protocol import Protocol
from guard.gateway.proxying import Proxy
from guard.gateway.status import Health, status_app
from guard.guard import Guard
from guard.listening import Server, tcp_socket

__all__ = ["Gateway"]

log = logging.getLogger("guard.gateway")

MOST_CONNECTIONS = 1024
STOP_S = 10


class Gateway:
    """All listeners of a guard's `[gateway]`.

    Args:
        guard: a loaded guard whose file has a `[gateway]`.

    Raises `ConfigError` where it has none, and where a certificate cannot be read.
    """

    def __init__(self, guard: Guard) -> None:
        config = guard.config.gateway
        if config is None:
            raise ConfigError(
                "the file says nothing of a gateway", where=guard.config.path.name, mend="add [gateway] to it"
            )
        self._guard = guard
        self._config: GatewayConfig = config
        self._metrics = Metrics()
        self._limits = Limits(config.max_requests, self._metrics)
        self._judge = Judge(guard, config, self._metrics)
        self._health = Health(guard, self._metrics)
        headers = (listener.source_header for listener in config.listeners)
        self._proxy = Proxy(self._metrics, [header for header in headers if header is not None])
        self._servers = [Server(self._settings(listener)) for listener in config.listeners]
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self, ready: Callable[[tuple[str, ...]], None] = lambda bound: None) -> None:
        """Serves until SIGTERM or SIGINT, or `stop`; what was begun is ended then.

        Args:
            ready: called with the addresses once all of them take requests.

        Raises `GuardError` where an address cannot be had.
        """
        sockets: list[socket.socket] = []
        try:
            sockets.extend(_bound(listener) for listener in self._config.listeners)
            asyncio.run(self._serve(sockets, ready))
        finally:
            for bound, listener in zip(sockets, self._config.listeners, strict=False):
                bound.close()
                if listener.socket_path is not None:
                    listener.socket_path.unlink(missing_ok=True)
            self._judge.close()
            self._health.close()

    def stop(self) -> None:
        """Asks it to stop; from any thread."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended by itself
                self._loop.call_soon_threadsafe(self._stop)

    def _stop(self) -> None:
        for server in self._servers:
            server.should_exit = True

    async def _serve(self, sockets: list[socket.socket], ready: Callable[[tuple[str, ...]], None]) -> None:
        self._loop = asyncio.get_running_loop()
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._loop.add_signal_handler(number, self._stop)
        await self._proxy.open()
        running = [
            asyncio.create_task(server.serve(sockets=[bound]))
            for server, bound in zip(self._servers, sockets, strict=True)
        ]
        try:
            while not all(server.started for server in self._servers) and not any(task.done() for task in running):
                await asyncio.sleep(0.01)
            ready(
                tuple(
                    _address(bound, listener) for bound, listener in zip(sockets, self._config.listeners, strict=True)
                )
            )
            # One listener that ends takes the others with it: half a gateway is none.
            await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            self._stop()
            await asyncio.gather(*running)
        finally:
            await self._proxy.close()

    def _settings(self, listener: Listener) -> uvicorn.Config:
        settings = uvicorn.Config(
            self._app(listener),
            http=Protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            limit_concurrency=MOST_CONNECTIONS,
            timeout_keep_alive=60,
            timeout_graceful_shutdown=STOP_S,
            ssl_certfile=listener.certificate,
            ssl_keyfile=listener.key,
            ssl_ca_certs=listener.client_ca,
            ssl_cert_reqs=ssl.CERT_NONE if listener.client_ca is None else ssl.CERT_REQUIRED,
        )
        try:
            settings.load()
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"the certificates cannot be used: {error}",
                where=f"listener {listener.bind}",
                mend="name PEM files that this user can read",
            ) from error
        return settings

    def _app(self, listener: Listener) -> Any:
        if listener.serves == "status":
            return status_app(self._health, self._metrics)
        proxies = listener.serves == "proxy"
        return Door(
            self._guard,
            self._config,
            listener,
            judge=self._judge,
            limits=self._limits,
            metrics=self._metrics,
            answer=self._proxy.answer if proxies else answer_check,
            rewrites=proxies,
        )


def _bound(listener: Listener) -> socket.socket:
    try:
        if listener.socket_path is not None:
            return _unix_socket(listener.socket_path)
        return tcp_socket(listener.address)
    except OSError as error:
        raise GuardError(
            f"this address cannot be had: {error.strerror or error}",
            where=listener.bind,
            mend="free it, or name another one as bind",
        ) from None


def _unix_socket(path: Path) -> socket.socket:
    """Listens there; only this user and its group may connect, since whoever does is believed."""
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISSOCK(path.stat().st_mode) and not _answers(path):
            path.unlink()
    made = socket.socket(socket.AF_UNIX)
    before = os.umask(0o117)
    try:
        made.bind(str(path))
    except OSError:
        made.close()
        raise
    finally:
        os.umask(before)
    made.listen(512)
    return made


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


def _address(bound: socket.socket, listener: Listener) -> str:
    if listener.socket_path is not None:
        return listener.bind
    host, port = bound.getsockname()[:2]
    return f"{host}:{port}"
