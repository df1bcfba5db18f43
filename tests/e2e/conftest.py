"""A browser with a fake microphone that says one sentence."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
import soundfile
import soxr
from playwright.sync_api import Browser, sync_playwright

from tests.e2e.browsing import WIDE, Watched, open_page

SENTENCE = "the meeting is on thursday morning"
MICROPHONE_RATE = 48_000  # Hz; the fake microphone's own


BROWSER_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
]


@pytest.fixture(scope="session")
def sentence() -> str:
    return SENTENCE


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sentence in a WAV as the fake microphone wants it, with half a second of silence at its end."""
    if not shutil.which("flite"):
        pytest.fail("flite, which makes the spoken message, is not installed: run scripts/setup")
    folder = tmp_path_factory.mktemp("spoken")
    subprocess.run(["flite", "-voice", "rms", "-t", SENTENCE, "-o", folder / "flite.wav"], check=True, timeout=30)
    samples, rate = soundfile.read(folder / "flite.wav", dtype="float32")
    resampled = soxr.resample(samples, rate, MICROPHONE_RATE)
    path = folder / "spoken.wav"
    soundfile.write(path, np.concatenate([resampled, np.zeros(MICROPHONE_RATE // 2)]), MICROPHONE_RATE, "PCM_16")
    return path


@pytest.fixture(scope="module")
def browser(spoken: Path) -> Iterator[Browser]:
    """Debian's Chromium, Google's Chrome, or the one that Playwright has brought."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        if program is None and not Path(playwright.chromium.executable_path).exists():
            pytest.fail("no Chromium is installed: run scripts/setup --browser")
        flags = [*BROWSER_FLAGS, f"--use-file-for-fake-audio-capture={spoken}%noloop"]
        started = playwright.chromium.launch(executable_path=program, args=flags)
        yield started
        started.close()


@pytest.fixture
def watched(browser: Browser, live_server: str) -> Iterator[Watched]:
    """A wide page, loaded, that may use the microphone. At the end: it called its own server only, and had no error."""
    with browser.new_context(viewport=WIDE, permissions=["microphone"]) as context:
        context.set_default_timeout(20_000)
        watched = Watched(context.new_page())
        open_page(watched.page, live_server)
        yield watched
        assert watched.hosts() == {urlsplit(live_server).netloc}
        assert watched.complaints == []
