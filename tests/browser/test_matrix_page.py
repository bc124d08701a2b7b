"""The page that `guard policy matrix --html` writes, in a real browser."""

from __future__ import annotations

from pathlib import Path

import pytest

from guard.cli import main
from tests.browser.conftest import serious

pytestmark = pytest.mark.browser
SAMPLES = Path(__file__).resolve().parents[2] / "samples"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_matrix_page_opens_and_axe_finds_nothing_serious(page, tmp_path, scheme):
    html = tmp_path / "matrix.html"
    assert main(["policy", "matrix", "--config", str(SAMPLES / "bodycam" / "guard.toml"), "--html", str(html)]) == 0
    page.emulate_media(color_scheme=scheme)
    page.goto(html.as_uri())
    assert page.locator("table").count() >= 1
    assert serious(page) == []
