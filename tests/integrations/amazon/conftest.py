"""What the tests of boto3 share: a service on loopback, and clients that were made before the guard."""

from __future__ import annotations

from typing import Any

import cv2
import pytest

from guard.integrations.botocore import ADAPTER
from guard.integrations.watching import watch
from tests.integrations.aws_calls import CREDENTIALS, REGION
from tests.integrations.setting_up import cleaned, serving

_clean = cleaned()
server = serving()


@pytest.fixture(scope="module")
def session():
    import boto3

    return boto3.Session(region_name=REGION, **CREDENTIALS)


@pytest.fixture
def make_client(server, session):
    from botocore.config import Config

    made = []

    def make(service: str = "rekognition", **config: Any) -> Any:
        client = session.client(service, endpoint_url=server.url, config=Config(**config))
        made.append(client)
        return client

    yield make
    for client in made:
        client.close()


@pytest.fixture
def client(make_client):
    """Made before the guard is installed."""
    made = make_client()
    watch.add([ADAPTER])
    return made


@pytest.fixture
def bedrock(make_client, session):
    if "bedrock-runtime" not in session.get_available_services():
        pytest.skip("this botocore knows no Bedrock")
    made = make_client("bedrock-runtime")
    watch.add([ADAPTER])
    return made


@pytest.fixture
def png(picture) -> bytes:
    return cv2.imencode(".png", picture)[1].tobytes()
