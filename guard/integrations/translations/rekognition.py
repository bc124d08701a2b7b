"""Amazon Rekognition: each operation as actions of the vocabulary.

Comparison, search, indexing and the recognition of celebrities, which is a search in Amazon's own gallery, count as
``rekognition_compare``; face detection, attributes, liveness and the tracking of persons as ``rekognition_other``.
Labels, text, moderation, protective equipment and custom labels name nobody and are no face operation: None. So are
deleting, listing and describing, and making an empty collection. An operation that is not known here could be any.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from guard.integrations.operation import Operation
from guard.integrations.translations.parts import Parts

__all__ = ["BY_SETTINGS", "HARMLESS", "KNOWN", "operation_of", "translate"]

COMPARE, OTHER = "rekognition_compare", "rekognition_other"

KNOWN: Mapping[str, tuple[str, tuple[str, ...]]] = {
    # The largest face of one picture against up to a hundred of another: one to one where the second shows one person,
    # a search of the crowd where it shows many.
    "CompareFaces": (COMPARE, ("verify", "identify")),
    "SearchFaces": (COMPARE, ("identify",)),
    "SearchFacesByImage": (COMPARE, ("identify",)),
    "SearchUsers": (COMPARE, ("identify",)),
    "SearchUsersByImage": (COMPARE, ("identify",)),
    "StartFaceSearch": (COMPARE, ("identify",)),
    "GetFaceSearch": (COMPARE, ("identify",)),
    "RecognizeCelebrities": (COMPARE, ("identify",)),
    "StartCelebrityRecognition": (COMPARE, ("identify",)),
    "GetCelebrityRecognition": (COMPARE, ("identify",)),
    "IndexFaces": (COMPARE, ("enrol",)),
    "CreateUser": (COMPARE, ("enrol",)),
    "AssociateFaces": (COMPARE, ("enrol",)),
    # A processor searches faces or detects labels; which one stands in its settings, and only its name is given here.
    "StartStreamProcessor": (COMPARE, ("identify", "detect")),
    "DetectFaces": (OTHER, ("detect",)),
    "StartFaceDetection": (OTHER, ("detect",)),
    # What the job was asked for is not said where its result is fetched.
    "GetFaceDetection": (OTHER, ("detect", "attributes", "emotion", "categorise")),
    "CreateFaceLivenessSession": (OTHER, ("detect",)),
    "StartFaceLivenessSession": (OTHER, ("detect",)),
    "GetFaceLivenessSessionResults": (OTHER, ("detect",)),
    "StartPersonTracking": (OTHER, ("track",)),
    "GetPersonTracking": (OTHER, ("track",)),
}
"""The face operations: service, and what each could be."""

BY_SETTINGS: Mapping[str, tuple[str, str]] = {
    "CreateStreamProcessor": ("Settings", "ConnectedHome"),
    "UpdateStreamProcessor": ("SettingsForUpdate", "ConnectedHomeForUpdate"),
    "StartMediaAnalysisJob": ("OperationsConfig", "DetectModerationLabels"),
}
"""The operations whose settings say what they are: the parameter, and the one setting that is no face operation."""

_SEARCHING: tuple[str, tuple[str, ...]] = (COMPARE, ("identify",))

HARMLESS = frozenset(
    [
        "CopyProjectVersion",
        "CreateCollection",
        "CreateDataset",
        "CreateProject",
        "CreateProjectVersion",
        "DeleteCollection",
        "DeleteDataset",
        "DeleteFaces",
        "DeleteProject",
        "DeleteProjectPolicy",
        "DeleteProjectVersion",
        "DeleteStreamProcessor",
        "DeleteUser",
        "DescribeCollection",
        "DescribeDataset",
        "DescribeProjectVersions",
        "DescribeProjects",
        "DescribeStreamProcessor",
        "DetectCustomLabels",
        "DetectLabels",
        "DetectModerationLabels",
        "DetectProtectiveEquipment",
        "DetectText",
        "DisassociateFaces",
        "DistributeDatasetEntries",
        "GetCelebrityInfo",
        "GetContentModeration",
        "GetLabelDetection",
        "GetMediaAnalysisJob",
        "GetSegmentDetection",
        "GetTextDetection",
        "ListCollections",
        "ListDatasetEntries",
        "ListDatasetLabels",
        "ListFaces",
        "ListMediaAnalysisJobs",
        "ListProjectPolicies",
        "ListStreamProcessors",
        "ListTagsForResource",
        "ListUsers",
        "PutProjectPolicy",
        "StartContentModeration",
        "StartLabelDetection",
        "StartProjectVersion",
        "StartSegmentDetection",
        "StartTextDetection",
        "StopProjectVersion",
        "StopStreamProcessor",
        "TagResource",
        "UntagResource",
        "UpdateDatasetEntries",
    ]
)
"""The operations that compare, store and describe no face."""

_UNKNOWN: tuple[str, tuple[str, ...]] = (COMPARE, ("verify", "identify", "enrol"))

_TRAITS = {
    "DEFAULT": (),
    "ALL": ("attributes", "emotion", "categorise"),
    "EMOTIONS": ("emotion",),
    "GENDER": ("categorise",),
}
_TRAIT_KEYS = {"DetectFaces": "Attributes", "IndexFaces": "DetectionAttributes", "StartFaceDetection": "FaceAttributes"}

_REFERENCES = {
    "S3Object": "an S3 object",
    "Video": "a stored video",
    "FaceId": "a stored face",
    "FaceIds": "a stored face",
    "UserId": "a stored user",
    "JobId": "the result of a job",
    "SessionId": "the result of a liveness session",
    "Input": "a video stream",
}


def operation_of(target: str) -> str | None:
    """The operation that an ``X-Amz-Target`` header names, None where it is not Rekognition's."""
    service, _, operation = target.strip().partition(".")
    return operation if service.casefold() == "rekognitionservice" and operation else None


def translate(operation: str, params: Mapping[str, Any]) -> Operation | None:
    """The call of a Rekognition operation.

    Args:
        operation: as Amazon writes it, e.g. ``SearchFacesByImage``.
        params: its parameters; ``Image.Bytes`` as bytes (SDK) or base64 text (REST).
    """
    if operation in HARMLESS:
        return None
    if operation in BY_SETTINGS:
        name, harmless = BY_SETTINGS[operation]
        if set(params.get(name) or ()) <= {harmless}:
            return None
        service, actions = _SEARCHING
    else:
        service, actions = KNOWN.get(operation, _UNKNOWN)
    traits = _traits(params.get(_TRAIT_KEYS[operation])) if operation in _TRAIT_KEYS else ()
    found = _parts(params)
    return Operation(f"rekognition.{operation}", service, actions, found.found, found.opaque, traits)


def _traits(asked: Any) -> tuple[str, ...]:
    """What is read from each face beside where it is: age, expression and the like; emotion; gender."""
    names = [asked] if isinstance(asked, str) else list(asked or ())
    read = {trait for name in names for trait in _TRAITS.get(str(name).upper(), ("attributes",))}
    return tuple(sorted(read))


def _parts(params: Mapping[str, Any]) -> Parts:
    parts = Parts()
    for key, value in params.items():
        if key in _REFERENCES and value:
            parts.refer(_REFERENCES[key])
        elif isinstance(value, Mapping):
            if value.get("S3Object"):
                parts.refer(_REFERENCES["S3Object"])
            if value.get("Bytes"):
                parts.found[key, "Bytes"] = value["Bytes"]
    return parts
