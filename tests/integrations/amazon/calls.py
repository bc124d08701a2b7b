"""Calls of boto3 that tests make, and what is looked for in what arrived."""

from __future__ import annotations

import base64
from typing import Any

import cv2
import numpy as np
import pytest

from tests.conftest import BOX
from tests.integrations.aws_calls import REGION, parameters
from tests.integrations.deployments import OFFICE, POLICE

pytest.importorskip("boto3", reason="needs boto3")
botocore = pytest.importorskip("botocore")

__all__ = [
    "FACE",
    "FRANCE",
    "OREGON",
    "assert_face_is_covered",
    "call",
    "converse",
    "decoded",
    "image",
    "search",
    "straight_to_the_endpoint",
]

# Oregon lets no face be recognised in the pictures of a body camera, whatever the service.
OREGON = POLICE.replace("US-OH", "US-OR")
# In the Union nobody reads emotions at work.
FRANCE = OFFICE.replace('"SG"', '"FR"')
FACE = "11111111-1111-1111-1111-111111111111"


def call(client: Any, operation: str, **params: Any) -> Any:
    return getattr(client, botocore.xform_name(operation))(**{**parameters(client, operation), **params})


def search(client: Any) -> Any:
    return client.search_faces(CollectionId="staff", FaceId=FACE)


def converse(bedrock: Any, *blocks: dict[str, Any], model: str = "us.amazon.nova-lite-v1:0") -> Any:
    if "Converse" not in bedrock.meta.service_model.operation_names:
        pytest.skip("this botocore cannot converse")
    content = [{"text": "What happens here?"}, *blocks]
    return bedrock.converse(modelId=model, messages=[{"role": "user", "content": content}])


def image(data: bytes, kind: str = "png") -> dict[str, Any]:
    return {"image": {"format": kind, "source": {"bytes": data}}}


def assert_face_is_covered(data: bytes, picture: np.ndarray) -> None:
    arrived = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    left, top, right, bottom = BOX
    assert arrived.shape == picture.shape
    assert (arrived[top:bottom, left:right] != picture[top:bottom, left:right]).mean() > 0.9
    assert (arrived[-10:, -30:] == picture[-10:, -30:]).all()


def decoded(text: str) -> bytes:
    return base64.b64decode(text)


def straight_to_the_endpoint(client: Any, operation: str, params: dict[str, Any]) -> Any:
    model = client.meta.service_model.operation_model(operation)
    request = client._serializer.serialize_to_request(params, model)
    request["url"] = client.meta.endpoint_url
    request["context"] = {
        "client_region": REGION,
        "client_config": client.meta.config,
        "has_streaming_input": False,
        "auth_type": None,
    }
    return client._endpoint.make_request(model, request)
