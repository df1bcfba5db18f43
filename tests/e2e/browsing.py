"""What the tests of the page do with a browser: open, record, choose a file, look and listen."""

import io
import re
from pathlib import Path
from urllib.parse import urlsplit

import soundfile
from playwright.sync_api import ConsoleMessage, FilePayload, Page, ViewportSize, expect

expect.set_options(timeout=60_000)

WIDE: ViewportSize = {"width": 1400, "height": 900}
NARROW: ViewportSize = {"width": 380, "height": 800}


class Watched:
    """A page with what it asked for and complained of, kept."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.requests: list[str] = []
        self.complaints: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def hosts(self) -> set[str]:
        return {urlsplit(url).netloc for url in self.requests if not url.startswith(("blob:", "data:"))}


def open_page(page: Page, server: str) -> None:
    page.goto(server + "/")
    expect(page.locator("#target")).to_be_enabled()


def expect_state(page: Page, state: str) -> None:
    expect(page.locator("body")).to_have_attribute("data-state", state)


def record(page: Page, seconds: float) -> None:
    page.get_by_role("button", name="Record").click()
    expect_state(page, "recording")
    page.wait_for_timeout(seconds * 1000)
    page.get_by_role("button", name="Stop").click()


def seconds_of(spoken: Path) -> float:
    return float(soundfile.info(spoken).duration)


def as_upload(name: str, data: bytes) -> FilePayload:
    return {"name": name, "mimeType": "application/octet-stream", "buffer": data}


def encoded(path: Path, format_: str) -> bytes:
    samples, rate = soundfile.read(path)
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format=format_)
    return buffer.getvalue()


def watch_stages(page: Page) -> None:
    page.evaluate(
        """() => {
          window.seen = [];
          new MutationObserver((changes) => changes.forEach(({target}) => {
            if (target.getAttribute("aria-current") && window.seen.at(-1) !== target.dataset.stage)
              window.seen.push(target.dataset.stage);
          })).observe(document.getElementById("stages"), {subtree: true, attributeFilter: ["aria-current"]});
        }"""
    )


def position(page: Page, player: str) -> float:
    return float(page.locator(f"{player} [role=slider]").get_attribute("aria-valuenow") or "nan")


def expect_plays(page: Page, player: str) -> None:
    """Its button starts it, its position moves on, and the button stops it."""
    page.locator(f"{player} .play").click()
    page.wait_for_function(
        "selector => parseFloat(document.querySelector(selector + ' [role=slider]').ariaValueNow) > 0.2", arg=player
    )
    page.locator(f"{player} .play").click()
    expect(page.locator(f"{player} .play")).to_have_accessible_name(re.compile("^Play "))


def bar_heights(page: Page, player: str) -> int:
    """How many different heights the bars of a waveform have."""
    return int(
        page.evaluate(
            """selector => {
              const canvas = document.querySelector(selector + " canvas");
              const { data, width, height } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
              const heights = new Set();
              for (let x = 0; x < width; x++) {
                let filled = 0;
                for (let y = 0; y < height; y++) filled += data[(y * width + x) * 4 + 3] > 0;
                heights.add(filled);
              }
              return heights.size;
            }""",
            player,
        )
    )


def fits_its_width(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    dark, light = sorted([luminance(one), luminance(other)])
    return (light + 0.05) / (dark + 0.05)
