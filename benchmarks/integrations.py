"""What an installed hook adds to a `protect` call of the same verdict: denied calls of each library that is installed.

HTTP clients and SDKs are called where they are hooked, with a request that is ready: what a library does before (openai
and google-genai check and rewrite their parameters for longer than all the rest takes) is its own and not counted.

Usage: python benchmarks/integrations.py [--seconds 3] [--out benchmarks/results]
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import importlib.util
import json
import random
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

import guard
from guard.bench.measuring import Row, interleave, percentile
from guard.testing import FakeDetector

PER_TURN = 20
LINE = "{library:24} direct {direct:7.1f}  hooked {hooked:7.1f}  adds {adds_us:6.1f} us"
ROOT = Path(__file__).resolve().parents[1]
CONFIG = """
[operator]
type = "us_police"
acts_for = "self"
country = "US"

[[source]]
id = "bodycam"
max_age_s = 60
detect = "on-demand"
place = { country = "US", subdivision = "US-OR", locality = "Portland", control = "wild", access = "public" }
capture = { mount = "body_worn" }
use = { timing = "real_time", purpose = "criminal_investigation", output = "lead_only", traits = [] }
"""


@dataclass(frozen=True)
class Case:
    """A call that is denied.

    Attributes:
        library: its name.
        service, action: what it counts as.
        payload: what it carries, for the `protect` call beside it.
        call: the native call.
        waits: whether that gives something to await.
    """

    library: str
    service: str
    action: str | None
    payload: Any
    call: Callable[[], Any]
    waits: bool = False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=3.0, help="how long to measure each library")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results", help="folder of the JSON")
    arguments = parser.parse_args()
    socket.getaddrinfo = _nowhere  # what were released by mistake reaches nobody
    results = []
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "guard.toml"
        config.write_text(CONFIG)
        with guard.load(config, ledger=Path(folder) / "decisions.db", detector=FakeDetector([[9, 9, 40, 40]])) as g:
            guard.install()
            for case in (*local(noise()), *clouds(noise()), *plain_http(), *models()):
                results.append(measured(case, g.source(), arguments.seconds))
                print(LINE.format(**results[-1]))
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "integrations.json").write_text(json.dumps(results, indent=1) + "\n")


def _nowhere(*_: object, **__: object) -> Any:
    raise OSError("nothing is resolved while this is measured")


def noise() -> Any:
    """Another frame each time: a feed that shows the same for seconds is frozen, and cannot be judged."""
    return np.random.default_rng().integers(0, 255, (360, 640, 3), dtype=np.uint8)


def measured(case: Case, cam: Any, seconds: float) -> dict[str, Any]:
    """Medians in microseconds of the hooked call and of a `protect` call of the same verdict, which take turns."""
    never = _never_later if case.waits else _never
    direct = cam.protect(never, action=case.action, service=case.service)
    calls = {"direct": lambda: direct(case.payload), "hooked": case.call}
    with cam.frame(noise()):
        if case.waits:
            samples = asyncio.run(in_one_task(calls, seconds))
        else:
            rows = [Row(name, denied(call), per_turn=PER_TURN) for name, call in calls.items()]
            interleave(rows, seconds=seconds)
            samples = {row.name: row.samples_us for row in rows}
    medians = {name: round(percentile(each, 50), 2) for name, each in samples.items()}
    return {"library": case.library, **medians, "adds_us": round(medians["hooked"] - medians["direct"], 2)}


async def in_one_task(calls: dict[str, Callable[[], Any]], seconds: float) -> dict[str, list[float]]:
    """As `interleave`, of calls that are awaited, all in one task: a loop's start of a task for each is not theirs."""
    samples: dict[str, list[float]] = {name: [] for name in calls}
    shuffled = random.Random(20240501)
    end, turn = time.perf_counter() + seconds, 0
    while turn < 6 or time.perf_counter() < end:
        for name in shuffled.sample(list(calls), len(calls)):
            for _ in range(PER_TURN):
                start = time.perf_counter_ns()
                await denied_later(calls[name])
                if turn >= 3:
                    samples[name].append((time.perf_counter_ns() - start) / 1000)
        turn += 1
    return samples


def denied(call: Callable[[], Any]) -> Callable[[], None]:
    def run() -> None:
        try:
            answer = call()
        except guard.Denied:
            return
        _is_refusal(answer)

    return run


async def denied_later(call: Callable[[], Any]) -> None:
    try:
        answer = await call()
    except guard.Denied:
        return
    _is_refusal(answer)


def _is_refusal(answer: Any) -> None:
    if not isinstance(answer.extensions["guard"], guard.Denied):  # httpx's way of refusing
        raise RuntimeError("a forbidden call was released while it was measured")


def _never(*_: object) -> None:
    raise RuntimeError("a forbidden call was released while it was measured")


async def _never_later(*_: object) -> None:
    _never()


# ---- a denied call of each library that is installed


def local(frame: Any) -> Iterator[Case]:
    feature = np.zeros((1, 128), np.float32)
    # The class is not instantiated: its model may not be redistributed, and a denied call never reaches it.
    match = lambda: cv2.FaceRecognizerSF.match(None, feature, feature)  # noqa: E731
    yield Case("cv2 FaceRecognizerSF", "self_hosted", "verify", feature, match)
    if _has("dlib"):
        import dlib

        model = dlib.face_recognition_model_v1
        describe = lambda: model.compute_face_descriptor(None, frame, None)  # noqa: E731
        yield Case("dlib", "self_hosted", "verify", frame, describe)


def clouds(frame: Any) -> Iterator[Case]:
    jpeg = cv2.imencode(".jpg", frame)[1].tobytes()
    if _has("boto3"):
        import boto3

        keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x"}
        client = boto3.client("rekognition", "us-east-1", endpoint_url="http://127.0.0.1:9", **keys)
        call = {"CollectionId": "c", "Image": {"Bytes": jpeg}}
        yield Case(
            "boto3 rekognition", "rekognition_compare", "identify", call, lambda: client.search_faces_by_image(**call)
        )
    if _has("azure.core"):
        from azure.core import PipelineClient
        from azure.core.rest import HttpRequest

        azure = PipelineClient("https://eastus.api.cognitive.microsoft.com")
        request = HttpRequest(
            "POST", "https://eastus.api.cognitive.microsoft.com/face/v1.0/verify", json={"faceId1": "0"}
        )
        yield Case("azure-core Face", "azure_face", "verify", {}, lambda: azure._pipeline.run(request))


REKOGNITION = "https://rekognition.us-east-1.amazonaws.com/"
HEADERS = {"X-Amz-Target": "RekognitionService.SearchFaces", "Content-Type": "application/x-amz-json-1.1"}
BODY = json.dumps({"CollectionId": "c", "FaceId": "0"}).encode()


def plain_http() -> Iterator[Case]:
    """One request of Rekognition through each HTTP client."""
    for name, call, waits in _clients():
        yield Case(name, "rekognition_compare", "identify", BODY, call, waits)


def _clients() -> Iterator[tuple[str, Callable[[], Any], bool]]:
    if _has("requests"):
        import requests

        session = requests.Session()
        ready = session.prepare_request(requests.Request("POST", REKOGNITION, headers=HEADERS, data=BODY))
        yield "requests", lambda: session.send(ready), False
    if _has("urllib3"):
        import urllib3

        pool = urllib3.HTTPSConnectionPool("rekognition.us-east-1.amazonaws.com")
        yield "urllib3", lambda: pool.urlopen("POST", "/", body=BODY, headers=HEADERS), False
    for name in filter(_has, ("httpx", "httpx2")):
        client = importlib.import_module(name).Client()
        request = client.build_request("POST", REKOGNITION, headers=HEADERS, content=BODY)
        yield name, partial(client._send_single_request, request), False
        client = importlib.import_module(name).AsyncClient()
        request = client.build_request("POST", REKOGNITION, headers=HEADERS, content=BODY)
        yield f"{name}, async", partial(client._send_single_request, request), True
    if _has("aiohttp"):
        yield "aiohttp", _aiohttp(), True


def _aiohttp() -> Callable[[], Any]:
    from types import SimpleNamespace

    import aiohttp
    import multidict
    import yarl

    request = SimpleNamespace(
        method="POST", url=yarl.URL(REKOGNITION), headers=multidict.CIMultiDict(HEADERS), body=BODY
    )
    return lambda: aiohttp.BaseConnector.connect(None, request, [], None)  # as a session asks for its connection


FAR = "https://example.com/a.jpg"


def models() -> Iterator[Case]:
    """A picture at an address, which cannot be looked at, for a vision-language model."""
    for name, service, call in _models():
        yield Case(name, service, None, FAR, call)


def _models() -> Iterator[tuple[str, str, Callable[[], Any]]]:
    if _has("openai"):
        import openai
        from openai._models import FinalRequestOptions

        content = [{"type": "input_image", "detail": "low", "image_url": FAR}]
        body = {"model": "m", "input": [{"role": "user", "content": content}]}
        asked = FinalRequestOptions(method="post", url="/responses", json_data=body)
        client = openai.OpenAI(api_key="x")
        yield "openai", "openai", lambda: client.request(object, asked)
    if _has("anthropic"):
        import anthropic
        from anthropic._models import FinalRequestOptions as Options

        content = [{"type": "image", "source": {"type": "url", "url": FAR}}]
        message = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": content}]}
        wanted = Options(method="post", url="/v1/messages", json_data=message)
        other = anthropic.Anthropic(api_key="x")
        yield "anthropic", "anthropic", lambda: other.request(object, wanted)
    if _has("google.genai"):
        from google import genai
        from google.genai._api_client import HttpRequest

        part = {"fileData": {"fileUri": FAR, "mimeType": "image/jpeg"}}
        url = "https://generativelanguage.googleapis.com/v1beta/models/m:generateContent"
        ready = HttpRequest(headers={}, url=url, method="POST", data={"contents": [{"role": "user", "parts": [part]}]})
        google = genai.Client(api_key="x")
        yield "google-genai", "google", lambda: google._api_client._request(ready)


def _has(module: str) -> bool:
    if module in sys.modules:
        return True
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # the package above it is absent
        return False


if __name__ == "__main__":
    main()
