"""Calls of Amazon's clients for tests: the least parameters that a model accepts, and clients of a loopback service."""

from __future__ import annotations

from typing import Any

__all__ = ["CREDENTIALS", "REGION", "least", "parameters"]

REGION = "us-east-1"
CREDENTIALS = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}


def parameters(client: Any, operation: str) -> dict[str, Any]:
    """The least parameters of an operation; what is not required is left out."""
    shape = client.meta.service_model.operation_model(operation).input_shape
    return {} if shape is None else least(shape)


def least(shape: Any) -> Any:
    """A value of a botocore shape that passes its validation."""
    if shape.type_name == "structure":
        names = shape.required_members
        if getattr(shape, "is_tagged_union", False):
            names = list(shape.members)[:1]
        return {name: least(shape.members[name]) for name in names}
    if shape.type_name == "list":
        return [least(shape.member)] * max(1, shape.metadata.get("min", 1))
    if shape.type_name == "string":
        enum = shape.metadata.get("enum")
        return enum[0] if enum else "1" * max(1, shape.metadata.get("min", 1))
    if shape.type_name in ("integer", "long", "float", "double"):
        return shape.metadata.get("min", 1)
    return {"blob": b"1", "map": {}, "boolean": False, "timestamp": 0}[shape.type_name]
