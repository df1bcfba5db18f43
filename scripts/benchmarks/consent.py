"""Suite `consent`: what the bounds of the spoken challenge let through, and what they refuse, in English.

Words: sentences of challenges spoken by four voices of flite, heard by Whisper; the word error rate against the
sentence that was spoken, and against those that were not. Voices: GE2E cosines between recordings of about the length
of a challenge, of the same voice and of different ones: four voices of flite, and a woman who recorded the channel
names of Debian's alsa-utils; and between variants of one synthesiser, espeak-ng's. The same with a microphone that
differs: the challenge through a telephone's band, or in noise. Chance: how often one sentence would pass for another,
over pairs of texts.
"""

import argparse
import io
import itertools
import math
import subprocess
import wave
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import soxr
from scipy.signal import butter, lfilter

from scripts.benchmarks.voice import ALSA_SOUNDS, FLITE_REFERENCES, read
from src.config.settings import Settings
from src.domain.audio import WORKING_SAMPLE_RATE, Audio, Samples
from src.domain.errors import NoSpeechDetected, SpeechNotUnderstood
from src.domain.speech import Quality
from src.models.speaker_analysis import SpeakerAnalysis
from src.models.whisper_model import WhisperModel, weights_file
from src.services.profiles.challenge_sentences import load_grammars
from src.services.profiles.verification import Bounds
from src.utils.audio import levelled
from src.utils.words import word_error_rate
from tests.recordings import audio_files

_GRAMMAR = load_grammars()["en"]
_NOISE_DECIBELS = 20
_VARIANTS = ("m1", "m3", "f2", "f4")
"""Of espeak-ng's English voice: its formants moved."""
_ALSA_AT_ONCE = 4
"""Channel names of a second and a half each, joined to the length of a challenge."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sentences", type=int, default=25, help="of each voice (suite consent)")
    parser.add_argument("--pairs", type=int, default=200_000, help="of texts (suite consent)")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    bounds = Bounds()
    spoken = {
        voice: [(text, _flite(text, voice)) for text in (_GRAMMAR.make() for _ in range(arguments.sentences))]
        for voice in FLITE_REFERENCES
    }
    words = _words(spoken, bounds.word_error_rate)
    voices = _voices(
        {f"flite {voice}": [audio for _, audio in said] for voice, said in spoken.items()},
        bounds.similarity,
    )
    variants = _variants([_GRAMMAR.make() for _ in range(6)], bounds.similarity)
    return {
        "words": words,
        "voices": voices,
        "variants": variants,
        "chance": _chance(arguments.pairs, bounds.word_error_rate),
    }


def _flite(text: str, voice: str) -> Audio:
    return _ready(audio_files.speech(WORKING_SAMPLE_RATE, text, voice))


def _ready(samples: Samples) -> Audio:
    return Audio(levelled(samples.astype(np.float32), WORKING_SAMPLE_RATE), WORKING_SAMPLE_RATE)


# --- words


def _words(spoken: dict[str, list[tuple[str, Audio]]], bound: float) -> dict[str, Any]:
    settings = Settings()
    recogniser = WhisperModel(weights_file(settings.whisper_model, settings.whisper_dir))
    print(f"Word error rates; {bound:g} and less passes")
    right: list[float] = []
    wrong: list[float] = []
    for voice, said in spoken.items():
        heard = [_hear(recogniser, audio) for _, audio in said]
        own = [word_error_rate(text, one, "en") for (text, _), one in zip(said, heard, strict=True)]
        print(f"  {voice:<8}{_told(own)}  passed {sum(rate <= bound for rate in own)} of {len(own)}", flush=True)
        right += own
        texts = [text for text, _ in said]
        wrong += [word_error_rate(text, one, "en") for one, text in itertools.product(heard, texts)]
    wrong = sorted(wrong)[len(right) :]  # each recording once meets its own sentence
    print(f"  other sentences {_told(wrong)}  passed {sum(rate <= bound for rate in wrong)} of {len(wrong)}")
    return {"right": right, "passed": sum(rate <= bound for rate in right), "least_of_others": min(wrong)}


def _hear(recogniser: WhisperModel, audio: Audio) -> str:
    try:
        return recogniser.transcribe(audio, "en", Quality.BALANCED).text
    except (NoSpeechDetected, SpeechNotUnderstood):
        return ""


# --- voices


def _voices(recordings: dict[str, list[Audio]], bound: float) -> dict[str, Any]:
    analysis = SpeakerAnalysis()
    if alsa := list(_alsa(len(next(iter(recordings.values()))))):
        recordings = recordings | {"alsa-utils": alsa}
    prints = {name: [_print(analysis, audio) for audio in audios] for name, audios in recordings.items()}
    measured = {}
    print(f"Speaker similarity; {bound:g} and more passes")
    for kind, change in _CHANNELS.items():
        changed = prints if kind == "as it is" else _changed(analysis, recordings, change)
        pairs = [
            (name, other, float(one @ two))
            for name, other in itertools.product(prints, changed)
            for one, two in itertools.product(prints[name], changed[other])
            if one is not two
        ]
        same = [cosine for name, other, cosine in pairs if name == other]
        others = [cosine for name, other, cosine in pairs if name != other]
        passed = sum(cosine >= bound for cosine in same), sum(cosine >= bound for cosine in others)
        print(f"  {kind:<18} same    {_told(same)}  passed {passed[0]} of {len(same)}", flush=True)
        print(f"  {'':<18} others  {_told(others)}  passed {passed[1]} of {len(others)}")
        measured[kind] = {"same": _quantiles(same), "others": _quantiles(others), "passed": passed}
    return measured


def _variants(texts: list[str], bound: float) -> list[float]:
    analysis = SpeakerAnalysis()
    prints = {variant: [_print(analysis, _espeak(text, variant)) for text in texts] for variant in _VARIANTS}
    others = [
        float(one @ two)
        for name, other in itertools.combinations(_VARIANTS, 2)
        for one, two in itertools.product(prints[name], prints[other])
    ]
    passed = sum(cosine >= bound for cosine in others)
    print(f"  {'espeak-ng variants':<18} others  {_told(others)}  passed {passed} of {len(others)}", flush=True)
    return _quantiles(others)


def _espeak(text: str, variant: str) -> Audio:
    command = ["espeak-ng", "-v", f"en+{variant}", "--stdout", text]
    spoken = subprocess.run(command, check=True, capture_output=True, timeout=30).stdout
    with wave.open(io.BytesIO(spoken)) as file:
        samples = np.frombuffer(file.readframes(len(spoken)), np.int16).astype(np.float32) / 32_768
        return _ready(soxr.resample(samples, file.getframerate(), WORKING_SAMPLE_RATE))


def _changed(
    analysis: SpeakerAnalysis, recordings: dict[str, list[Audio]], change: Callable[[Samples], Samples]
) -> dict[str, list[Samples]]:
    few = {name: audios[:6] for name, audios in recordings.items()}
    return {name: [_print(analysis, _ready(change(audio.samples))) for audio in audios] for name, audios in few.items()}


def _print(analysis: SpeakerAnalysis, audio: Audio) -> Samples:
    return np.array(analysis.analyze(audio).embedding, np.float32)


def _alsa(count: int) -> Iterator[Audio]:
    files = [read(path) for path in sorted(ALSA_SOUNDS.glob("*.wav")) if path.stem != "Noise"]
    chosen = itertools.combinations(files, _ALSA_AT_ONCE)
    for sounds in itertools.islice(chosen, 0, None, max(1, math.comb(len(files), _ALSA_AT_ONCE) // count)):
        joined = np.concatenate([sound.samples for sound in sounds])
        yield _ready(soxr.resample(joined, sounds[0].sample_rate, WORKING_SAMPLE_RATE))


def _telephone(samples: Samples) -> Samples:
    low, high = (frequency / (WORKING_SAMPLE_RATE / 2) for frequency in (300, 3400))
    numerator, denominator = butter(4, [low, high], "band")
    return np.asarray(lfilter(numerator, denominator, samples), np.float32)


def _noisy(samples: Samples) -> Samples:
    level = np.sqrt(np.mean(samples**2)) * 10 ** (-_NOISE_DECIBELS / 20)
    return samples + np.random.default_rng(0).standard_normal(len(samples), np.float32) * np.float32(level)


_CHANNELS: dict[str, Callable[[Samples], Samples]] = {
    "as it is": lambda samples: samples,
    f"noise, {_NOISE_DECIBELS} dB": _noisy,
    "telephone band": _telephone,
}
"""What happens to the challenge, while the reference stays as it is."""


# --- chance


def _chance(pairs: int, bound: float) -> dict[str, Any]:
    passed = sum(word_error_rate(_GRAMMAR.make(), _GRAMMAR.make(), "en") <= bound for _ in range(pairs))
    print(f"{_GRAMMAR.count} sentences, {math.log2(_GRAMMAR.count):.1f} bits")
    print(f"One passes for another, every word heard right: {passed} of {pairs} pairs", end="")
    print(f", {math.log2(pairs / passed):.1f} bits" if passed else "")
    return {"sentences": _GRAMMAR.count, "pairs": pairs, "passed": passed}


def _told(values: list[float]) -> str:
    least, low, middle, high, most = _quantiles(values)
    return f"least {least:.2f}, 5 % {low:.2f}, median {middle:.2f}, 95 % {high:.2f}, most {most:.2f}"


def _quantiles(values: list[float]) -> list[float]:
    return [float(np.quantile(values, share)) for share in (0, 0.05, 0.5, 0.95, 1)]
