"""boto3 and botocore: Rekognition's face operations, and pictures that are handed to models of Bedrock."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from guard.integrations import aws
from guard.integrations.fence import carrying
from guard.integrations.hooks import Adapter, Hook
from guard.integrations.operation import Operation
from guard.integrations.passage import passage, passage_async
from guard.integrations.refusals import Refuse
from guard.integrations.spans import Span, outside
from guard.integrations.translations.parts import replaced

__all__ = ["ADAPTER"]


def _call(original: Callable[..., Any]) -> Callable[..., Any]:
    def make_api_call(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not aws.is_judged(self.meta.service_model):
            return original(self, *args, **kwargs)
        with aws.span_of(self):
            return original(self, *args, **kwargs)

    return make_api_call


def _parameters(original: Callable[..., Any]) -> Callable[..., Any]:
    def emit_api_params(self: Any, api_params: Any, operation_model: Any, context: Any) -> Any:
        params = original(self, api_params=api_params, operation_model=operation_model, context=context)
        operation, params, span = aws.read_parameters(self, operation_model, params, context)
        if operation is None:
            return params
        through = passage(operation, aws.refusal(operation_model.name, self.exceptions))
        if span is not None:
            return replaced(params, span.admit(through))
        with through as payload:  # only asked for: nothing is sent in here
            return replaced(params, payload)

    return emit_api_params


def _serialized(original: Callable[..., Any]) -> Callable[..., Any]:
    def convert_to_request_dict(self: Any, *args: Any, **kwargs: Any) -> Any:
        request = original(self, *args, **kwargs)
        return aws.remembered(self, request)

    return convert_to_request_dict


def _sent(original: Callable[..., Any]) -> Callable[..., Any]:
    def make_request(self: Any, operation_model: Any, request_dict: Any) -> Any:
        if not aws.is_judged(operation_model.service_model):
            return original(self, operation_model, request_dict)
        span = aws.current_span()
        if span is not None and span.is_for(aws.print_of(request_dict)):
            if inspect.iscoroutinefunction(self._send_request):
                return _carried_later(original, self, operation_model, request_dict)
            with carrying() as carries:
                _tell(carries, request_dict)
                return original(self, operation_model, request_dict)
        operation = aws.read_request(operation_model, request_dict, self.host)
        if operation is None:
            return original(self, operation_model, request_dict)
        refuse = aws.refusal(operation_model.name)
        if inspect.iscoroutinefunction(self._send_request):  # aiobotocore's endpoint inherits this method
            return _sent_later(original, (self, operation_model, request_dict), operation, refuse, span)
        with outside(span), passage(operation, refuse) as payload:
            return original(self, operation_model, aws.request_with(operation_model, request_dict, payload))

    return make_request


def _tell(carries: Callable[[bytes], object], request: Any) -> None:
    """Tells the fence below with which body the call was released: what a late event handler puts in is another."""
    body = request.get("body")
    if isinstance(body, (str, bytes)):
        carries(body.encode() if isinstance(body, str) else body)


async def _carried_later(original: Callable[..., Any], endpoint: Any, model: Any, request: Any) -> Any:
    with carrying() as carries:
        _tell(carries, request)
        return await original(endpoint, model, request)


async def _sent_later(
    original: Callable[..., Any], call: Sequence[Any], operation: Operation, refuse: Refuse, span: Span | None
) -> Any:
    endpoint, model, request = call
    with outside(span):
        async with passage_async(operation, refuse) as payload:
            return await original(endpoint, model, aws.request_with(model, request, payload))


ADAPTER = Adapter(
    name="boto3",
    distributions=("botocore",),
    supported=">=1.31,<2",
    hooks=(
        Hook("botocore.client", "BaseClient._make_api_call", _call),
        Hook("botocore.client", "BaseClient._emit_api_params", _parameters),
        Hook("botocore.client", "BaseClient._convert_to_request_dict", _serialized),
        Hook("botocore.endpoint", "Endpoint.make_request", _sent),
    ),
    note="what a late event handler puts into a request is seen by the fence alone, models behind a SageMaker endpoint "
    "are not",
)
