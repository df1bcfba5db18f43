"""Kokoro-82M, a network that speaks phonemes in many voices, on onnxruntime; and which of these are nearest to a
speaker, by GE2E embedding and by pitch. What the voices are like is measured once, by
scripts/parts/kokoro_likeness.py, and kept beside this module.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from src.domain.audio import Audio, Samples
from src.models.embedded_voice.kokoro_files import NETWORK_FILE, VOICES, VOICES_FILE

Array = NDArray[np.float64]

LIKENESS_FILE = Path(__file__).with_name("kokoro_likeness.npz")
_LETTERS = {"en": "a", "es": "e", "fr": "f", "it": "i", "pt": "p", "ja": "j", "zh": "z"}
"""How the names of a language's voices begin. Other languages take Portuguese ones, which have many sounds."""
_FOR_OTHERS = _LETTERS["pt"]
_OTHER_SHARE = 0.4
"""Of a voice of any language in the mixture: with it the speaker is nearer by 0.05 of cosine, and no word is lost. By
itself such a voice is understood less: American ones lose half of the words in French."""
_OCTAVE = 0.1
"""Of cosine: what an octave between the pitches weighs."""


def mixture(language: str, speaker: Sequence[float] = (), pitch_hz: float = 0.0) -> dict[str, float]:
    """Names and shares of voices, the first one's of `language`, that are nearest together.

    `speaker`: a GE2E embedding, empty when not known; `pitch_hz`: 0 likewise.
    """
    names, embeddings, octaves = _measured()
    letter = _LETTERS.get(language, _FOR_OTHERS)
    wanted = np.asarray(speaker, np.float64) if len(speaker) else np.zeros(embeddings.shape[1])
    octave = np.log2(pitch_hz) if pitch_hz > 0 else None
    own = [number for number, name in enumerate(names) if name[0] == letter]
    first = own[_nearest(embeddings[own], octaves[own], wanted, octave)]
    share = _OTHER_SHARE
    mixed = (1 - share) * embeddings[first] + share * embeddings
    second = _nearest(mixed, (1 - share) * octaves[first] + share * octaves, wanted, octave)
    return {names[first]: 1.0} if second == first else {names[first]: 1 - share, names[second]: share}


def _nearest(embeddings: Array, octaves: Array, wanted: Array, octave: float | None) -> int:
    norms = np.linalg.norm(embeddings, axis=1) * np.linalg.norm(wanted)
    score = embeddings @ wanted / np.maximum(norms, 1e-9)
    return int((score if octave is None else score - _OCTAVE * np.abs(octaves - octave)).argmax())


@cache
def _measured() -> tuple[tuple[str, ...], Array, Array]:
    """Names, embeddings [voices, 256], pitches in octaves over 1 Hz."""
    with np.load(LIKENESS_FILE, allow_pickle=False) as file:
        pitches = np.log2(file["pitches"].astype(np.float64))
        return tuple(map(str, file["names"])), file["embeddings"].astype(np.float64), pitches


SAMPLE_RATE = 24_000
Style = NDArray[np.float32]
"""A voice: [MOST_TOKENS, 256], a row for each number of tokens. Styles can be mixed."""

MOST_TOKENS = 510
"""Of one run of the network; what is longer is said in parts."""

_STYLE = 256
_SIGNS = (
    '·;:,.!?··—…"()“” \u0303ʣʥʦʨᵝꭧAI·····O·Q·ST··W·Yᵊab'
    "cdef·hijklmnopqrstuvwxyzɑɐɒæ··βɔɕç·ɖðʤə·ɚɛɜ··"
    "ɟ·ɡ······ɥ·ɨɪʝ······ɯɰŋɳɲɴø·ɸθœ··ɹ·ɾɻ·ʁɽʂʃʈʧ·"
    "ʊʋ·ʌɣɤ·χʎ···ʒʔ·······ˈˌː···ʰ·ʲ····↓·→↗↘···ᵻ"
)
"""The published vocabulary: a sign's place is its number, and `·` stands where there is none."""
_NUMBERS: Mapping[str, int] = {sign: number for number, sign in enumerate(_SIGNS) if sign != "·"}
_PAD = 0
_BREAKS = (re.compile("(?<=[.!?…;:] )"), re.compile("(?<=[,—] )"), re.compile("(?<= )"))
"""Where a long text is cut, the best places first."""


class Kokoro:
    """The network and its voices, from the files of `kokoro_files` in `folder`, on all cores."""

    def __init__(self, folder: Path) -> None:
        options = onnxruntime.SessionOptions()
        # Threads that spin while they wait take the cores from other engines.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._network = onnxruntime.InferenceSession(
            str(folder / NETWORK_FILE), options, providers=["CPUExecutionProvider"]
        )
        shape = (len(VOICES), MOST_TOKENS, _STYLE)
        # Mapped, not read: a process touches a few rows of 26 MB.
        styles = np.memmap(folder / VOICES_FILE, np.float32, "r", shape=shape)
        self.voices: Mapping[str, Style] = dict(zip(VOICES, styles, strict=True))

    def mixed(self, shares: Mapping[str, float]) -> Style:
        """A voice between others, from their names and shares."""
        mixed: Style = np.sum([self.voices[name] * np.float32(share) for name, share in shares.items()], axis=0)
        return mixed

    def say(self, phonemes: str, style: Style, speed: float = 1.0) -> Audio:
        """Phonemes as sound at 24 kHz; without samples when there is none that the network knows."""
        sounds = [self._run(part, style, speed) for part in _parts(phonemes)]
        return Audio(np.concatenate(sounds) if sounds else np.zeros(0, np.float32), SAMPLE_RATE)

    def _run(self, phonemes: str, style: Style, speed: float) -> Samples:
        numbers = [_NUMBERS[sign] for sign in phonemes]
        inputs = {
            "tokens": np.array([[_PAD, *numbers, _PAD]], np.int64),
            "style": np.ascontiguousarray(style[len(numbers) - 1], np.float32)[None],
            "speed": np.array([speed], np.float32),
        }
        sound: Samples = np.asarray(self._network.run(None, inputs)[0], np.float32).ravel()
        return sound


def _parts(phonemes: str) -> Iterator[str]:
    """What the network knows of them, in parts of MOST_TOKENS at most, each with something to say."""
    known = "".join(sign for sign in phonemes if sign in _NUMBERS)
    return (part for part in _cut(known, 0) if any(map(str.isalpha, part)))


def _cut(text: str, level: int) -> Iterator[str]:
    if len(text) <= MOST_TOKENS:
        yield text
        return
    if level == len(_BREAKS):
        yield from (text[start : start + MOST_TOKENS] for start in range(0, len(text), MOST_TOKENS))
        return
    line = ""
    for piece in (short for long in _BREAKS[level].split(text) for short in _cut(long, level + 1)):
        if len(line) + len(piece) > MOST_TOKENS:
            yield line
            line = ""
        line += piece
    yield line
