"""axe-core, in each part of the page."""

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.e2e.browsing import NARROW, Watched, as_upload, encoded, expect_state


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(watched: Watched, spoken: Path, scheme: str) -> None:
    page = watched.page
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    expect_nothing_serious(page)
    page.locator("#file").set_input_files(as_upload("spoken.wav", encoded(spoken, "WAV")))
    page.get_by_role("button", name="Translate").click()
    expect_state(page, "done")
    expect_nothing_serious(page)
    page.set_viewport_size(NARROW)
    for part in ("Live", "History", "Voices"):
        page.get_by_role("link", name=part).click()
        if part == "History":
            page.locator("#history-list summary").first.click()
            expect(page.locator("#history-list .player .whole").first).not_to_be_empty()
        expect_nothing_serious(page)


def expect_nothing_serious(page: Page) -> None:
    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    serious = [each for each in found if each["impact"] in ("serious", "critical")]
    assert not serious, [(each["id"], node["html"]) for each in serious for node in each["nodes"]]
