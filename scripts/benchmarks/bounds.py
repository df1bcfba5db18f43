"""Suite `hearing --bounds`: from which probability on a language is believed, by people's speech.

Of N prompts of 2 s or more of each language, and a quarter as many shorter ones, the language of the whole and of the
first 1, 1.5, 2 and 3 s is looked at, as the service does it. Printed for several bounds, apart for little speech:

- `foreign`: windows that would be refused as a language that the service lacks, and those that would not be refused
  if their own language were one;
- `named`: windows that are said to sound like another language than their own, and than each of three near ones that
  are named instead.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from scripts.parts import people
from src.config.settings import Settings
from src.domain.audio import Audio
from src.domain.languages import LANGUAGES
from src.models.silero_vad import SileroVad
from src.models.whisper.hearing import MODEL_RATE
from src.models.whisper.network import Precision
from src.models.whisper.recogniser import Recogniser
from src.models.whisper.spoken_languages import TELLING_SECONDS, among, spoken_instead
from src.models.whisper_model import weights_file
from src.utils.audio import resample

_CUTS = (None, 1.0, 1.5, 2.0, 3.0)
_BOUNDS = (0.5, 0.6, 0.7, 0.8, 0.9)
_NEAR = {
    "en": ("de", "nl", "es"),
    "es": ("it", "pt", "fr"),
    "fr": ("it", "es", "pt"),
    "it": ("es", "pt", "fr"),
    "ru": ("pl", "cs", "tr"),
}


@dataclass(frozen=True, slots=True)
class Window:
    """`told`: the probability of each of Whisper's languages. `seconds`: of speech."""

    language: str
    seconds: float
    told: dict[str, float]

    def foreign(self, bound: float) -> bool:
        best = max(self.told, key=lambda code: self.told[code])
        return best not in LANGUAGES and self.told[best] >= bound

    def unlike(self, named: str, bound: float) -> bool:
        return spoken_instead(among(self.told, LANGUAGES), named, self.seconds, bound) is not None


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Counts, by amount of speech and bound."""
    settings = Settings()
    weights = weights_file(settings.whisper_model, settings.whisper_dir)
    ears = Recogniser(weights, torch.device("cpu"), Precision.FLOAT32, batch=1)
    windows = [each for language in arguments.languages for each in _windows(ears, language, arguments.bounds)]
    found: dict[str, Any] = {}
    for name, some in (
        (f"{TELLING_SECONDS} s or more", [each for each in windows if each.seconds >= TELLING_SECONDS]),
        ("less", [each for each in windows if each.seconds < TELLING_SECONDS]),
    ):
        found[name] = {"windows": len(some), **{str(bound): _counts(some, bound) for bound in _BOUNDS}}
        print(name, len(some), "windows", *(f"\n  {bound} {found[name][str(bound)]}" for bound in _BOUNDS), flush=True)
    return found


def _counts(windows: list[Window], bound: float) -> dict[str, int]:
    return {
        "foreign_wrongly": sum(each.foreign(bound) for each in windows),
        "foreign_missed": sum(each.told[each.language] < bound for each in windows),
        "named_wrongly": sum(each.unlike(each.language, bound) for each in windows),
        "named_caught": sum(each.unlike(near, bound) for each in windows for near in _NEAR[each.language]),
    }


def _windows(ears: Recogniser, language: str, prompts: int) -> Iterator[Window]:
    detector = SileroVad()
    clips = people.clips(language, 0.8)
    long, short = ([clip for clip in clips if (clip.seconds >= 2) is wanted] for wanted in (True, False))
    for clip in _spread(long, prompts) + _spread(short, prompts // 4):
        audio = resample(Audio(clip.samples, people.RATE), MODEL_RATE)
        begin = next((round(max(0.0, a - 0.2) * MODEL_RATE) for a, _ in detector.speech(audio)), 0)
        for cut in _CUTS:
            end = len(audio.samples) if cut is None else begin + round(cut * MODEL_RATE)
            piece = np.ascontiguousarray(audio.samples[0 if cut is None else begin : end])
            seconds = sum(b - a for a, b in detector.speech(Audio(piece, MODEL_RATE)))
            if seconds and end <= len(audio.samples):
                [told] = ears.languages([ears.window(piece)], short=False)
                yield Window(language, seconds, told)


def _spread(clips: list[people.Clip], count: int) -> list[people.Clip]:
    return clips[:: max(1, len(clips) // max(1, count))][:count]
