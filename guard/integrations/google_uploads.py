"""Files that `google-genai` uploads: looked at before the first request announces them.

A file with pictures goes out as the bytes that were judged; all others go out as they came.
"""

from __future__ import annotations

import inspect
import io
import mimetypes
import os
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import Any

from guard.integrations.hooks import Hook
from guard.integrations.hosts import service_of_google
from guard.integrations.operation import Operation
from guard.integrations.passage import passage, passage_async
from guard.integrations.refusals import Refuse
from guard.integrations.translations.google import translate
from guard.integrations.translations.parts import replaced, settled

__all__ = ["FILES", "MAX_BYTES", "uploads_in"]

FILES = ("google.genai.files", "google.genai.file_search_stores", "google.genai._api_client")

MAX_BYTES = 256 * 1024 * 1024
"""Of the largest file that is looked at: it is read into memory."""

_UPLOADS = ("upload", "upload_to_file_search_store")
_ANNOUNCED = ("upload_file", "async_upload_file")
"""Where the size has been announced to the service already, so that nothing can be replaced."""


def uploads_in(refuse: Refuse) -> Callable[[ModuleType], Iterable[Hook]]:
    """Finds the methods of a module that upload a file."""

    def found(module: ModuleType) -> Iterable[Hook]:
        for name, kind in vars(module).items():
            if not inspect.isclass(kind) or kind.__module__ != module.__name__:
                continue
            for method, function in vars(kind).items():
                if method in (*_UPLOADS, *_ANNOUNCED) and inspect.isfunction(function):
                    wrap = _later if inspect.iscoroutinefunction(function) else _now
                    yield Hook(module.__name__, f"{name}.{method}", wrap(refuse, method in _ANNOUNCED))

    return found


def _now(refuse: Refuse, is_announced: bool) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def wrap(original: Callable[..., Any]) -> Callable[..., Any]:
        def upload(self: Any, *args: Any, **kwargs: Any) -> Any:
            body, operation = _read(self, args, kwargs, is_announced)
            if operation is None:
                return original(self, *args, **kwargs)
            with passage(operation, refuse) as payload:
                return original(self, *args, **_with(kwargs, body, payload))

        return upload

    return wrap


def _later(refuse: Refuse, is_announced: bool) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def wrap(original: Callable[..., Any]) -> Callable[..., Any]:
        async def upload(self: Any, *args: Any, **kwargs: Any) -> Any:
            body, operation = _read(self, args, kwargs, is_announced)
            if operation is None:
                return await original(self, *args, **kwargs)
            async with passage_async(operation, refuse) as payload:
                return await original(self, *args, **_with(kwargs, body, payload))

        return upload

    return wrap


def _read(
    self: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], is_announced: bool
) -> tuple[dict[str, bytes], Operation | None]:
    """The file's content, and what the upload is in the guard's terms."""
    service = service_of_google(getattr(self, "_api_client", self))
    file = args[0] if args else kwargs.get("file_path", kwargs.get("file"))
    try:
        if isinstance(file, (str, os.PathLike)) and os.path.getsize(file) > MAX_BYTES:
            return {}, Operation("google.files", service, (None,), {}, ("a file larger than what is looked at",))
        body = {"file": _contents(file)}
    except Exception as error:  # noqa: BLE001 - what cannot be read is refused by the guard, and recorded
        why = f"the file cannot be read: {type(error).__name__}: {error}"
        return {}, Operation("google.files", service, (None,), broken=why)
    operation = translate("upload/files", body, service=service)
    if operation is not None and is_announced and operation.payload:
        operation.payload, operation.opaque = {}, (*operation.opaque, "a file whose size was announced already")
    return body, operation


def _contents(file: Any) -> bytes:
    if isinstance(file, (str, os.PathLike)):
        with open(file, "rb") as stream:
            return stream.read()
    contents = settled(file)
    if not isinstance(contents, bytes):
        raise ValueError(f"a {type(contents).__name__}")
    return contents


def _with(kwargs: Mapping[str, Any], body: Mapping[str, bytes], payload: Mapping[Any, Any]) -> Mapping[str, Any]:
    """The arguments with what was judged in place of the file, of the type that the file's name had said."""
    if not payload:
        return kwargs
    contents = replaced(body, payload)["file"]
    file, config = kwargs["file"], kwargs.get("config")
    if isinstance(file, (str, os.PathLike)) and not _stated(config, "mime_type"):
        kind, _ = mimetypes.guess_type(os.fspath(file))
        if isinstance(config, Mapping) or config is None:
            config = {**(config or {}), "mime_type": kind}
        else:
            config = config.model_copy(update={"mime_type": kind})
    return {**kwargs, "file": io.BytesIO(contents), "config": config}


def _stated(config: Any, name: str) -> Any:
    return config.get(name) if isinstance(config, Mapping) else getattr(config, name, None)
