"""Suite `voice`: whether the embedded voice is understood, and how near it is to the speaker.

Five people (three speakers of telephone prompts, of Debian's asterisk-core-sounds, and two men of pocketsphinx's own
test recordings) are the reference voices for sentences in each language. stock openai-whisper, in float32 and told the
language, hears three sentences at a time: the base voice as it is, and ours. Error rates are of words, in Chinese,
Japanese and Korean of characters; similarity is the cosine of GE2E embeddings, `voice_similarity` in each answer.
"""

import argparse
import io
import statistics
import tarfile
import time
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pooch
import soundfile
import torch
import whisper

from scripts.parts import people
from src.config.settings import Settings
from src.domain.audio import Audio, Samples
from src.domain.languages import LANGUAGES
from src.domain.speech import SpeechRequest, VoicePrint, compare
from src.models.embedded_voice import unit_selection
from src.models.embedded_voice.engine import EmbeddedVoice, converted
from src.models.speaker_analysis import SpeakerAnalysis
from src.models.whisper_model import weights_file
from src.utils.audio import join, levelled, resample
from src.utils.words import word_error_rate

_SENTENCES = tomllib.loads(Path(__file__).with_name("sentences.toml").read_text(encoding="utf-8"))
_AIMED_AT = ("en", "es", "fr", "it", "pt")
_AT_ONCE = 3
"""Sentences in one hearing: Whisper hears 30 seconds whatever they hold."""
_WHISPER_RATE = 16_000
_MOST_TOKENS = 120
"""Of one hearing: what goes round in circles ends here."""
_REFERENCE_SECONDS = 20.0
_PAUSE_SECONDS = 0.3

_MEN = (
    "https://files.pythonhosted.org/packages/61/e7/13e0e787ff467218de880310d79cba14424f13b87171ac44af0bde1e428c/"
    "pocketsphinx-5.1.1.tar.gz"
)
_MEN_DIGEST = "sha256:675778b309a22dfc9b7d37f7621976bba491d2a5f8c59696bd77fd6d07271355"
_VOICES = ("asterisk en", "librivox", "asterisk fr", "cards", "asterisk it")
"""In the order in which `--voices` takes them: high and low in turns."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One reference voice in one language. Rates are errors over words; `pitch_error` is relative; `real_time_factor`
    is that of speaking, with the voice learned before.
    """

    language: str
    voice: str
    plain_rate: float
    rate: float
    plain_similarity: float
    similarity: float
    pitch_error: float
    real_time_factor: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--languages", nargs="+", choices=LANGUAGES, default=list(_SENTENCES), help="all")
    add("--sentences", type=int, default=12, metavar="N", help="of the 12 in each language")
    add("--voices", type=int, default=5, metavar="N", help="of the 5 people")
    add("--espeak", action="store_true", help="espeak-ng alone, as without Kokoro's files")
    coarse, fine = unit_selection.SHARE[unit_selection.COARSE][0], unit_selection.SHARE[~unit_selection.COARSE][0]
    add(
        "--coarse", type=float, default=coarse, help="share of the speaker's units in the coarse spectrum (%(default)s)"
    )
    add("--fine", type=float, default=fine, help="the same in the fine one")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Of each language and voice, and the means over the five languages that most was aimed at, and over the others."""
    settings = Settings()
    hearer = Hearer(weights_file(settings.whisper_model, settings.whisper_dir), arguments.device)
    kokoro = None if arguments.espeak else settings.kokoro_dir
    engine, analysis = EmbeddedVoice(kokoro), SpeakerAnalysis()
    unit_selection.SHARE[:] = np.where(unit_selection.COARSE, arguments.coarse, arguments.fine)
    references = {name: reference(name) for name in _VOICES[: arguments.voices]}
    prints = {name: analysis.analyze(audio) for name, audio in references.items()}
    for name, voice_print in prints.items():
        print(f"{name}: {references[name].duration_seconds:.0f} s, {voice_print.pitch_hz:.0f} Hz")
    _print_head()
    measured = []
    for language in arguments.languages:
        texts = _SENTENCES[language][: arguments.sentences]
        of_language = [
            measure(engine, analysis, hearer, (name, references[name], prints[name]), language, texts)
            for name in references
        ]
        _print(language, of_language)
        measured += of_language
    aims = [each for each in measured if each.language in _AIMED_AT]
    others = [each for each in measured if each.language not in _AIMED_AT]
    for name, group in ((", ".join(_AIMED_AT), aims), ("the others", others)):
        if group:
            _print(name, group)
    return {"measured": [asdict(each) for each in measured]}


class Hearer:
    """openai-whisper, greedy, the language given."""

    def __init__(self, weights: Path, device: str) -> None:
        self._model = whisper.load_model(str(weights), device=device)
        self._known: dict[bytes, str] = {}

    def hear(self, audio: Audio, language: str) -> str:
        samples = np.ascontiguousarray(resample(audio, _WHISPER_RATE).samples, np.float32)
        key = samples.tobytes()
        if key not in self._known:  # espeak-ng's plain voice is the same for every speaker
            options = whisper.DecodingOptions(
                language=language, fp16=False, without_timestamps=True, temperature=0, sample_len=_MOST_TOKENS
            )
            mel = whisper.log_mel_spectrogram(whisper.pad_or_trim(samples))
            with torch.inference_mode():
                self._known[key] = whisper.decode(self._model, mel.to(self._model.device), options).text
        return self._known[key]


def measure(
    engine: EmbeddedVoice,
    analysis: SpeakerAnalysis,
    hearer: Hearer,
    speaker: tuple[str, Audio, VoicePrint],
    language: str,
    texts: Sequence[str],
) -> Measured:
    name, audio, original = speaker
    voice, own = engine.condition((audio,)), engine.condition(())
    heard: dict[str, list[str]] = {"plain": [], "ours": []}
    sounds: dict[str, list[Audio]] = {"plain": [], "ours": []}
    speaking = 0.0
    for start in range(0, len(texts), _AT_ONCE):
        said = tuple(texts[start : start + _AT_ONCE])
        request = SpeechRequest(said, language, voice, speaker=original.embedding)
        began = time.perf_counter()
        spoken = engine.plain(request)
        speaking += time.perf_counter() - began
        for kind, target in (("plain", own), ("ours", voice)):
            began = time.perf_counter()
            sound = converted(SpeechRequest(said, language, target), spoken)
            speaking += time.perf_counter() - began if kind == "ours" else 0.0
            sounds[kind].append(sound)
            heard[kind].append(hearer.hear(sound, language))
    plain, ours = (analysis.analyze(join(sounds[kind])) for kind in ("plain", "ours"))
    plain_rate, rate = (word_error_rate(" ".join(texts), " ".join(heard[kind]), language) for kind in ("plain", "ours"))
    return Measured(
        language,
        name,
        plain_rate,
        rate,
        compare(original, plain).similarity,
        compare(original, ours).similarity,
        abs(ours.pitch_hz / original.pitch_hz - 1),
        speaking / sum(sound.duration_seconds for sound in sounds["ours"]),
    )


# --- reference voices


def reference(name: str) -> Audio:
    """About 20 s of a person's recordings, as the service would have them."""
    source, _, language = name.partition(" ")
    sounds, rate = _prompts(language) if source == "asterisk" else _recordings(source)
    pieces: list[Samples] = []
    seconds = 0.0
    for samples in sounds:
        pieces += [samples, np.zeros(int(_PAUSE_SECONDS * rate), np.float32)]
        seconds += len(samples) / rate
        if seconds >= _REFERENCE_SECONDS:
            break
    return Audio(levelled(np.concatenate(pieces), rate), rate)


def _prompts(language: str) -> tuple[list[Samples], int]:
    return [clip.samples for clip in people.clips(language, 3.0, 12.0)], people.RATE


def _recordings(folder: str) -> tuple[list[Samples], int]:
    """WAV files of a folder of pocketsphinx's tests, all at 16 kHz."""
    name = _MEN.rpartition("/")[2]
    archive = pooch.retrieve(_MEN, _MEN_DIGEST, name, people.ROOT / ".cache" / "people")
    return list(_wav_files(Path(archive), f"/test/data/{folder}/")), _WHISPER_RATE


def _wav_files(archive: Path, folder: str) -> Iterator[Samples]:
    with tarfile.open(archive) as files:
        for member in sorted(files.getmembers(), key=lambda member: member.name):
            if folder in member.name and member.name.endswith(".wav") and (file := files.extractfile(member)):
                yield soundfile.read(io.BytesIO(file.read()), dtype="float32")[0]


# --- tables


def _print_head() -> None:
    print(f"\n{'':<20}{'errors: plain > ours':>22}{'similarity':>18}{'pitch error':>14}{'real-time factor':>18}")


def _print(name: str, group: Sequence[Measured]) -> None:
    def mean(field: str) -> float:
        return statistics.fmean(getattr(each, field) for each in group)

    print(
        f"{name:<20}{mean('plain_rate'):>14.1%} >{mean('rate'):>6.1%}"
        f"{mean('plain_similarity'):>11.2f} >{mean('similarity'):>5.2f}{mean('pitch_error'):>13.1%}"
        f"{mean('real_time_factor'):>18.2f}",
        flush=True,
    )
