"""A transcription that nobody waits for any more ends between two tokens, and the next one is as if it had not been."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from scripts.checkpoints.whisper import make
from src.domain.audio import Audio
from src.domain.errors import JobCancelled
from src.domain.speech import Quality
from src.models.silero_vad import SileroVad
from src.models.whisper.recogniser import ATTEMPTS
from src.models.whisper_model import Clip, WhisperModel


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WhisperModel]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield WhisperModel(make("unit", tmp_path_factory.mktemp("whisper") / "random.pt", seed=3), "cpu", "float32")
    torch.set_num_threads(threads)


@pytest.fixture
def clips(monkeypatch: pytest.MonkeyPatch) -> list[Clip]:
    """Two recordings of noise that count as speech, one attempt to decode each."""
    monkeypatch.setattr(SileroVad, "speech", lambda _, audio: [(0.0, audio.duration_seconds)])
    monkeypatch.setitem(ATTEMPTS, Quality.FAST, ATTEMPTS[Quality.FAST][:1])
    generator = np.random.default_rng(0)
    return [
        Clip(Audio(generator.standard_normal(32_000).astype(np.float32) * np.float32(0.1), 16_000), "en", Quality.FAST)
        for _ in range(2)
    ]


class Caller:
    """Gives up at the question with the number `patience`; counts the questions."""

    def __init__(self, patience: int) -> None:
        self.patience, self.asked = patience, 0

    def __call__(self) -> bool:
        self.asked += 1
        return self.asked > self.patience


def test_a_cancelled_call_stops_at_the_next_question(model: WhisperModel, clips: list[Clip]) -> None:
    patient = Caller(10**6)
    model.transcribe_many(clips, cancelled=patient)
    assert patient.asked > 2 + 2 + 20  # clips, encoder blocks, and one for each token
    for patience in (0, 1, 3, 12, patient.asked - 1):
        caller = Caller(patience)
        with pytest.raises(JobCancelled):
            model.transcribe_many(clips, cancelled=caller)
        assert caller.asked == patience + 1


def test_the_next_call_gives_what_it_would_have_given(model: WhisperModel, clips: list[Clip]) -> None:
    before = model.transcribe_many(clips)
    with pytest.raises(JobCancelled):
        model.transcribe_many(clips, cancelled=Caller(12))
    again = model.transcribe_many(clips)
    assert [repr(result) for result in again] == [repr(result) for result in before]
