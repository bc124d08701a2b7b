"""faiss: indexes that are declared as galleries of faces, see `guard.gallery`.

Each of faiss' hundred index classes has methods of its own, some under a second name (``search_c``). Hooked are those
of the base classes and, once an index is declared, those of its class and of the classes that wrap others.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from types import FunctionType, ModuleType
from typing import Any

from guard.integrations.galleries import ADD, SEARCH, in_gallery, on_declaration, remembered
from guard.integrations.hooks import Adapter, Hook

__all__ = ["ADAPTER"]

_SEARCH = re.compile(r"(?:search|range_search|assign)")
_ADD = re.compile(r"(?:add(?:_c|_ex|_core\w*|_with_ids(?:_c|_ex)?|_sa_codes(?:_c)?)?|merge_from)\Z")
_BASES = ("Index", "IndexBinary")
_WRAPPERS = (
    "IndexIDMap",
    "IndexIDMap2",
    "IndexBinaryIDMap",
    "IndexBinaryIDMap2",
    "IndexPreTransform",
    "IndexRefine",
    "IndexRefineFlat",
    "IndexShards",
    "IndexReplicas",
    "IndexBinaryShards",
    "IndexBinaryReplicas",
    "ThreadedIndexBase",
    "ThreadedIndexBaseBinary",
)
_FUNCTIONS = ("knn", "knn_hamming", "pairwise_distances", "search_with_parameters", "range_search_with_parameters")

_declared: set[str] = set()
"""The classes of which an index was declared, and those that they inherit from."""


def _discover(faiss: ModuleType) -> Iterator[Hook]:
    for name in _BASES:
        yield Hook("faiss", f"{name}.__reduce_ex__", remembered)
    known: set[int] = set()  # some classes hold a function of another one under a second name
    for name in sorted({*_BASES, *_declared, *(_WRAPPERS if _declared else ())}):
        cls = vars(faiss).get(name)
        for method, found in vars(cls).items() if isinstance(cls, type) else ():
            if not isinstance(found, FunctionType) or id(found) in known:
                continue
            if _SEARCH.match(method) or _ADD.match(method):
                known.add(id(found))
                actions = SEARCH if _SEARCH.match(method) else ADD
                yield Hook("faiss", f"{name}.{method}", in_gallery(f"faiss.{name}.{method}", actions))
    for name in _FUNCTIONS:
        if isinstance(vars(faiss).get(name), FunctionType):
            yield Hook("faiss", name, in_gallery(f"faiss.{name}"))


def _hook_its_classes(index: Any) -> None:
    """Called for every index that is declared: from now on its classes have hooks."""
    faiss = sys.modules.get("faiss")
    if faiss is None or type(getattr(index, "this", None)).__name__ != "SwigPyObject":
        return
    known = len(_declared)
    downcast = getattr(faiss, "downcast_index" if isinstance(index, faiss.Index) else "downcast_IndexBinary", None)
    for seen in (index, downcast(index) if downcast is not None else index):
        _declared.update(cls.__name__ for cls in type(seen).__mro__ if cls.__module__.startswith("faiss"))
    if len(_declared) > known:
        from guard.integrations.watching import watch

        watch.verify()


on_declaration(_hook_its_classes)

ADAPTER = Adapter(
    name="faiss",
    distributions=("faiss-cpu", "faiss-gpu", "faiss-gpu-cu12"),
    supported=">=1.8,<2",
    discover={"faiss": _discover},
    note="only indexes that guard.gallery declares",
)
