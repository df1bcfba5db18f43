"""The page's live part in a real browser: with the real service, and with a played one where its words matter."""

import itertools
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page, WebSocketRoute, expect

from src.utils.words import wrong_words
from tests.e2e.browsing import NARROW, Watched, fits_its_width, seconds_of

LISTENED = """() => {
  window.played = [];
  const start = AudioBufferSourceNode.prototype.start;
  AudioBufferSourceNode.prototype.start = function (when) {
    const peak = this.buffer.getChannelData(0).reduce((most, sample) => Math.max(most, Math.abs(sample)), 0);
    window.played.push({ begins: when, ends: when + this.buffer.duration, rate: this.buffer.sampleRate, peak });
    return start.call(this, when);
  };
}"""


@pytest.fixture
def live(watched: Watched) -> Page:
    """The live part, to be heard in Spanish."""
    page = watched.page
    page.get_by_role("link", name="Live").click()
    page.get_by_label("it is heard in").select_option("es")
    return page


def expect_live(page: Page, state: str) -> None:
    expect(page.locator("body")).to_have_attribute("data-live", state)


def start(page: Page) -> None:
    page.get_by_role("button", name="Start").click()
    expect_live(page, "on")


def test_speech_is_heard_in_another_language_while_the_microphone_is_on(live: Page, sentence: str) -> None:
    live.evaluate(LISTENED)
    start(live)
    expect(live.locator("#live-translated")).to_contain_text("jueves")
    expect(live.locator("#live-lag")).to_have_text(re.compile(r"^Heard \d+\.\d s after it was said\.$"))
    assert wrong_words(sentence, live.locator("#live-original").inner_text(), "en") <= 1
    expect(live.locator("#live-translated")).to_have_attribute("lang", "es")
    expect_live(live, "on")
    live.get_by_role("button", name="Stop").click()
    expect_live(live, "off")
    played = live.evaluate("window.played")
    assert sum(piece["ends"] - piece["begins"] for piece in played) > 0.5
    assert {piece["rate"] for piece in played} == {24_000}
    assert max(piece["peak"] for piece in played) > 0.01
    for one, next_ in itertools.pairwise(played):
        assert next_["begins"] >= one["ends"] - 1e-6, "two pieces are heard at once"


def test_what_was_said_before_stop_is_still_translated(live: Page, spoken: Path) -> None:
    start(live)
    live.wait_for_timeout(seconds_of(spoken) * 1000)
    live.get_by_role("button", name="Stop").click()
    expect_live(live, "finishing")
    expect(live.locator("#live-hint")).to_contain_text("still being translated")
    expect(live.locator("#live-translated")).to_contain_text("jueves")
    expect_live(live, "off")
    expect(live.locator("#live-notice")).to_be_empty()


# --- a played service


@dataclass
class Played:
    """The service's end of the WebSocket. `said`: what the page sent, bytes as their number."""

    page: Page
    said: list[Any] = field(default_factory=list)
    asked: list[Any] = field(default_factory=list)
    socket: WebSocketRoute | None = None
    on_close: Callable[["Played"], None] = lambda played: played.tell("session.closed", reason="client_closed")
    sound: bytes = b""

    def __post_init__(self) -> None:
        self.page.route_web_socket(re.compile("/v1/realtime/translations$"), self._open)
        self.page.on(
            "request",
            lambda request: self.asked.append(request.post_data_json) if "client_secrets" in request.url else None,
        )

    def _open(self, socket: WebSocketRoute) -> None:
        self.socket = socket
        socket.on_message(self._take)
        self.tell("session.created", session={})

    def _take(self, message: str | bytes) -> None:
        if isinstance(message, bytes):
            self.sound += message
            return
        self.said.append(json.loads(message))
        if self.said[-1]["type"] == "session.close":
            self.on_close(self)

    def tell(self, kind: str, **members: Any) -> None:
        assert self.socket is not None
        self.socket.send(json.dumps({"event_id": "event_1", "type": kind, **members}))

    def translate(self, text: str, degraded: tuple[str, ...] = ()) -> None:
        members = {"elapsed_ms": 1000, "lag_ms": 1500}
        self.tell("session.output_transcript.delta", delta=text, degraded=list(degraded), **members)


@pytest.fixture
def played(live: Page) -> Played:
    return Played(live)


def test_the_microphone_is_sent_as_pcm_of_24_khz(live: Page, played: Played, spoken: Path) -> None:
    start(live)
    seconds = seconds_of(spoken)
    expect(live.locator("#live-timer")).to_have_text(re.compile(rf"0:0[{int(seconds) + 1}-9]"))
    live.get_by_role("button", name="Stop").click()
    expect_live(live, "off")
    samples = np.frombuffer(played.sound, "<i2") / 32768
    assert len(samples) / 24_000 > seconds
    assert np.abs(samples).max() > 0.05
    spectrum = np.abs(np.fft.rfft(samples))
    low = spectrum[: len(spectrum) // 2]  # speech of the synthesiser, which ends at 8 kHz, is below 6 kHz for the most
    assert np.sum(low**2) > 0.8 * np.sum(spectrum**2)
    assert [event["type"] for event in played.said] == ["session.close"]


def test_what_is_chosen_is_asked_for(live: Page, played: Played) -> None:
    voice = {"profile_id": "a" * 32, "name": "Ana"}
    live.route("**/api/v1/voice/profiles", lambda route: route.fulfill(json={"profiles": [voice]}))
    live.route("**/client_secrets", lambda route: route.fulfill(json={"value": "ek_1"}))
    live.get_by_role("link", name="History").click()
    live.get_by_role("link", name="Live").click()
    live.locator("#live-view").get_by_label("Spoken in").select_option("en")
    live.locator("#live-view").get_by_label("Voice").select_option("Ana")
    start(live)
    assert played.asked == [
        {
            "session": {
                "audio": {
                    "input": {"transcription": {"language": "en"}},
                    "output": {"language": "es", "voice": "a" * 32},
                }
            }
        }
    ]


def test_texts_are_shown_as_they_come_and_can_be_hidden(live: Page, played: Played) -> None:
    live.set_viewport_size(NARROW)
    start(live)
    for delta in ("Good", " morning.", " The train"):
        played.tell("session.input_transcript.delta", delta=delta, elapsed_ms=1, lag_ms=1)
    played.translate("Buenos días.", ("the engine's own voice speaks",))
    played.translate(" El tren llega tarde.")
    expect(live.locator("#live-original")).to_have_text("Good morning. The train")
    expect(live.locator("#live-translated")).to_have_text("Buenos días. El tren llega tarde.")
    expect(live.locator("#live-degraded")).to_contain_text("the engine's own voice speaks")
    expect(live.locator("#live-subtitles")).to_be_hidden()
    live.get_by_label("Subtitles").check()
    expect(live.locator("#live-subtitles")).to_have_text("El tren llega tarde.")
    expect(live.locator("#live-subtitles")).to_be_in_viewport()
    live.get_by_label("Original").uncheck()
    expect(live.locator("#live-original")).to_be_hidden()
    live.get_by_role("checkbox", name="Translation").uncheck()
    expect(live.locator("#live-translated")).to_be_hidden()
    assert fits_its_width(live)


ERRORS = {
    "overloaded": "Some of it came too late",
    "deadline_exceeded": "Some of it took too long",
    "translation_unavailable": "Some of it was left out",
}


def test_an_error_is_told_and_the_session_goes_on(live: Page, played: Played) -> None:
    start(live)
    for second, (code, said) in enumerate(ERRORS.items()):
        missing = f"Speech from {second}.0 s to {second + 1}.0 s"
        played.tell("error", error={"code": code, "message": f"{missing} was left out.", "type": "x"})
        expect(live.locator("#live-notice")).to_contain_text(said)
        expect(live.locator("#live-notice")).to_contain_text(missing)
    expect_live(live, "on")
    played.translate("Hola.")
    expect(live.locator("#live-translated")).to_have_text("Hola.")


ENDS = {
    "no_audio": "Nothing came from the microphone",
    "too_fast": "The sound came too fast",
    "overloaded": "The server cannot keep up",
    "expired": "A session lasts an hour",
    "audio_budget_used_up": "Your audio for today is used up",
    "server_ending": "The server is being stopped",
}


def test_an_end_is_told_in_words_and_another_session_can_begin(live: Page, played: Played) -> None:
    for reason, said in ENDS.items():
        start(live)
        expect(live.locator("#live-notice")).to_be_empty()
        played.tell("session.closed", reason=reason)
        expect_live(live, "off")
        expect(live.locator("#live-notice")).to_contain_text(said)
    start(live)
    expect(live.locator("#live-notice")).to_be_empty()


def test_a_connection_that_breaks_is_told(live: Page, played: Played) -> None:
    start(live)
    assert played.socket is not None
    played.socket.close(code=1011)
    expect(live.locator("#live-notice")).to_contain_text("The connection broke")
    expect_live(live, "off")


def test_a_server_that_does_not_finish_can_be_left(live: Page, played: Played) -> None:
    played.on_close = lambda _: None
    start(live)
    live.get_by_role("button", name="Stop").click()
    expect_live(live, "finishing")
    live.get_by_role("button", name="End now").click()
    expect_live(live, "off")
    expect(live.locator("#live-notice")).to_be_empty()


def test_a_refusal_is_told_in_words(live: Page, watched: Watched) -> None:
    error = {"error": {"message": "You have 2 live sessions here.", "code": "rate_limited", "type": "x", "param": None}}
    live.route("**/client_secrets", lambda route: route.fulfill(status=429, json=error))
    live.get_by_role("button", name="Start").click()
    expect(live.locator("#live-notice")).to_contain_text("You have 2 live sessions here.")
    expect_live(live, "off")
    watched.complaints.clear()  # the browser tells of every answer that is an error


def test_a_microphone_that_cannot_be_used_is_told(live: Page) -> None:
    live.evaluate(
        "() => { navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('', 'NotFoundError'); }; }"
    )
    live.get_by_role("button", name="Start").click()
    expect(live.get_by_role("alert").filter(has_text="No microphone was found")).to_be_visible()
    expect_live(live, "off")


def test_it_works_with_the_keyboard_alone(watched: Watched) -> None:
    page = watched.page
    Played(page)

    def tab_to(selector: str) -> None:
        for _ in range(20):
            page.keyboard.press("Tab")
            if page.locator(selector).evaluate("element => element === document.activeElement"):
                return
        raise AssertionError(f"Tab does not reach {selector}")

    tab_to("[href='#live']")
    page.keyboard.press("Enter")
    tab_to("#live-target")
    page.keyboard.type("Espa")
    expect(page.locator("#live-target")).to_have_value("es")
    tab_to("#live-start")
    page.keyboard.press("Enter")
    expect_live(page, "on")
    tab_to("#show-subtitles")
    page.keyboard.press("Space")
    expect(page.locator("#show-subtitles")).to_be_checked()


@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000, 96_000])
def test_sound_of_any_rate_becomes_24_khz_without_aliases(watched: Watched, rate: int) -> None:
    """A tone keeps its level; one that 24 kHz cannot hold is gone; pieces make no seams."""
    heard, gone = (
        np.asarray(
            watched.page.evaluate(
                """async ([rate, hertz]) => {
                  const { Resampler } = await import("/web/pcm.js");
                  const resampler = new Resampler(rate);
                  const made = [];
                  for (let at = 0; at < rate; at += 512) {
                    const wave = (_, i) => 0.5 * Math.sin((2 * Math.PI * hertz * (at + i)) / rate);
                    made.push(...resampler.push(Float32Array.from({ length: 512 }, wave)));
                  }
                  return made;
                }""",
                [rate, hertz],
            )
        )
        / 32767
        for hertz in (1_000, 14_000)
    )
    assert len(heard) == pytest.approx(24_000, abs=600)
    inner = heard[1_000:21_000]
    time = np.arange(len(inner)) / 24_000
    tone = np.exp(2j * np.pi * 1_000 * time)
    level = 2 * np.abs(np.mean(inner * tone))
    assert level == pytest.approx(0.5, rel=0.01)
    fitted = 2 * np.real(np.mean(inner * np.conj(tone)) * tone)
    assert np.abs(inner - fitted).max() < 0.002
    if rate > 28_000:
        assert np.abs(gone[1_000:21_000]).max() < 0.01
