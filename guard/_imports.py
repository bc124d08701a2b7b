"""Imports of libraries with native code, made to fail in one line that says what to install.

A wheel carries its Python and most of its shared libraries, but not all: OpenCV's links the system's OpenGL and
GLib, which a slim container image lacks. Python then says ``ImportError: libGL.so.1: cannot open shared object
file``, which names neither the library that wanted it nor the package that has it.

::

    with native("cv2"):
        import cv2

    with native("dlib", extra="dlib"):
        import dlib
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from guard.errors import ConfigError

__all__ = ["MissingDependency", "explained", "native"]

# Shared object, without its version, to the Debian packages that carry it. OpenCV's wheel wants several and the
# loader reports only the first: the first two rows name all that it wants, so that one round mends it.
_DEBIAN = {
    "libGL": "libgl1 libglib2.0-0",
    "libxcb": "libgl1 libglib2.0-0",
    "libgthread-2.0": "libglib2.0-0",
    "libglib-2.0": "libglib2.0-0",
    "libX11": "libx11-6",
    "libXext": "libxext6",
    "libSM": "libsm6",
    "libICE": "libice6",
    "libgomp": "libgomp1",
    "libstdc++": "libstdc++6",
    "libgcc_s": "libgcc-s1",
    "libz": "zlib1g",
}
_SHARED_OBJECT = re.compile(r"(?P<file>(?P<stem>lib[\w.+-]*?)\.so(?:\.\d+)*): cannot open shared object file")


class MissingDependency(ConfigError):
    """A library that this command needs is absent, or part of it. Commands end with status 1."""


@contextmanager
def native(package: str, *, extra: str | None = None) -> Iterator[None]:
    """Turn an `ImportError` raised inside the block into one line that says what to install.

    Args:
        package: the module that the block imports, as in ``import package``; named in the message.
        extra: the extra of frguard that installs it; None for a base dependency.

    Raises:
        MissingDependency: the package or a shared library of the system that it links is absent.
    """
    try:
        yield
    except ImportError as error:
        raise explained(error, package, extra=extra) from error


def explained(error: ImportError, package: str | None = None, *, extra: str | None = None) -> MissingDependency:
    """The one line for an `ImportError`; `package` is read from it where nobody knows better."""
    package = package or error.name or "a library"
    found = _SHARED_OBJECT.search(str(error))
    if found is not None:
        debian = _DEBIAN.get(found["stem"])
        mend = f"apt-get install {debian}" if debian else f"apt-file search {found['file']} names its package"
        return MissingDependency(f"the system library {found['file']} is missing", where=f"import {package}", mend=mend)
    wanted = f"frguard[{extra}]" if extra else "frguard"
    mend = f"pip install '{wanted}'"
    if isinstance(error, ModuleNotFoundError):
        return MissingDependency(f"{error.name or package} is not installed", where=f"import {package}", mend=mend)
    reason = " ".join(str(error).split())
    return MissingDependency(
        f"{package} does not load: {reason}", where=f"import {package}", mend=f"{mend} --force-reinstall"
    )
