"""Suite `consent`: what the bounds of the spoken challenge let through, and what they refuse, on people's prompts.

Five people, one for each language. Words: the word error rate of what Whisper hears in a prompt against its own text,
and against the texts of others. Voices: cosines of GE2E embeddings between pieces of about the length of a challenge,
of the same person and of different ones; the same with a challenge that comes through another microphone. Chance: how
often one challenge's sentence would pass for another.
"""

import argparse
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.signal import butter, lfilter

from scripts.parts import people
from src.config.settings import Settings
from src.domain.audio import Audio, Samples
from src.domain.errors import NoSpeechDetected, SpeechNotUnderstood
from src.domain.speech import Quality
from src.models.speaker_analysis import SpeakerAnalysis
from src.models.whisper_model import WhisperModel, weights_file
from src.services.profiles.challenges import load_grammars
from src.services.profiles.verification import Bounds, pieces
from src.utils.audio import levelled, resample
from src.utils.words import word_error_rate

_NOISE_DECIBELS = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--prompts", type=int, default=25, help="of each person")
    parser.add_argument("--pairs", type=int, default=200_000, help="of texts of challenges")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    bounds = Bounds()
    clips = {code: people.clips(code, 3.0, 10.0)[: arguments.prompts] for code in people.LANGUAGES}
    return {
        "words": _words(clips, bounds.word_error_rate),
        "voices": _voices(clips, bounds.similarity),
        "chance": _chance(arguments.pairs, bounds.word_error_rate),
    }


def _words(clips: dict[str, list[people.Clip]], bound: float) -> dict[str, Any]:
    settings = Settings()
    recogniser = WhisperModel(weights_file(settings.whisper_model, settings.whisper_dir))
    right: list[float] = []
    wrong: list[float] = []
    for language, said in clips.items():
        for clip in said:
            heard = _hear(recogniser, clip)
            right.append(word_error_rate(clip.text, heard, language))
            wrong += [word_error_rate(other.text, heard, language) for other in said if other.text != clip.text]
    print(f"Word error rates; {bound:g} and less passes")
    return {
        "own": _told("own text", right, [rate <= bound for rate in right]),
        "others": _told("texts of others", wrong, [rate <= bound for rate in wrong]),
    }


def _hear(recogniser: WhisperModel, clip: people.Clip) -> str:
    try:
        audio = resample(Audio(clip.samples, people.RATE), 16_000)
        return recogniser.transcribe(audio, clip.language, Quality.BALANCED).text
    except (NoSpeechDetected, SpeechNotUnderstood):
        return ""


def _telephone(samples: Samples) -> Samples:
    low, high = (frequency / (people.RATE / 2) for frequency in (300, 3400))
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


def _voices(clips: dict[str, list[people.Clip]], bound: float) -> dict[str, Any]:
    """Pieces as `Verification` compares them, each of several prompts."""
    analysis = SpeakerAnalysis()
    spoken = {
        code: [piece.samples for piece in pieces(Audio(np.concatenate([clip.samples for clip in said]), people.RATE))]
        for code, said in clips.items()
    }
    print(f"Speaker similarity; {bound:g} and more passes")
    measured = {}
    references = _prints(analysis, spoken, _CHANNELS["as it is"])
    for channel, change in _CHANNELS.items():
        answers = _prints(analysis, spoken, change)
        pairs = [
            (one == other, float(references[one][number] @ answers[other][index]))
            for one, other in itertools.product(references, answers)
            for number, index in itertools.product(range(len(references[one])), range(len(answers[other])))
            if one != other or number != index
        ]
        for name, same in (("same", True), ("others", False)):
            cosines = [cosine for is_same, cosine in pairs if is_same is same]
            passed = [cosine >= bound for cosine in cosines]
            measured[f"{channel}, {name}"] = _told(f"{channel}, {name}", cosines, passed)
    return measured


def _prints(
    analysis: SpeakerAnalysis, spoken: dict[str, list[Samples]], change: Callable[[Samples], Samples]
) -> dict[str, list[Samples]]:
    def of(samples: Samples) -> Samples:
        audio = resample(Audio(levelled(change(samples), people.RATE), people.RATE), 16_000)
        return np.array(analysis.analyze(audio).embedding, np.float32)

    return {code: [of(samples) for samples in said] for code, said in spoken.items()}


def _chance(pairs: int, bound: float) -> dict[str, Any]:
    grammar = load_grammars()["en"]
    passed = sum(word_error_rate(grammar.make(), grammar.make(), "en") <= bound for _ in range(pairs))
    print(f"{grammar.count} English sentences; one passes for another, heard right, in {passed} of {pairs} pairs")
    return {"sentences": grammar.count, "pairs": pairs, "passed": passed}


def _told(name: str, values: list[float], passed: list[bool]) -> dict[str, Any]:
    quantiles = [float(np.quantile(values, share)) for share in (0, 0.05, 0.5, 0.95, 1)]
    least, low, middle, high, most = quantiles
    figures = f"least {least:.2f}, 5 % {low:.2f}, median {middle:.2f}, 95 % {high:.2f}, most {most:.2f}"
    print(f"  {name:<26}{figures}  passed {sum(passed)} of {len(passed)}", flush=True)
    return {"quantiles": quantiles, "passed": sum(passed), "of": len(passed)}
