"""Who may read the page: the token, the cookie for it, the name of the server, and no other site."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("uvicorn", reason="the live page needs frguard[watch]")

from guard.watch.access import HEADERS, Rules, is_loopback
from tests.conftest import POLICE
from tests.watch.running import Page, served, write_noise


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    import guard
    from guard.testing import FakeDetector, MemoryLedger

    folder = tmp_path_factory.mktemp("access")
    config = folder / "guard.toml"
    config.write_text(POLICE)
    clip = write_noise(folder / "clip.mp4")
    with (
        guard.load(
            folder / "guard.toml", packs=["microsoft_ai_code"], detector=FakeDetector(), ledger=MemoryLedger()
        ) as g,
        served(g, {"bodycam": clip}) as page,
    ):
        yield page


PATHS = ("/", "/static/watch.js", "/events", "/sources/bodycam", "/pictures/bodycam", "/nothing")


@pytest.mark.parametrize("path", PATHS)
def test_nothing_is_shown_without_the_cookie(page: Page, path):
    reply = Page(page.watching, page.url).ask(path)
    assert reply.status == 401
    assert b"bodycam" not in reply.body


def test_the_token_is_exchanged_for_a_cookie_and_leaves_the_address(page: Page):
    token = page.url.partition("token=")[2]
    reply = page.ask(f"/?source=bodycam&token={token}")
    assert (reply.status, reply.headers["location"]) == (303, "/?source=bodycam")
    cookie = reply.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert re.search("SameSite=strict", cookie, re.IGNORECASE)
    assert token not in cookie
    inside = Page(page.watching, page.url, cookie.partition(";")[0])
    assert inside.ask("/").status == 200


@pytest.mark.parametrize("token", ["", "wrong", "ä"])
def test_a_wrong_token_lets_nobody_in(page: Page, token):
    from urllib.parse import quote

    reply = page.ask(f"/?token={quote(token)}")
    assert reply.status == 401
    assert "set-cookie" not in reply.headers


def test_a_wrong_cookie_lets_nobody_in(page: Page):
    name = Page(page.watching, page.url).enter().cookie.partition("=")[0]
    assert Page(page.watching, page.url, f"{name}=wrong").ask("/").status == 401


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "", "localhost.evil:{port}"]
)
def test_a_name_that_is_not_the_servers_is_refused(page: Page, host):
    inside = Page(page.watching, page.url).enter()
    reply = inside.ask("/", {"host": host.format(port=page.address.rpartition(":")[2])})
    assert reply.status == 421


def test_localhost_is_a_name_of_the_server(page: Page):
    inside = Page(page.watching, page.url).enter()
    assert inside.ask("/", {"host": f"LOCALHOST:{page.address.rpartition(':')[2]}"}).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "http://evil.example"},
        {"origin": "null"},
    ],
)
def test_another_site_gets_nothing_even_with_the_cookie(page: Page, headers):
    inside = Page(page.watching, page.url).enter()
    reply = inside.ask("/sources/bodycam", headers)
    assert reply.status == 403
    assert "access-control-allow-origin" not in reply.headers


def test_the_page_itself_may_ask(page: Page):
    inside = Page(page.watching, page.url).enter()
    headers = {"sec-fetch-site": "same-origin", "origin": f"http://{page.address}"}
    assert inside.ask("/sources/bodycam", headers).status == 200


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_bears_the_safe_headers(page: Page, path):
    inside = Page(page.watching, page.url).enter()
    for asker, paths in ((inside, [path] if path != "/events" else []), (Page(page.watching, page.url), [path])):
        for each in paths:
            headers = asker.ask(each).headers
            assert {name: headers.get(name) for name in HEADERS} == HEADERS


def test_the_policy_of_contents_lets_nothing_in_from_elsewhere():
    policy = HEADERS["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy


def test_the_files_of_the_page_need_nothing_that_the_policy_forbids(page: Page):
    text = Page(page.watching, page.url).enter().ask("/").body.decode()
    assert not re.search(r"<style|\sstyle=|<script(?![^>]*\ssrc=)|\son\w+=|https?://", text)


def test_only_get_is_answered(page: Page):
    inside = Page(page.watching, page.url).enter()
    assert inside.ask("/sources/bodycam", method="POST").status == 405


def test_two_pages_on_one_machine_do_not_take_each_others_cookies():
    assert Rules("127.0.0.1", 1).cookie != Rules("127.0.0.1", 2).cookie


def test_without_a_token_only_this_machine_may_read():
    assert Rules("127.0.0.1", 8470, with_token=False).is_session("")
    with pytest.raises(ValueError, match="only this machine"):
        Rules("0.0.0.0", 8470, with_token=False)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("pc", False)],
)
def test_what_only_this_machine_can_reach(host, loopback):
    assert is_loopback(host) is loopback


@pytest.mark.parametrize("host", ["127.0.0.2", "::1", "localhost", "PC.local"])
def test_it_answers_to_the_name_under_which_it_listens(host):
    assert Rules(host, 8470).answers_to(f"{f'[{host}]' if ':' in host else host}:8470")


def test_where_others_may_reach_it_an_address_will_do_and_a_strange_name_will_not():
    rules = Rules("0.0.0.0", 8470)
    assert rules.answers_to("192.0.2.7:8470")
    assert rules.answers_to("[2001:db8::1]:8470")
    assert not rules.answers_to("evil.example:8470")
    assert not Rules("127.0.0.1", 8470).answers_to("192.0.2.7:8470")
