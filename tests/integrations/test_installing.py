"""`guard.install` is enough, before or after the import; a hook that is gone is put back, or the calls are refused."""

from __future__ import annotations

import asyncio
import functools
import importlib
import inspect
import logging
import pickle
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any

import pytest

import guard
from guard.integrations import Adapter, Hook, Operation, as_native, passage, passage_async
from guard.integrations.binding import _ABSENT, _stored
from guard.integrations.watching import watch
from tests.conftest import OFFICE

LIBRARY = '''
__version__ = "1.2"
reached = []


class Forbidden(Exception):
    def __init__(self, status):
        super().__init__("forbidden")
        self.status = status


def search(picture, top=1):
    """Finds."""
    reached.append(picture)
    return top


class Base:
    def match(self, picture):
        reached.append(picture)
        return "base"


class Matcher(Base):
    def __init__(self):
        self.name = "m"

    def match(self, picture):
        return super().match(picture) + "+"

    async def match_later(self, picture):
        return super().match(picture) + "+"

    @staticmethod
    def compare(one, other):
        reached.append(one)
        return "same"

    @classmethod
    def best(cls, picture):
        reached.append(picture)
        return cls.__name__
'''


def judged(original: Any) -> Any:
    def guarded(*args: Any, **kwargs: Any) -> Any:
        operation = Operation("toy.match", "azure_face", ("identify",), (args, kwargs))
        with passage(operation, as_forbidden) as (args, kwargs):
            return original(*args, **kwargs)

    return guarded


def judged_later(original: Any) -> Any:
    async def guarded(*args: Any, **kwargs: Any) -> Any:
        operation = Operation("toy.match", "azure_face", ("identify",), (args, kwargs))
        async with passage_async(operation, as_forbidden) as (args, kwargs):
            return await original(*args, **kwargs)

    return guarded


def as_forbidden(error: Any) -> Exception:
    return as_native(error, sys.modules["toylib"].Forbidden, {"status": 403})


TOY = Adapter(
    name="toy",
    distributions=("toylib",),
    supported=">=1",
    hooks=(
        Hook("toylib", "search", judged),
        Hook("toylib", "Matcher.match", judged),
        Hook("toylib", "Matcher.match_later", judged_later),
        Hook("toylib", "Matcher.compare", judged),
        Hook("toylib", "Matcher.best", judged),
        Hook("toylib", "absent", judged, required=False),
    ),
)


@pytest.fixture(autouse=True)
def _clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "toylib.py").write_text(LIBRARY)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("guard.guard._latest", None)
    importlib.invalidate_caches()
    yield
    guard.uninstall()
    sys.modules.pop("toylib", None)


@pytest.fixture
def toylib():
    return importlib.import_module("toylib")


@pytest.fixture
def police(make_guard):
    return make_guard().source()


def install() -> None:
    from guard.integrations.threads import ADAPTER

    watch.add([ADAPTER, TOY])


def every_way_in(toylib: Any) -> dict[str, Any]:
    """References as a program holds them that was started before the guard was installed."""
    matcher = toylib.Matcher()
    return {
        "function": toylib.search,
        "partial": functools.partial(toylib.search, top=3),
        "bound method": matcher.match,
        "static method": functools.partial(toylib.Matcher.compare, "one"),
        "class method": toylib.Matcher.best,
        "unpickled": pickle.loads(pickle.dumps(matcher)).match,
        "subclass": type("Mine", (toylib.Matcher,), {"match": lambda self, x: toylib.Matcher.match(self, x)})().match,
    }


def assert_all_denied(ways: dict[str, Any], toylib: Any) -> None:
    for name, call in ways.items():
        with pytest.raises(guard.Denied):
            call("picture")
        assert toylib.reached == [], name


def test_a_library_imported_before_is_guarded_through_every_reference_handed_out(toylib, police):
    ways = every_way_in(toylib)
    install()
    with police.frame(_picture()):
        assert_all_denied(ways, toylib)
        assert_all_denied(every_way_in(toylib), toylib)


def test_a_library_imported_later_is_guarded(police):
    install()
    import toylib

    with police.frame(_picture()):
        assert_all_denied(every_way_in(toylib), toylib)


def test_reload_and_import_anew_are_guarded(toylib, police):
    install()
    importlib.reload(toylib)
    with police.frame(_picture()):
        assert_all_denied(every_way_in(toylib), toylib)
        del sys.modules["toylib"]
        ways = [toylib.search, toylib.Matcher().match]
        again = importlib.import_module("toylib")
        assert again is not toylib
        assert_all_denied(every_way_in(again), again)
        assert_all_denied(dict(enumerate(ways)), toylib)
    guard.uninstall()
    assert toylib.search("x") == again.search("x") == 1


def test_an_allowed_call_gives_what_the_library_gives(toylib, make_guard):
    install()
    g = make_guard(OFFICE)
    with g.source().frame(_picture()):
        assert toylib.search("x", top=4) == 4
        assert toylib.Matcher().match("x") == "base+"
        assert toylib.Matcher.compare("x", "y") == "same"
        assert toylib.Matcher.best("x") == "Matcher"
        assert asyncio.run(toylib.Matcher().match_later("x")) == "base+"
    assert g.ledger.verdicts() == ["allow"] * 5


def test_the_hooked_function_still_looks_like_the_library_s(toylib):
    before = (inspect.signature(toylib.search), inspect.signature(toylib.Matcher().match))
    install()
    assert (inspect.signature(toylib.search), inspect.signature(toylib.Matcher().match)) == before
    assert toylib.search.__doc__ == "Finds."
    assert inspect.iscoroutinefunction(toylib.Matcher.match_later)
    assert pickle.loads(pickle.dumps(toylib.search)) is toylib.search


def test_uninstall_gives_the_library_back(toylib, make_guard):
    code = toylib.search.__code__
    install()
    guard.uninstall()
    assert toylib.search.__code__ is code
    assert not hasattr(toylib.search, "__signature__")
    assert toylib.search("x") == 1
    assert threading.Thread.start.__code__.co_filename.endswith("threading.py")


def test_a_refusal_is_the_guard_s_and_the_library_s(toylib, police):
    install()
    with police.frame(_picture()), pytest.raises(toylib.Forbidden) as caught:
        toylib.search("x")
    assert isinstance(caught.value, guard.Denied)
    assert caught.value.status == 403
    assert caught.value.decision.verdict is guard.Verdict.DENY
    assert "azure_face" in str(caught.value)
    again = pickle.loads(pickle.dumps(caught.value))
    assert type(again) is guard.Denied
    assert again.decision == caught.value.decision


def test_outside_of_every_frame_the_source_is_unknown(toylib, make_guard):
    install()
    g = make_guard(OFFICE)
    with pytest.raises(guard.Denied) as caught:
        toylib.search("x")
    assert caught.value.decision.source is None
    assert [entry.judged_under for entry in g.ledger.entries] == [[None]]
    assert toylib.reached == []


def test_with_no_guard_loaded_nothing_passes(toylib, caplog):
    install()
    with caplog.at_level(logging.ERROR), pytest.raises(guard.GuardFault, match="no guard is loaded"):
        toylib.search("x")
    assert "no guard is loaded" in caplog.text
    assert toylib.reached == []


def test_a_call_after_the_last_guard_was_closed_is_refused(toylib, make_guard):
    install()
    make_guard(OFFICE).close()
    with pytest.raises(guard.GuardFault, match="closed"):
        toylib.search("x")
    assert toylib.reached == []


def test_a_hook_that_cannot_bind_refuses_and_names_it(toylib, make_guard):
    gone = Adapter("toy", (), "", (*TOY.hooks, Hook("toylib", "Matcher.vanished", judged)))
    make_guard(OFFICE)
    with pytest.raises(guard.ConfigError, match=r"toylib\.Matcher\.vanished"):
        watch.add([gone])
    with pytest.raises(guard.GuardFault, match="vanished"):
        toylib.search("x")
    assert toylib.reached == []
    guard.uninstall()
    sys.modules.pop("toylib")
    watch.add([gone])
    with pytest.raises(guard.ConfigError, match="vanished"):
        importlib.import_module("toylib")


def test_a_hook_that_another_tool_removed_is_put_back(toylib, police, caplog):
    install()
    toylib.search.__code__ = (lambda picture, top=1: top).__code__
    toylib.Matcher = type("Matcher", (), dict(vars(toylib.Matcher)))
    toylib.Matcher.match = lambda self, picture: "open"
    with caplog.at_level(logging.WARNING):
        states = {coverage.name: coverage.state for coverage in guard.verify()}
    assert states["toy"] == "guarded"
    assert "put back" in caplog.text
    with police.frame(_picture()):
        for call in (toylib.search, toylib.Matcher().match):
            with pytest.raises(guard.Denied):
                call("x")


def test_what_cannot_be_put_back_closes_every_call(toylib, make_guard):
    install()
    g = make_guard(OFFICE)
    del toylib.Matcher.compare
    (coverage,) = (item for item in guard.verify() if item.name == "toy")
    assert coverage.state == "open"
    assert "Matcher.compare" in str(coverage.why)
    with g.source().frame(_picture()), pytest.raises(guard.GuardFault, match="compare"):
        toylib.search("x")
    assert g.ledger.verdicts() == ["fault"]
    assert toylib.reached == []


def test_another_tool_s_wrapper_on_top_changes_nothing(toylib, police):
    install()
    inner = toylib.search

    @functools.wraps(inner)
    def traced(*args, **kwargs):
        return inner(*args, **kwargs)

    toylib.search = traced
    assert {coverage.state for coverage in guard.verify() if coverage.name == "toy"} == {"guarded"}
    with police.frame(_picture()), pytest.raises(guard.Denied):
        toylib.search("x")
    assert len(police.guard.ledger.entries) == 1


def test_a_call_is_decided_once_and_never_by_a_weaker_one(toylib, make_guard):
    install()
    g = make_guard(OFFICE)

    def outer(picture: object) -> object:
        return toylib.search(picture)

    door = g.source()
    identify = door.protect(outer, action="identify", service="azure_face")
    detect = door.protect(outer, action="detect", service="azure_face")
    with door.frame(_picture()):
        assert identify("x") == 1
        assert len(g.ledger.entries) == 1
        assert detect("x") == 1
    assert [entry.decision.action for entry in g.ledger.entries] == ["identify", "detect", "identify"]


def test_an_approval_does_not_cover_threads_and_tasks_started_inside_it(toylib, make_guard):
    install()
    g = make_guard(OFFICE)
    door = g.source()

    def outer(picture: object) -> object:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(toylib.search, picture).result()
        return asyncio.run(asyncio.to_thread(toylib.search, picture))

    call = door.protect(outer, action="identify", service="azure_face")
    with door.frame(_picture()):
        call("x")
    assert [entry.decision.action for entry in g.ledger.entries] == ["identify"] * 3


def in_thread(call: Any) -> Any:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(outcome(call)))
    thread.start()
    thread.join()
    return found[0]


def in_pool(run: Any) -> Any:
    with ThreadPool(1) as pool:
        return run(pool)


def outcome(call: Any) -> Any:
    try:
        return call("x")
    except guard.Denied as denied:
        return denied.decision.source


@pytest.mark.parametrize(
    "run",
    [
        in_thread,
        lambda call: ThreadPoolExecutor(1).submit(outcome, call).result(),
        lambda call: next(iter(ThreadPoolExecutor(1).map(outcome, [call]))),
        lambda call: in_pool(lambda pool: pool.apply(outcome, (call,))),
        lambda call: in_pool(lambda pool: pool.map(outcome, [call])[0]),
        lambda call: in_pool(lambda pool: next(pool.imap(outcome, [call]))),
        lambda call: asyncio.run(asyncio.to_thread(outcome, call)),
    ],
    ids=["thread", "submit", "executor map", "apply", "pool map", "imap", "to_thread"],
)
def test_the_source_follows_into_threads(toylib, police, run):
    install()
    with police.frame(_picture()):
        assert run(toylib.search) == "bodycam"
    assert run(toylib.search) is None
    assert toylib.reached == []


def test_a_pool_made_in_one_frame_does_not_lend_its_source_to_others(toylib, make_guard):
    install()
    office, police = make_guard(OFFICE, name="o.toml"), make_guard(name="p.toml")
    with office.source().frame(_picture()):
        pool, threads = ThreadPoolExecutor(1), ThreadPool(1)
        assert pool.submit(outcome, toylib.search).result() == 1
        assert threads.apply(outcome, (toylib.search,)) == 1
    with police.source().frame(_picture()):
        assert pool.submit(outcome, toylib.search).result() == "bodycam"
        assert threads.apply(outcome, (toylib.search,)) == "bodycam"
    assert pool.submit(outcome, toylib.search).result() is None
    assert threads.apply(outcome, (toylib.search,)) is None
    pool.shutdown()
    threads.terminate()


def test_an_unknown_integration_is_named_with_a_suggestion():
    with pytest.raises(guard.ConfigError, match="no integration is called 'nothing-like-it'"):
        guard.install("nothing-like-it")


def test_an_entry_point_that_is_no_adapter_is_refused(monkeypatch):
    from importlib.metadata import EntryPoint

    monkeypatch.setattr(
        "guard.integrations.registry.metadata.entry_points",
        lambda group: [EntryPoint("broken", "math:pi", group)],
    )
    with pytest.raises(guard.ConfigError, match=r"no guard\.integrations\.Adapter"):
        guard.install()


def test_an_adapter_of_another_distribution_is_found(toylib, police, monkeypatch):
    from importlib.metadata import EntryPoint

    monkeypatch.setattr(
        "guard.integrations.registry.metadata.entry_points",
        lambda group: [EntryPoint("toy", f"{__name__}:TOY", group)],
    )
    monkeypatch.setitem(sys.modules, __name__, sys.modules[__name__])
    guard.install("toy")
    with police.frame(_picture()), pytest.raises(guard.Denied):
        toylib.search("x")


def test_installing_imports_no_guarded_library():
    code = textwrap.dedent("""
        import sys
        import guard
        from guard.integrations.registry import adapters
        guard.install()
        tops = {name.partition(".")[0] for a in adapters().values() for name in a.modules}
        print(*sorted(tops & sys.modules.keys() - {"threading", "concurrent", "multiprocessing"}))
    """)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def _picture():
    import numpy as np

    return np.random.default_rng(3).integers(60, 90, (120, 160, 3), np.uint8)


class Meta(type):
    @property
    def seen(cls) -> str:
        return "by the class of the class"


class Held(metaclass=Meta):
    __slots__ = ("slot",)
    seen = 1

    def method(self) -> None: ...

    @staticmethod
    def static() -> None: ...


class Heir(Held):
    static = None

    def __getattr__(self, name: str) -> Any:
        return None


@pytest.mark.parametrize(
    "owner",
    [Held, Heir, Heir(), int, Exception, functools],
    ids=lambda owner: getattr(owner, "__name__", "an instance"),
)
def test_what_is_stored_is_found_as_the_standard_library_finds_it(owner):
    for name in (*dir(owner), "seen", "mro", "not there"):
        nothing = object()
        expected = inspect.getattr_static(owner, name, nothing)
        found = _stored(owner, name)
        assert found is expected or (found is _ABSENT and expected is nothing), name
