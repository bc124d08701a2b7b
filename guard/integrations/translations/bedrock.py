"""Amazon Bedrock: a model is given a picture and a prompt.

Anthropic's models count as ``anthropic``, where a call need name no action; all others as ``other``, and the call is a
``vlm_describe``. A request without picture, video, file or reference to one is None.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from guard.integrations.operation import Operation
from guard.integrations.translations.parts import Parts

__all__ = ["OPERATIONS", "WHOLE_BODY", "operation_at", "translate"]

OPERATIONS: Mapping[str, tuple[str, ...]] = {
    "Converse": ("messages", "system", "additionalModelRequestFields", "promptVariables"),
    "ConverseStream": ("messages", "system", "additionalModelRequestFields", "promptVariables"),
    "InvokeModel": ("body",),
    "InvokeModelWithResponseStream": ("body",),
    "InvokeModelWithBidirectionalStream": ("body",),
    "CountTokens": ("input",),
    "StartAsyncInvoke": ("modelInput",),
    "CreateModelInvocationJob": ("inputDataConfig",),
    "InvokeAgent": ("sessionState",),
    "InvokeInlineAgent": ("inlineSessionState",),
    "InvokeFlow": ("inputs",),
    "StartFlowExecution": ("inputs",),
    "Retrieve": ("retrievalQuery",),
    "IngestKnowledgeBaseDocuments": ("documents",),
    "RetrieveAndGenerate": ("input", "retrieveAndGenerateConfiguration"),
    "RetrieveAndGenerateStream": ("input", "retrieveAndGenerateConfiguration"),
    "InvokeDataAutomation": ("inputConfiguration",),
    "InvokeDataAutomationAsync": ("inputConfiguration",),
}
"""The operations that hand something to a model, and the parameters in which it stands. What a knowledge base or an
agent of the account fetches by itself is not seen here."""

WHOLE_BODY = frozenset({"InvokeModel", "InvokeModelWithResponseStream"})
"""The operations whose parameter `body` is the whole body of the request; of the others it holds the parameters."""

_ANTHROPIC = re.compile(r"(?:^|[./:])anthropic\.", re.IGNORECASE)
_ADDRESSES = re.compile(r"/model/(?P<model>[^/]+)/(?P<verb>[a-z-]+)/?\Z")
_VERBS = {
    "converse": "Converse",
    "converse-stream": "ConverseStream",
    "invoke": "InvokeModel",
    "invoke-with-response-stream": "InvokeModelWithResponseStream",
    "invoke-with-bidirectional-stream": "InvokeModelWithBidirectionalStream",
    "count-tokens": "CountTokens",
}


def operation_at(path: str) -> tuple[str, str] | None:
    """Operation and model id of a REST path such as ``/model/amazon.nova-lite-v1:0/converse``; None elsewhere."""
    found = _ADDRESSES.search(path)
    if found is None or found["verb"] not in _VERBS:
        return None
    return _VERBS[found["verb"]], unquote(found["model"])


def translate(operation: str, params: Mapping[str, Any]) -> Operation | None:
    """The call of a Bedrock operation.

    Args:
        operation: as Amazon writes it, e.g. ``Converse``.
        params: its parameters, with ``modelId``; the ``body`` of `InvokeModel` as the JSON text or bytes that is sent.
    """
    parts = Parts()
    for name in OPERATIONS.get(operation, ()):
        value = params.get(name)
        if name == "body":
            parts.look_into(value, ("body",))
        elif operation == "CountTokens":
            _look_at_counted(parts, value)
        elif value is not None:
            # A parameter's own name says nothing of what it holds.
            parts.look(value, (name,))
    if not parts:
        return None
    if _ANTHROPIC.search(str(params.get("modelId", ""))):
        return Operation(f"bedrock.{operation}", "anthropic", (None,), parts.found, parts.opaque)
    return Operation(f"bedrock.{operation}", "other", ("vlm_describe",), parts.found, parts.opaque)


def _look_at_counted(parts: Parts, value: Any) -> None:
    """The tokens of a whole request are counted, and the picture travels with it."""
    invoked = value.get("invokeModel") if isinstance(value, Mapping) else None
    if isinstance(invoked, Mapping) and "body" in invoked:
        parts.look_into(invoked["body"], ("input", "invokeModel", "body"))
    elif isinstance(value, Mapping) and isinstance(value.get("converse"), Mapping):
        for name in ("messages", "system"):
            parts.look(value["converse"].get(name), ("input", "converse", name))
