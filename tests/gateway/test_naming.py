"""Who calls is said by a verified certificate, or by a header where only a proxy can speak; by nothing else."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

import pytest

pytest.importorskip("uvicorn", reason="the gateway needs frguard[gateway]")
pytest.importorskip("aiohttp", reason="the gateway needs frguard[gateway]")

from cryptography import x509

from tests.conftest import OFFICE
from tests.gateway import requests as made
from tests.gateway.running import HEADER, TRUSTED, Certificates, ask, connection, running, settings, upstream
from tests.gateway.test_proxy import BOTH
from tests.integrations.loopback import CountingServer, counting_server


@pytest.fixture
def service() -> Iterator[CountingServer]:
    with counting_server() as server:
        yield server


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("tls"))


def mutual_listener(authority: Certificates) -> str:
    certificate, key = authority.server()
    return (
        f'[[gateway.listener]]\nbind = "127.0.0.1:0"\nserves = "proxy"\ncertificate = "{certificate}"\n'
        f'key = "{key}"\nclient_ca = "{authority.ca}"\n'
    )


@pytest.fixture
def mutual(make_guard, service, authority):
    """A proxy that asks for client certificates, its address."""
    listener = mutual_listener(authority)
    clients = '[gateway.clients]\n"spiffe://example/camera-7" = "door"\n'
    g = make_guard(BOTH + clients + listener + upstream("azure_face", service.url))
    with running(g) as (address,):
        yield address, g


def identify(address: str, **more: object):
    return ask(address, made.IDENTIFY, made.identify(), **more)  # type: ignore[arg-type]


def test_a_certificate_names_the_source(mutual, authority, service):
    address, g = mutual
    door = authority.context(authority.make("a", x509.DNSName("door")))
    police = authority.context(authority.make("b", x509.DNSName("bodycam")))
    mapped = authority.context(authority.make("c", x509.UniformResourceIdentifier("spiffe://example/camera-7")))
    assert identify(address, context=door).decision == "allow"
    assert identify(address, context=mapped).decision == "allow"
    assert identify(address, context=police).decision == "deny"
    assert [entry.decision.source for entry in g.ledger.entries] == ["door", "door", "bodycam"]
    assert service.requests == 2


@pytest.mark.parametrize(
    "names",
    [(), (x509.DNSName("stranger"),), (x509.DNSName("door"), x509.DNSName("bodycam")), (x509.DNSName("*"),)],
    ids=["none", "unknown", "two sources", "wildcard"],
)
def test_a_certificate_that_names_no_one_source_is_an_unknown_source_and_denied(mutual, authority, service, names):
    address, g = mutual
    context = authority.context(authority.make("x", *names, common_name="door"))
    reply = identify(address, context=context)
    assert (reply.status, reply.decision) == (403, "fault")
    service.assert_untouched()
    (entry,) = g.ledger.entries
    assert entry.decision.source is None
    assert "nobody names the source" in entry.fault


def test_where_certificates_count_a_header_says_nothing(mutual, authority, service):
    address, g = mutual
    police = authority.context(authority.make("b", x509.DNSName("bodycam")))
    assert identify(address, context=police, source="door").decision == "deny"
    stranger = authority.context(authority.make("d", x509.DNSName("stranger")))
    assert identify(address, context=stranger, source="door").decision == "fault"
    service.assert_untouched()
    door = authority.context(authority.make("a", x509.DNSName("door")))
    assert identify(address, context=door, source="bodycam").decision == "allow"
    assert HEADER not in {name.lower() for name in service.arrived[0].headers}


def test_without_a_certificate_of_that_authority_there_is_no_connection(mutual, authority, service, tmp_path):
    address, g = mutual
    other = Certificates(tmp_path, "other")
    forged = authority.context()
    forged.load_cert_chain(*map(str, other.make("door", x509.DNSName("door"))))
    for context in (authority.context(), forged):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            identify(address, context=context)
    service.assert_untouched()
    assert g.ledger.entries == []


def test_a_connection_keeps_its_own_names(mutual, authority, service):
    """Two clients with open connections, in turns."""
    address, g = mutual
    import json

    clients = [
        connection(address, authority.context(authority.make(name, x509.DNSName(name)))) for name in ("door", "bodycam")
    ]
    seen = []
    for client in (*clients, *clients):
        client.request("POST", made.IDENTIFY, json.dumps(made.identify()), {"content-type": "application/json"})
        answer = client.getresponse()
        answer.read()
        seen.append(answer.status)
    for client in clients:
        client.close()
    assert seen == [200, 403, 200, 403]


def test_on_a_unix_socket_the_header_names_the_source_and_goes_no_further(make_guard, service, tmp_path):
    listener = '[[gateway.listener]]\nbind = "unix:guard.sock"\nserves = "proxy"\nsource_header = "X-Camera"\n'
    g = make_guard(BOTH + listener + upstream("azure_face", service.url, "localhost"))
    with running(g) as (address,):
        assert address == f"unix:{tmp_path / 'guard.sock'}"
        assert (tmp_path / "guard.sock").stat().st_mode & 0o007 == 0
        assert identify(address, headers={"X-Camera": "door"}).decision == "allow"
        assert identify(address, headers={"X-Camera": "bodycam"}).decision == "deny"
    assert not (tmp_path / "guard.sock").exists()
    (arrived,) = service.arrived
    assert not {name.lower() for name in arrived.headers} & {"x-camera", HEADER}


@pytest.mark.parametrize("said", [[], ["stranger"], ["bodycam", "door"], ["door", "door"], ["door, bodycam"], [""]])
def test_a_header_that_names_no_one_source_is_an_unknown_source_and_denied(make_guard, service, said):
    """Given twice it is the client's own and the proxy's: neither counts."""
    g = make_guard(BOTH + TRUSTED + upstream("azure_face", service.url))
    with running(g) as (address,):
        client = connection(address)
        client.putrequest("POST", made.IDENTIFY)
        for value in said:
            client.putheader(HEADER, value)
        client.putheader("content-type", "application/json")
        client.putheader("content-length", "2")
        client.endheaders(b"{}")
        answer = client.getresponse()
        assert (answer.status, answer.headers["x-guard-decision"]) == (403, "fault")
        client.close()
    service.assert_untouched()
    assert [entry.decision.source for entry in g.ledger.entries] == [None]


def test_an_unknown_source_is_denied_what_needs_no_decision_too(make_guard, service):
    g = make_guard(BOTH + TRUSTED + upstream("openai", service.url))
    with running(g) as (address,):
        reply = ask(address, "/v1/models", method="GET")
        assert (reply.status, reply.decision) == (403, "fault")
    service.assert_untouched()


def test_a_source_is_one_of_the_file_only(make_guard, service):
    """The only source of a file is not meant by silence."""
    g = make_guard(OFFICE + settings() + TRUSTED + upstream("azure_face", service.url))
    with running(g) as (address,):
        assert identify(address).status == 403
        assert identify(address, source="door").status == 200


def test_a_client_that_leaves_its_connection_open_does_not_hold_up_the_end(make_guard, service, authority, monkeypatch):
    monkeypatch.setattr("guard.gateway.serving.STOP_S", 300)
    g = make_guard(BOTH + mutual_listener(authority) + upstream("azure_face", service.url))
    with running(g) as (address,):
        client = connection(address, authority.context(authority.make("a", x509.DNSName("door"))))
        client.request("GET", made.IDENTIFY)
        client.getresponse().read()
    client.close()
