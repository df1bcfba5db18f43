"""The script that makes the tests' small Whisper still makes one that hears: trained anew, in some minutes."""

from pathlib import Path

import numpy as np
import pytest

from scripts.checkpoints.spoken_sentences import SAMPLE_RATE, SENTENCES, held_out_voices, render
from scripts.checkpoints.train_tiny_whisper import train
from scripts.checkpoints.trained_whisper import PACKED, pack, unpack
from src.domain.audio import Audio
from src.domain.speech import Quality
from src.models.whisper_model import WhisperModel


@pytest.mark.timeout(1200)
def test_another_seed_learns_the_sentences_too(tmp_path: Path) -> None:
    packed = pack(train(seed=1, log=lambda _: None), tmp_path / "trained.pt.xz")
    assert packed.stat().st_size == pytest.approx(PACKED.stat().st_size, rel=0.05)
    model = WhisperModel(unpack(tmp_path / "trained.pt", packed), "cpu", "float32")
    for language, texts in SENTENCES.items():
        voice = held_out_voices(language)[0]
        recordings = [Audio(np.pad(render(text, voice), 4000), SAMPLE_RATE) for text in texts]
        heard = [model.transcribe(recording, None, Quality.FAST) for recording in recordings]
        assert [(transcript.text, transcript.language) for transcript in heard] == [(text, language) for text in texts]
