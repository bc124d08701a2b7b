"""The closed vocabularies of a request: what each fact may be.

One vocabulary is shared by source files, policy packs, cases, decisions and the record. Its terms follow
ISO/IEC 2382-37 (biometrics), NIST FRTE and the regulations that the packs cite. A fact that is absent is
unknown, and an unknown fact stands for every value that it could have.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

__all__ = [
    "ACTIONS",
    "CONSENT_LEVELS",
    "EVIDENCE_TYPES",
    "GROUNDS",
    "IDENTITY_ACTIONS",
    "OPERATORS",
    "PROTECTED_TRAITS",
    "SERVICES",
    "TRAITS",
    "VLM_SERVICES",
    "VOCABULARY",
    "Verdict",
    "strictest",
]


class Verdict(StrEnum):
    """What becomes of a call.

    ``ALLOW``: no rule forbids it as it is. ``REDACT``: forbidden as it is, allowed once every face is
    unrecognisable. ``DENY``: it must not reach the service.
    """

    ALLOW = "allow"
    REDACT = "redact"
    DENY = "deny"


_SEVERITY: Final = (Verdict.ALLOW, Verdict.REDACT, Verdict.DENY)


def strictest(verdicts: Iterable[Verdict]) -> Verdict:
    """The strictest of several verdicts: deny before redact before allow. `ValueError` where there is
    none."""
    return max(verdicts, key=_SEVERITY.index)


ACTIONS: Final[tuple[str, ...]] = (
    "detect",
    "redact",
    "transcribe",
    "vlm_describe",
    "attributes",
    "emotion",
    "categorise",
    "track",
    "verify",
    "identify",
    "enrol",
    "vlm_identify",
    "scrape",
)
"""`vlm_describe`: a vision-language model describes a scene. `categorise`: by protected traits. `track`:
persistently. `verify`: 1:1. `identify`: 1:N. `enrol`: make or store a reference. `vlm_identify`: a
vision-language model is asked who somebody is. `scrape`: build a face database untargeted."""

IDENTITY_ACTIONS: Final = frozenset({"verify", "identify", "enrol", "track", "vlm_identify", "scrape"})

SERVICES: Final[tuple[str, ...]] = (
    "azure_openai",
    "microsoft_ai",
    "azure_face",
    "rekognition_compare",
    "rekognition_other",
    "openai",
    "axon_body",
    "ibm",
    "google",
    "anthropic",
    "self_hosted",
    "other",
)
VLM_SERVICES: Final = frozenset({"azure_openai", "microsoft_ai", "openai", "google", "anthropic"})
"""The services towards which a call may leave its action unnamed."""

OPERATORS: Final[tuple[str, ...]] = (
    "us_police",
    "us_federal_le",
    "nonus_police",
    "public_nonle",
    "intl_org",
    "private",
    "individual",
)

TRAITS: Final[tuple[str, ...]] = (
    "race",
    "gender",
    "nationality",
    "religion",
    "politics",
    "union",
    "sexual_orientation",
    "immigration_status",
    "skin_tone",
    "specific_age",
    "age_range",
    "hair_colour",
    "mouth_position",
    "offending_propensity",
)
PROTECTED_TRAITS: Final = frozenset(TRAITS) - {"age_range", "hair_colour", "mouth_position"}

CONSENT_LEVELS: Final[tuple[str, ...]] = ("none", "informed", "explicit", "written_release")
"""In order: each level includes those before it."""

GROUNDS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "exigency_record": (
            "imminent_harm",
            "escape_or_loss_of_evidence",
            "terror_risk",
            "public_safety_threat",
        ),
        "grounds_record": ("reasonable_suspicion", "leads", "probable_cause"),
    }
)
"""Which grounds a record of evidence may state."""

EVIDENCE_TYPES: Final[tuple[str, ...]] = (
    "warrant",
    "court_order",
    "prior_authorisation",
    "urgency_request",
    "exigency_record",
    "national_law",
    "fria",
    "eu_registration",
    "authority_notice",
    "limited_access_approval",
    "vendor_approval",
    "published_policy",
    "pia",
    "dpia_and_equality",
    "notice_posted",
    "human_review",
    "case_approval",
    "legal_mandate",
    "annual_report",
    "enabling_statute",
    "verifier_waiver",
    "grounds_record",
    "system_approval",
    "urgency_undertaking",
)

_BOOLEAN: Final = (True, False)

VOCABULARY: Final[Mapping[str, tuple[str, ...] | tuple[bool, ...]]] = MappingProxyType(
    {
        "operator.type": OPERATORS,
        "operator.acts_for": (*OPERATORS, "self"),
        "place.control": ("controlled", "wild"),
        "place.access": (
            "public",
            "accommodation",
            "workplace",
            "school",
            "police_facility",
            "courthouse",
            "airport",
            "restricted",
            "private",
        ),
        "capture.mount": ("body_worn", "vehicle", "handheld", "drone", "fixed", "file"),
        "use.timing": ("real_time", "near_real_time", "post_event"),
        "use.purpose": (
            "criminal_investigation",
            "missing_person",
            "victim",
            "deceased",
            "imminent_threat",
            "terror_threat",
            "access_control",
            "device_auth",
            "security_watchlist",
            "research",
            "media_archive",
            "civil_admin",
            "protest_monitoring",
            "medical_safety",
            "crowd_safety",
            "marketing",
            "intelligence",
            "humanitarian_aid",
            "dataset_labelling",
            "other",
        ),
        "use.offence.annex_ii": _BOOLEAN,
        "use.offence.listed": _BOOLEAN,
        "use.offence.serious": _BOOLEAN,
        "use.output": ("lead_only", "sole_basis", "automatic_decision"),
        "use.traits": TRAITS,
        "use.searched_by": ("operator", "motor_vehicle_registry", "state_police", "fbi", "outside_agency"),
        "use.unsolicited": _BOOLEAN,
        "use.initial_identification": _BOOLEAN,
        "use.names_stripped": _BOOLEAN,
        "gallery.kind": (
            "suspects",
            "inmates",
            "missing",
            "employees",
            "customers",
            "owner",
            "dmv_mugshot",
            "other",
        ),
        "gallery.provenance": ("consented", "lawful_public_body", "scraped", "other"),
        "subject.consent": CONSENT_LEVELS,
        "subject.minor": _BOOLEAN,
        "subject.targeted": _BOOLEAN,
        "subject.cooperates": _BOOLEAN,
        "subject.apprehended": _BOOLEAN,
    }
)
"""The facts whose values are closed lists. The others are countries, places, instants and numbers."""
