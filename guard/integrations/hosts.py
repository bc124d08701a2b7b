"""Which service a vision-language client talks to: what its host says, else the client's own."""

from __future__ import annotations

from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from guard.integrations.authorities import PORTS
from guard.integrations.endpoints import services_at

__all__ = ["service_at", "service_of_anthropic", "service_of_google", "service_of_openai"]

_LIKELY = ("azure_openai", "google", "anthropic", "openai", "other")
"""What a host that has several is taken for, where the client's own is not among them."""


def service_at(url: str, default: str) -> str:
    """The service at an absolute URL, as the fence below has it; `default` where nothing is known of its host."""
    try:
        possible = services_at(*_host_of(url))
    except ValueError:  # no client can send it either
        return default
    if not possible or default in possible:
        return default
    return next((service for service in _LIKELY if service in possible), min(possible))


@lru_cache(maxsize=256)
def _host_of(url: str) -> tuple[str, int | None]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or PORTS.get(parts.scheme)


def service_of_openai(client: Any, url: str) -> str:
    """The service that a client of the `openai` library talks to at that URL."""
    is_azure = any(kind.__name__ in ("AzureOpenAI", "AsyncAzureOpenAI") for kind in type(client).__mro__)
    return service_at(url, "azure_openai" if is_azure else "openai")


def service_of_anthropic(client: Any, url: str) -> str:
    """The service that a client of the `anthropic` library talks to at that URL: Anthropic's, whoever runs it."""
    return service_at(url, "anthropic")


def service_of_google(api_client: Any) -> str:
    """The service that a client of the `google-genai` library talks to."""
    options = getattr(api_client, "_http_options", None)
    return service_at(str(getattr(options, "base_url", None) or ""), "google")
