"""Microsoft's AI services behind Azure: whose a request is, and what it means.

A host of Azure's own says it, and on any other (a private name, a gateway) the path does. Speech, language and
moderation name nobody: None.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from guard.facts import VLM_SERVICES
from guard.integrations.operation import Operation
from guard.integrations.translations import anthropic, azure_face, azure_pictures, azure_vision, openai
from guard.integrations.translations.paths import normal

__all__ = ["service_at", "translate"]

_READING = frozenset({"GET", "HEAD", "OPTIONS", "DELETE"})
_CLOUD = r"azure\.(?:com|us|cn)\Z"
_OPENAI = re.compile(rf"(?:\A|\.)openai\.{_CLOUD}")
_MODELS = re.compile(rf"(?:\A|\.)(?:services\.ai|models\.ai|inference\.ai)\.{_CLOUD}")
"""Hosts of models of many makers, OpenAI's too."""

_STORAGE = re.compile(r"\.(?:blob|file|queue|table|dfs|web)\.(?:core|storage)\.")
_MODEL_PATH = re.compile(
    r"/openai/|/anthropic/v\d|/models/(?:chat|embeddings|images)|"
    r"/(?:chat/completions|completions|responses|embeddings|images/[a-z]+|messages)/?\Z",
    re.IGNORECASE,
)
_NAMES_NOBODY = re.compile(
    r"/(?:speech|speechtotext|language|text|translator|luis|qnamaker|sts|tts|cognitiveservices|contentsafety|"
    r"anomalydetector|personalizer|metricsadvisor)(?:/|\Z)",
    re.IGNORECASE,
)


@lru_cache(maxsize=1024)
def service_at(host: str, path: str) -> str | None:
    """The service of the vocabulary that a request goes to; None for none of Microsoft's AI services.

    Args:
        host: in lower case, with the port or without.
        path: of the address.
    """
    path = normal(path)
    host = host.partition(":")[0].rstrip(".")
    if _STORAGE.search(host):
        return None
    if azure_face.is_at(path):
        return azure_face.SERVICE
    if azure_vision.is_at(path):
        return azure_vision.SERVICE
    if azure_pictures.is_area(path):
        return azure_pictures.SERVICE
    if _NAMES_NOBODY.match(path):
        return None
    return _model_at(host, path.casefold())


def _model_at(host: str, path: str) -> str | None:
    if "/anthropic/" in path and (_MODELS.search(host) or _MODEL_PATH.search(path)):
        return "anthropic"
    if _MODELS.search(host) and not ("/openai/" in path or "/models/" in path):
        return "microsoft_ai"
    return "azure_openai" if _OPENAI.search(host) or _MODELS.search(host) or _MODEL_PATH.search(path) else None


def translate(
    method: str, host: str, path: str, query: Mapping[str, str], content: Any, *, service: str | None = None
) -> Operation | None:
    """The call of a request.

    Args:
        method: of HTTP.
        host, path: as for `service_at`.
        query: as `guard.integrations.translations.azure_face.query_of` gives it.
        content: JSON as a mapping, the fields of a form, or the bytes of anything else.
        service: what the host counts as where the deployment says so, None where it does not.
    """
    found = service_at(host, path)
    if found is None:
        return None
    if found == azure_face.SERVICE:
        operation = azure_face.translate(method, path, query, content or None)
    elif azure_vision.is_at(path):
        operation = azure_vision.translate(method, path, query, content)
    elif method.upper() in _READING:
        operation = None
    elif azure_pictures.is_area(path):
        operation = azure_pictures.translate(path, content or b"")
    elif found == "anthropic":
        operation = anthropic.translate(path, content, service=service or found)
    else:
        operation = openai.translate(path, content, service=service or found)
    if operation is not None and service is not None:
        operation.service = service
        if service not in VLM_SERVICES:
            operation.actions = tuple("vlm_describe" if action is None else action for action in operation.actions)
    return operation
