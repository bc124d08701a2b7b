"""guard.toml is read strictly: what is not understood is refused, with the place and a suggestion."""

from __future__ import annotations

from pathlib import Path

import pytest

import guard
from guard.config import load_config
from guard.vision.memory import HOLD_S

GOOD = """
[policy]
packs = ["all", "own/rules.cedar"]

[operator]
type = "us_police"
acts_for = "self"
country = "US"

[[source]]
id = "bodycam-117"
detect = "on-demand"
min_face_px = 24
face_score = 0.6
max_age_s = 0.5
face_memory_s = 0
place   = { country = "US", subdivision = "US-CA", locality = "San Francisco", control = "wild", access = "public" }
capture = { mount = "body_worn" }
use     = { timing = "real_time", purpose = "criminal_investigation", output = "lead_only" }
evidence = []

[[source]]
id = "contractor"
operator = { type = "private", acts_for = "us_police" }

[services]
"my-matcher" = "self_hosted"

[ledger]
path = "records/decisions.db"
"""


@pytest.fixture
def write(tmp_path: Path):
    def write(text: str) -> Path:
        path = tmp_path / "guard.toml"
        path.write_text(text)
        return path

    return write


def test_the_contracts_example_is_read(write, tmp_path: Path):
    config = load_config(write(GOOD))
    assert config.packs == ("all", tmp_path / "own" / "rules.cedar")
    assert config.ledger == tmp_path / "records" / "decisions.db"
    assert config.services == {"my-matcher": "self_hosted"}
    source = config.sources["bodycam-117"]
    assert (source.detect, source.min_face_px, source.face_score, source.max_age_s) == (
        "on-demand",
        24,
        0.6,
        0.5,
    )
    assert source.face_memory_s == 0.0
    assert source.facts.could_be("capture.mount") == {"body_worn"}
    assert len(source.facts.could_be("subject.consent")) == 4


def test_a_source_overrides_the_operator_fact_by_fact(write):
    facts = load_config(write(GOOD)).sources["contractor"].facts
    assert facts.could_be("operator.type") == {"private"}
    assert facts.could_be("operator.acts_for") == {"us_police"}
    assert facts.to_json()["operator"]["country"] == "US"


def test_defaults(write):
    config = load_config(write('[[source]]\nid = "a"\n'))
    source = config.sources["a"]
    assert (source.detect, source.min_face_px, source.face_score, source.max_age_s) == (
        "every-frame",
        24,
        0.4,
        1.0,
    )
    assert source.face_memory_s == HOLD_S
    assert config.packs == ("all",)
    assert config.ledger is None
    assert len(source.facts.could_be("operator.type")) > 1


SOURCE = '[[source]]\nid = "a"\n'


@pytest.mark.parametrize(
    ("text", "where", "mend"),
    [
        ("", "guard.toml", "[[source]]"),
        ("sorce = 1\n" + SOURCE, "guard.toml.sorce", "source"),
        ("[policy]\npack = []\n" + SOURCE, "policy.pack", "packs"),
        ("[policy]\npacks = []\n" + SOURCE, "policy.packs", "all"),
        ("[ledger]\npath = 3\n" + SOURCE, "ledger.path", "quotation"),
        ("policy = 3\n" + SOURCE, "policy", "[policy]"),
        ("[services]\nmine = 'self_hostd'\n" + SOURCE, "services.mine", "self_hosted"),
        ("[services]\nopenai = 'self_hosted'\n" + SOURCE, "services.openai", "another name"),
        ("[services]\n'A.example' = 'openai'\n'a.EXAMPLE' = 'google'\n" + SOURCE, "services.a.EXAMPLE", "list it once"),
        ("[source]\nid = 'a'\n", "source", "[[source]]"),
        ("[[source]]\n", "source[0].id", "quotation"),
        (SOURCE + SOURCE, "source[1].id", "rename"),
        (SOURCE + "mout = 'fixed'\n", "source[0].mout", "known are"),
        (SOURCE + "detect = 'never'\n", "source[0].detect", "every-frame"),
        (SOURCE + "detect = 'on-change'\nmax_stale_s = 0.0\n", "source[0].max_stale_s", "0.1 to 60"),
        (SOURCE + "min_face_px = 0\n", "source[0].min_face_px", "whole number"),
        (SOURCE + "min_face_px = 2.5\n", "source[0].min_face_px", "whole number"),
        (SOURCE + "face_score = nan\n", "source[0].face_score", "0 to 1"),
        (SOURCE + "face_memory_s = -1\n", "source[0].face_memory_s", "0 to 60"),
        (SOURCE + "face_score = true\n", "source[0].face_score", "0 to 1"),
        (SOURCE + "max_age_s = inf\n", "source[0].max_age_s", "86400"),
        (SOURCE + "operator = 3\n", "source[0].operator", ""),
        (SOURCE + "capture = { mount = 'bodyworn' }\n", "source[0].capture.mount", "body_worn"),
        (SOURCE + "capture = { mout = 'fixed' }\n", "source[0].capture.mout", "mount"),
        (SOURCE + "use = { at = 2026-01-01T00:00:00Z }\n", "source[0].use.at", "--at"),
        (SOURCE + "place = { country = 'Norway' }\n", "source[0].place.country", ""),
        (SOURCE + "[[source.evidence]]\ntype = 'warant'\n", "source[0].evidence[0].type", "warrant"),
        (
            SOURCE + "[[source.evidence]]\ntype = 'warrant'\nissued = 2026-01-01\n",
            "evidence[0].issued",
            "T12:00:00Z",
        ),
        ("[[source]\n", "guard.toml", "line"),
    ],
)
def test_a_mistake_is_named_with_its_place_and_its_mending(write, text, where, mend):
    with pytest.raises(guard.ConfigError) as caught:
        load_config(write(text))
    assert where in str(caught.value.where)
    assert mend in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path):
    with pytest.raises(guard.ConfigError, match="no such file"):
        load_config(tmp_path / "absent.toml")
    (tmp_path / "latin.toml").write_bytes(b'a = "\xe9"')
    with pytest.raises(guard.ConfigError, match="cannot be read"):
        load_config(tmp_path / "latin.toml")
    with pytest.raises(guard.ConfigError, match="cannot be read"):
        load_config(tmp_path)
