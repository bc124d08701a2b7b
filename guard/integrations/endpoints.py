"""Which HTTP requests are calls of a known service, by host, path and header, and what they carry.

For whoever speaks to the services without their SDKs. A host listed under `[services]` counts as that service and is
recognised by its path, or, where the path is of no known interface, taken for a face matcher (a vision-language
service: for a model) that gets everything that is sent to it. What cannot be read (a stream, a compressed or damaged
body, the messages of a websocket) is unknown, not empty.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import unquote, urlsplit

from guard.addresses import usual_authority
from guard.facts import VLM_SERVICES
from guard.integrations.authorities import addressed, host_of, spellings
from guard.integrations.bodies import Body, read_body
from guard.integrations.operation import Operation
from guard.integrations.services import service_of
from guard.integrations.translations import (
    anthropic,
    azure_face,
    azure_pictures,
    azure_vision,
    bedrock,
    google,
    google_vision,
    openai,
    rekognition,
)

__all__ = ["Crossing", "Request", "recognise", "services_at"]

_READING = frozenset({"GET", "HEAD", "OPTIONS", "DELETE", "TRACE", "CONNECT"})

_EVERYTHING = ("detect", "attributes", "verify", "identify", "enrol")
"""What a request to a listed host of an unknown interface could be; `Source.intent` says which."""

Interface = Callable[["Request", "Place", Body], "Operation | None"]


@dataclass(slots=True)
class Request:
    """A request that is about to be sent.

    Attributes:
        method: of HTTP.
        url: absolute.
        headers: names in lower case.
        body: the bytes that will be sent; empty where there are none.
        unread: why the body is not known beforehand; None where it is.
        via: the host that the connection is made to, with its port, where the URL may name another: a proxy's, or one
            that does not care what the URL says.
        is_copy: whether `body` was copied from something that can be changed until it is sent.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes = b""
    unread: str | None = None
    via: str = ""
    is_copy: bool = False


@dataclass(slots=True)
class Place:
    """Where a request goes: `host` in lower case, with the port in `authority`; `path` decoded, one slash at a time."""

    host: str
    authority: str
    path: str
    query: str
    service: str


@dataclass(slots=True)
class Crossing:
    """A request to a known service.

    Attributes:
        service: what its host counts as.
        operation: the call; None where it carries nothing to look at and is no face operation.
        body: its body, for `Body.with_payload`.
    """

    service: str
    operation: Operation | None
    body: Body


def recognise(request: Request) -> Crossing | None:
    """The call that a request is; None where it goes to no known service. Raises nothing.

    What is addressed to a known service and cannot be translated gives an operation that is `broken`: it is refused.
    """
    headers = request.headers
    read = _address if len(request.url) <= _LONG else _address.__wrapped__
    try:
        authorities, path, query = read(request.url, _told(request))
    except ValueError:
        return None  # no client can send it either
    has_target = "x-amz-target" in headers and rekognition.operation_of(headers["x-amz-target"]) is not None
    for authority in authorities:
        known = _known(authority, has_target)
        if known is not None:
            interface, service, listed = known
            if not listed:
                service = _service_by_path(path, service)
            return _translated(request, Place(host_of(authority), authority, path, query, service), interface, listed)
    return None


def _told(request: Request) -> str:
    """Whom the request addresses beside its URL."""
    told = request.headers.get("host", "")
    return f"{told},{request.via}" if told and request.via else told or request.via


@lru_cache(maxsize=1024)
def _address(url: str, told: str) -> tuple[tuple[str, ...], str, str]:
    """Whom a request addresses, by its URL and beside it; the path, decoded; the query. Raises `ValueError`."""
    parts = urlsplit(url)
    return tuple(addressed(parts, told)), _decoded(parts.path), parts.query


def services_at(host: str, port: int | None = None) -> frozenset[str]:
    """What calls to a host can count as, by path; empty for a host that is nobody's."""
    known = _known(_authority(host, port), has_target=False)
    return frozenset() if known is None else _together(known[1], known[2])


@lru_cache(maxsize=1024)
def _authority(host: str, port: int | None) -> str:
    host = usual_authority(f"[{host}]" if ":" in host else host)
    return host if port is None else f"{host}:{port}"


@lru_cache(maxsize=128)
def _together(service: str, listed: bool) -> frozenset[str]:
    """What calls to a host of that service can count as; what it is listed as, and nothing else."""
    groups = [group for group in _TOGETHER if service in group and not listed]
    return frozenset({service}).union(*groups)


def _decoded(path: str) -> str:
    if "%" in path:
        path = unquote(path)
    return (_SLASHES.sub("/", path) if "//" in path else path) or "/"


def _known(authority: str, has_target: bool) -> tuple[Interface, str, bool] | None:
    """Interface, service, and whether `[services]` names the host; None for a host that is nobody's."""
    default = _default(host_of(authority))
    listed = ""
    for name in spellings(authority):
        listed = listed or service_of(name, "")
    if default is not None:
        return default[0], listed or default[1], bool(listed)
    if has_target:
        return _rekognition, listed or "rekognition_compare", bool(listed)
    return (_listed, listed, True) if listed else None


@lru_cache(maxsize=1024)
def _default(host: str) -> tuple[Interface, str] | None:
    return next(((interface, service) for pattern, interface, service in _HOSTS if pattern.search(host)), None)


def _service_by_path(path: str, service: str) -> str:
    """Azure and Vertex have the models of several vendors, and each stays its vendor's."""
    if service in ("microsoft_ai", "google") and ("/anthropic/" in path):
        return "anthropic"
    return "azure_openai" if service == "microsoft_ai" and ("/openai/" in path or "/models/" in path) else service


def _translated(request: Request, place: Place, interface: Interface, listed: bool) -> Crossing:
    body = read_body(request.body, request.headers, request.unread)
    misframed = _misframed(request)
    if misframed is not None:
        why = f"the request to {place.host} {misframed}"
        return Crossing(
            place.service,
            Operation(f"{place.service} request", place.service, _worst(place.service), broken=why),
            body,
        )
    try:
        operation = _websocket(request, place) if _is_upgrade(request) else interface(request, place, body)
        if operation is not None:
            if body.unread is not None:
                operation.opaque = (*operation.opaque, body.unread)
            operation.rewritable = operation.rewritable and not _is_signed(request, place)
            if listed and operation.service != place.service:
                operation.service, operation.actions = place.service, _named(operation, place.service)
    except Exception as error:  # noqa: BLE001 - what cannot be translated is refused, whatever was raised
        why = f"the request to {place.host} could not be read: {type(error).__name__}"
        operation = Operation(f"{place.service} request", place.service, _worst(place.service), broken=why)
    return Crossing(place.service, operation, body)


def _misframed(request: Request) -> str | None:
    """Why its end is somewhere else than where its body ends, so that a second request may stand behind it."""
    stated = request.headers.get("content-length")
    if stated is None:
        return None
    if "transfer-encoding" in request.headers:
        return "states a length and comes in chunks"
    if request.unread is None and stated.strip() != str(len(request.body)):
        return "is not as long as it states"
    return None


def _named(operation: Operation, service: str) -> tuple[str | None, ...]:
    """Only a vision-language service may be called without naming an action."""
    if service in VLM_SERVICES:
        return tuple(operation.actions)
    return tuple("vlm_describe" if action is None else action for action in operation.actions)


def _worst(service: str) -> tuple[str | None, ...]:
    return (None,) if service in VLM_SERVICES else _EVERYTHING


def _is_signed(request: Request, place: Place) -> bool:
    """Whether another body would be noticed as forged."""
    headers = request.headers
    if "authorization" in headers and headers["authorization"].upper().startswith("AWS"):
        return True
    if place.query and "x-amz-signature" in place.query.lower():
        return True
    return not _SIGNATURES.isdisjoint(headers)


# ---- websockets and tunnels


def _is_upgrade(request: Request) -> bool:
    if request.method == "CONNECT":
        return True
    if "upgrade" in request.headers and "websocket" in request.headers["upgrade"].lower():
        return True
    return request.url[:4].lower().startswith(("ws:", "wss:"))


def _websocket(request: Request, place: Place) -> Operation | None:
    """A connection whose messages nobody looks at afterwards."""
    if "intent=transcription" in place.query or "/audio/" in place.path or _NAMES_NOBODY.search(place.path):
        return None
    actions: tuple[str | None, ...] = _worst(place.service)
    if place.service.startswith("rekognition"):
        actions = ("detect",)  # liveness: the only one that Rekognition has
    kind, what = ("tunnel", "what goes through a tunnel") if request.method == "CONNECT" else _WEBSOCKET
    return Operation(f"{place.service} {kind}", place.service, actions, opaque=(what,))


# ---- the interfaces


def _only_reads(request: Request) -> bool:
    """Whether it sends nothing; a header that makes another method of it makes another request of it."""
    if request.method not in _READING or request.body or request.unread is not None:
        return False
    return _OVERRIDES.isdisjoint(request.headers)


def _method(request: Request) -> str:
    return "POST" if request.method in _READING and not _only_reads(request) else request.method


def _rekognition(request: Request, place: Place, body: Body) -> Operation | None:
    operation = rekognition.operation_of(request.headers.get("x-amz-target", ""))
    if operation is None and _only_reads(request):
        return None
    return rekognition.translate(operation or "an unknown operation", body.mapping())


def _bedrock(request: Request, place: Place, body: Body) -> Operation | None:
    found = bedrock.operation_at(place.path) or bedrock.operation_at(urlsplit(request.url).path)
    if found is None:
        return _model(request, place, body)
    name, model = found
    if name in bedrock.WHOLE_BODY:
        body.below("body")
        return bedrock.translate(name, {"modelId": model, "body": body.raw})
    if body.unread is not None:
        is_claude = "anthropic." in model
        return Operation(
            "bedrock request", "anthropic" if is_claude else "other", (None if is_claude else "vlm_describe",)
        )
    return bedrock.translate(name, {**body.mapping(), "modelId": model})


def _azure(request: Request, place: Place, body: Body) -> Operation | None:
    path = place.path.lower()
    if azure_face.is_at(path):
        is_json = body.is_json or not body.raw
        given: Any = (body.mapping() or None) if is_json else body.raw
        return azure_face.translate(_method(request), place.path, azure_face.query_of(place.query), given)
    if _NAMES_NOBODY.search(path):
        return None
    if azure_vision.is_at(path):
        return azure_vision.translate(_method(request), path, azure_face.query_of(place.query), body.content())
    if azure_pictures.is_area(path):
        given = body.mapping() if body.is_json else b"" if request.method in _READING and not request.body else body.raw
        return azure_pictures.translate(path, given, service=place.service)
    return _model(request, place, body)


def _model(request: Request, place: Place, body: Body) -> Operation | None:
    """An interface of a vision-language service."""
    if _only_reads(request):
        return None
    path = place.path
    if place.service == "anthropic" or path.endswith(("/v1/messages", "/v1/messages/batches")):
        return anthropic.translate(path, body.content(), service=place.service)
    if _GOOGLE.search(path) or place.service == "google":
        return google.translate(path, body.content(), service=place.service)
    return openai.translate(path, body.content(), service=place.service)


def _unread_model(place: Place) -> Operation:
    return Operation(f"{place.service} request", place.service, _worst(place.service))


def _google_vision(request: Request, place: Place, body: Body) -> Operation | None:
    if _only_reads(request):
        return None
    if body.unread is not None or not body.is_json:
        return _unread_model(place)
    return google_vision.translate(place.path, body.mapping())


def _listed(request: Request, place: Place, body: Body) -> Operation | None:
    """A host of the deployment's own: by the interface that its path is of."""
    path = place.path
    if azure_face.is_at(path):
        return _azure(request, place, body)
    if bedrock.operation_at(path) is not None:
        return _bedrock(request, place, body)
    if place.service in VLM_SERVICES or _GOOGLE.search(path) or _OPENAI.search(path):
        return _model(request, place, body)
    if _only_reads(request) and not _ADDRESS.search(unquote(place.query)):
        return None
    payload: Any = body.content()
    return Operation(f"a request to {place.authority}", place.service, _EVERYTHING, {(): payload} if payload else None)


_WEBSOCKET = ("websocket", "the messages of a websocket")

_LONG = 2048
"""The length from which on a URL is read anew each time, so that no more than 2 MiB of them are kept."""

_SLASHES = re.compile(r"/{2,}")
_ADDRESS = re.compile(r"(?:https?|s3|gs|data|file):", re.IGNORECASE)
_OVERRIDES = frozenset({"x-http-method-override", "x-http-method", "x-method-override"})
_SIGNATURES = frozenset({"digest", "content-digest", "content-md5", "signature", "signature-input"})
_GOOGLE = re.compile(r":(?:generate|streamgenerate|counttokens|embed|predict|rawpredict|batch|asyncbatch)", re.I)
_OPENAI = re.compile(
    r"/(?:chat/completions|responses|messages|completions|embeddings|images/|files|batches|videos|realtime|uploads|"
    r"threads|conversations|moderations|audio/)"
)
_NAMES_NOBODY = re.compile(
    r"^/(?:speech|speechtotext|language|text|translator|luis|qnamaker|sts|tts|cognitiveservices|contentsafety|"
    r"anomalydetector|personalizer|metricsadvisor)\b"
)

_TOGETHER = (
    frozenset({"rekognition_compare", "rekognition_other"}),
    frozenset({"microsoft_ai", "azure_face", "azure_openai", "anthropic"}),
    frozenset({"google", "anthropic"}),
    frozenset({"other", "anthropic"}),
)
"""The services that share hosts."""

_AMAZON = r"(?:amazonaws\.com(?:\.cn)?|api\.aws)"
_HOSTS: tuple[tuple[re.Pattern[str], Interface, str], ...] = tuple(
    (re.compile(rf"(?:\A|\.){pattern}\Z"), interface, service)
    for pattern, interface, service in (
        (rf"(?:streaming-)?rekognition(?:-fips)?\..*{_AMAZON}", _rekognition, "rekognition_compare"),
        (rf"bedrock(?:-agent)?-runtime(?:-fips)?\..*{_AMAZON}", _bedrock, "other"),
        (r"openai\.azure\.(?:com|us|cn)", _azure, "azure_openai"),
        (r"cognitiveservices\.azure\.(?:com|us|cn)", _azure, "microsoft_ai"),
        (r"api\.cognitive\.(?:microsoft\.com|microsoft\.us|azure\.cn)", _azure, "microsoft_ai"),
        (r"(?:services\.ai|models\.ai|inference\.ai)\.azure\.(?:com|us|cn)", _azure, "microsoft_ai"),
        (r"api\.openai\.com", _model, "openai"),
        (r"api\.anthropic\.com", _model, "anthropic"),
        (r"generativelanguage\.googleapis\.com", _model, "google"),
        (r"(?:[a-z0-9-]+-)?aiplatform\.googleapis\.com", _model, "google"),
        (r"aiplatform\.[a-z0-9-]+\.rep\.googleapis\.com", _model, "google"),
        (r"(?:[a-z]+-)?vision\.googleapis\.com", _google_vision, "google"),
        (r"(?:[a-z]+-)?videointelligence\.googleapis\.com", _google_vision, "google"),
    )
)  # fmt: skip
