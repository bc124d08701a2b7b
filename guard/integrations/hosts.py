"""Which service a vision-language client talks to, by its host, where `[services]` says nothing of it."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from guard.integrations.services import service_of

__all__ = ["service_at", "service_of_google", "service_of_openai"]

_KNOWN: tuple[tuple[str, str], ...] = (
    (".azure.com", "azure_openai"),
    (".azure.us", "azure_openai"),
    (".azure.cn", "azure_openai"),
    (".openai.com", "openai"),
    (".anthropic.com", "anthropic"),
    (".googleapis.com", "google"),
)


def service_at(host: str, default: str) -> str:
    """The service at a host (``api.example.com``, with or without a port); `default` where nothing is known of it."""
    name = host.rpartition(":")[0] or host
    for ending, service in _KNOWN:
        if name.lower().endswith(ending):
            default = service
            break
    return service_of(host, default)


def service_of_openai(client: Any, host: str) -> str:
    """The service that a client of the `openai` library with that host talks to."""
    is_azure = any(kind.__name__ in ("AzureOpenAI", "AsyncAzureOpenAI") for kind in type(client).__mro__)
    return service_at(host, "azure_openai" if is_azure else "openai")


def service_of_google(api_client: Any) -> str:
    """The service that a client of the `google-genai` library talks to."""
    options = getattr(api_client, "_http_options", None)
    return service_of(urlsplit(str(getattr(options, "base_url", None) or "")).netloc, "google")
