"""Child processes are guarded: forked ones always, others where the deployment asks for it, and then or not at all."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import guard
from guard import autoload
from tests.conftest import OFFICE

ROOT = Path(__file__).resolve().parents[2]

LIBRARY = """
def search(picture):
    return "reached"
"""
ADAPTER = """
from guard.integrations import Adapter, Hook, Operation, passage


def wrap(original):
    def guarded(picture):
        with passage(Operation("toy", "azure_face", ("identify",), picture)) as payload:
            return original(payload)
    return guarded


ADAPTER = Adapter("toy", ("toylib",), "", (Hook("toylib", "search", wrap),))
"""
PROGRAM = """
import guard, toylib
try:
    print(toylib.search("x"))
except guard.Denied as denied:
    print("denied", denied.decision.source)
except guard.GuardFault as fault:
    print("fault", fault)
"""


@pytest.fixture
def site(tmp_path: Path) -> dict[str, str]:
    """An environment whose interpreter has the line, a library and its adapter registered as an entry point."""
    packages = tmp_path / "packages"
    (packages / "toy-1.dist-info").mkdir(parents=True)
    (packages / "toylib.py").write_text(LIBRARY)
    (packages / "toy_guard.py").write_text(ADAPTER)
    (packages / "toy-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: toylib\nVersion: 1\n")
    (packages / "toy-1.dist-info" / "entry_points.txt").write_text("[guard.integrations]\ntoy = toy_guard:ADAPTER\n")
    # What `enable` writes is read from site-packages only; a `usercustomize` of ours runs the same line here.
    (packages / "sitecustomize.py").write_text(autoload.LINE)
    (tmp_path / "guard.toml").write_text(OFFICE)
    return {
        **os.environ,
        "PYTHONPATH": f"{packages}{os.pathsep}{ROOT}",
        autoload.VARIABLE: str(tmp_path / "guard.toml"),
    }


def run(program: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def test_a_process_started_anew_is_guarded_from_its_first_line(site: dict[str, str], tmp_path: Path):
    done = run(PROGRAM, site)
    assert (done.stdout.strip(), done.returncode) == ("denied None", 0), done.stderr
    from guard.ledger import summary

    assert summary(tmp_path / "decisions.db")["deny"] == 1


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_worker_that_multiprocessing_starts_anew_is_guarded(site: dict[str, str], tmp_path: Path, method: str):
    (tmp_path / "worker.py").write_text(
        textwrap.dedent("""
        import multiprocessing, sys, toylib, guard

        def work(queue):
            try:
                queue.put(toylib.search("x"))
            except guard.Denied:
                queue.put("denied")

        if __name__ == "__main__":
            context = multiprocessing.get_context(sys.argv[1])
            queue = context.Queue()
            child = context.Process(target=work, args=(queue,))
            child.start()
            print(queue.get(timeout=60))
            child.join()
        """)
    )
    done = subprocess.run(
        [sys.executable, str(tmp_path / "worker.py"), method],
        env=site,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout.strip() == "denied", done.stderr


def test_a_configuration_that_cannot_be_loaded_lets_nothing_pass(site: dict[str, str], tmp_path: Path):
    (tmp_path / "guard.toml").write_text("[policy\n")
    assert run(PROGRAM, site).stdout.startswith("fault")


def test_a_process_that_cannot_be_guarded_does_not_run(site: dict[str, str], tmp_path: Path):
    (tmp_path / "packages" / "toy_guard.py").write_text("raise RuntimeError('broken')")
    done = run(PROGRAM, site)
    assert (done.returncode, done.stdout) == (70, "")
    assert "cannot be guarded" in done.stderr


def test_the_wheel_brings_the_line_that_enable_writes():
    assert (ROOT / "guard" / autoload.FILE).read_text() == autoload.LINE


def test_without_the_variable_nothing_is_loaded(site: dict[str, str]):
    del site[autoload.VARIABLE]
    assert run("import sys; print('guard' in sys.modules)", site).stdout.strip() == "False"


def test_a_forked_process_is_guarded_and_inherits_no_approval(make_guard, tmp_path: Path, monkeypatch):
    (tmp_path / "toylib.py").write_text(LIBRARY)
    monkeypatch.syspath_prepend(str(tmp_path))
    import toylib

    namespace: dict[str, object] = {}
    exec(ADAPTER, namespace)
    from guard.integrations.watching import watch

    watch.add([namespace["ADAPTER"]])
    try:
        office = make_guard(OFFICE, ledger=tmp_path / "fork.db").source()
        call = office.protect(lambda _: in_fork(toylib.search), action="identify", service="azure_face")
        assert call("x") == "denied"
        assert in_fork(toylib.search) == "denied"
    finally:
        guard.uninstall()
        sys.modules.pop("toylib", None)


def in_fork(search) -> str:
    """What the call comes to in a forked child that has no frame: its source is unknown."""
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()

    def work() -> None:
        try:
            queue.put(search("x"))
        except guard.Denied:
            queue.put("denied")

    child = context.Process(target=work)
    child.start()
    answer = queue.get()
    child.join(30)
    return str(answer)


def test_children_are_exported_only_where_the_interpreter_would_look(make_guard, monkeypatch, tmp_path: Path):
    monkeypatch.delenv(autoload.VARIABLE, raising=False)
    monkeypatch.setattr("guard.guard._latest", None)
    with pytest.raises(guard.ConfigError, match="no guard is loaded"):
        guard.install(children=True)
    g = make_guard(OFFICE)
    g.config.path.write_text(OFFICE)
    monkeypatch.setattr("guard.guard._latest", g)
    monkeypatch.setattr(autoload, "_folders", lambda: [str(tmp_path)])
    with pytest.raises(guard.ConfigError, match=r"guard\.autoload enable"):
        guard.install(children=True)
    assert autoload._main(["enable"]) == 0
    try:
        guard.install(children=True)
        assert os.environ[autoload.VARIABLE] == str(g.config.path)
    finally:
        guard.uninstall()
        os.environ.pop(autoload.VARIABLE, None)
    assert autoload._main(["disable"]) == 0
    assert not autoload.is_enabled()
    assert autoload._main([]) == 1
