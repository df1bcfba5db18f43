"""Recordings of noise that count as speech, and a small random Whisper that makes something of them: fixtures."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from scripts.checkpoints.whisper import make
from src.domain.audio import Audio
from src.domain.speech import Quality
from src.models.silero_vad import SileroVad
from src.models.whisper.hearing import Clip
from src.models.whisper.recogniser import ATTEMPTS
from src.models.whisper_model import WhisperModel


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WhisperModel]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield WhisperModel(make("unit", tmp_path_factory.mktemp("whisper") / "random.pt", seed=3), "cpu", "float32")
    torch.set_num_threads(threads)


@pytest.fixture
def speech_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Noise counts as speech, and each window is decoded once, however unlikely its text."""
    monkeypatch.setattr(SileroVad, "speech", lambda _, audio: [(0.0, audio.duration_seconds)])
    for quality in Quality:
        monkeypatch.setitem(ATTEMPTS, quality, ATTEMPTS[quality][:1])


@pytest.fixture
def clips(speech_everywhere: None) -> list[Clip]:
    """Of different lengths and qualities, with and without a language."""
    generator = np.random.default_rng(0)
    kinds = [
        (2.0, "en", Quality.FAST),
        (2.0, "en", Quality.FAST),
        (3.0, None, Quality.BALANCED),
        (3.0, "fr", Quality.BALANCED),
        (4.0, None, Quality.FAST),
        (2.5, "en", Quality.HIGH),
    ]
    return [
        Clip(Audio(generator.standard_normal(int(16_000 * seconds)).astype(np.float32) * 0.1, 16_000), language, kind)
        for seconds, language, kind in kinds
    ]
