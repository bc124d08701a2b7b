"""What a request asks of a service, in the guard's terms; the same translations as in process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from guard.config import Shape, Upstream
from guard.facts import VLM_SERVICES
from guard.gateway.received import Received
from guard.gateway.upstreams import forwarded_target
from guard.integrations import Operation
from guard.integrations.bodies import Body
from guard.integrations.endpoints import Request, recognise
from guard.integrations.translations import rekognition

__all__ = ["Asked", "Unreadable", "translate", "unknown_operation"]

_HOSTS: Mapping[Shape, str] = {
    "rekognition": "rekognition.us-east-1.amazonaws.com",
    "bedrock": "bedrock-runtime.us-east-1.amazonaws.com",
    "azure_face": "faces.cognitiveservices.azure.com",
    "azure_openai": "models.openai.azure.com",
    "openai": "api.openai.com",
    "anthropic": "api.anthropic.com",
    "google": "generativelanguage.googleapis.com",
}
"""A host of each service, by which a request is recognised: an upstream may go by any name."""


class Unreadable(Exception):
    """The request cannot be translated, so it cannot be judged; says why."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A translated request.

    Attributes:
        operation: None for a request that carries no picture or reference to one and is no face operation.
        body: into which what may go out is put.
    """

    operation: Operation | None
    body: Body


def translate(received: Received, upstream: Upstream) -> Asked:
    """What the request asks. Raises `Unreadable` for what the service could understand and this cannot."""
    # Of a header that is given twice the last counts here; those that matter were refused before.
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in received.headers if name != b"host"}
    target = forwarded_target(upstream, received.target)
    found = recognise(Request(received.method, f"https://{_HOSTS[upstream.shape]}{target}", headers, received.body))
    if found is None:
        raise Unreadable("it is no request to such a service")
    if found.body.unread is not None:
        raise Unreadable(f"it has {found.body.unread}")
    if upstream.shape == "rekognition":
        _demand_a_name(received, headers, found.body)
    operation = found.operation
    if operation is not None and _is_at_another_service(upstream):
        actions = operation.actions
        if upstream.service not in VLM_SERVICES:
            actions = tuple("vlm_describe" if action is None else action for action in actions)
        operation = replace(operation, service=upstream.service, actions=actions)
    return Asked(operation, found.body)


def unknown_operation(upstream: Upstream) -> Operation:
    """What stands in the record where a request was refused before it could be translated: the worst it could be."""
    actions = ("identify",) if upstream.shape in ("rekognition", "azure_face") else ("vlm_identify",)
    return Operation(f"{upstream.shape} request", upstream.service, actions)


def _demand_a_name(received: Received, headers: Mapping[str, str], body: Body) -> None:
    """Rekognition takes JSON objects at one address and is told the operation in a header, in no other way."""
    if received.method != "POST" or received.path != "/":
        raise Unreadable("Rekognition takes requests by POST at / alone")
    if rekognition.operation_of(headers.get("x-amz-target", "")) is None:
        raise Unreadable("it names no operation of Rekognition in X-Amz-Target")
    if not isinstance(body.value, dict):
        raise Unreadable("its body is no JSON object")


def _is_at_another_service(upstream: Upstream) -> bool:
    return upstream.shape in ("openai", "azure_openai", "anthropic") and upstream.service != upstream.shape
