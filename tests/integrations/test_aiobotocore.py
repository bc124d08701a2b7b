"""aiobotocore: the promises of boto3, for coroutines."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import cv2
import numpy as np
import pytest

import guard
from guard.integrations.aiobotocore import ADAPTER
from guard.integrations.botocore import ADAPTER as BOTOCORE
from guard.integrations.translations import rekognition
from guard.integrations.watching import watch
from tests.conftest import BOX
from tests.integrations.aws_calls import CREDENTIALS, REGION, parameters
from tests.integrations.deployments import OFFICE, POLICE
from tests.integrations.loopback import CountingServer
from tests.integrations.setting_up import cleaned, serving

pytest.importorskip("aiobotocore", reason="needs aiobotocore")
import botocore
from aiobotocore.session import get_session

OREGON = POLICE.replace("US-OH", "US-OR")
NAMED = {"CollectionId": "staff", "FaceId": "11111111-1111-1111-1111-111111111111"}


_clean = cleaned()
server = serving()


@asynccontextmanager
async def connected(server: CountingServer, service: str = "rekognition"):
    async with get_session().create_client(
        service, region_name=REGION, endpoint_url=server.url, **CREDENTIALS
    ) as client:
        watch.add([BOTOCORE, ADAPTER])  # after the client was made
        yield client


def run(server: CountingServer, use: Callable[[Any], Awaitable[None]], service: str = "rekognition") -> None:
    async def main() -> None:
        async with connected(server, service) as client:
            await use(client)

    asyncio.run(main())


async def straight_to_the_endpoint(client: Any, operation: str, params: dict[str, Any]) -> Any:
    model = client.meta.service_model.operation_model(operation)
    request = client._serializer.serialize_to_request(params, model)
    request["url"] = client.meta.endpoint_url
    request["context"] = {"client_region": REGION, "client_config": client.meta.config, "has_streaming_input": False}
    return await client._endpoint.make_request(model, request)


def test_every_comparison_of_the_police_reaches_nobody_and_an_office_s_goes_through(server, make_guard, picture):
    police, office = make_guard(POLICE), make_guard(OFFICE, name="office.toml")

    async def use(client: Any) -> None:
        comparing = [name for name, (service, _) in rekognition.KNOWN.items() if service == "rekognition_compare"]
        for number, operation in enumerate(set(comparing) & set(client.meta.service_model.operation_names), 1):
            method = getattr(client, botocore.xform_name(operation))
            with police.source().frame(picture):
                with pytest.raises(client.exceptions.AccessDeniedException) as caught:
                    await method(**parameters(client, operation))
                assert isinstance(caught.value, guard.Denied)
            assert server.requests == number - 1, operation
            with office.source().frame(picture):
                await method(**parameters(client, operation))
            assert (server.requests, len(office.ledger.entries)) == (number, number), operation

    run(server, use)
    assert set(police.ledger.verdicts()) == {"deny"}
    assert set(office.ledger.verdicts()) == {"allow"}


def test_no_way_to_call_gets_past(server, make_guard, picture):
    async def use(client: Any) -> None:
        with make_guard(POLICE).source().frame(picture):
            for call in (
                lambda: client.search_faces(**NAMED),
                lambda: client._make_api_call("SearchFaces", dict(NAMED)),
                lambda: client.generate_presigned_url("search_faces", Params=NAMED),
                lambda: straight_to_the_endpoint(client, "SearchFaces", NAMED),
            ):
                with pytest.raises(guard.Denied):
                    await call()

    run(server, use)
    server.assert_untouched()


def test_an_allowed_request_straight_to_the_endpoint_goes_out_once(server, make_guard, picture):
    g = make_guard(OFFICE)

    async def use(client: Any) -> None:
        with g.source().frame(picture):
            await straight_to_the_endpoint(client, "SearchFaces", NAMED)

    run(server, use)
    assert (server.requests, g.ledger.verdicts()) == (1, ["allow"])


def test_a_call_is_decided_once_with_the_fences_below_it(server, make_guard, picture):
    g = make_guard(OFFICE)

    async def use(client: Any) -> None:
        guard.install()
        with g.source().frame(picture):
            await client.search_faces(**NAMED)

    run(server, use)
    assert (server.requests, g.ledger.verdicts()) == (1, ["allow"])


def test_labels_pass_unrecorded(server, make_guard, picture):
    g = make_guard(POLICE)

    async def use(client: Any) -> None:
        await client.detect_labels(Image={"Bytes": b"1"})

    run(server, use)
    assert (server.requests, g.ledger.entries) == (1, [])


def test_tasks_of_several_sources_are_judged_apart(server, make_guard, picture):
    office, police = make_guard(OFFICE, name="o.toml").source(), make_guard(POLICE).source()

    async def one(client: Any, source: Any) -> bool:
        with source.frame(picture):
            try:
                await client.search_faces(**NAMED)
            except guard.Denied:
                return False
            return True

    async def use(client: Any) -> None:
        reached = await asyncio.gather(*(one(client, source) for source in [office, police] * 10))
        assert reached == [True, False] * 10

    run(server, use)
    assert server.requests == 10


def test_a_request_that_is_changed_after_its_judgement_is_judged_anew(server, make_guard, picture):
    def swap(params: dict[str, Any], **_: Any) -> None:
        params["body"] = json.dumps({**json.loads(params["body"]), "Attributes": ["ALL"]}).encode()

    async def use(client: Any) -> None:
        client.meta.events.register("before-call.rekognition.DetectFaces", swap)
        with make_guard(OFFICE.replace('"SG"', '"FR"')).source().frame(picture):
            with pytest.raises(guard.Denied) as caught:
                await client.detect_faces(Image={"Bytes": b"1"})
            assert caught.value.decision.action == "emotion"

    run(server, use)
    server.assert_untouched()


def test_a_picture_for_a_model_goes_out_with_its_faces_covered(server, make_guard, picture):
    png = cv2.imencode(".png", picture)[1].tobytes()
    body = json.dumps({"prompt": "who?", "images": [base64.b64encode(png).decode()]}).encode()
    g = make_guard(OREGON)

    async def use(client: Any) -> None:
        with g.source().frame(picture):
            await client.invoke_model(modelId="some.model", body=io.BytesIO(body))
            await straight_to_the_endpoint(client, "InvokeModel", {"modelId": "some.model", "body": body})

    try:
        run(server, use, "bedrock-runtime")
    except botocore.exceptions.UnknownServiceError:
        pytest.skip("this botocore knows no Bedrock")
    assert g.ledger.verdicts() == ["redact", "redact"]
    left, top, right, bottom = BOX
    for request in server.arrived:
        (text,) = request.json()["images"]
        arrived = cv2.imdecode(np.frombuffer(base64.b64decode(text), np.uint8), cv2.IMREAD_COLOR)
        assert (arrived[top:bottom, left:right] != picture[top:bottom, left:right]).mean() > 0.9


def test_another_picture_that_is_put_in_right_before_it_is_sent_is_judged_on_its_own(server, make_guard, picture):
    png = cv2.imencode(".png", picture)[1].tobytes()
    given = json.dumps({"prompt": "who?", "images": [base64.b64encode(png).decode()]}).encode()
    g = make_guard(f'{OREGON}\n[services]\n"{server.host}" = "other"\n')

    def swap(request: Any, **_: Any) -> None:
        request.body = given

    async def use(client: Any) -> None:
        guard.install()  # with the fence below
        with g.source().frame(picture):
            await client.invoke_model(modelId="some.model", body=given)
            client.meta.events.register("before-send.bedrock-runtime.InvokeModel", swap)
            with pytest.raises((guard.Denied, guard.GuardFault, botocore.exceptions.HTTPClientError)):
                await client.invoke_model(modelId="some.model", body=given)

    try:
        run(server, use, "bedrock-runtime")
    except botocore.exceptions.UnknownServiceError:
        pytest.skip("this botocore knows no Bedrock")
    assert server.requests == 1
    assert server.bodies[0] != given
    assert g.ledger.verdicts()[:2] == ["redact", "redact"]
    assert set(g.ledger.verdicts()[2:]) <= {"deny", "fault"}
