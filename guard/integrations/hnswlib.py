"""hnswlib: indexes that are declared as galleries of faces, see `guard.gallery`."""

from __future__ import annotations

from guard.integrations.galleries import ADD, in_gallery, remembered
from guard.integrations.hooks import Adapter, Hook

__all__ = ["ADAPTER"]

ADAPTER = Adapter(
    name="hnswlib",
    distributions=("hnswlib",),
    supported=">=0.7,<1",
    hooks=(
        Hook("hnswlib", "Index.knn_query", in_gallery("hnswlib.Index.knn_query")),
        Hook("hnswlib", "Index.add_items", in_gallery("hnswlib.Index.add_items", ADD)),
        Hook("hnswlib", "BFIndex.knn_query", in_gallery("hnswlib.BFIndex.knn_query")),
        Hook("hnswlib", "BFIndex.add_items", in_gallery("hnswlib.BFIndex.add_items", ADD)),
        Hook("hnswlib", "Index.__reduce_ex__", remembered),
    ),
    note="only indexes that guard.gallery declares",
)
