"""The embedded recogniser: pocketsphinx with the English model of its package."""

import re
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
import soxr
from pocketsphinx import Decoder

from src.domain.audio import Audio
from src.domain.errors import NoSpeechDetected, UnsupportedLanguage
from src.domain.speech import Quality, Segment, Transcript, Word
from src.models.pauses import utterances

NAME = "pocketsphinx"
LANGUAGES = frozenset({"en"})

MODEL_RATE = 16_000
"""Hz. What the packaged model was trained on."""

_FRAMES_PER_SECOND = 100
_PEAK = 10 ** (-3 / 20)
_PAUSE_SECONDS = 0.5
"""Silence that ends a segment."""
_MIN_UTTERANCE_SECONDS = 2.0
"""The model's features are levelled over an utterance, which needs about this much."""
_MAX_UTTERANCE_SECONDS = 20.0
"""Bounds the memory of one search."""
_LONGEST_WORD_SECONDS = 1.5
"""A word longer than this is a tone or a noise that the search had to call something."""
_NOISE = 1e-4
"""Root mean square of added noise, -80 dB: features of digital silence lie so far off that they spoil the mean."""
_SILENT = 10 ** (-60 / 20)

_PRONUNCIATION = re.compile(r"\(\d+\)$")
_FILLER = re.compile(r"^(?:<|\[|\+\+)")

_SEARCH: dict[Quality, dict[str, Any]] = {
    # One pass over few hypotheses: half the time, a few words more wrong in noise.
    Quality.FAST: {"fwdflat": False, "maxhmmpf": 3000, "topn": 2},
    Quality.BALANCED: {},
}
"""Wider beams than the default take five times as long and hear no better."""


class _Heard(Protocol):
    """One entry of pocketsphinx's segmentation: frames are inclusive, `prob` is the posterior probability."""

    word: str
    start_frame: int
    end_frame: int
    prob: float


class PocketsphinxModel:
    """Implements `transcribe` of the port Transcriber, blocking: run it in a child process, one call at a time."""

    NAME = NAME
    LANGUAGES = LANGUAGES

    def __init__(self) -> None:
        self._decoders: dict[Quality, Decoder] = {Quality.BALANCED: _decoder(Quality.BALANCED)}

    def transcribe(self, audio: Audio, language: str | None, quality: Quality) -> Transcript:
        """Lower-case words without punctuation, as the model knows them; a segment ends at a pause.

        `language` None: assumed to be English. Raises UnsupportedLanguage, NoSpeechDetected.
        """
        if language not in (None, *LANGUAGES):
            raise UnsupportedLanguage(
                f"pocketsphinx hears English (en) only, not {language!r}: for other languages install openai-whisper "
                "with its weights."
            )
        words = self._words(_at_model_rate(audio), quality)
        if not words:
            raise NoSpeechDetected("No word was recognised in the recording.")
        segments = tuple(_segment(group) for group in _split_at_pauses(words))
        probability = None if language is None else 1.0
        return Transcript(segments, "en", probability, float(np.mean([word.confidence for word in words])))

    def _decoder(self, quality: Quality) -> Decoder:
        known = quality if quality in _SEARCH else Quality.BALANCED
        if known not in self._decoders:
            self._decoders[known] = _decoder(known)
        return self._decoders[known]

    def _words(self, audio: Audio, quality: Quality) -> list[Word]:
        """Times count from the start of `audio`. `high` listens twice: first it learns the recording's noise."""
        decoder = self._decoder(quality)
        decoder.reinit_feat()  # the estimate of noise must not come from the caller before
        spans = utterances(
            audio,
            pause_seconds=_PAUSE_SECONDS,
            min_seconds=_MIN_UTTERANCE_SECONDS,
            max_seconds=_MAX_UTTERANCE_SECONDS,
        )
        words: list[Word] = []
        for _ in range(2 if quality is Quality.HIGH else 1):
            words = [word for start, end in spans for word in _decode(decoder, audio, start, end)]
        return words


def _decoder(quality: Quality) -> Decoder:
    # Batch mean normalisation sees the whole utterance, so that nothing carries over from one caller to the next.
    return Decoder(samprate=MODEL_RATE, cmn="batch", loglevel="FATAL", **_SEARCH[quality])


def _at_model_rate(audio: Audio) -> Audio:
    """16 kHz with its peak at -3 dB, so that the added noise is as loud for all."""
    samples = audio.samples
    if audio.sample_rate != MODEL_RATE:
        samples = soxr.resample(samples, audio.sample_rate, MODEL_RATE)
    peak = float(np.abs(samples).max(initial=0.0))
    return Audio(samples * np.float32(_PEAK / peak) if peak > 0 else samples, MODEL_RATE)


def _decode(decoder: Decoder, audio: Audio, start: int, end: int) -> Iterator[Word]:
    """The words between two samples; times count from the start of `audio`."""
    samples = audio.samples[start:end]
    if np.abs(samples).max(initial=0.0) < _SILENT:
        return
    noise = np.random.default_rng(0).standard_normal(len(samples), dtype=np.float32) * np.float32(_NOISE)
    pcm = np.clip(np.round((samples + noise) * 32767), -32768, 32767).astype("<i2").tobytes()
    decoder.start_utt()
    try:
        decoder.process_raw(pcm, no_search=False, full_utt=True)
    finally:
        decoder.end_utt()
    for heard in decoder.seg() or ():
        if (word := _word(heard, start / audio.sample_rate)) is not None:
            yield word


def _word(heard: _Heard, offset_seconds: float) -> Word | None:
    """None for silences and noises. `the(2)` is a pronunciation of `the`."""
    start, end = heard.start_frame / _FRAMES_PER_SECOND, (heard.end_frame + 1) / _FRAMES_PER_SECOND
    if _FILLER.match(heard.word) or end - start > _LONGEST_WORD_SECONDS:
        return None
    text = _PRONUNCIATION.sub("", heard.word)
    return Word(text, offset_seconds + start, offset_seconds + end, min(1.0, max(0.0, float(heard.prob))))


def _split_at_pauses(words: list[Word]) -> Iterator[tuple[Word, ...]]:
    first = 0
    for index in range(1, len(words)):
        if words[index].start - words[index - 1].end >= _PAUSE_SECONDS:
            yield tuple(words[first:index])
            first = index
    yield tuple(words[first:])


def _segment(words: tuple[Word, ...]) -> Segment:
    return Segment(" ".join(word.text for word in words), words[0].start, words[-1].end, words)
