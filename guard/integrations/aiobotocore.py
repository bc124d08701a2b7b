"""aiobotocore (and aioboto3 on it): its client is botocore's with coroutines, and is judged in the same three places.

Its endpoint inherits botocore's entry, which `guard.integrations.botocore` hooks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from guard.integrations import aws
from guard.integrations.hooks import Adapter, Hook
from guard.integrations.passage import passage_async
from guard.integrations.translations.parts import replaced

__all__ = ["ADAPTER"]


def _call(original: Callable[..., Any]) -> Callable[..., Any]:
    async def make_api_call(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not aws.is_judged(self.meta.service_model):
            return await original(self, *args, **kwargs)
        async with aws.span_of(self):
            return await original(self, *args, **kwargs)

    return make_api_call


def _parameters(original: Callable[..., Any]) -> Callable[..., Any]:
    async def emit_api_params(self: Any, api_params: Any, operation_model: Any, context: Any) -> Any:
        params = await original(self, api_params=api_params, operation_model=operation_model, context=context)
        operation, params, span = aws.read_parameters(self, operation_model, params, context)
        if operation is None:
            return params
        through = passage_async(operation, aws.refusal(operation_model.name, self.exceptions))
        if span is not None:
            return replaced(params, await span.admit_async(through))
        async with through as payload:  # only asked for: nothing is sent in here
            return replaced(params, payload)

    return emit_api_params


def _serialized(original: Callable[..., Any]) -> Callable[..., Any]:
    async def convert_to_request_dict(self: Any, *args: Any, **kwargs: Any) -> Any:
        request = await original(self, *args, **kwargs)
        return aws.remembered(self, request)

    return convert_to_request_dict


ADAPTER = Adapter(
    name="aiobotocore",
    distributions=("aiobotocore",),
    supported=">=2.6,<4",
    hooks=(
        Hook("aiobotocore.client", "AioBaseClient._make_api_call", _call),
        Hook("aiobotocore.client", "AioBaseClient._emit_api_params", _parameters),
        Hook("aiobotocore.client", "AioBaseClient._convert_to_request_dict", _serialized),
    ),
    note="as boto3",
)
