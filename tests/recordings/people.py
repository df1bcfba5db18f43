"""Prompts that people speak, each with its text: Whisper base hears these word for word."""

from functools import cache

import numpy as np
import soxr

from scripts.parts import people
from src.domain.audio import Audio, Samples

RATE = 16_000
CLEAR = {
    "en": (
        "Please enter a new extension, followed by pound.",
        "At the sound of the tone, the time will be exactly...",
        "Your call cannot be completed as dialed.",
    ),
    "es": (
        "Por favor ingrese la clave de entrada para la conferencia.",
        "Numero de conferencia invalido. Por favor intente de nuevo.",
        "La conferencia está ahora en modo mudo.",
    ),
    "fr": (
        "La conférence est maintenant en mode discret.",
        "La conférence est maintenant enregistrée.",
        "Il n'y a qu'un seul participant dans cette conférence.",
    ),
    "it": (
        "Prego digitare un nuovo interno seguito da cancelletto.",
        "Prego inserire il numero pin della conferenza.",
        "quel pin non è valido per questa conferenza.",
    ),
    "ru": (
        "Наберите новый номер и нажмите решётку.",
        "Пожалуйста, проверьте номер и наберите еще раз.",
        "конференция начнется когда подключится руководитель.",
    ),
}
"""Of those of 2.5 to 5 s."""


@cache
def _clips(language: str) -> dict[str, Samples]:
    found: dict[str, Samples] = {}
    for clip in people.clips(language, 2.5, 5.0):
        found.setdefault(clip.text, clip.samples)
    return found


def spoken(text: str, language: str, before: float = 0.2, after: float = 0.3) -> Samples:
    """float32 [n] at 16 kHz, with seconds of quiet around it."""
    said = soxr.resample(_clips(language)[text], people.RATE, RATE).astype(np.float32)
    return np.pad(said, (round(before * RATE), round(after * RATE)))


def recording(text: str, language: str) -> Audio:
    return Audio(spoken(text, language), RATE)
