"""usearch: indexes that are declared as galleries of faces, see `guard.gallery`."""

from __future__ import annotations

from guard.integrations.galleries import ADD, in_gallery
from guard.integrations.hooks import Adapter, Hook
from guard.integrations.local import COMPARE

__all__ = ["ADAPTER"]

_MODULE = "usearch.index"

ADAPTER = Adapter(
    name="usearch",
    distributions=("usearch",),
    supported=">=2.16,<3",
    hooks=(
        Hook(_MODULE, "Index.search", in_gallery("usearch.Index.search")),
        Hook(_MODULE, "Index.join", in_gallery("usearch.Index.join")),
        Hook(_MODULE, "Index.cluster", in_gallery("usearch.Index.cluster")),
        Hook(_MODULE, "Index.pairwise_distance", in_gallery("usearch.Index.pairwise_distance", COMPARE)),
        Hook(_MODULE, "Index.add", in_gallery("usearch.Index.add", ADD)),
        Hook(_MODULE, "Indexes.search", in_gallery("usearch.Indexes.search")),
        Hook(_MODULE, "search", in_gallery("usearch.search")),
    ),
    note="only indexes that guard.gallery declares",
)
