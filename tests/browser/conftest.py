"""A headless Chromium for the pages: `make test-browser` runs these; elsewhere they are skipped, saying so."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright axe-playwright-python")

# Without these Chromium asks for updates and look-ups of its own at every start.
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Debian's Chromium, or the one that GUARD_CHROMIUM names."""
    path = os.environ.get("GUARD_CHROMIUM") or shutil.which("chromium")
    if path is None:
        pytest.skip("no chromium: apt-get install chromium, or name one in GUARD_CHROMIUM")
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=path, headless=True, args=list(QUIET))
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A page that fails its test when a script throws or the page reaches for anything but loopback or a file."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    opened = context.new_page()
    errors: list[str] = []
    strangers: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))

    def asked(request: Any) -> None:
        if not request.url.startswith(("file:", "data:", "blob:", "about:", "http://127.0.0.1", "http://localhost")):
            strangers.append(request.url)

    context.on("request", asked)
    yield opened
    context.close()
    assert not errors, errors
    assert not strangers, strangers


def serious(page: Any) -> list[str]:
    """What axe finds on the page that is serious or critical: one line each."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="pip install axe-playwright-python")
    found = axe.Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {one['help']} ({node['target']})"
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]
