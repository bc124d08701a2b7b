"""The live page in a real browser: it opens, shows a blocked call at once, filters, survives, and all can use it."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from guard.testing import FakeDetector
from guard.watch import app, feeds
from guard.watch.runs import Attempt
from tests.browser.conftest import serious
from tests.conftest import OFFICE, POLICE
from tests.watch.running import IDENTIFY, served, wait_for, write_noise

pytestmark = pytest.mark.browser

PACKS = ("microsoft_ai_code", "microsoft_azure_openai_2024", "microsoft_azure_face")
POLICE_SOURCE = POLICE[POLICE.index("[[source]]") :]
TWO = OFFICE.partition("[[source.evidence]]")[0] + POLICE_SOURCE.replace(
    'id = "bodycam"', 'id = "bodycam"\noperator = { type = "us_police", country = "US" }'
)
SIXTEEN = POLICE.partition("[[source]]")[0] + "".join(
    POLICE_SOURCE.replace('"bodycam"', f'"camera-{number:02}"') for number in range(16)
)
HINGES = Attempt("vlm_describe", "azure_openai")
SECONDS = 1000
"""A second in the milliseconds of a browser's timeouts."""


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_noise(tmp_path / "clip.mp4")


def tile(page, id):
    return page.locator(".tile", has=page.get_by_role("button", name=id, exact=True))


def lines(page, outcome=""):
    return page.locator(f"#runs li{'.' + outcome if outcome else ''}:visible")


def test_it_opens_from_the_printed_address_and_the_token_is_gone(page, make_guard, clip):
    with served(make_guard(TWO, packs=PACKS), {"door": clip, "bodycam": clip}) as live:
        page.goto(live.url)
        assert "token" not in page.url
        assert page.title() == "guard watch"
        page.get_by_text("live", exact=True).wait_for()
        tile(page, "bodycam").locator(".badge.deny").wait_for()
        picture = tile(page, "bodycam").locator("img")
        picture.wait_for()
        assert picture.evaluate("image => image.naturalWidth") > 0
        lines(page, "deny").first.wait_for()
        assert "Microsoft" in lines(page, "deny").first.inner_text()


def test_a_blocked_call_is_shown_within_two_seconds_of_its_happening(page, make_guard, clip):
    boxes: list[list[int]] = []
    blocked_s: list[float] = []

    def look(picture):
        if boxes and not blocked_s:
            blocked_s.append(time.monotonic())
        return boxes

    g = make_guard(packs=PACKS, detector=FakeDetector(look))
    with served(g, {"bodycam": clip}, [HINGES]) as live:
        page.goto(live.url)
        tile(page, "bodycam").locator(".badge.allow").wait_for()
        boxes.append([40, 30, 80, 80])
        page.locator("#runs li.redact").wait_for(timeout=10 * SECONDS)
        assert time.monotonic() - blocked_s[0] < 2.0
        tile(page, "bodycam").locator(".badge.redact").wait_for()


def test_it_filters_by_name_and_by_outcome(page, make_guard, clip):
    with served(make_guard(TWO, packs=PACKS), {"door": clip, "bodycam": clip}, [Attempt("identify", "openai")]) as live:
        page.goto(live.url)
        tile(page, "door").locator(".badge").wait_for()
        page.get_by_label("Source", exact=True).fill("BODY")
        tile(page, "door").wait_for(state="hidden")
        assert tile(page, "bodycam").is_visible()
        assert set(page.locator("#runs li:visible .source").all_inner_texts()) == {"bodycam"}
        page.get_by_role("button", name="Show all").click()
        tile(page, "door").wait_for()
        page.get_by_role("checkbox", name="fault").check()
        page.get_by_text("No source fits the filter.").wait_for()
        page.get_by_text("No decision fits the filter.").wait_for()


def test_the_detail_says_why_and_what_would_lift_it(page, make_guard, clip):
    text = OFFICE.partition("[[source.evidence]]")[0]
    with served(make_guard(text, packs=PACKS), {"door": clip}, [Attempt("identify", "azure_face")]) as live:
        page.goto(live.url)
        page.get_by_role("button", name="door", exact=True).first.click()
        detail = page.locator("#detail")
        detail.get_by_text("limited_access_approval").wait_for()
        said = detail.inner_text()
        assert "What would lift it" in said
        assert "Forbidden by" in said
        assert "capture.mount" in said
        assert page.url.endswith("?source=door")
        page.keyboard.press("Escape")
        detail.wait_for(state="hidden")


def test_a_reload_keeps_what_was_chosen_and_what_was_decided(page, make_guard, clip):
    with served(make_guard(TWO, packs=PACKS), {"door": clip, "bodycam": clip}) as live:
        page.goto(live.url)
        page.get_by_role("checkbox", name="deny").check()
        page.get_by_label("Source", exact=True).fill("b")
        tile(page, "bodycam").click()
        page.locator("#detail").wait_for()
        lines(page).first.wait_for()
        number = lines(page).count()
        page.reload()
        page.locator("#detail").get_by_role("heading", name="bodycam").wait_for()
        wait_for(lambda: lines(page).count() >= number)
        assert page.get_by_role("checkbox", name="deny").is_checked()
        assert page.get_by_label("Source", exact=True).input_value() == "b"
        assert tile(page, "door").is_hidden()


def test_a_source_that_dies_is_shown_as_stalled_and_comes_back(page, make_guard, tmp_path, clip, monkeypatch):
    monkeypatch.setattr(feeds, "_FIRST_RETRY_S", 0.05)
    monkeypatch.setattr(feeds, "_LONGEST_RETRY_S", 0.1)
    dying = write_noise(tmp_path / "dying.mp4", frames=6)
    data = dying.read_bytes()
    with served(make_guard(TWO, packs=PACKS), {"door": dying, "bodycam": clip}) as live:
        page.goto(live.url)
        tile(page, "door").locator("img").wait_for()
        dying.unlink()
        page.locator(".banner.stalled", has_text="door").wait_for()
        tile(page, "door").get_by_text(re.compile("^Stalled: ")).wait_for()
        assert tile(page, "bodycam").locator("img").is_visible()
        dying.write_bytes(data)
        page.locator(".banner.stalled").wait_for(state="detached")


def test_where_the_detector_fails_no_picture_is_shown(page, make_guard, clip):
    g = make_guard(packs=PACKS, detector=FakeDetector(error=RuntimeError("broken")))
    with served(g, {"bodycam": clip}, [HINGES]) as live:
        page.goto(live.url)
        tile(page, "bodycam").get_by_text(re.compile("No picture: .*the detector raised RuntimeError")).wait_for()
        assert tile(page, "bodycam").locator("img").is_hidden()
        page.locator(".banner.fault", has_text="bodycam").wait_for()


def test_a_source_of_which_nothing_new_is_said_can_be_opened_again(page, make_guard, tmp_path, monkeypatch):
    monkeypatch.setattr(feeds, "_FIRST_RETRY_S", 60.0)
    dying = write_noise(tmp_path / "dying.mp4", frames=6)
    with served(make_guard(packs=PACKS), {"bodycam": dying}) as live:
        page.goto(live.url)
        tile(page, "bodycam").locator("img").wait_for()
        dying.unlink()
        page.locator(".banner.stalled").wait_for()
        for _ in range(2):
            page.get_by_role("button", name="bodycam", exact=True).first.click()
            page.locator("#detail").get_by_text("Forbidden by").wait_for()
            page.get_by_role("button", name="Close").click()
            page.locator("#detail").wait_for(state="hidden")


def test_more_calls_take_neither_the_focus_nor_what_was_unfolded(page, make_guard, clip):
    with served(make_guard(packs=PACKS), {"bodycam": clip}) as live:
        page.goto(live.url + "&source=bodycam")
        facts = page.locator("#detail summary", has_text="Facts of the file")
        facts.wait_for()
        facts.click()
        before = page.locator("#detail .verdict .soft").first.inner_text()
        node = facts.element_handle()
        wait_for(lambda: page.locator("#detail .verdict .soft").first.inner_text() != before)
        assert node.evaluate("summary => summary.isConnected && summary === document.activeElement")
        assert page.get_by_text("us_police").is_visible()


@pytest.mark.parametrize("name", ["constructor", "__proto__"])
def test_an_address_that_names_no_source_opens_none(page, make_guard, clip, name):
    with served(make_guard(packs=PACKS), {"bodycam": clip}) as live:
        page.goto(live.url + f"&source={name}")
        tile(page, "bodycam").locator(".badge.deny").wait_for()
        assert page.locator("#detail").is_hidden()


@pytest.mark.parametrize("name", ["constructor", "__proto__"])
def test_a_source_may_be_called_like_what_objects_inherit(page, make_guard, clip, name):
    with served(make_guard(POLICE.replace('"bodycam"', f'"{name}"'), packs=PACKS), {name: clip}) as live:
        page.goto(live.url)
        tile(page, name).locator(".badge.deny").wait_for()
        assert page.locator("#summary").inner_text().startswith("1 source, ")
        assert page.locator(".chip.deny b").inner_text() == "1"


def test_what_was_decided_while_the_stream_was_held_is_not_lost(page, make_guard, clip):
    """A run of which more calls came again and again takes no other run's place."""
    run = "{run, source: 'held', outcome: 'deny', enforced: true, rules: ['R'], title: 't', cite: 'c', count: 1,"
    run += " action: 'identify', service: 's', first: '2026-01-01T00:00:00Z', last: '2026-01-01T00:00:00Z'}"
    with served(make_guard(packs=PACKS), {"bodycam": clip}) as live:
        page.goto(live.url)
        lines(page).first.wait_for()
        page.get_by_role("button", name="Pause").click()
        page.evaluate(
            "import('/static/runs.js').then(({ takeRuns }) => { const run = 1e6; takeRuns(["
            + run
            + "]); for (let again = 0; again < 400; again += 1) { const run = 1e6 + 1; takeRuns(["
            + run
            + "]); } })"
        )
        page.get_by_role("button", name="Go on").click()
        page.locator("#runs .source", has_text="held").nth(1).wait_for()


def test_the_banner_of_a_fault_that_comes_and_goes_stands_still(page, make_guard, clip):
    looks = 0

    def look(picture):
        nonlocal looks
        looks += 1
        if looks % 10 == 0:
            raise RuntimeError("broken")
        return []

    with served(make_guard(packs=PACKS, detector=FakeDetector(look)), {"bodycam": clip}, [HINGES]) as live:
        page.goto(live.url)
        page.locator(".banner.fault", has_text="bodycam").wait_for()
        node = page.locator(".banner.fault").element_handle()
        seen = looks
        wait_for(lambda: looks > seen + 30)
        assert node.evaluate("banner => banner.isConnected")


@pytest.mark.parametrize("mode", ["enforce", "shadow"])
def test_a_tile_is_as_high_whatever_the_verdict_and_nothing_of_it_is_cut(page, make_guard, clip, mode):
    boxes: list[list[int]] = []
    text = f'[policy]\nmode = "{mode}"\n' + POLICE
    g = make_guard(text, packs=PACKS, detector=FakeDetector(lambda _: boxes))
    with served(g, {"bodycam": clip}, [HINGES]) as live:
        page.goto(live.url)
        tile(page, "bodycam").locator(".badge.allow").wait_for()
        allowed = tile(page, "bodycam").bounding_box()["height"]
        boxes.append([40, 30, 80, 80])
        tile(page, "bodycam").locator(".badge.redact").wait_for()
        if mode == "enforce":
            assert tile(page, "bodycam").bounding_box()["height"] == allowed
        for each in tile(page, "bodycam").locator(".calls li, .calls span").all():
            assert each.evaluate("node => node.scrollWidth <= node.clientWidth + 1")


def test_on_a_phone_the_head_of_the_page_keeps_its_height(page, make_guard, clip):
    page.set_viewport_size({"width": 390, "height": 844})
    with served(make_guard(packs=PACKS), {"bodycam": clip}) as live:
        page.goto(live.url)
        tile(page, "bodycam").wait_for()
        texts = ("1 source, 4 frames analysed a second", "16 sources, 104 frames analysed a second")
        heights = [
            page.evaluate(
                "text => { document.getElementById('summary').textContent = text;"
                " return document.querySelector('.top').offsetHeight; }",
                text,
            )
            for text in texts
        ]
        assert heights[0] == heights[1]


def test_shadow_mode_is_on_a_banner(page, make_guard, clip):
    g = make_guard('[policy]\nmode = "shadow"\n' + POLICE, packs=PACKS)
    with served(g, {"bodycam": clip}) as live:
        page.goto(live.url)
        page.locator(".banner.shadow").wait_for()
        tile(page, "bodycam").get_by_text("deny, not enforced").wait_for()


def test_a_browser_too_many_waits_for_a_place(page, make_guard, clip, monkeypatch):
    monkeypatch.setattr(app, "MOST_STREAMS", 0)
    with served(make_guard(packs=PACKS), {"bodycam": clip}) as live:
        page.goto(live.url)
        page.locator(".banner.fault", has_text="Too many look on").wait_for()
        monkeypatch.setattr(app, "MOST_STREAMS", 1)
        tile(page, "bodycam").locator(".badge.deny").wait_for()
        page.locator(".banner.fault").wait_for(state="detached")


def test_a_browser_without_access_is_told_so(page, make_guard, clip):
    with served(make_guard(packs=PACKS), {"bodycam": clip}) as live:
        page.goto(live.url)
        tile(page, "bodycam").wait_for()
        page.context.clear_cookies()
        live.watching.board.close()  # ends the stream, so that the browser asks for another
        page.locator(".banner.fault", has_text="No access").wait_for()


def test_a_server_that_ends_is_said(page, make_guard, clip):
    with served(make_guard(packs=PACKS), {"bodycam": clip}) as live:
        page.goto(live.url)
        tile(page, "bodycam").wait_for()
    page.locator(".banner.fault", has_text="No connection").wait_for()


def test_sixteen_sources_are_all_there(page, make_guard, clip):
    g = make_guard(SIXTEEN, packs=PACKS)
    with served(g, dict.fromkeys(g.sources, clip), rate=2.0) as live:
        page.goto(live.url)
        page.locator(".tile .badge.deny").nth(15).wait_for()
        assert page.locator(".tile").count() == 16
        page.locator(".tile").last.scroll_into_view_if_needed()
        page.locator(".tile").last.locator("img").wait_for()


def test_the_decisions_can_be_held_still(page, make_guard, clip):
    boxes: list[list[int]] = []
    with served(make_guard(packs=PACKS, detector=FakeDetector(lambda _: boxes)), {"bodycam": clip}, [HINGES]) as live:
        page.goto(live.url)
        lines(page, "allow").wait_for()
        page.get_by_role("button", name="Pause").click()
        boxes.append([40, 30, 80, 80])
        tile(page, "bodycam").locator(".badge.redact").wait_for()
        assert lines(page, "redact").count() == 0
        page.get_by_role("button", name="Go on").click()
        lines(page, "redact").wait_for()


def test_the_keyboard_is_enough(page, make_guard, clip):
    with served(make_guard(TWO, packs=PACKS), {"door": clip, "bodycam": clip}) as live:
        page.goto(live.url)
        tile(page, "bodycam").wait_for()
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.id") == "find"
        for _ in range(6):
            page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "door"
        page.keyboard.press("Enter")
        page.locator("#detail").get_by_role("heading", name="door").wait_for()
        assert page.evaluate("document.activeElement.id") == "detail"
        page.keyboard.press("Escape")
        assert page.evaluate("document.activeElement.textContent") == "door"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing_serious(page, make_guard, tmp_path, clip, scheme, width):
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    text = '[policy]\nmode = "shadow"\n' + TWO
    gone = write_noise(tmp_path / "gone.mp4", frames=6)
    with served(make_guard(text, packs=PACKS), {"door": gone, "bodycam": clip}, [IDENTIFY, HINGES]) as live:
        page.goto(live.url)
        tile(page, "bodycam").locator("img").wait_for()
        gone.unlink()
        page.locator(".banner.stalled").wait_for()
        page.goto(page.url + "?source=bodycam&show=deny&show=stalled")
        page.locator("#detail").get_by_text("Forbidden by").first.wait_for()
        assert serious(page) == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
