"""More ways around the second fence: requests put together by hand, misframed, misaddressed, or changed late."""

from __future__ import annotations

import asyncio
import contextvars
import copy
import functools
import gzip
import http.client
import importlib
import io
import os
import pickle
import signal
import socket
import sys
import threading
import xmlrpc.client
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import guard
from guard.integrations import tripwire
from guard.integrations.fence import crossing, described
from guard.integrations.watching import watch
from tests.conftest import OFFICE, SCENE
from tests.integrations.loopback import Answer, CountingServer, counting_server
from tests.integrations.rest import client
from tests.integrations.setting_up import cleaned, serving
from tests.integrations.test_rest import JSON, chat, covered, png
from tests.integrations.test_rest import police as police
from tests.integrations.test_rest_attacks import picture_in

FACES = b'{"faceIds": ["x"], "personGroupId": "g"}'
IDENTIFY = "/face/v1.2/identify"
CHAT = "/v1/chat/completions"
FAR = chat(png(0)).replace(b"data:image/png;base64,", b"https://pictures.invalid/")
SPOKEN = "/v1/audio/transcriptions"
"""Of sound nothing is looked at."""


_clean = cleaned()
server = serving(Answer({"ok": True}))


def install(*names: str) -> None:
    watch.add([importlib.import_module(f"guard.integrations.{name}").ADAPTER for name in names])


def needed(name: str) -> Any:
    return pytest.importorskip(name, reason=f"{name} is not installed")


def frame(g: guard.Guard) -> Any:
    return g.source().frame(SCENE)


def port_of(server: CountingServer) -> int:
    return int(server.host.rpartition(":")[2])


def assert_nothing_sent(server: CountingServer) -> None:
    """A connection may stand; of the request nothing arrived."""
    assert (server.requests, server.bytes) == (0, 0)


# ---- put together by hand


def by_hand(made: Any, path: str, body: bytes, *, later: bool = False, chunked: bool = False) -> None:
    made.putrequest("POST", path)
    made.putheader("Content-Type", "application/json")
    if chunked:
        made.putheader("Transfer-Encoding", "chunked")
        made.endheaders()
        made.send(b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))
        return
    made.putheader("Content-Length", str(len(body)))
    made.endheaders(None if later else body)
    if later:
        made.send(body)


class Mine(http.client.HTTPConnection):
    """As a library may have one that needs more of a request than the standard one gives."""

    def request(self, method: str, url: str, body: Any = None, headers: Any = None, **kwargs: Any) -> None:
        by_hand(self, url, body)


class Remote(xmlrpc.client.Transport):
    """A remote procedure call, with another body than it would have."""

    def __init__(self, body: bytes) -> None:
        super().__init__()
        self._body = body

    def send_content(self, connection: Any, request_body: bytes) -> None:
        super().send_content(connection, self._body)


HAND_MADE: dict[str, Callable[[http.client.HTTPConnection, str, bytes], object]] = {
    "at once": by_hand,
    "body later": functools.partial(by_hand, later=True),
    "in chunks": functools.partial(by_hand, chunked=True),
    "_send_request": lambda made, path, body: made._send_request("POST", path, body, JSON, False),
    "a subclass": lambda made, path, body: Mine(made.host, made.port).request("POST", path, body),
    "chunks framed by the caller": lambda made, path, body: made.request(
        "POST", path, b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body), {"Transfer-Encoding": "chunked"}
    ),
}


@pytest.mark.parametrize("way", HAND_MADE)
@pytest.mark.parametrize(("path", "body", "service"), [(IDENTIFY, FACES, "azure_face"), (CHAT, FAR, "azure_openai")])
def test_a_request_that_is_put_together_by_hand_sends_nothing(server, police, way, path, body, service):
    install("http_client")
    g = police(service)
    made = http.client.HTTPConnection("127.0.0.1", port_of(server))
    with frame(g), pytest.raises(guard.Denied):
        HAND_MADE[way](made, path, body)
    made.close()
    server.assert_untouched()
    assert g.ledger.verdicts() == ["deny"]


def test_a_remote_procedure_call_is_judged(server, police):
    install("http_client")
    g = police("azure_face")
    with frame(g), pytest.raises(guard.Denied):
        Remote(FACES).request(server.host, IDENTIFY, b"<methodCall/>")
    server.assert_untouched()


def test_what_is_put_together_by_hand_goes_out_redacted_and_as_long_as_it_says(server, police):
    install("http_client")
    g = police("azure_openai")
    made = http.client.HTTPConnection("127.0.0.1", port_of(server))
    with frame(g):
        by_hand(made, CHAT, chat(png()))
        assert made.getresponse().status == 200
    made.close()
    covered(picture_in(server.bodies[0]))
    assert int(server.arrived[0].headers["Content-Length"]) == len(server.bodies[0])
    assert g.ledger.verdicts() == ["redact"]


@pytest.mark.parametrize("way", [way for way in HAND_MADE if way != "a subclass"])
def test_what_is_allowed_goes_out_whole_and_leaves_one_record(server, police, way):
    install("http_client")
    g = police("azure_face", OFFICE)
    made = http.client.HTTPConnection("127.0.0.1", port_of(server))
    with frame(g):
        HAND_MADE[way](made, IDENTIFY, FACES)
        assert made.getresponse().status == 200
    made.close()
    assert server.bodies == [FACES]
    assert g.ledger.verdicts() == ["allow"]


def test_what_is_nobody_s_or_only_reads_is_left_alone(server, police):
    install("http_client")
    g = police("azure_face")
    with counting_server() as other:
        made = http.client.HTTPConnection("127.0.0.1", port_of(other))
        by_hand(made, IDENTIFY, FACES, later=True)
        assert made.getresponse().status == 200
        made.close()
        assert other.bodies == [FACES]
    made = http.client.HTTPConnection("127.0.0.1", port_of(server))
    made.putrequest("GET", "/face/v1.2/facelists")
    made.endheaders()
    assert made.getresponse().status == 200
    made.close()
    assert g.ledger.verdicts() == []


def test_a_heading_that_was_not_begun_is_the_library_s_own_error():
    install("http_client")
    with pytest.raises(http.client.CannotSendHeader):
        http.client.HTTPConnection("127.0.0.1", 9).endheaders()


@pytest.mark.parametrize("chunked", [False, True])
def test_urllib3_s_own_ways_to_put_one_together(server, police, chunked):
    urllib3 = needed("urllib3")
    install("urllib3", "http_client")

    class Other(urllib3.connection.HTTPConnection):
        def request(self, method: str, url: str, body: Any = None, headers: Any = None, **kwargs: Any) -> None:
            by_hand(self, url, body, later=True)

    class Pool(urllib3.HTTPConnectionPool):
        ConnectionCls = Other

        def urlopen(self, method: str, url: str, body: Any = None, **kwargs: Any) -> Any:
            return self._make_request(self._get_conn(), method, url, body=body)

    g = police("azure_face")
    plain = urllib3.connection.HTTPConnection("127.0.0.1", port_of(server))
    ways = [
        lambda: by_hand(plain, IDENTIFY, FACES, later=True, chunked=chunked),
        lambda: plain.request_chunked("POST", IDENTIFY, FACES, JSON),
        lambda: Pool("127.0.0.1", port_of(server)).urlopen("POST", IDENTIFY, FACES),
    ]
    for way in ways:
        with frame(g), pytest.raises(guard.Denied):
            way()
    server.assert_untouched()
    assert g.ledger.verdicts() == ["deny"] * len(ways)


def test_a_body_that_urllib3_cuts_into_pieces_is_judged_once(server, police):
    urllib3 = needed("urllib3")
    install("urllib3", "http_client")
    g = police("azure_openai")
    with frame(g), urllib3.PoolManager() as pool:
        pool.request("POST", server.url + CHAT, body=chat(png()), headers=JSON, chunked=True)
    covered(picture_in(server.bodies[0]))
    assert g.ledger.verdicts() == ["redact"]


# ---- addressed to somebody else


HERE = ("0.0.0.0", "[::ffff:127.0.0.1]", "127.1", "0x7f.1", "localhost.", "ip6-localhost", "[::]", "127.0.0.1.")


@pytest.mark.parametrize("name", ["requests", "urllib3", "urllib", "httpx", "aiohttp"])
def test_every_name_of_this_machine_is_judged(server, police, name):
    made = client(name)
    watch.add([made.adapter])
    g = police("azure_face")
    denied = 0
    for host in HERE:
        with frame(g):
            try:
                got = made.send("POST", f"http://{host}:{port_of(server)}{IDENTIFY}", headers=JSON, body=FACES)
            except (ValueError, OSError):  # this client does not write hosts like that, so none is reached
                assert_nothing_sent(server)
                continue
        assert isinstance(got.refusal, guard.Denied), host
        server.assert_untouched()
        denied += 1
    assert g.ledger.verdicts() == ["deny"] * denied
    assert denied >= len(HERE) - 3


def test_a_whole_url_on_a_connection_to_somebody_else(server, police):
    urllib3 = needed("urllib3")
    install("urllib3", "http_client")
    g = police("azure_face")
    elsewhere = f"http://nobody.invalid{IDENTIFY}"
    ways = [
        lambda: http.client.HTTPConnection(server.host).request("POST", elsewhere, FACES, JSON),
        lambda: by_hand(http.client.HTTPConnection(server.host), elsewhere, FACES),
        lambda: urllib3.HTTPConnectionPool("127.0.0.1", port_of(server)).urlopen(
            "POST", elsewhere, FACES, JSON, assert_same_host=False
        ),
    ]
    for way in ways:
        with frame(g), pytest.raises(guard.Denied):
            way()
    server.assert_untouched()


def test_a_tunnel_that_is_asked_for_by_hand_is_not_opened(server, police):
    install("http_client")
    g = police("azure_openai")
    with counting_server() as proxy, frame(g):
        made = http.client.HTTPConnection(proxy.host)
        with pytest.raises(guard.Denied):
            made.request("CONNECT", server.host)
        made.putrequest("CONNECT", server.host)
        with pytest.raises(guard.Denied):
            made.endheaders()
        made.close()
        proxy.assert_untouched()
        elsewhere = http.client.HTTPConnection(proxy.host)
        elsewhere.request("CONNECT", "nobody.invalid:443")
        elsewhere.close()
    assert g.ledger.verdicts() == ["deny", "deny"]


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
def test_an_extension_that_asks_for_another_target_is_what_is_judged(server, police, library):
    httpx = needed(library)
    install(library)
    g = police("azure_openai")
    with counting_server() as other, frame(g), httpx.Client() as session:
        for url, target in (
            (server.url + SPOKEN, CHAT.encode()),
            (server.url + SPOKEN, f"{server.url}{CHAT}".encode()),
            (server.url + SPOKEN, f"http://nobody.invalid{CHAT}".encode()),
            (other.url + "/x", f"{server.url}{CHAT}".encode()),
        ):
            answer = session.post(url, content=FAR, headers=JSON, extensions={"target": target})
            assert answer.status_code == 403, target
        session.post(server.url + "/x", content=chat(png()), headers=JSON, extensions={"target": CHAT.encode()})
        other.assert_untouched()
    assert [(arrived.path, picture_in(arrived.body) == png()) for arrived in server.arrived] == [(CHAT, False)]
    assert g.ledger.verdicts() == ["deny"] * 4 + ["redact"]


@pytest.mark.parametrize("library", ["httpx", "urllib3", "aiohttp"])
def test_a_request_that_names_the_host_to_the_certificate_alone_is_judged(server, police, library):
    made = needed(library)
    install(library)
    g = police("azure_openai")
    name = "models.openai.azure.com"  # nobody resolves it: the connection is to this machine

    async def ask() -> None:
        async with (
            made.ClientSession() as session,
            session.post(other.url.replace("http", "https") + CHAT, data=FAR, headers=JSON, server_hostname=name),
        ):
            pass

    def of_httpx() -> None:
        with made.Client() as session:
            named = {"sni_hostname": name}
            session.post(other.url + CHAT, content=FAR, headers=JSON, extensions=named).raise_for_status()

    ways = {
        "httpx": of_httpx,
        "urllib3": lambda: made.HTTPSConnectionPool("127.0.0.1", port_of(other), server_hostname=name).urlopen(
            "POST", CHAT, FAR, JSON
        ),
        "aiohttp": lambda: asyncio.run(ask()),
    }
    with counting_server() as other, frame(g):
        with pytest.raises(guard.Denied):
            ways[library]()
        other.assert_untouched()
    assert g.ledger.verdicts() == ["deny"]


# ---- misframed and packed


def smuggled(server: CountingServer) -> bytes:
    """A second request that stands where the body of the first is said to have ended."""
    head = f"POST {CHAT} HTTP/1.1\r\nHost: {server.host}\r\nContent-Type: application/json\r\n"
    return b"{}" + f"{head}Content-Length: {len(FAR)}\r\n\r\n".encode() + FAR


@pytest.mark.parametrize("headers", [{"Content-Length": "2"}, {"Content-Length": "2", "Transfer-Encoding": "chunked"}])
def test_a_second_request_behind_the_stated_end_of_a_body_is_not_sent(server, police, headers):
    requests = needed("requests")
    install("requests", "urllib3", "http_client")
    g = police("azure_openai")
    with requests.Session() as session:
        ready = session.prepare_request(requests.Request("POST", server.url + SPOKEN, data=smuggled(server)))
        ready.headers.update(headers)
        with frame(g), pytest.raises(guard.GuardFault):
            session.send(ready)
    with frame(g), pytest.raises(guard.GuardFault):
        http.client.HTTPConnection(server.host).request("POST", SPOKEN, smuggled(server), headers)
    server.assert_untouched()
    assert g.ledger.verdicts() == ["fault", "fault"]


PACKED: dict[str, tuple[dict[str, str], bytes]] = {
    "gzip": ({"Content-Encoding": "gzip", **JSON}, gzip.compress(FAR, mtime=0)),
    "gzip that does not say so": (JSON, gzip.compress(FAR, mtime=0)),
    "gzip without any type": ({}, gzip.compress(FAR, mtime=0)),
    "identity and gzip": ({"Content-Encoding": "identity, gzip", **JSON}, gzip.compress(FAR, mtime=0)),
    "a form in a form": (
        {"Content-Type": "multipart/form-data; boundary=a"},
        b'--a\r\nContent-Disposition: form-data; name="x"\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n'
        b"--b\r\nContent-Type: image/png\r\n\r\n" + png() + b"\r\n--b--\r\n\r\n--a--\r\n",
    ),
    "a type that is given as two": (
        {"Content-Type": "multipart/form-data; boundary=a, application/json"},
        b'--a\r\nContent-Disposition: form-data; name="file"\r\n\r\nx\r\n--a--\r\n',
    ),
    "JSON behind a guard against scripts": (JSON, b")]}'\n" + FAR),
    "JSON with a remark": (JSON, b"/* */" + FAR),
}


@pytest.mark.parametrize("kind", PACKED)
@pytest.mark.parametrize("name", ["requests", "httpx", "aiohttp"])
def test_a_body_that_is_packed_is_unknown(server, police, kind, name):
    made = client(name)
    watch.add([made.adapter])
    g = police("azure_openai")
    headers, body = PACKED[kind]
    with frame(g):
        got = made.send("POST", server.url + CHAT, headers=headers, body=body)
    assert isinstance(got.refusal, guard.Denied)
    server.assert_untouched()


def test_a_field_that_a_form_has_twice_is_looked_at_twice(server, police):
    requests = needed("requests")
    install("requests")
    g = police("azure_openai")
    files = [("image", ("a.png", png(0))), ("image", ("b.png", png())), ("image", ("c.png", png(0)))]
    with frame(g):
        requests.post(server.url + "/v1/images/edits", files=files)
    assert png() not in server.bodies[0]
    assert server.bodies[0].count(png(0)) == 2


# ---- changed late


class Lying(bytes):
    """Says to be something else than it holds."""

    def __bytes__(self) -> bytes:
        return b'{"messages": []}'


def test_a_body_is_judged_by_its_buffer():
    assert described("POST", "http://127.0.0.1/", {}, Lying(FAR)).body == FAR
    assert described("POST", "http://127.0.0.1/", {}, memoryview(FAR)[::2]).body == FAR[::2]


@pytest.mark.parametrize("name", ["requests", "urllib3"])
def test_a_body_that_is_changed_after_it_was_looked_at_goes_out_as_it_was(server, police, name):
    requests = needed("requests")
    install(name)  # each alone: the other would look again
    police("azure_openai")
    harmless = b'{"messages": []}'.ljust(len(FAR))
    body = bytearray(harmless)

    class Late(requests.adapters.HTTPAdapter):
        def send(self, request: Any, **kwargs: Any) -> Any:
            if name == "requests":
                body[:] = FAR
            return super().send(request, **kwargs)

        def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
            pool = super().get_connection_with_tls_context(*args, **kwargs)
            made = pool._get_conn()
            connect = made.connect
            made.connect = lambda: (body.__setitem__(slice(None), FAR), connect())[1]
            pool._put_conn(made)
            return pool

    with requests.Session() as session:
        session.mount("http://", Late())
        ready = session.prepare_request(requests.Request("POST", server.url + CHAT, headers=JSON, data=b"x"))
        ready.body = body
        ready.headers["Content-Length"] = str(len(body))
        session.send(ready)
    assert server.bodies == [harmless]


def test_the_fence_hands_on_a_copy_of_what_can_be_changed(police):
    police("azure_openai")
    with crossing(described("POST", "https://api.openai.com" + CHAT, JSON, bytearray(b"{}"))) as body:
        assert (type(body), body) == (bytes, b"{}")
    with crossing(described("POST", "https://api.openai.com" + CHAT, JSON, b"{}")) as body:
        assert body is None


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
def test_a_hook_that_changes_the_stream_alone_is_judged_by_it(server, police, library):
    httpx = needed(library)
    install(library)
    g = police("azure_openai")

    def swap(request: Any) -> None:
        request.stream = httpx.ByteStream(FAR)
        request.headers["Content-Length"] = str(len(FAR))

    async def swap_later(request: Any) -> None:
        swap(request)

    def pieces(request: Any) -> None:
        class Pieces(httpx.SyncByteStream):
            def __iter__(self) -> Iterator[bytes]:
                yield FAR

        request.stream = Pieces()
        request.headers["Content-Length"] = str(len(FAR))

    async def later() -> int:
        async with httpx.AsyncClient(event_hooks={"request": [swap_later]}) as session:
            return (await session.post(server.url + CHAT, content=b'{"messages": []}', headers=JSON)).status_code

    with frame(g):
        for hook in (swap, pieces):
            with httpx.Client(event_hooks={"request": [hook]}) as session:
                answer = session.post(server.url + CHAT, content=b'{"messages": []}', headers=JSON)
                assert answer.status_code == 403
        assert asyncio.run(later()) == 403
    server.assert_untouched()
    assert g.ledger.verdicts() == ["deny"] * 3


def test_a_connector_of_one_s_own_sends_nothing(server, police):
    aiohttp = needed("aiohttp")
    install("aiohttp")
    g = police("azure_openai")

    class Straight(aiohttp.TCPConnector):
        """Gives connections of another connector, so that `connect` is not asked for this request."""

        async def connect(self, req: Any, *args: Any, **kwargs: Any) -> Any:
            asked = aiohttp.ClientRequest("GET", req.url, loop=self._loop, session=req._session, response_class=None)
            return await super().connect(asked, *args, **kwargs)

    class Late(aiohttp.TCPConnector):
        """Changes what was let through."""

        async def connect(self, req: Any, *args: Any, **kwargs: Any) -> Any:
            made = await super().connect(req, *args, **kwargs)
            if hasattr(req, "update_body"):
                await req.update_body(FAR)
            else:
                req.headers.popall("Content-Length", None)
                req.update_body_from_data(FAR)
            return made

    class Elsewhere(aiohttp.ClientRequest):
        async def send(self, conn: Any) -> Any:
            self.url = self.url.with_path(CHAT)
            return await super().send(conn)

    async def call(connector: Any, kind: Any, path: str, data: bytes) -> None:
        async with (
            aiohttp.ClientSession(connector=connector(), request_class=kind) as session,
            session.post(server.url + path, data=data, headers=JSON),
        ):
            pass

    for connector, kind, path, data in (
        (Straight, aiohttp.ClientRequest, CHAT, FAR),
        (Late, aiohttp.ClientRequest, CHAT, b'{"messages": []}'),
        (aiohttp.TCPConnector, Elsewhere, SPOKEN, FAR),
    ):
        with frame(g), pytest.raises(guard.Denied):
            asyncio.run(call(connector, kind, path, data))
        assert_nothing_sent(server)
    assert g.ledger.verdicts() == ["deny"] * 3


# ---- handed over, copied, mounted later


def test_sessions_that_are_copied_and_adapters_that_are_mounted_later(server, police):
    requests, urllib3 = needed("requests"), needed("urllib3")
    before = requests.Session()
    install("requests", "urllib3", "http_client")
    g = police("azure_face")

    class Straight(requests.adapters.BaseAdapter):
        """Past `HTTPAdapter`, by a pool of its own."""

        def send(self, request: Any, **_: Any) -> Any:
            with urllib3.PoolManager() as pool:
                return pool.request(request.method, request.url, body=request.body, headers=request.headers)

        def close(self) -> None:
            pass

    class Alias(requests.adapters.HTTPAdapter):
        """For an address that is nobody's."""

        def send(self, request: Any, **kwargs: Any) -> Any:
            request.url = server.url + IDENTIFY
            return super().send(request, **kwargs)

    mounted = requests.Session()
    mounted.mount("http://", Straight())
    aliased = requests.Session()
    aliased.mount("http://nobody.invalid", Alias())
    own = requests.Session()
    own.send = lambda request, **_: requests.adapters.HTTPAdapter().send(request)  # type: ignore[method-assign]
    ways: dict[str, Callable[[], Any]] = {
        "copy": lambda: copy.copy(before).post(server.url + IDENTIFY, data=FACES),
        "deep copy": lambda: copy.deepcopy(before).post(server.url + IDENTIFY, data=FACES),
        "adapter of a copy": lambda: copy.deepcopy(before.get_adapter(server.url)).send(
            requests.Request("POST", server.url + IDENTIFY, data=FACES).prepare()
        ),
        "mounted later": lambda: mounted.post(server.url + IDENTIFY, data=FACES),
        "alias": lambda: aliased.post("http://nobody.invalid/x", data=FACES),
        "replaced on the session": lambda: own.post(server.url + IDENTIFY, data=FACES),
        "prepared before": lambda: before.send(
            pickle.loads(pickle.dumps(requests.Request("POST", server.url + IDENTIFY, data=FACES).prepare()))
        ),
        "pool of a pool": lambda: copy.copy(urllib3.HTTPConnectionPool("127.0.0.1", port_of(server))).urlopen(
            "POST", IDENTIFY, FACES
        ),
    }
    for name, way in ways.items():
        with frame(g), pytest.raises(guard.Denied):
            print(name, way())
        server.assert_untouched()
    assert g.ledger.verdicts() == ["deny"] * len(ways)


def test_a_context_that_was_copied_inside_of_a_released_call_releases_nothing_later(server, police):
    requests = needed("requests")
    install("requests", "urllib3")
    g = police("azure_openai")
    kept: list[contextvars.Context] = []
    hooks = {"response": lambda response, **_: kept.append(contextvars.copy_context())}
    with frame(g):
        requests.post(server.url + CHAT, data=chat(png(0)), headers=JSON, hooks=hooks)
        server.clear()
        for again in (kept[0].run, lambda call: threading_of(kept[0].run, call)):
            with pytest.raises(guard.Denied):
                again(lambda: requests.post(server.url + CHAT, data=FAR, headers=JSON))
    server.assert_untouched()


def threading_of(run: Callable[..., Any], call: Callable[[], Any]) -> None:
    """Runs it in another thread, and raises here what it raised there."""
    raised: list[BaseException] = []

    def work() -> None:
        try:
            run(call)
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    raise raised[0]


def test_a_body_that_is_given_piece_by_piece_is_unknown_whatever_its_first_pieces_are(server, police):
    requests = needed("requests")
    install("requests")
    g = police("azure_openai")

    def pieces() -> Iterator[bytes]:
        yield b'{"messages": []}'
        yield FAR

    for body in (pieces(), io.BufferedReader(io.BytesIO(FAR)), iter([FAR])):  # type: ignore[arg-type]
        with frame(g), pytest.raises(guard.Denied):
            requests.post(server.url + CHAT, data=body, headers=JSON)
    server.assert_untouched()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_process_that_is_forked_while_the_hooks_are_looked_at_judges_on():
    """Another thread holds the lock then, and is not there in the child."""
    install("http_client")
    holds, over = threading.Event(), threading.Event()

    def hold() -> None:
        with watch._lock:
            holds.set()
            over.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    holds.wait(30)
    read, write = os.pipe()
    children: list[int] = []

    def forked() -> None:
        child = os.fork()
        if child:
            children.append(child)
            return
        answer = b"?"
        try:
            answer = b"guarded" if {item.state for item in guard.verify()} == {"guarded"} else b"open"
        finally:
            os.write(write, answer)
            os._exit(0)

    worker = threading.Thread(target=forked)
    worker.start()
    worker.join()
    os.close(write)
    alarm = threading.Timer(20, os.kill, (children[0], signal.SIGKILL))
    alarm.start()
    try:
        with os.fdopen(read, "rb") as answers:
            assert answers.read() == b"guarded"
    finally:
        alarm.cancel()
        os.waitpid(children[0], 0)
        over.set()
        holder.join()


# ---- the tripwire below


def test_the_tripwire_knows_every_address_of_a_listed_host(server, police):
    police("azure_face")
    tripwire.arm()
    for host in ("0.0.0.0", "127.1", "127.0.0.1"):
        with socket.socket() as made, pytest.raises(guard.GuardFault):
            made.connect((host, port_of(server)))
    for host in ("::ffff:127.0.0.1", "::1", "::"):  # as it is announced: not every machine has these
        with pytest.raises(guard.GuardFault):
            sys.audit("socket.connect", None, (host, port_of(server), 0, 0))
    server.assert_untouched()
