"""Suite `voice`: how near the embedded voice is to the speaker, whether it is understood, and what it costs.

Reference voices that every installed machine has: a woman who recorded the channel names of Debian's alsa-utils, and
four voices of flite. That is one human speaker; for more, give --reference-dir a folder of WAV files, one per speaker
(such as the test recordings in pocketsphinx's source distribution). A flite voice is never the base for itself as a
reference.

Similarity is the cosine of GE2E embeddings of reference and answer (src/models/speaker_analysis.py), which is what the
service returns as `voice_similarity`. Words are those that pocketsphinx recognises in their order, of all that were
said: once as the service speaks English, and once from espeak-ng's English, which tells more about other languages.
"""

import argparse
import os
import re
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import soundfile as sf

from src.domain.audio import Audio
from src.domain.errors import NoSpeechDetected
from src.domain.speech import Quality, SpeechRequest, VoiceConditioning, VoicePrint, compare
from src.models.espeak_voice.base_voice import FLITE_VOICES, espeak
from src.models.espeak_voice.engine import EspeakVoice
from src.models.speaker_analysis import SpeakerAnalysis
from src.models.whisper_model import WhisperModel, weights_file
from src.utils.audio import levelled

ALSA_SOUNDS = Path("/usr/share/sounds/alsa")
FLITE_REFERENCES = {"rms": "man", "slt": "woman", "kal16": "man", "awb": "man"}
PLAIN_VOICES = {"es": "es", "fr": "fr", "en": "en-us"}

READ_BY_FLITE = (
    "The north wind and the sun were disputing which was the stronger, when a traveller came along wrapped in a warm "
    "cloak. "
    "They agreed that the one who first succeeded in making the traveller take his cloak off should be considered "
    "stronger than the other."
)
SENTENCES = {
    "es": (
        "Hola, quisiera reservar una mesa para dos personas esta noche.",
        "El tren sale a las siete y media de la mañana desde el andén cuatro.",
        "Gracias por su ayuda, nos vemos el próximo martes en la oficina.",
    ),
    "fr": (
        "Bonjour, je voudrais réserver une table pour deux personnes ce soir.",
        "Le train part à sept heures et demie du matin sur le quai numéro quatre.",
        "Merci pour votre aide, nous nous verrons mardi prochain au bureau.",
    ),
    "en": (
        "Hello, I would like to book a table for two people this evening.",
        "The train leaves at half past seven in the morning from platform four.",
        "Thank you for your help, we will meet next Tuesday at the office.",
    ),
}
DICTATION = (
    "The meeting starts at nine in the morning.",
    "Please bring your passport and two photographs.",
    "The children are playing in the garden behind the house.",
    "I will call you back as soon as I get home.",
    "We need more water and some bread for dinner.",
    "The doctor said that he should stay in bed for a week.",
    "She bought a new car because the old one was too small.",
    "There is a letter for you on the kitchen table.",
    "My brother works in a hospital near the river.",
    "Could you tell me the way to the station?",
    "The weather was very cold last winter.",
    "They have lived in this town for twenty years.",
)


@dataclass(frozen=True, slots=True)
class Reference:
    name: str
    kind: str
    audio: Audio
    flite_voices: tuple[str, ...] = FLITE_VOICES


@dataclass(frozen=True, slots=True)
class Spoken:
    """One reference in one language. `pitch_error` is relative, `real_time_factor` without conditioning."""

    reference: str
    language: str
    plain: float
    similarity: float
    pitch_error: float
    timbre_agreement: float
    real_time_factor: float


@dataclass(frozen=True, slots=True)
class Understood:
    """Words recognised of one reference's dictation: as the service speaks English, and from espeak-ng's English."""

    reference: str
    words: int
    words_from_espeak: int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--reference-dir", type=Path, metavar="DIR", help="WAV files of more speakers, 4 to 60 s each (suite voice)"
    )
    parser.add_argument("--skip-words", action="store_true", help="leave the recogniser out (suite voice)")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    references = [*installed_references(), *given_references(arguments.reference_dir)]
    with one_core():
        spoken = measure_similarity(references)
    print_similarity(spoken)
    result: dict[str, Any] = {
        "references": {reference.name: reference.kind for reference in references},
        "spoken": [asdict(entry) for entry in spoken],
        "mean_similarity": mean(spoken, "similarity"),
        "mean_similarity_plain": mean(spoken, "plain"),
    }
    return result if arguments.skip_words else result | measure_words(references)


@contextmanager
def one_core() -> Iterator[None]:
    """This process and the programs it starts stay on one core, where the system can do that."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


# --- references


def installed_references() -> Iterator[Reference]:
    recordings = sorted(path for path in ALSA_SOUNDS.glob("*.wav") if path.stem != "Noise")
    if recordings:
        sounds = [read(path) for path in recordings]
        joined = np.concatenate([sound.samples for sound in sounds])
        yield Reference("alsa-utils", "human, woman", Audio(joined, sounds[0].sample_rate))
    else:
        print(f"No recordings in {ALSA_SOUNDS}: install Debian's alsa-utils for a human voice.")
    for voice, sex in FLITE_REFERENCES.items():
        others = tuple(other for other in FLITE_VOICES if other != voice)
        yield Reference(f"flite {voice}", f"synthetic, {sex}", flite(voice), others)


def given_references(folder: Path | None) -> Iterator[Reference]:
    for path in sorted(folder.glob("*.wav")) if folder is not None else ():
        yield Reference(path.stem, "given", read(path))


def read(path: Path) -> Audio:
    """As the service would have it: mono, peak at -3 dB."""
    samples, sample_rate = sf.read(path, dtype="float32", always_2d=True)
    return Audio(levelled(samples.mean(axis=1), sample_rate), sample_rate)


def flite(voice: str) -> Audio:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        subprocess.run(["flite", "-voice", voice, "-t", READ_BY_FLITE, "-o", str(path)], check=True, timeout=30)
        return read(path)


# --- similarity, pitch and cost


def measure_similarity(references: Sequence[Reference]) -> list[Spoken]:
    analysis = SpeakerAnalysis()
    plain = {language: analysis.analyze(plain_speech(language)) for language in SENTENCES}
    return [
        speak_and_compare(reference, language, analysis, plain[language])
        for reference in references
        for language in SENTENCES
    ]


def plain_speech(language: str) -> Audio:
    parts = [espeak(text, PLAIN_VOICES[language]) for text in SENTENCES[language]]
    return Audio(np.concatenate([part.samples for part in parts]), parts[0].sample_rate)


def speak_and_compare(reference: Reference, language: str, analysis: SpeakerAnalysis, plain: VoicePrint) -> Spoken:
    engine = EspeakVoice(reference.flite_voices)
    request = SpeechRequest(SENTENCES[language], language, engine.condition((reference.audio,)))
    begin = time.perf_counter()
    answer = engine.speak(request)
    seconds = time.perf_counter() - begin
    check_sound(answer)
    original, spoken = analysis.analyze(reference.audio), analysis.analyze(answer)
    match = compare(original, spoken)
    return Spoken(
        reference.name,
        language,
        compare(original, plain).similarity,
        match.similarity,
        abs(spoken.pitch_hz / original.pitch_hz - 1),
        match.timbre_agreement,
        seconds / answer.duration_seconds,
    )


def check_sound(audio: Audio) -> None:
    """Stops the benchmark for an answer that is broken: not a number, or clipped."""
    if not np.isfinite(audio.samples).all() or np.abs(audio.samples).max() >= 1:
        raise SystemExit("An answer is clipped or is not a number.")


# --- words


def measure_words(references: Sequence[Reference]) -> dict[str, Any]:
    recogniser = WhisperModel(weights_file("base", Path("checkpoints")))
    total = sum(len(words(text)) for text in DICTATION)
    plain = count_words(recogniser, lambda text: espeak(text, PLAIN_VOICES["en"]))
    print(f"\nEnglish words recognised, of {total}; plain espeak-ng: {plain}")
    print(f"  {'reference':<18}{'ours':>8}{'ours, without flite':>22}")
    counted = [understand(recogniser, reference) for reference in references]
    print(f"  {'mean':<18}{mean(counted, 'words'):>8.0f}{mean(counted, 'words_from_espeak'):>22.0f}")
    return {"words_said": total, "words_plain": plain, "understood": [asdict(entry) for entry in counted]}


def understand(recogniser: WhisperModel, reference: Reference) -> Understood:
    counts = []
    for voices in (reference.flite_voices, ()):
        engine = EspeakVoice(voices)
        counts.append(count_words(recogniser, partial(say, engine, engine.condition((reference.audio,)))))
    print(f"  {reference.name:<18}{counts[0]:>8}{counts[1]:>22}", flush=True)
    return Understood(reference.name, *counts)


def say(engine: EspeakVoice, voice: VoiceConditioning, text: str) -> Audio:
    return engine.speak(SpeechRequest((text,), "en", voice))


def count_words(recogniser: WhisperModel, speak: Callable[[str], Audio]) -> int:
    return sum(in_order(words(text), hear(recogniser, speak(text))) for text in DICTATION)


def hear(recogniser: WhisperModel, audio: Audio) -> list[str]:
    try:
        return words(recogniser.transcribe(audio, "en", Quality.BALANCED).text)
    except NoSpeechDetected:
        return []


def words(text: str) -> list[str]:
    return re.findall(r"[a-z']+", text.lower())


def in_order(said: Sequence[str], heard: Sequence[str]) -> int:
    """Length of the longest common subsequence."""
    row = [0] * (len(heard) + 1)
    for word in said:
        last = row[:]
        for column, other in enumerate(heard):
            row[column + 1] = last[column] + 1 if word == other else max(row[column], last[column + 1])
    return row[-1]


# --- tables


def print_similarity(spoken: Sequence[Spoken]) -> None:
    print("Speaker similarity to the reference (GE2E cosine): plain espeak-ng > ours")
    print(
        f"  {'reference':<18}{'language':<10}{'plain':>7}{'ours':>7}{'pitch error':>13}{'timbre':>8}{'real time':>11}"
    )
    for entry in spoken:
        print(
            f"  {entry.reference:<18}{entry.language:<10}{entry.plain:>7.2f}{entry.similarity:>7.2f}"
            f"{entry.pitch_error:>12.1%} {entry.timbre_agreement:>8.2f}{entry.real_time_factor:>10.2f}x"
        )
    plain, ours, error, timbre, factor = (mean(spoken, name) for name in list(asdict(spoken[0]))[2:])
    print(f"  {'mean':<28}{plain:>7.2f}{ours:>7.2f}{error:>12.1%} {timbre:>8.2f}{factor:>10.2f}x")


def mean(entries: Sequence[Any], name: str) -> float:
    return float(statistics.mean(getattr(entry, name) for entry in entries))
