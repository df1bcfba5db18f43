"""The page in a real browser, against the real service: a fake microphone plays a spoken WAV."""

import io
import re
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from playwright.sync_api import Browser, Route, expect

from src.utils.words import wrong_words
from tests.e2e.browsing import (
    NARROW,
    Watched,
    as_upload,
    bar_heights,
    contrast,
    encoded,
    expect_plays,
    expect_state,
    fits_its_width,
    luminance,
    position,
    record,
    seconds_of,
    watch_stages,
)

STAGES = ["preprocessing", "transcription", "translation", "voice_cloning", "postprocessing"]


def test_a_recorded_message_is_translated_and_both_recordings_play(
    watched: Watched, spoken: Path, sentence: str
) -> None:
    page = watched.page
    target = page.get_by_label("be heard in")
    expect(target).not_to_have_value("")
    expect(target).not_to_have_value("en")  # this browser's own language
    target.select_option("es")
    page.reload()
    expect(target).to_have_value("es")
    record(page, seconds_of(spoken))
    expect_state(page, "ready")
    watch_stages(page)
    page.get_by_role("button", name="Translate").click()
    expect_state(page, "done")

    # A recording starts at another moment of the microphone's each time: that may cost a word.
    assert wrong_words(sentence, page.locator("#original").inner_text(), "en") <= 1
    expect(page.locator("#original")).to_have_attribute("lang", "en")
    expect(page.locator("#translated")).to_contain_text("jueves")
    expect(page.locator("#translated")).to_have_attribute("lang", "es")
    expect(page.get_by_role("heading", name="In Spanish")).to_be_focused()

    seen = page.evaluate("window.seen")
    assert seen, "no stage was shown"
    assert seen == [stage for stage in STAGES if stage in seen], "the stages were shown out of order"
    for time in page.locator("#stages .time").all_text_contents():
        assert re.fullmatch(r"[\d.]+ m?s", time)

    facts = page.locator("#facts").inner_text()
    for engine in ("whisper", "apertium", "kokoro"):
        assert engine in facts
    assert "RIFF INFO, C2PA manifest" in facts
    assert 0 < float(page.locator("meter").get_attribute("value") or 0) <= 1

    for player in ("#source-player", "#answer-player"):
        assert bar_heights(page, player) > 10
        expect_plays(page, player)


def test_a_chosen_file_is_translated_and_the_answer_downloaded(
    watched: Watched, spoken: Path, tmp_path: Path, sentence: str
) -> None:
    page = watched.page
    page.set_viewport_size(NARROW)
    assert fits_its_width(page)
    page.get_by_label("be heard in").select_option("es")
    page.locator("#file").set_input_files(as_upload("WhatsApp.ogg", encoded(spoken, "OGG")))
    expect_state(page, "ready")
    expect(page.locator("#source-player")).to_contain_text("WhatsApp.ogg")
    page.get_by_role("button", name="Translate").click()
    expect_state(page, "done")
    # A recording starts at another moment of the microphone's each time: that may cost a word.
    assert wrong_words(sentence, page.locator("#original").inner_text(), "en") <= 1
    assert fits_its_width(page)

    with page.expect_download() as download:
        page.get_by_role("link", name="Download the recording").click()
    assert download.value.suggested_filename == "message-es.wav"
    download.value.save_as(tmp_path / "answer.wav")
    with wave.open(str(tmp_path / "answer.wav")) as answer:
        assert (answer.getframerate(), answer.getnchannels(), answer.getsampwidth()) == (24_000, 1, 2)


def test_noise_gets_a_plain_message_and_the_next_file_works(watched: Watched, spoken: Path) -> None:
    page = watched.page
    noise = io.BytesIO()
    soundfile.write(noise, np.random.default_rng(1).normal(0, 0.05, 32_000), 16_000, format="WAV")
    page.locator("#file").set_input_files(as_upload("noise.wav", noise.getvalue()))
    expect_state(page, "ready")
    page.get_by_role("button", name="Translate").click()
    expect_state(page, "failed")
    expect(page.locator("#answer-notice")).to_contain_text("No speech was found")
    expect(page.locator("#answer-notice")).to_contain_text("nearer to the microphone")
    expect(page.locator("#result")).to_be_hidden()

    page.locator("#file").set_input_files(as_upload("spoken.wav", spoken.read_bytes()))
    expect_state(page, "ready")
    expect(page.locator("#answer-notice")).to_be_empty()
    expect(page.get_by_role("button", name="Translate")).to_be_enabled()


def test_a_file_that_is_no_audio_is_said_to_be_none(watched: Watched) -> None:
    page = watched.page
    page.locator("#file").set_input_files(as_upload("notes.wav", b"v=0\no=- 0 0 IN IP4 127.0.0.1\n" * 9))
    page.get_by_role("button", name="Translate").click()
    expect(page.get_by_role("alert")).to_contain_text("Export it as WAV, MP3 or M4A")
    watched.complaints.clear()  # the browser tells of every answer that is an error


def test_a_recording_that_is_too_short_is_refused(watched: Watched) -> None:
    watched.page.evaluate(
        """() => new Promise((done) => {
          new MutationObserver((_, observer) => {
            if (document.body.dataset.state !== "recording") return;
            observer.disconnect();
            document.getElementById("record").click();
            done();
          }).observe(document.body, { attributeFilter: ["data-state"] });
          document.getElementById("record").click();
        })"""
    )
    expect_state(watched.page, "idle")
    expect(watched.page.locator("#source-notice")).to_contain_text("at least 1 second")


def test_it_works_with_the_keyboard_alone(watched: Watched, spoken: Path) -> None:
    page = watched.page
    press = page.keyboard.press

    def tab_to(selector: str) -> None:
        for _ in range(20):
            press("Tab")
            if page.locator(selector).evaluate("element => element === document.activeElement"):
                return
        raise AssertionError(f"Tab does not reach {selector}")

    tab_to("#target")
    page.keyboard.type("Espa")
    expect(page.locator("#target")).to_have_value("es")
    tab_to("#record")
    press("Enter")
    expect_state(page, "recording")
    page.wait_for_timeout(seconds_of(spoken) * 1000)
    press("Enter")
    expect_state(page, "ready")
    tab_to("#translate")
    outline = page.locator("#translate").evaluate("element => getComputedStyle(element).outlineStyle")
    assert outline == "solid", "the focus is not visible"
    press("Enter")
    expect_state(page, "done")
    tab_to("#answer-player [role=slider]")
    press("ArrowRight")
    assert position(page, "#answer-player") == pytest.approx(1.0, abs=0.1)
    press("Home")
    assert position(page, "#answer-player") == 0
    press("Space")
    expect(page.locator("#answer-player .play")).to_have_accessible_name("Pause the translation")


def test_a_running_translation_can_be_cancelled(watched: Watched, spoken: Path) -> None:
    page = watched.page
    page.locator("#file").set_input_files(as_upload("spoken.wav", spoken.read_bytes()))
    expect_state(page, "ready")
    with page.expect_request(lambda request: request.method == "DELETE") as deleted:
        with page.expect_response(lambda response: response.request.method == "POST") as accepted:
            page.get_by_role("button", name="Translate").click()
        job_id = accepted.value.json()["job_id"]
        page.get_by_role("button", name="Cancel").click()
    assert deleted.value.url.endswith(f"/voice/job/{job_id}")
    expect_state(page, "ready")
    expect(page.get_by_role("button", name="Translate")).to_be_focused()
    expect(page.locator("#status")).to_have_text("Cancelled.")


def test_a_waiting_caller_sees_how_many_are_before(watched: Watched, spoken: Path) -> None:
    """The line of jobs is played: the service here has none."""
    page = watched.page
    places = iter([3, 2])
    sent: list[Any] = []

    def answer(route: Route) -> None:
        if route.request.method == "DELETE":
            route.fulfill(status=204)
            return
        if route.request.method == "POST":
            sent.append(route.request.post_data_json)
        job = {"job_id": "played", "status": "pending", "stage": None, "position": next(places, 1)}
        route.fulfill(status=202 if route.request.method == "POST" else 200, json=job)

    page.route("**/api/v1/voice/**", answer)
    page.evaluate(
        """() => {
          const title = document.getElementById("stages-title");
          window.titles = [];
          new MutationObserver(() => window.titles.push(title.textContent)).observe(title, { childList: true });
        }"""
    )
    page.locator("#file").set_input_files(as_upload("spoken.wav", spoken.read_bytes()))
    expect_state(page, "ready")
    page.get_by_role("button", name="Translate").click()
    expect(page.locator("#stages-title")).to_have_text("Waiting for its turn")
    said = [title for title in page.evaluate("window.titles") if title.startswith("Waiting")]
    assert said[:3] == [f"Waiting for its turn{rest}" for rest in (": 2 before it", ": 1 before it", "")]
    assert sent[0]["priority"] == "interactive"
    page.get_by_role("button", name="Cancel").click()
    expect_state(page, "ready")


def test_a_message_in_two_languages_is_shown_in_both(watched: Watched, spoken: Path) -> None:
    """The second sentence is played: the service hears one. The file is none of the kind that its name says."""
    page = watched.page

    def answer(route: Route) -> None:
        job = route.fetch().json()
        if job["status"] == "completed":
            job["segments"].append(job["segments"][0] | {"text": "Buenos días.", "language": "es"})
        route.fulfill(json=job)

    page.route("**/api/v1/voice/job/**", answer)
    page.locator("#file").set_input_files(as_upload("mislabelled.wav", encoded(spoken, "FLAC")))
    expect_state(page, "ready")
    page.get_by_role("button", name="Translate").click()
    expect_state(page, "done")
    expect(page.locator("#facts")).to_contain_text("English and Spanish, by whisper")
    expect(page.locator("#original [lang=en]")).to_contain_text("Thursday")
    expect(page.locator("#original [lang=es]")).to_contain_text("Buenos días.")


@pytest.mark.parametrize(
    ("error", "said"), [("NotAllowedError", "The microphone is blocked"), ("NotFoundError", "No microphone was found")]
)
def test_a_microphone_that_cannot_be_used_is_said_plainly(watched: Watched, error: str, said: str) -> None:
    page = watched.page
    page.evaluate(
        "name => { navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('', name); }; }", error
    )
    page.get_by_role("button", name="Record").click()
    expect(page.get_by_role("alert")).to_contain_text(said)
    expect_state(page, "idle")


def test_a_server_that_is_away_can_be_asked_again(browser: Browser, live_server: str) -> None:
    with browser.new_context(viewport=NARROW) as context:
        page = context.new_page()
        away = "**/api/v1/languages"
        page.route(away, _refuse)
        answer = page.goto(live_server)
        assert answer is not None
        assert "default-src 'self'" in answer.headers["content-security-policy"]
        assert "unsafe" not in answer.headers["content-security-policy"]
        expect(page.get_by_role("alert")).to_contain_text("The server cannot be reached")
        page.unroute(away)
        page.get_by_role("button", name="Try again").click()
        expect(page.locator("#target")).to_be_enabled()
        expect(page.locator("#source-notice")).to_be_empty()


def _refuse(route: Route) -> None:
    route.abort()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_enough_contrast_in_both_themes(watched: Watched, scheme: str) -> None:
    """WCAG AA: 4.5 for text, 3 for what must be seen without being read."""
    watched.page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    names = ["paper", "raised", "ink", "dim", "mine", "theirs", "alarm", "edge", "mine-faint", "theirs-faint"]
    colours: dict[str, str] = watched.page.evaluate(
        """names => {
          const style = getComputedStyle(document.body);
          return Object.fromEntries(names.map((name) => [name, style.getPropertyValue("--" + name).trim()]));
        }""",
        names,
    )
    assert (luminance(colours["paper"]) < 0.5) == (scheme == "dark")
    for name in names[2:7]:
        for ground in ("paper", "raised"):
            assert contrast(colours[name], colours[ground]) >= 4.5, (name, ground)
    for name in names[7:]:
        assert contrast(colours[name], colours["paper"]) >= 3, name
