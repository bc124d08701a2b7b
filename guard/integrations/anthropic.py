"""The `anthropic` library, its clients for Bedrock, Vertex and other clouds included."""

from __future__ import annotations

from guard.integrations.hooks import Adapter
from guard.integrations.hosts import service_of_anthropic
from guard.integrations.stainless import Dialect, hooks_in
from guard.integrations.translations import anthropic

__all__ = ["ADAPTER"]


ADAPTER = Adapter(
    name="anthropic",
    distributions=("anthropic",),
    supported=">=0.125,<3",
    hooks=hooks_in("anthropic._base_client", Dialect(anthropic.translate, service_of_anthropic, "anthropic")),
    note="a transport of one's own is not looked into; what an HTTP hook changes is seen by the fence alone",
)
