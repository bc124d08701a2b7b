"""A gateway that runs in a thread while a test runs, and plain clients for it."""

from __future__ import annotations

import datetime
import http.client
import ipaddress
import json
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

import guard

HEADER = "x-guard-source"
TRUSTED = f'[[gateway.listener]]\nbind = "127.0.0.1:0"\nserves = "proxy"\nsource_header = "{HEADER}"\ntrusted = true\n'
CHECK = TRUSTED.replace('"proxy"', '"check"')
STATUS = '[[gateway.listener]]\nbind = "127.0.0.1:0"\nserves = "status"\n'


def upstream(shape: str, url: str, match: str = "127.0.0.1", more: str = "") -> str:
    return f'[[gateway.upstream]]\nmatch = "{match}"\nshape = "{shape}"\nurl = "{url}"\n{more}\n'


def settings(**values: Any) -> str:
    return "[gateway]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def decision(self) -> str | None:
        return self.headers.get("x-guard-decision")


class _Unix(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=20)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(20)
        self.sock.connect(self._path)


def connection(address: str, context: ssl.SSLContext | None = None) -> http.client.HTTPConnection:
    if address.startswith("unix:"):
        return _Unix(address.removeprefix("unix:"))
    if context is not None:
        return http.client.HTTPSConnection(address, context=context, timeout=20)
    return http.client.HTTPConnection(address, timeout=20)


def ask(
    address: str,
    target: str,
    body: Any = None,
    headers: Mapping[str, str] | None = None,
    *,
    method: str = "POST",
    source: str | None = None,
    context: ssl.SSLContext | None = None,
) -> Reply:
    """One request; a body that is no bytes goes as JSON."""
    sent = {} if isinstance(body, bytes) or body is None else {"content-type": "application/json"}
    sent |= headers or {}
    if source is not None:
        sent[HEADER] = source
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    with closing(connection(address, context)) as client:
        client.request(method, target, data, sent)
        answer = client.getresponse()
        return Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())


def send_raw(address: str, data: bytes) -> bytes:
    """What a plain socket gets back for these bytes, which ask for the connection to be closed."""
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=20) as raw:
        raw.sendall(data)
        got = b""
        while chunk := raw.recv(65536):
            got += chunk
        return got


@contextmanager
def running(g: guard.Guard) -> Iterator[tuple[str, ...]]:
    """Gives the addresses, in the order of the listeners."""
    from guard.gateway import Gateway

    gateway = Gateway(g)
    bound: list[str] = []
    broken: list[BaseException] = []
    ready = threading.Event()

    def say(addresses: tuple[str, ...]) -> None:
        bound.extend(addresses)
        ready.set()

    def run() -> None:
        try:
            gateway.run(say)
        except BaseException as error:
            broken.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert ready.wait(20)
        if broken:
            raise broken[0]
        yield tuple(bound)
    finally:
        gateway.stop()
        thread.join(30)
        assert not thread.is_alive()


_USES = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
_SIGNS = x509.KeyUsage(
    **dict.fromkeys(_USES, False), key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False
)
"""From Python 3.13 on, certificates are checked as strictly as RFC 5280 has it."""


class Certificates:
    """An authority with a server certificate, and client certificates on demand, as PEM files in a folder."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"test {name}")])
        self.ca = folder / f"{name}.pem"
        made = self._builder(self._name, self._key.public_key())
        made = made.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        made = made.add_extension(_SIGNS, critical=True)
        self.ca.write_bytes(made.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(hours=1))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )

    def make(
        self, stem: str, *names: x509.GeneralName, common_name: str = "nobody", ip: str | None = None
    ) -> tuple[Path, Path]:
        """Certificate and key of those alternative names."""
        if ip is not None:
            names = (*names, x509.IPAddress(ipaddress.ip_address(ip)))
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        builder = self._builder(subject, key.public_key())
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        paths = self._folder / f"{stem}.pem", self._folder / f"{stem}.key"
        paths[0].write_bytes(builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        paths[1].write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return paths

    def server(self) -> tuple[Path, Path]:
        return self.make("server", x509.DNSName("localhost"), ip="127.0.0.1")

    def context(self, client: tuple[Path, Path] | None = None) -> ssl.SSLContext:
        """What a client needs that trusts this authority and shows that certificate."""
        context = ssl.create_default_context(cafile=str(self.ca))
        if client is not None:
            context.load_cert_chain(*map(str, client))
        return context
