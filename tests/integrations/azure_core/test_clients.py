"""The clients that stand on azure-core."""

from __future__ import annotations

import pytest

import guard
from guard.integrations.azure import ADAPTER
from guard.integrations.watching import watch
from tests.integrations.azure_core.calls import (
    FACE,
    assert_face_is_covered,
    chat,
    picture_of,
)
from tests.integrations.deployments import OFFICE, POLICE
from tests.integrations.loopback import Answer

core = pytest.importorskip("azure.core", reason="needs azure-core")
pytest.importorskip("requests", reason="azure-core's transport")
from azure.core.exceptions import HttpResponseError  # noqa: E402


def test_the_face_client_is_guarded(server, make_guard, picture, png):
    face = pytest.importorskip("azure.ai.vision.face", reason="needs azure-ai-vision-face")
    from azure.core.credentials import AzureKeyCredential

    server.answer = Answer([])
    police, office = make_guard(POLICE), make_guard(OFFICE, name="o.toml")
    with face.FaceClient(server.url, AzureKeyCredential("k")) as client:
        detect = client.detect
        watch.add([ADAPTER])
        models = {"detection_model": "detection_03", "recognition_model": "recognition_04"}
        with police.source().frame(picture):
            for returned in (True, False):
                with pytest.raises(guard.Denied):
                    detect(png, return_face_id=returned, **models)
            with pytest.raises(HttpResponseError):
                client.find_similar(face_id=FACE, face_ids=[FACE])
        server.assert_untouched()
        with office.source().frame(picture):
            detect(png, return_face_id=True, **models)
            client.group(face_ids=[FACE, FACE])
    assert server.bodies[0] == png
    assert (server.requests, office.ledger.verdicts()) == (2, ["allow", "allow"])


def test_the_inference_client_is_guarded(server, make_guard, picture, png):
    inference = pytest.importorskip("azure.ai.inference", reason="needs azure-ai-inference")
    from azure.core.credentials import AzureKeyCredential

    usage = {"completion_tokens": 1, "prompt_tokens": 1, "total_tokens": 2}
    server.answer = Answer({"choices": [], "created": 1, "id": "x", "model": "m", "usage": usage})
    g = make_guard(POLICE)
    with inference.ChatCompletionsClient(server.url, AzureKeyCredential("k")) as client:
        watch.add([ADAPTER])
        with g.source().frame(picture):
            client.complete(messages=chat(png)["messages"])
    assert_face_is_covered(picture_of(server.bodies[0]), picture)
    assert g.ledger.verdicts() == ["redact"]


def test_the_image_analysis_client_is_guarded(server, make_guard, picture, png):
    analysis = pytest.importorskip("azure.ai.vision.imageanalysis", reason="needs azure-ai-vision-imageanalysis")
    from azure.core.credentials import AzureKeyCredential

    server.answer = Answer({"metadata": {"width": 1, "height": 1}, "modelVersion": "1"})
    g = make_guard(POLICE)
    with analysis.ImageAnalysisClient(server.url, AzureKeyCredential("k")) as client:
        watch.add([ADAPTER])
        with g.source().frame(picture):
            client.analyze(png, visual_features=["CAPTION"])
            client.analyze(png, visual_features=["TAGS"])
    assert_face_is_covered(server.bodies[0], picture)
    assert server.bodies[1] == png
    assert g.ledger.verdicts() == ["redact"]
