"""The report of a replay in a real browser: it opens, plays, seeks, filters, and reads on a phone, on paper, aloud."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from guard.cli import main
from tests.browser.conftest import serious

pytestmark = pytest.mark.browser
FILM = "document.getElementById('film')"
SAMPLES = Path(__file__).resolve().parents[2] / "samples"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The dash camera's clip, described: redacted where there are faces, allowed elsewhere; its name is markup."""
    made = tmp_path_factory.mktemp("report")
    clip = made / "<script>alert(1)<script>.mp4"
    shutil.copy(SAMPLES / "dashcam" / "clip.mp4", clip)
    config = SAMPLES / "dashcam" / "guard.toml"
    call = ["--action", "vlm_describe", "--service", "openai"]
    assert main(["replay", str(clip), "--config", str(config), *call, "--out", str(made / "out")]) == 0
    return made / "out"


@pytest.fixture
def report(page: Any, folder: Path) -> Any:
    page.goto((folder / "report.html").as_uri())
    until(page, f"{FILM}.readyState >= 1")
    return page


def until(report: Any, condition: str) -> None:
    """Waits until the expression is true. Playwright's own waiting evaluates text, which the page's policy forbids."""
    end = time.monotonic() + 10
    while not report.evaluate(condition):
        assert time.monotonic() < end, f"{condition}: {report.locator('#now').inner_text()}"
        time.sleep(0.05)


def playing_at(report: Any, at_s: float) -> None:
    until(report, f"!{FILM}.seeking && Math.abs({FILM}.currentTime - {at_s}) < 0.2")


def test_it_opens_without_a_word_on_the_console(page: Any, folder: Path):
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.goto((folder / "report.html").as_uri())
    until(page, f"{FILM}.readyState >= 1")
    assert said == []


def test_a_name_with_markup_is_only_a_name(report: Any):
    assert "<script>alert(1)<script>.mp4" in report.locator("h1").inner_text()
    assert report.locator("script").count() == 2
    width = report.evaluate(f"{FILM}.videoWidth")
    assert 0 < width <= 640


def test_a_click_on_the_timeline_seeks_the_film(report: Any):
    report.locator("#place").scroll_into_view_if_needed()
    box = report.locator("#place").bounding_box()
    report.mouse.click(box["x"] + box["width"] * 0.75, box["y"] + box["height"] / 2)
    playing_at(report, 6.0)
    assert report.locator("#now").inner_text().startswith(("0:05.9", "0:06.0"))


def test_the_keyboard_seeks_and_plays(report: Any):
    report.locator("#place").focus()
    for _ in range(20):
        report.keyboard.press("ArrowRight")
    at_s = report.evaluate("Number(document.getElementById('place').value)")
    assert at_s > 1
    playing_at(report, at_s)
    said = report.locator("#place").get_attribute("aria-valuetext")
    assert said == report.locator("#now").inner_text()
    assert "face" in said
    report.keyboard.press("End")
    playing_at(report, 8.0)
    report.keyboard.press("Home")
    playing_at(report, 0.0)
    report.keyboard.press(" ")
    until(report, f"{FILM}.currentTime > 0.2")
    report.keyboard.press(" ")
    until(report, f"{FILM}.paused")


def test_a_row_of_the_table_seeks_to_where_it_begins(report: Any):
    button = report.locator("#stretches button").nth(1)
    button.click()
    playing_at(report, float(button.get_attribute("data-seek")))


def test_the_stretches_are_filtered_by_outcome_and_by_rule(report: Any):
    rows = report.locator("#stretches tbody tr")
    number = rows.count()
    redacted = report.locator('#stretches tr[data-outcome="redact"]').count()
    assert 0 < redacted < number
    report.get_by_role("checkbox", name="allowed").uncheck()
    assert report.locator("#stretches tbody tr:visible").count() == redacted
    assert report.locator("#shown").inner_text() == f"{redacted} of {number} shown"
    assert report.locator("rect.off").count() == number - redacted
    report.get_by_role("checkbox", name="redacted").uncheck()
    assert report.locator("#stretches tbody tr:visible").count() == 0
    report.get_by_role("checkbox", name="allowed").check()
    report.get_by_role("checkbox", name="redacted").check()
    report.get_by_role("combobox", name="Rule").select_option(index=1)
    assert report.locator("#stretches tbody tr:visible").count() == redacted


@pytest.mark.parametrize("width", [360, 600, 850])
def test_a_narrow_screen_never_scrolls_sideways(report: Any, width: int):
    report.set_viewport_size({"width": width, "height": 740})
    assert report.evaluate("document.documentElement.scrollWidth") <= width


def test_on_paper_there_is_every_row_and_no_film(report: Any):
    report.get_by_role("checkbox", name="allowed").uncheck()
    number = report.locator("#stretches tbody tr").count()
    report.emulate_media(media="print")
    assert not report.locator("#film").is_visible()
    assert not report.locator("#place").is_visible()
    assert report.locator("#stretches tbody tr:visible").count() == number
    table = report.locator("#stretches")
    assert table.evaluate("each => each.scrollHeight <= each.clientHeight + 1")
    assert report.pdf(prefer_css_page_size=True)[:5] == b"%PDF-"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_axe_finds_nothing_serious(report: Any, scheme: str, width: int):
    report.set_viewport_size({"width": width, "height": 740})
    report.emulate_media(color_scheme=scheme)
    assert serious(report) == []


def test_its_policy_stops_a_script_that_is_not_its_own(report: Any):
    refused: list[str] = []
    report.on("console", lambda message: refused.append(message.text))
    report.evaluate(
        "() => { const one = document.createElement('script'); one.textContent = 'window.ran = true';"
        " document.body.append(one); }"
    )
    assert report.evaluate("window.ran") is None
    assert any("Content Security Policy" in text for text in refused)
