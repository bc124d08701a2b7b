"""What an installed hook adds to a `protect` call of the same verdict: denied calls of each library that is installed.

Usage: python benchmarks/integrations.py [--seconds 3] [--out benchmarks/results]
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

import guard
from guard.bench.measuring import Row, interleave, percentile
from guard.testing import FakeDetector

ROOT = Path(__file__).resolve().parents[1]
CONFIG = """
[operator]
type = "us_police"
acts_for = "self"
country = "US"

[[source]]
id = "bodycam"
detect = "on-demand"
place = { country = "US", subdivision = "US-OR", locality = "Portland", control = "wild", access = "public" }
capture = { mount = "body_worn" }
use = { timing = "real_time", purpose = "criminal_investigation", output = "lead_only", traits = [] }
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=3.0, help="how long to measure each library")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results", help="folder of the JSON")
    arguments = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "guard.toml"
        config.write_text(CONFIG)
        with guard.load(config, ledger=Path(folder) / "decisions.db", detector=FakeDetector([[9, 9, 40, 40]])) as g:
            cam = g.source()
            guard.install()
            frame = np.random.default_rng(1).integers(0, 255, (360, 640, 3), dtype=np.uint8)
            for name, service, action, payload, native in libraries(frame):
                direct = cam.protect(_never, action=action, service=service)
                rows = [
                    Row("direct", denied(lambda direct=direct, payload=payload: direct(payload)), per_turn=20),
                    Row("hooked", denied(native), per_turn=20),
                ]
                with cam.frame(frame):
                    interleave(rows, seconds=arguments.seconds)
                medians = {row.name: round(percentile(row.samples_us, 50), 2) for row in rows}
                adds = round(medians["hooked"] - medians["direct"], 2)
                results.append({"library": name, **medians, "adds_us": adds})
                print(
                    f"{name:24} direct {medians['direct']:8.1f}  hooked {medians['hooked']:8.1f}  adds {adds:6.1f} us"
                )
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "integrations.json").write_text(json.dumps(results, indent=1) + "\n")


def denied(call: Callable[[], Any]) -> Callable[[], None]:
    def run() -> None:
        try:
            call()
        except guard.Denied:
            return
        raise RuntimeError("a forbidden call was released while it was measured")

    return run


def _never(*_: object) -> None:
    raise RuntimeError("a forbidden call was released while it was measured")


def libraries(frame: Any) -> Iterator[tuple[str, str, str | None, Any, Callable[[], Any]]]:
    """Each installed library: its name, service and action, what the call carries, and a call that is denied."""
    jpeg = cv2.imencode(".jpg", frame)[1].tobytes()
    feature = np.zeros((1, 128), np.float32)
    yield "cv2 FaceRecognizerSF", "self_hosted", "verify", feature, _sface(feature)
    if _has("dlib"):
        import dlib

        yield (
            "dlib",
            "self_hosted",
            "verify",
            frame,
            lambda: dlib.face_recognition_model_v1.compute_face_descriptor(None, frame, None),
        )
    if _has("boto3"):
        import boto3

        client = boto3.client(
            "rekognition",
            "us-east-1",
            aws_access_key_id="x",
            aws_secret_access_key="x",
            endpoint_url="http://127.0.0.1:9",
        )
        call = {"CollectionId": "c", "Image": {"Bytes": jpeg}}
        yield "boto3 rekognition", "rekognition_compare", "identify", call, lambda: client.search_faces_by_image(**call)

    if _has("requests"):
        import requests

        session = requests.Session()
        headers = {"X-Amz-Target": "RekognitionService.SearchFaces", "Content-Type": "application/x-amz-json-1.1"}
        body = json.dumps({"CollectionId": "c", "FaceId": "0"}).encode()
        made = requests.Request("POST", "https://rekognition.us-east-1.amazonaws.com/", headers=headers, data=body)
        ready = session.prepare_request(made)
        yield "requests", "rekognition_compare", "identify", body, lambda: session.send(ready)
    if _has("azure.core"):
        from azure.core import PipelineClient
        from azure.core.rest import HttpRequest

        azure = PipelineClient("https://eastus.api.cognitive.microsoft.com")
        request = HttpRequest(
            "POST", "https://eastus.api.cognitive.microsoft.com/face/v1.0/verify", json={"faceId1": "0"}
        )
        yield "azure-core Face", "azure_face", "verify", {}, lambda: azure._pipeline.run(request)


def _sface(feature: Any) -> Callable[[], Any]:
    # The class is not instantiated: its model may not be redistributed, and a denied call never reaches it.
    return lambda: cv2.FaceRecognizerSF.match(None, feature, feature)


def _has(module: str) -> bool:
    if module in sys.modules:
        return True
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # the package above it is absent
        return False


if __name__ == "__main__":
    main()
