"""insightface: embeddings of faces and persons, their comparison, and its own galleries.

`FaceAnalysis` that loads only a detector, `SCRFD`, landmarks and the verifier that tells faces from other things
identify nobody and pass.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from guard.integrations.hooks import Adapter, Hook
from guard.integrations.local import COMPARE, EMBED, carrying, comparing, judging

__all__ = ["ADAPTER"]

TRACKED = (*EMBED, "track")
"""What a vector of a person's appearance may be for: it follows somebody from one camera to the next as well."""

TRAITS = ("attributes", "categorise")
"""What reading age and gender is: the latter is a protected trait."""

_ARCFACE = "insightface.model_zoo.arcface_onnx"
_MATRIX = "insightface.app.person.matrix"
_PERSONS = "insightface.app.person_analysis"
_GUI = "insightface.gui.core.recognition"


def _analysis(original: Callable[..., Any]) -> Callable[..., Any]:
    """`FaceAnalysis.get`: one decision for the picture, however many faces it shows."""

    def get(self: Any, *args: Any, **kwargs: Any) -> Any:
        embeds = "recognition" in self.models
        reads = TRAITS if "genderage" in self.models else ()
        if not embeds and not reads:
            return original(self, *args, **kwargs)
        actions, also = (EMBED, reads) if embeds else (reads[:1], reads[1:])
        with judging("insightface.FaceAnalysis.get", actions, (args, kwargs), also) as (args, kwargs):
            return original(self, *args, **kwargs)

    return get


ADAPTER = Adapter(
    name="insightface",
    distributions=("insightface",),
    supported=">=0.7.3,<3",
    hooks=(
        Hook("insightface.app.face_analysis", "FaceAnalysis.get", _analysis),
        Hook(_ARCFACE, "ArcFaceONNX.get", carrying("insightface.ArcFaceONNX.get")),
        Hook(_ARCFACE, "ArcFaceONNX.get_feat", carrying("insightface.ArcFaceONNX.get_feat")),
        Hook(_ARCFACE, "ArcFaceONNX.forward", carrying("insightface.ArcFaceONNX.forward")),
        Hook(_ARCFACE, "ArcFaceONNX.compute_sim", comparing("insightface.ArcFaceONNX.compute_sim", COMPARE)),
        Hook(
            "insightface.model_zoo.attribute",
            "Attribute.get",
            carrying("insightface.Attribute.get", TRAITS[:1], TRAITS[1:]),
        ),
        # The modules below came with versions 2.0 and 2.1.
        Hook(_MATRIX, "ReferenceMatrix.match", comparing("insightface.ReferenceMatrix.match", COMPARE)),
        Hook(_MATRIX, "ReferenceMatrix.add", comparing("insightface.ReferenceMatrix.add", ("enrol",))),
        Hook(_PERSONS, "PersonAnalysis.get", carrying("insightface.PersonAnalysis.get", TRACKED)),
        Hook(_PERSONS, "PersonAnalysis.get_reid", carrying("insightface.PersonAnalysis.get_reid", TRACKED)),
        Hook(_PERSONS, "PersonAnalysis.match", comparing("insightface.PersonAnalysis.match", COMPARE)),
        Hook(_PERSONS, "PersonAnalysis.register", carrying("insightface.PersonAnalysis.register", ("enrol",))),
        Hook(_PERSONS, "PersonAnalysis.update", comparing("insightface.PersonAnalysis.update", ("enrol",))),
        Hook(
            "insightface.model_zoo.person_reid",
            "PersonReID.embed",
            carrying("insightface.PersonReID.embed", TRACKED),
        ),
        Hook(
            "insightface.app.privateframe.recognition",
            "decide_track_identity",
            comparing("insightface.decide_track_identity", COMPARE),
        ),
        Hook(_GUI, "cosine_similarity", comparing("insightface.gui.cosine_similarity", COMPARE), required=False),
        Hook(_GUI, "search_gallery", comparing("insightface.gui.search_gallery", COMPARE), required=False),
    ),
    note="vectors that are compared with numpy are not seen",
)
