"""What the page keeps and shows again: messages of before, and voices; in a real browser, against the real service."""

import re
from pathlib import Path

import pytest
import soundfile
from playwright.sync_api import Locator, Page, Route, expect

from tests.e2e.browsing import (
    NARROW,
    Watched,
    as_upload,
    bar_heights,
    encoded,
    expect_plays,
    expect_state,
    fits_its_width,
    seconds_of,
)


def translate(page: Page, spoken: Path) -> str:
    """The text that a chosen file is translated into."""
    page.get_by_label("be heard in").select_option("es")
    page.locator("#file").set_input_files(as_upload("spoken.wav", encoded(spoken, "WAV")))
    expect_state(page, "ready")
    page.get_by_role("button", name="Translate").click()
    expect_state(page, "done")
    return page.locator("#translated").inner_text()


def show(page: Page, part: str) -> None:
    page.get_by_role("link", name=part).click()


def downloaded(page: Page, link: Locator, path: Path) -> float:
    """Seconds of what a link gives."""
    with page.expect_download() as download:
        link.click()
    download.value.save_as(path)
    return float(soundfile.info(path).duration)


def test_a_message_of_before_has_both_recordings(watched: Watched, spoken: Path, tmp_path: Path) -> None:
    page = watched.page
    text = translate(page, spoken)
    show(page, "History")
    entry = page.locator("#history-list > li").first
    expect(entry.locator("summary")).to_contain_text(text)
    expect(entry.locator("summary")).to_contain_text("English → Spanish")
    entry.locator("summary").click()
    for side in (".mine", ".theirs"):
        player = f"#history-list > li:first-child {side} .player"
        expect(page.locator(f"{player} .whole")).not_to_be_empty()
        assert bar_heights(page, player) > 10
        expect_plays(page, player)
    original = entry.get_by_role("link", name="Download what was said")
    assert downloaded(page, original, tmp_path / "original.wav") == pytest.approx(seconds_of(spoken), abs=0.01)
    assert downloaded(page, entry.get_by_role("link", name="Download the translation"), tmp_path / "answer.wav") > 0.5

    page.set_viewport_size(NARROW)
    assert fits_its_width(page)
    page.reload()  # now the page has no recordings of its own
    expect(entry.locator("summary")).to_contain_text(text)
    entry.locator("summary").press("Enter")
    expect(entry.locator(".mine")).to_contain_text("Its recording is gone")
    expect(entry.get_by_role("link", name="Download the translation")).to_be_visible()

    entries = page.locator("#history-list > li")
    shown = entries.count()  # other tests' messages, too
    with page.expect_response(lambda response: response.request.method == "DELETE") as deleted:
        entry.get_by_role("button", name="Delete").click()
    assert deleted.value.status == 204
    expect(entries).to_have_count(shown - 1)
    assert page.request.get(deleted.value.url).status == 404


def test_a_history_that_cannot_be_had_can_be_asked_for_again(watched: Watched) -> None:
    page, away = watched.page, "**/api/v1/voice/jobs?*"
    page.route(away, _refuse)
    show(page, "History")
    expect(page.locator("#history-notice")).to_contain_text("The server cannot be reached")
    page.unroute(away)
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("#history-notice")).to_be_empty()
    watched.complaints.clear()  # the browser tells of what did not come


def _refuse(route: Route) -> None:
    route.abort()


def test_a_token_that_the_server_wants_is_asked_for_and_sent(watched: Watched) -> None:
    page = watched.page
    sent: list[str | None] = []

    def answer(route: Route) -> None:
        sent.append(route.request.headers.get("authorization"))
        problem = {"title": "A valid token is required", "detail": "Send one.", "code": "unauthenticated"}
        allowed = sent[-1] == "Bearer a.b.c"
        route.fulfill(
            json={"jobs": [failed("mine")], "next_cursor": None} if allowed else problem, status=200 if allowed else 401
        )

    page.route("**/api/v1/voice/jobs?*", answer)
    show(page, "History")
    page.get_by_label("Access token").fill("a.b.c")
    page.keyboard.press("Enter")
    expect(page.locator("#history-list > li")).to_have_text([re.compile("mine failed")])
    expect(page.locator("#history-notice")).to_be_empty()
    assert sent == [None, "Bearer a.b.c"]
    watched.complaints.clear()  # the browser tells of every answer that is an error


def test_older_messages_are_shown_a_page_at_a_time(watched: Watched) -> None:
    page = watched.page
    pages = {
        None: {"jobs": [failed("new")], "next_cursor": "older"},
        "older": {"jobs": [failed("old")], "next_cursor": None},
    }

    def answer(route: Route) -> None:
        cursor = re.search(r"cursor=(\w+)", route.request.url)
        route.fulfill(json=pages[cursor[1] if cursor else None])

    page.route("**/api/v1/voice/jobs?*", answer)
    show(page, "History")
    expect(page.locator("#history-list > li")).to_have_count(1)
    page.get_by_role("button", name="Show older ones").click()
    expect(page.locator("#history-list > li")).to_have_text([re.compile("new failed"), re.compile("old failed")])
    expect(page.get_by_role("button", name="Show older ones")).to_be_hidden()


def failed(name: str) -> dict[str, object]:
    return {
        "job_id": name,
        "status": "failed",
        "source_language": None,
        "target_language": "es",
        "error": {"title": f"{name} failed"},
        "created_at": "2026-11-28T10:00:00Z",
    }


def test_a_voice_is_recorded_heard_renamed_and_deleted(watched: Watched, spoken: Path) -> None:
    page = watched.page
    show(page, "Voices")
    keep = page.get_by_role("button", name="Keep this voice")
    keep.click()
    expect(page.locator("#voice-notice")).to_contain_text("There is no recording yet")
    page.get_by_role("button", name="Record a voice").click()
    page.wait_for_timeout(seconds_of(spoken) * 1000)
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("#voice-player .whole")).not_to_be_empty()
    expect_plays(page, "#voice-player")
    page.get_by_label("Name", exact=True).fill("Ana")
    keep.click()
    expect(page.locator("#voice-notice")).to_contain_text("agreement is missing")
    statement = page.locator("#voice-statement").inner_text()
    page.get_by_label(statement).check()
    with page.expect_response("**/api/v1/voice/profile") as kept:
        keep.click()
    assert kept.value.json()["consent"]["statement"] == statement

    entry = page.locator("#voices-list > li").first
    expect(entry.get_by_role("heading")).to_have_text("Ana")
    expect(entry).to_contain_text("with agreement")
    entry.get_by_role("button", name="Listen to Ana").click()
    expect(entry.locator(".player")).to_be_visible()
    assert bar_heights(page, "#voices-list > li:first-child .player") > 10

    entry.get_by_role("button", name="Rename Ana").click()
    page.get_by_label("New name").fill("Ana at work")
    page.keyboard.press("Enter")
    expect(entry.get_by_role("heading")).to_have_text("Ana at work")
    page.set_viewport_size(NARROW)
    assert fits_its_width(page)

    page.once("dialog", lambda dialog: dialog.accept())
    entry.get_by_role("button", name="Delete Ana at work").click()
    expect(page.locator("#voices-list")).not_to_contain_text("Ana")
    expect(page.get_by_role("heading", name="Voices that are kept")).to_be_focused()


def test_a_deletion_that_is_not_confirmed_does_nothing(watched: Watched) -> None:
    page = watched.page
    profile = {
        "profile_id": "b" * 32,
        "name": None,
        "created_at": "2026-11-28T10:00:00Z",
        "duration_seconds": 9.6,
        "consent": None,
        "verified": False,
    }
    page.route("**/api/v1/voice/profiles", lambda route: route.fulfill(json={"profiles": [profile]}))
    show(page, "Voices")
    entry = page.locator("#voices-list > li")
    expect(entry).to_contain_text("10 s of speech, without agreement on record")
    page.once("dialog", lambda dialog: dialog.dismiss())
    before = len(watched.requests)
    entry.get_by_role("button", name="Delete A voice without a name").click()
    expect(entry).to_have_count(1)
    assert len(watched.requests) == before
