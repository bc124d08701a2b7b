"""Who may read the page: whoever has the token, from this very page, under a name that this server has.

The token is in the address that is printed. It is exchanged at once for a cookie that scripts cannot read and other
sites cannot use, and the address is shown without it.
"""

from __future__ import annotations

import hmac
import ipaddress
import secrets
import socket
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Access", "Rules", "is_loopback"]

HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), display-capture=()",
    "cache-control": "no-store",
}
"""On every answer, refusals included."""

_LOOPBACK = ("127.0.0.1", "[::1]", "localhost")


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class Rules:
    """What a request must bring.

    Args:
        host, port: where the server listens.
        with_token: False where whoever reaches it may read; on loopback only.
    """

    def __init__(self, host: str, port: int, *, with_token: bool = True) -> None:
        if not with_token and not is_loopback(host):
            raise ValueError("without a token only this machine may reach the page")
        self.token = secrets.token_urlsafe(32) if with_token else None
        self._session = secrets.token_urlsafe(32)
        # Cookies know no ports: two pages on one machine must not take each other's.
        self.cookie = f"guard_watch_{port}"
        self._port = port
        own = () if is_loopback(host) else _own_names()
        self._names = frozenset((*_LOOPBACK, f"[{host}]" if ":" in host else host.lower(), *own))
        self._any_address = not is_loopback(host)

    def answers_to(self, host: str) -> bool:
        """Whether a `Host` header names this server.

        A name that somebody else had pointed at this machine (DNS rebinding) is none of its names; where other machines
        may reach it, any address will do, since rebinding takes a name.
        """
        name, colon, port = host.rpartition(":")
        if not colon or "]" in port:
            name, port = host, "80"
        if port != str(self._port):
            return False
        return name.lower() in self._names or (self._any_address and _is_address(name))

    def is_token(self, text: str) -> bool:
        """Whether this is the token, in constant time."""
        return self.token is not None and hmac.compare_digest(text.encode(), self.token.encode())

    def is_session(self, cookie: str) -> bool:
        """Whether this cookie is the one that was given for the token, in constant time."""
        return self.token is None or hmac.compare_digest(cookie.encode(), self._session.encode())

    def let_in(self, response: Response) -> Response:
        """The response, with the cookie."""
        response.set_cookie(self.cookie, self._session, path="/", httponly=True, samesite="strict")
        return response


class Access:
    """ASGI middleware: refuses what the rules do not let in, and puts the safe headers on every answer."""

    def __init__(self, app: ASGIApp, *, rules: Rules) -> None:
        self._app = app
        self._rules = rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)

        async def safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        answer = self._instead(Request(scope))
        await (self._app if answer is None else answer)(scope, receive, safely)

    def _instead(self, request: Request) -> Response | None:
        """What is answered instead of the page; None where the request may go on."""
        if not self._rules.answers_to(request.headers.get("host", "")):
            return _refused("this server is not called that; open the address that guard watch printed", 421)
        if _is_foreign(request.headers):
            return _refused("other sites have no access; open the address that guard watch printed in a new tab", 403)
        if request.url.path == "/" and "token" in request.query_params:
            if self._rules.is_token(request.query_params["token"]):
                return self._rules.let_in(RedirectResponse(_without_token(request), 303))
            return _refused("this token is not, or no longer, valid; guard watch prints a new one at every start", 401)
        if not self._rules.is_session(request.cookies.get(self._rules.cookie, "")):
            return _refused("open the address that guard watch printed: it holds the token", 401)
        return None


def _is_foreign(headers: Headers) -> bool:
    """Whether another site had the browser send this: what it says itself, and what older ones say."""
    if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        return True
    origin = headers.get("origin")
    return origin is not None and urlsplit(origin).netloc != headers.get("host")


def _without_token(request: Request) -> str:
    left = [(key, value) for key, value in parse_qsl(request.url.query) if key != "token"]
    return "/?" + urlencode(left) if left else "/"


def _refused(why: str, status: int) -> Response:
    return PlainTextResponse(f"guard watch: {why}\n", status)


def _own_names() -> tuple[str, ...]:
    return (socket.gethostname().lower(), socket.getfqdn().lower())


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
