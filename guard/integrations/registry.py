"""Which adapters there are: ours, and those that other distributions register.

An adapter of another distribution is an entry point of the group ``guard.integrations`` that names an `Adapter`::

    [project.entry-points."guard.integrations"]
    mylib = "mylib_guard:ADAPTER"
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable
from importlib import metadata

from guard.errors import ConfigError
from guard.integrations.hooks import Adapter

__all__ = ["GROUP", "adapters", "chosen"]

GROUP = "guard.integrations"

_OURS: tuple[str, ...] = (
    "aiobotocore",
    "aiohttp",
    "anthropic",
    "azure",
    "botocore",
    "deepface",
    "dlib",
    "face_recognition",
    "facenet_pytorch",
    "faiss",
    "google_genai",
    "hnswlib",
    "http_client",
    "httpx",
    "httpx2",
    "insightface",
    "onnxruntime",
    "openai",
    "opencv",
    "requests",
    "urllib3",
    "usearch",
)
"""Modules of this package, each with an ``ADAPTER``."""


def adapters() -> dict[str, Adapter]:
    """Every adapter by its name, ours first. Loads no guarded library.

    Raises `ConfigError` where an entry point cannot be loaded or is no adapter, or takes a name that is taken.
    """
    found: dict[str, Adapter] = {}
    for module in _OURS:
        adapter: Adapter = importlib.import_module(f"guard.integrations.{module}").ADAPTER
        found[adapter.name] = adapter
    for point in metadata.entry_points(group=GROUP):
        where = f"entry point {point.name} of {point.dist.name if point.dist else 'a distribution'}"
        try:
            adapter = point.load()
        except Exception as error:
            raise ConfigError(
                f"the adapter cannot be loaded: {error}", where=where, mend="mend or uninstall that distribution"
            ) from error
        if not isinstance(adapter, Adapter):
            raise ConfigError(
                f"it names a {type(adapter).__name__}, no guard.integrations.Adapter",
                where=where,
                mend="name the Adapter itself there, or uninstall that distribution",
            )
        if adapter.name in found:
            raise ConfigError(f"an adapter is called {adapter.name!r} already", where=where, mend="rename one")
        found[adapter.name] = adapter
    return found


def chosen(names: Iterable[str]) -> dict[str, Adapter]:
    """The adapters of those names; all where none is given. Raises `ConfigError` for a name that is not there."""
    every = adapters()
    wanted = tuple(names) or tuple(every)
    for name in wanted:
        if name not in every:
            near = difflib.get_close_matches(name, every, n=1)
            raise ConfigError(
                f"no integration is called {name!r}",
                mend=f"did you mean {near[0]!r}?" if near else f"known are {', '.join(every)}",
            )
    return {name: every[name] for name in wanted}
