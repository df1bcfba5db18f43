"""Two dozen sentences in three languages, spoken by flite and espeak-ng: what the tests' small Whisper is taught."""

import io
import random
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import soundfile as sf
import soxr

from src.domain.audio import Samples

SAMPLE_RATE = 16_000

SENTENCES: dict[str, tuple[str, ...]] = {
    "en": (
        "Good morning, how are you today?",
        "The train leaves at seven in the evening.",
        "My brother lives in a small house by the river.",
        "We need two tickets for the museum.",
        "The weather is cold but the sun is out.",
        "Thank you very much for your help.",
        "Our meeting starts in ten minutes.",
        "The children are asleep in the next room.",
    ),
    "fr": (
        "Bonjour, comment allez-vous aujourd'hui ?",
        "Le train part à sept heures du soir.",
        "Mon frère habite une petite maison au bord de la rivière.",
        "Nous avons besoin de deux billets pour le musée.",
        "Il fait froid mais le soleil brille.",
        "Merci beaucoup pour votre aide.",
        "Notre réunion commence dans dix minutes.",
        "Les enfants dorment dans la chambre voisine.",
    ),
    "es": (
        "Buenos días, ¿cómo está usted hoy?",
        "El tren sale a las siete de la tarde.",
        "Mi hermano vive en una casa pequeña junto al río.",
        "Necesitamos dos entradas para el museo.",
        "Hace frío pero brilla el sol.",
        "Muchas gracias por su ayuda.",
        "Nuestra reunión empieza en diez minutos.",
        "Los niños duermen en la habitación de al lado.",
    ),
}

_VOICES = {"en": ("en-us", "en-gb"), "fr": ("fr", "fr-be"), "es": ("es", "es-419")}
_TAUGHT_VARIANTS = ("m1", "m3", "m4", "m5", "m6", "m7", "m8", "f1", "f3", "f4", "f5")
_TAUGHT_PER_LANGUAGE = 27
_FLITE_VOICES = ("slt", "rms", "awb")


@dataclass(frozen=True, slots=True)
class Voice:
    """`name` is flite's when `flite`, else espeak-ng's with its variant. `speed` in words per minute, `pitch` 0..99."""

    name: str
    speed: int = 160
    pitch: int = 50
    flite: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """A rendering: `samples` [T] at 16 kHz without silence at its ends."""

    samples: Samples
    language: str
    text: str

    @property
    def seconds(self) -> float:
        return len(self.samples) / SAMPLE_RATE


def taught_voices(language: str) -> list[Voice]:
    """Always the same, of many speeds and pitches."""
    chance = random.Random(language)  # noqa: S311 - training data, not secrets
    names = _VOICES[language]
    voices = [
        Voice(
            f"{names[index % 2]}+{_TAUGHT_VARIANTS[index % len(_TAUGHT_VARIANTS)]}",
            chance.randint(125, 190),
            chance.randint(30, 70),
        )
        for index in range(_TAUGHT_PER_LANGUAGE)
    ]
    return voices + [Voice(name, flite=True) for name in _FLITE_VOICES if language == "en"]


def held_out_voices(language: str) -> list[Voice]:
    """Variants that are not among the taught ones."""
    name = _VOICES[language][0]
    return [Voice(f"{name}+m2", 145, 47), Voice(f"{name}+f2", 160, 58)]


def render(text: str, voice: Voice) -> Samples:
    """`text` spoken: float32 [T] at 16 kHz, trimmed, peak 0.7."""
    if voice.flite:
        command = ["flite", "-voice", voice.name, "-t", text, "-o", "/dev/stdout"]
    else:
        command = ["espeak-ng", "-v", voice.name, "-s", str(voice.speed), "-p", str(voice.pitch), "--stdout", text]
    wav = subprocess.run(command, check=True, capture_output=True, timeout=30).stdout
    samples, rate = sf.read(io.BytesIO(_with_true_lengths(wav)), dtype="float32")
    samples = soxr.resample(samples, rate, SAMPLE_RATE).astype(np.float32)
    loud = np.flatnonzero(np.abs(samples) > 0.02 * np.abs(samples).max())
    samples = samples[loud[0] : loud[-1] + 1]
    return np.asarray(samples * (0.7 / np.abs(samples).max()), np.float32)


def _with_true_lengths(wav: bytes) -> bytes:
    """A program that writes to a pipe cannot know the lengths when it writes the header."""
    data = wav.index(b"data")
    size = len(wav) - data - 8
    riff = (len(wav) - 8).to_bytes(4, "little")
    return wav[:4] + riff + wav[8 : data + 4] + size.to_bytes(4, "little") + wav[data + 8 :]


def render_all(held_out: bool) -> list[Clip]:
    voices = held_out_voices if held_out else taught_voices
    jobs = [
        (text, language, voice) for language, texts in SENTENCES.items() for text in texts for voice in voices(language)
    ]
    with ThreadPoolExecutor(4) as pool:
        spoken = pool.map(lambda job: render(job[0], job[2]), jobs)
        return [Clip(samples, language, text) for samples, (text, language, _) in zip(spoken, jobs, strict=True)]


def texts() -> Iterator[str]:
    return (text for sentences in SENTENCES.values() for text in sentences)
