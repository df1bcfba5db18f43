"""People's words through Whisper base, beside stock openai-whisper."""

import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import whisper

from src.config.settings import Settings
from src.domain.audio import Audio
from src.domain.errors import EngineUnavailable, NoSpeechDetected, UnsupportedLanguage
from src.domain.speech import Hints, Quality, Transcript
from src.models.whisper.hearing import Clip
from src.models.whisper_model import WhisperModel, weights_file
from src.utils.words import words, wrong_words
from tests.recordings.people import CLEAR, RATE, recording, spoken

BEFORE, AFTER = 0.2, 0.3
"""Seconds of quiet around a recording."""
WORDS = sum(len(words(text)) for texts in CLEAR.values() for text in texts)


@pytest.fixture(scope="module")
def checkpoint() -> Path:
    return weights_file("base", Settings().whisper_dir)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def model(checkpoint: Path) -> WhisperModel:
    """As the service has it."""
    return WhisperModel(checkpoint, "cpu")


@pytest.fixture(scope="module")
def stock(checkpoint: Path) -> Any:
    return whisper.load_model(str(checkpoint), device="cpu")


@pytest.mark.parametrize(("quality", "points", "clips"), [(Quality.FAST, 2.0, 3), (Quality.BALANCED, 0.5, 1)])
def test_people_are_heard_as_well_as_stock_hears_them(
    model: WhisperModel, quality: Quality, points: float, clips: int
) -> None:
    """A short form of `benchmark.py --suite hearing`. Stock makes no error in these; two words are allowed beyond."""
    wrong = 0
    for language, texts in CLEAR.items():
        for text in texts[:clips]:
            heard = model.transcribe(recording(text, language), None, quality)
            assert heard.language == language
            assert heard.language_probability is not None
            assert 0.5 < heard.language_probability <= 1
            assert 0.3 < heard.confidence <= 1
            wrong += wrong_words(text, heard.text, language)
    assert wrong <= points / 100 * WORDS + 2


def test_times_are_those_of_the_speech_and_of_stock(model: WhisperModel, stock: Any) -> None:
    audio = recording(CLEAR["en"][1], "en")
    transcript = model.transcribe(audio, "en", Quality.BALANCED)
    assert transcript.segments[0].start == pytest.approx(BEFORE, abs=0.35)
    assert transcript.segments[-1].end == pytest.approx(audio.duration_seconds - AFTER, abs=0.5)
    check_times(transcript, audio.duration_seconds)
    theirs = stock.transcribe(audio.samples, fp16=False, language="en", temperature=0.0, word_timestamps=True)
    ours = [word for segment in transcript.segments for word in segment.words]
    middles = [(word["start"] + word["end"]) / 2 for segment in theirs["segments"] for word in segment["words"]]
    assert [(word.start + word.end) / 2 for word in ours] == pytest.approx(middles, abs=0.3)


def check_times(transcript: Transcript, duration: float) -> None:
    """Words make up the text, in order, each with a length, inside the recording."""
    timed = [word for segment in transcript.segments for word in segment.words]
    assert "".join(word.text for word in timed).replace(" ", "") == transcript.text.replace(" ", "")
    assert all(0 <= word.start < word.end <= duration + 0.02 for word in timed)
    assert all(before.end <= after.start + 1e-6 for before, after in pairwise(timed))


def test_a_given_language_is_not_detected(model: WhisperModel) -> None:
    transcript = model.transcribe(recording(CLEAR["fr"][0], "fr"), "fr", Quality.FAST)
    assert (transcript.language, transcript.language_probability) == ("fr", None)


@pytest.mark.parametrize("level", [0.0, 0.003, 0.1])
def test_silence_and_noise_are_not_speech(model: WhisperModel, level: float) -> None:
    noise = np.random.default_rng(1).standard_normal(5 * RATE).astype(np.float32) * np.float32(level)
    for quality in Quality:
        with pytest.raises(NoSpeechDetected):
            model.transcribe(Audio(noise, RATE), None, quality)


def test_a_minute_with_a_long_pause_is_heard_in_windows(model: WhisperModel) -> None:
    first, second = spoken(CLEAR["en"][0], "en"), spoken(CLEAR["en"][2], "en")
    gap = np.zeros(round(27.5 * RATE), np.float32)
    audio = Audio(np.concatenate([first, gap, second]), RATE)
    assert audio.duration_seconds > 30
    transcript = model.transcribe(audio, "en", Quality.FAST)
    assert words(transcript.text) == words(f"{CLEAR['en'][0]} {CLEAR['en'][2]}")
    assert transcript.segments[-1].start == pytest.approx(len(first) / RATE + 27.5 + BEFORE, abs=0.5)
    check_times(transcript, audio.duration_seconds)


def test_clips_of_several_callers_get_what_each_gets_alone(model: WhisperModel) -> None:
    clips = [Clip(recording(texts[1], language), None, Quality.FAST) for language, texts in CLEAR.items()]
    hearings = [model.begin(clip) for clip in clips]
    while any(hearing.result is None for hearing in hearings):
        model.step(hearings)
    for (language, texts), hearing in zip(CLEAR.items(), hearings, strict=True):
        assert isinstance(hearing.result, Transcript)
        assert hearing.result.language == language
        assert wrong_words(texts[1], hearing.result.text, language) <= 1


def test_a_prompt_brings_a_word_that_is_misheard_without(model: WhisperModel) -> None:
    text = "That pin is invalid for this conference."
    transcript = model.transcribe(recording(text, "en"), "en", Quality.FAST, Hints((), "pin, conference"))
    assert words(transcript.text) == words(text)


def test_candidates_alone_are_considered(model: WhisperModel) -> None:
    transcript = model.transcribe(recording(CLEAR["es"][0], "es"), None, Quality.FAST, Hints(("fr", "it")))
    assert transcript.language in {"fr", "it"}
    assert {code for code, _ in transcript.alternatives} == {"fr", "it"}


def test_a_language_that_the_service_lacks_is_refused(model: WhisperModel) -> None:
    with pytest.raises(UnsupportedLanguage):
        model.transcribe(recording(CLEAR["en"][0], "en"), "sw", Quality.FAST)


def test_openai_whisper_transcribes_to_the_same_text(checkpoint: Path, stock: Any) -> None:
    """Exact mode at temperature 0 against `whisper.transcribe` itself, with its own padding and rules."""
    ours = WhisperModel(checkpoint, "cpu", "float32")
    for language in ("es", "ru"):
        audio = recording(CLEAR[language][0], language)
        theirs = stock.transcribe(audio.samples, temperature=0.0, fp16=False, language=language)
        assert ours.transcribe(audio, language, Quality.BALANCED).text == theirs["text"].strip()


def test_two_languages_in_one_message_are_heard_each_in_its_own(model: WhisperModel) -> None:
    """In one window of 30 s, which the network would hear in one language."""
    said = [(text, language) for language in ("en", "es") for text in CLEAR[language][:2]]
    audio = Audio(np.concatenate([spoken(text, language) for text, language in said]), RATE)
    transcript = model.transcribe(audio, None, Quality.BALANCED)
    for language in ("en", "es"):
        heard = " ".join(segment.text for segment in transcript.segments if segment.language == language)
        assert wrong_words(" ".join(CLEAR[language][:2]), heard, language) <= 2


@pytest.mark.parametrize("quality", [Quality.FAST, Quality.BALANCED])
def test_every_sentence_of_a_message_is_heard(model: WhisperModel, quality: Quality) -> None:
    """A short form of `benchmark.py --suite hearing --messages`: pauses, a click, noise."""
    gap = np.zeros(2 * RATE, np.float32)
    samples = np.concatenate([piece for text in CLEAR["it"] for piece in (spoken(text, "it"), gap)])
    samples += np.random.default_rng(2).normal(0, 1e-3, len(samples)).astype(np.float32)
    samples[round(0.05 * RATE) : round(0.05 * RATE) + 20] = 0.98
    transcript = model.transcribe(Audio(samples, RATE), "it", quality)
    assert wrong_words(" ".join(CLEAR["it"]), transcript.text, "it") <= 2
    assert transcript.unheard == ()
    check_times(transcript, len(samples) / RATE)


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "base.pt"
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(EngineUnavailable, match=r"base\.pt is not a Whisper checkpoint"):
        WhisperModel(path, "cpu")


def test_weights_with_one_wrong_byte_are_refused_with_what_brings_them_again(checkpoint: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "base.pt"
    shutil.copy(checkpoint, damaged)
    with damaged.open("r+b") as file:
        file.seek(damaged.stat().st_size // 2)
        byte = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte[0] ^ 1]))
    with pytest.raises(EngineUnavailable, match=r"was damaged.*download_models\.py whisper:base --replace"):
        WhisperModel(damaged, "cpu")


def test_cuda_is_not_assumed(checkpoint: Path) -> None:
    if not torch.cuda.is_available():
        with pytest.raises(EngineUnavailable, match="CUDA"):
            WhisperModel(checkpoint, "cuda")
