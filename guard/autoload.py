"""Guards child processes that do not inherit their parent's memory (spawn, forkserver, subprocess).

A one-line ``frguard.pth`` among the interpreter's packages imports this module at start-up where the environment
variable `GUARD_AUTOLOAD` names a ``guard.toml``. The hooks are in place before the program's first line; the file is
loaded at the first guarded call. Where either fails, nothing passes.

``python -m guard.autoload enable`` writes that line, ``disable`` removes it; a wheel brings it along. It does not reach
``python -S``, nor a program in another language: put the gateway before those.
"""

from __future__ import annotations

import os
import sys
import sysconfig
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from guard.errors import ConfigError, GuardFault

if TYPE_CHECKING:
    from guard.guard import Guard

__all__ = ["FILE", "LINE", "VARIABLE", "export", "guard_of_children", "is_enabled"]

VARIABLE = "GUARD_AUTOLOAD"
FILE = "frguard.pth"
LINE = (
    f"import os; os.environ.get({VARIABLE!r}) and exec("
    '"try:\\n import guard.autoload as a; a.start()\\nexcept BaseException as e:\\n'
    " os.write(2, ('guard: this process cannot be guarded: %s\\\\n' % e).encode()); os._exit(70)\")\n"
)
"""What stands in the file, which the wheel brings along. The interpreter skips a ``.pth`` line that fails, and the
program would run unguarded: this one ends the process instead."""

_loading = threading.Lock()
_pending: Path | None = None


def start() -> None:
    """Puts the hooks in place in this process, for the file that `GUARD_AUTOLOAD` names."""
    global _pending
    from guard.integrations import install

    _pending = Path(os.environ[VARIABLE])
    install()


def guard_of_children() -> Guard | None:
    """The guard that this process was told to load by its environment, loaded at the first call; None without such.

    Raises `GuardFault` where it cannot be loaded.
    """
    from guard.guard import latest, load

    if _pending is None:
        return None
    with _loading:
        already = latest()
        if already is not None:
            return already
        try:
            return load(_pending)
        except Exception as error:
            raise GuardFault(f"the guard that {VARIABLE} names cannot be loaded: {error}") from error


def export(path: Path) -> None:
    """Lets the children of this process be guarded by the ``guard.toml`` at `path`.

    Raises `ConfigError` where the interpreter would not look.
    """
    if not is_enabled():
        raise ConfigError(
            f"there is no {FILE} among this interpreter's packages, so spawned processes would not be guarded",
            where="guard.install(children=True)",
            mend="run `python -m guard.autoload enable` once",
        )
    os.environ[VARIABLE] = str(path.absolute())


def is_enabled() -> bool:
    """Whether this interpreter reads the line at start-up."""
    return not sys.flags.no_site and any((Path(folder) / FILE).is_file() for folder in _folders())


def _folders() -> list[str]:
    import site

    folders = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), *site.getsitepackages()]
    return list(dict.fromkeys([*folders, *([site.getusersitepackages()] if site.ENABLE_USER_SITE else [])]))


def _main(arguments: list[str]) -> int:
    file = Path(_folders()[0]) / FILE
    if arguments == ["enable"]:
        half = file.with_suffix(".part")
        half.write_text(LINE)
        half.replace(file)
        print(f"{file}: processes started with {VARIABLE} set are guarded")
    elif arguments == ["disable"]:
        file.unlink(missing_ok=True)
        print(f"{file} is gone")
    else:
        print("usage: python -m guard.autoload enable | disable", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
