"""The `openai` library, `AzureOpenAI` included: requests over HTTP, and messages on its websockets."""

from __future__ import annotations

from guard.integrations.hooks import Adapter
from guard.integrations.hosts import service_of_openai
from guard.integrations.openai_websockets import WEBSOCKETS, connections_in
from guard.integrations.stainless import Dialect, hooks_in
from guard.integrations.translations import openai

__all__ = ["ADAPTER"]

ADAPTER = Adapter(
    name="openai",
    distributions=("openai",),
    supported=">=1.109,<4",
    hooks=hooks_in("openai._base_client", Dialect(openai.translate, service_of_openai, "openai")),
    discover=dict.fromkeys(WEBSOCKETS, connections_in),
    note="a transport of one's own is not looked into; what an HTTP hook changes is seen by the fence alone",
)
