"""The `anthropic` library, its clients for Bedrock, Vertex and other clouds included."""

from __future__ import annotations

from typing import Any

from guard.integrations.hooks import Adapter
from guard.integrations.services import service_of
from guard.integrations.stainless import Dialect, hooks_in
from guard.integrations.translations import anthropic

__all__ = ["ADAPTER"]


def _service(client: Any, host: str) -> str:
    return service_of(host, "anthropic")


ADAPTER = Adapter(
    name="anthropic",
    distributions=("anthropic",),
    supported=">=0.125,<3",
    hooks=hooks_in("anthropic._base_client", Dialect(anthropic.translate, _service, "anthropic")),
    note="what a middleware, an HTTP hook or a transport of one's own puts into a request afterwards is not looked at",
)
