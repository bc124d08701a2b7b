"""What the tests of azure-core share: a service on loopback, and a client that was made before the guard."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cv2
import pytest

from guard.integrations.azure import ADAPTER
from guard.integrations.watching import watch
from tests.integrations.setting_up import cleaned, serving

_clean = cleaned()
server = serving()


@pytest.fixture
def client(server) -> Iterator[Any]:
    """Made before the guard is installed."""
    from azure.core import PipelineClient
    from azure.core.pipeline import policies as core_policies

    retrying = core_policies.RetryPolicy(retry_total=3, retry_backoff_factor=0)
    made = PipelineClient(server.url, policies=[core_policies.CustomHookPolicy(), retrying])
    watch.add([ADAPTER])
    yield made
    made.close()


@pytest.fixture
def png(picture) -> bytes:
    return cv2.imencode(".png", picture)[1].tobytes()
