"""Pages to print, and what `guard policy list` says the packs cover."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest

from guard.cli import main
from guard.errors import GuardError
from guard.facts import ACTIONS, SERVICES, Facts
from guard.policy import Engine
from guard.policy.coverage import ANY_SERVICE, ANYWHERE, by_place, by_service, coming
from guard.policy.listing import cards, packs_named
from guard.policy.matrix import matrix
from guard.policy.matrix_page import matrix_page
from guard.policy.packs import shipped
from guard.policy.pages import pack_page, write_page

AT = datetime(2026, 11, 22, 12, tzinfo=UTC)
VOID = {"meta", "br", "wbr"}
FROM_ELSEWHERE = re.compile(
    r"<(script|link|img|iframe|object|embed)\b|\bsrc=|url\(|@import|href=\"(?!#)|http-equiv", re.I
)
Run = Callable[..., tuple[int, str, str]]


class Page(HTMLParser):
    """Reads a page strictly: tags close in order. Keeps its text, its header cells and its tables."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.headers: list[dict[str, str | None]] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.rows: list[list[list[str]]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = dict(attrs)
        if tag == "th":
            self.headers.append(said)
        if "id" in said:
            self.ids.append(str(said["id"]))
        if "href" in said:
            self.links.append(str(said["href"]))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append([])
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text.append(data)
            if {"td", "th"} & set(self.open):
                self.rows[-1][-1].append(data)

    @property
    def words(self) -> str:
        return " ".join("".join(self.text).split())


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        status = main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run


@pytest.mark.parametrize("name", shipped())
def test_the_page_of_a_pack_says_every_branch_with_its_words_and_its_source(name: str):
    (pack,) = packs_named([name])
    text = pack_page(pack, AT)
    page = Page(text)
    for card in cards(pack):
        said = (card.id, card.title, card.cite, f"reviewed {card.reviewed:%Y-%m-%d}", f"{card.sure}: ")
        for words in (
            *said,
            *card.words.who,
            *card.words.what,
            *card.words.where,
            *card.words.when,
            *card.words.unless,
        ):
            assert " ".join(words.split()) in page.words
    assert {f"#{id}" for id in page.ids} == set(page.links) == {f"#{rule.id}" for rule in pack.rules}
    assert not FROM_ELSEWHERE.search(text)
    assert all("scope" in header for header in page.headers)
    assert pack_page(pack, AT) == text


def test_what_a_pack_says_of_itself_is_text_and_never_markup(write_pack: Callable[..., Path]):
    rule = (
        '// <b>Own</b> & odd.\n//\n// See `place.control` <i>.\n@id("X.y") @title("a <script>alert(1)</script>") '
        '@cite("<img src=x>") @sure("text") @reviewed("2020-01-01") forbid (principal, action, resource);'
    )
    (pack,) = packs_named([str(write_pack(text=rule))])
    text = pack_page(pack, AT)
    assert "<script" not in text
    assert "<img" not in text
    assert "<code>place.control</code> &lt;i&gt;" in text
    page = Page(text)
    assert "a <script>alert(1)</script>" in page.words
    assert "Review dueX.y" in page.words
    assert "Next changenone known" in page.words


def test_a_coming_change_stands_on_the_page():
    (pack,) = packs_named(["eu_ai_act"])
    assert "Next change2027-12-02" in Page(pack_page(pack, AT)).words


@pytest.mark.parametrize("at", [AT, datetime(2024, 1, 5, tzinfo=UTC)], ids=["now", "before"])
def test_the_page_of_a_matrix_says_every_verdict_rule_and_flip(everything: Engine, at: datetime):
    facts = Facts.parse({"operator": {"type": "nonus_police"}, "place": {"country": "FR"}, "subject": {"minor": False}})
    found = matrix(everything, facts, at, source="dash <cam>")
    text = matrix_page(found)
    page = Page(text)
    assert not FROM_ELSEWHERE.search(text)
    assert all("scope" in header for header in page.headers)
    assert "What dash <cam> may do" in page.words
    numbers = {rule: str(number) for number, rule in enumerate(found.reasons, start=1)}
    rows = {"".join(row[0]): row for row in page.rows if row and "".join(row[0]) in ACTIONS}
    for action in ACTIONS:
        for service, cell in zip(SERVICES, rows[action][1:], strict=True):
            wanted = found.by_call[action, service]
            flips = [f for f in found.flips if (f.action, f.service) == (action, service)]
            assert cell[0] == wanted.verdict.value
            assert cell[1:2] == ([", ".join(numbers[rule] for rule in wanted.rules)] if wanted.rules else cell[1:2])
            assert sum(" from 20" in said for said in cell) == len(flips)
    for rule, number in numbers.items():
        reason = found.reasons[rule]
        assert any("".join(row[0]) == number and "".join(row[1]) == rule for row in page.rows)
        assert reason.cite in page.words
    for turn in found.turns:
        assert turn.why in page.words
    assert "nonus_police" in page.words
    assert "Evidence on file: none." in page.words


def test_the_page_of_a_matrix_names_records_faults_and_an_unknown_time(toy: Engine):
    record = {"type": "urgency_request", "issued": "2026-07-01T12:00:00Z", "delay_hours": 2}
    facts = Facts.parse({"evidence": [record], "capture": {"at": "2026-07-01T12:00:00Z"}})
    page = Page(matrix_page(matrix(toy, facts, datetime(2026, 6, 1, tzinfo=UTC))))
    assert "The guard could not judge some calls" in page.words
    assert "the guard failed" in page.words
    assert "type urgency_request, issued 2026-07-01T12:00:00Z" in page.words
    without = Page(matrix_page(matrix(toy, Facts(), None)))
    assert "no flip can be dated" in without.words
    assert "None is declared." in without.words


def test_the_page_of_a_matrix_that_allows_everything(write_pack: Callable[..., Path]):
    engine = Engine.load([write_pack('when { resource.mount.contains(Mount::"drone") }')])
    page = Page(matrix_page(matrix(engine, Facts.parse({"capture": {"mount": "fixed"}}), AT, source="door")))
    assert "No rule of the packs in use forbids anything here." in page.words
    assert "None within 2 years" in page.words


def test_a_page_is_written_whole_or_not_at_all(tmp_path: Path):
    write_page(tmp_path / "page.html", "é")
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == "é"
    with pytest.raises(GuardError, match="cannot be written"):
        write_page(tmp_path / "none" / "page.html", "")
    (tmp_path / "folder").mkdir()
    with pytest.raises(GuardError, match="cannot be written"):
        write_page(tmp_path / "folder", "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "page.html"]


def test_show_writes_the_page(run: Run, tmp_path: Path):
    status, out, _ = run("policy", "show", "openai", "--html", "openai.html")
    assert (status, out) == (0, "written: openai.html\n")
    assert "OAI.natsec" in Page((tmp_path / "openai.html").read_text()).words
    status, out, _ = run("policy", "show", "openai", "--html", "openai.html", "--json")
    assert (status, json.loads(out)["schema"]) == (0, "guard.policy-show/1")
    status, out, err = run("policy", "show", "openai", "--html", "no/such/openai.html")
    assert (status, out, err.count("\n")) == (1, "", 1)


def test_coverage_counts_every_rule_where_it_holds():
    packs = packs_named(["all"])
    places = {cover.of: cover for cover in by_place(packs)}
    assert "US-OR/Portland" in places["US"].parts
    assert "eu_ai_act" in places["EU"].packs
    assert not {"EU-Y", "US-OR"} & places.keys()
    assert list(places)[-1] == ANYWHERE
    services = {cover.of: cover for cover in by_service(packs)}
    assert services["openai"].packs == ("openai",)
    assert list(services)[-1] == ANY_SERVICE
    for covers in (places, services):
        told = {rule for cover in covers.values() for rule in cover.rules}
        assert told == {rule.id for pack in packs for rule in pack.rules}


def test_coming_changes_are_dated_and_named(write_pack: Callable[..., Path]):
    body = (
        'when { resource.at.to >= datetime("2027-01-01") && resource.at.from < datetime("2028-01-01") && '
        '(resource.mount.contains(Mount::"drone") || resource.at.to >= datetime("2027-06-01")) }'
    )
    packs = packs_named([str(write_pack(body))])
    assert [(f"{change.at:%Y-%m}", change.what) for change in coming(packs, AT)] == [
        ("2027-01", "begins"),
        ("2027-06", "changes"),
        ("2028-01", "ends"),
    ]
    assert coming(packs, datetime(2028, 1, 1, tzinfo=UTC)) == []


def test_list_says_what_is_covered_and_what_comes(run: Run):
    _, out, _ = run("policy", "list", "--json")
    said = json.loads(out)
    packs = packs_named(["all"])
    assert said["coverage"]["places"] == [cover.to_json() for cover in by_place(packs)]
    assert said["coverage"]["services"] == [cover.to_json() for cover in by_service(packs)]
    assert said["changes"] == [change.to_json() for change in coming(packs, datetime.now(UTC))]
    assert said["review_due"] == []
    status, out, _ = run("policy", "list")
    assert (status, "US-OR/Portland" in out, ANY_SERVICE in out) == (0, True, True)
    assert "Every rule was reviewed within the year." in out


def test_list_says_so_where_nothing_is_dated(run: Run, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("guard.cli.policy.coming", lambda packs, at: [])
    assert "No rule has a date that lies ahead." in run("policy", "list")[1]
