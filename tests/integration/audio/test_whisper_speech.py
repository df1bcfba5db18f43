"""Real words through Whisper's recogniser: a small trained network hears renderings that it never heard."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
import whisper

from scripts.benchmarks.whisper_decoder import agreement, sentences
from scripts.checkpoints.spoken_sentences import SENTENCES, held_out_voices, render
from src.domain.audio import Audio, Samples
from src.domain.errors import EngineUnavailable, NoSpeechDetected, UnsupportedLanguage
from src.domain.speech import Quality, Transcript
from src.models.whisper.hearing import Clip
from src.models.whisper.linear import Precision
from src.models.whisper_model import WhisperModel
from tests.checkpoints.whisper_checkpoint import trained_checkpoint

RATE = 16_000
BEFORE, AFTER = 0.2, 0.3
"""Seconds of quiet around a rendering."""


@pytest.fixture(scope="module")
def checkpoint() -> Path:
    return trained_checkpoint()


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module", params=["float32", "int8"])
def model(checkpoint: Path, request: pytest.FixtureRequest) -> WhisperModel:
    return WhisperModel(checkpoint, "cpu", request.param)


def spoken(text: str, language: str, voice: int = 0) -> Samples:
    samples = render(text, held_out_voices(language)[voice])
    return np.pad(samples, (round(BEFORE * RATE), round(AFTER * RATE)))


def recording(text: str, language: str, voice: int = 0) -> Audio:
    return Audio(spoken(text, language, voice), RATE)


@pytest.mark.parametrize("language", list(SENTENCES))
def test_words_and_language_of_renderings_it_never_heard(model: WhisperModel, language: str) -> None:
    texts = SENTENCES[language]
    heard = [model.transcribe(recording(text, language), None, Quality.FAST) for text in texts]
    assert [transcript.text for transcript in heard] == list(texts)
    for transcript in heard:
        assert transcript.language == language
        assert transcript.language_probability is not None
        assert 0.5 < transcript.language_probability <= 1
        assert 0.5 < transcript.confidence <= 1


@pytest.mark.parametrize("quality", [Quality.BALANCED, Quality.HIGH])
def test_full_context_and_beams_hear_the_same_words(model: WhisperModel, quality: Quality) -> None:
    for language, texts in SENTENCES.items():
        heard = [model.transcribe(recording(text, language), language, quality).text for text in texts[1:4]]
        assert heard == list(texts[1:4])


def test_times_are_those_of_the_speech(model: WhisperModel) -> None:
    text = SENTENCES["en"][1]
    audio = recording(text, "en")
    transcript = model.transcribe(audio, "en", Quality.FAST)
    assert transcript.segments[0].start == pytest.approx(BEFORE, abs=0.25)
    assert transcript.segments[-1].end == pytest.approx(audio.duration_seconds - AFTER, abs=0.35)
    check_times(transcript, audio.duration_seconds)


@pytest.mark.parametrize("language", list(SENTENCES))
def test_words_are_timed_where_they_are_said(model: WhisperModel, language: str) -> None:
    """Within the tolerance of how the truth is known here: a letter takes as long as any other."""
    for text in SENTENCES[language]:
        audio = recording(text, language)
        words = [word for part in model.transcribe(audio, language, Quality.FAST).segments for word in part.words]
        ends = np.cumsum([len(word.text) + 1 for word in words])
        middles = (ends - np.diff(ends, prepend=0) / 2) / ends[-1]
        said = BEFORE + (audio.duration_seconds - BEFORE - AFTER) * middles
        heard = np.array([(word.start + word.end) / 2 for word in words])
        assert np.abs(heard - said).max() < 0.4, text
        assert np.median(np.abs(heard - said)) < 0.2, text


def check_times(transcript: Transcript, duration: float) -> None:
    """Words make up the text, in order, each with a length, inside the recording."""
    words = [word for segment in transcript.segments for word in segment.words]
    assert "".join(word.text for word in words).replace(" ", "") == transcript.text.replace(" ", "")
    assert all(0 <= word.start < word.end <= duration + 0.02 for word in words)
    assert all(before.end <= after.start + 1e-6 for before, after in pairwise(words))


def test_a_given_language_is_not_detected(model: WhisperModel) -> None:
    transcript = model.transcribe(recording(SENTENCES["fr"][0], "fr"), "fr", Quality.FAST)
    assert (transcript.language, transcript.language_probability) == ("fr", None)


@pytest.mark.parametrize("level", [0.0, 0.003, 0.1])
def test_silence_and_noise_are_not_speech(model: WhisperModel, level: float) -> None:
    noise = np.random.default_rng(1).standard_normal(5 * RATE).astype(np.float32) * np.float32(level)
    for quality in Quality:
        with pytest.raises(NoSpeechDetected):
            model.transcribe(Audio(noise, RATE), None, quality)


def test_a_minute_of_sentences_is_heard_in_windows(model: WhisperModel) -> None:
    """Window by window, with the pauses between: each window begins with speech the network knows."""
    texts = [SENTENCES["en"][0], SENTENCES["en"][3]]
    gap = np.zeros(round(27.5 * RATE), np.float32)
    audio = Audio(np.concatenate([spoken(texts[0], "en"), gap, spoken(texts[1], "en")]), RATE)
    assert audio.duration_seconds > 30
    transcript = model.transcribe(audio, "en", Quality.FAST)
    assert [segment.text for segment in transcript.segments] == texts
    assert transcript.segments[1].start == pytest.approx(len(spoken(texts[0], "en")) / RATE + 27.5 + BEFORE, abs=0.4)
    check_times(transcript, audio.duration_seconds)


def test_clips_of_several_callers_get_what_each_gets_alone(model: WhisperModel) -> None:
    clips = [Clip(recording(texts[1], language), None, Quality.FAST) for language, texts in SENTENCES.items()]
    hearings = [model.begin(clip) for clip in clips]
    while any(hearing.result is None for hearing in hearings):
        model.step(hearings)
    for clip, hearing in zip(clips, hearings, strict=True):
        assert isinstance(hearing.result, Transcript)
        alone = model.transcribe(clip.audio, clip.language, clip.quality)
        assert (hearing.result.text, hearing.result.language) == (alone.text, alone.language)


def test_a_language_that_the_service_lacks_is_refused(model: WhisperModel) -> None:
    with pytest.raises(UnsupportedLanguage):
        model.transcribe(recording(SENTENCES["en"][0], "en"), "sw", Quality.FAST)


def test_openai_whisper_transcribes_to_the_same_tokens(checkpoint: Path) -> None:
    """Exact mode at temperature 0 against `whisper.transcribe` itself, with its own padding, detection and rules."""
    ours, stock = WhisperModel(checkpoint, "cpu", "float32"), whisper.load_model(str(checkpoint), device="cpu")
    for language, texts in SENTENCES.items():
        audio = recording(texts[0], language)
        theirs = stock.transcribe(audio.samples, temperature=0.0, fp16=False, language=language)
        assert ours.transcribe(audio, language, Quality.BALANCED).text == theirs["text"].strip()


@pytest.mark.parametrize(("precision", "least"), [("float32", 1.0), ("bfloat16", 0.99), ("int8", 0.97)])
def test_fewer_bits_choose_the_same_tokens(checkpoint: Path, precision: str, least: float) -> None:
    """The most likely token at each position of known sentences, against openai-whisper in float32."""
    everywhere, clear = agreement(checkpoint, torch.device("cpu"), Precision(precision), sentences())
    assert everywhere >= least
    assert clear >= least


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "base.pt"
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(EngineUnavailable, match=r"base\.pt"):
        WhisperModel(path, "cpu")


def test_cuda_is_not_assumed(checkpoint: Path) -> None:
    if not torch.cuda.is_available():
        with pytest.raises(EngineUnavailable, match="CUDA"):
            WhisperModel(checkpoint, "cuda")


def test_two_languages_in_one_message_are_heard_each_in_its_own(model: WhisperModel) -> None:
    """In one window of 30 s, which the whole network would hear in one language."""
    texts = [(SENTENCES["en"][2], "en"), (SENTENCES["fr"][1], "fr")]
    audio = Audio(np.concatenate([spoken(text, language) for text, language in texts]), RATE)
    transcript = model.transcribe(audio, None, Quality.FAST)
    assert [(segment.text, segment.language) for segment in transcript.segments] == texts
    assert transcript.language == "en"


@pytest.mark.parametrize("quality", [Quality.FAST, Quality.BALANCED])
def test_every_sentence_of_a_message_is_heard_although_the_network_gives_one_for_a_window(
    model: WhisperModel, quality: Quality
) -> None:
    """A short form of `benchmark.py --suite hearing`: pauses, a click, noise. The small network ends after one."""
    texts = [SENTENCES["en"][index] for index in (1, 2, 5)]
    gap = np.zeros(2 * RATE, np.float32)
    samples = np.concatenate([piece for text in texts for piece in (spoken(text, "en"), gap)])
    samples += np.random.default_rng(2).normal(0, 1e-3, len(samples)).astype(np.float32)
    samples[round(0.05 * RATE) : round(0.05 * RATE) + 20] = 0.98
    transcript = model.transcribe(Audio(samples, RATE), "en", quality)
    assert [segment.text for segment in transcript.segments] == texts
    assert transcript.unheard == ()
    check_times(transcript, len(samples) / RATE)
