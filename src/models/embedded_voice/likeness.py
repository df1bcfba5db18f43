"""Which of Kokoro's voices are nearest to a speaker: by GE2E embedding and by pitch.

What the voices are like is measured once, by scripts/parts/kokoro_likeness.py, and kept beside this module.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_FILE = Path(__file__).with_name("kokoro_likeness.npz")
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
    with np.load(_FILE, allow_pickle=False) as file:
        pitches = np.log2(file["pitches"].astype(np.float64))
        return tuple(map(str, file["names"])), file["embeddings"].astype(np.float64), pitches
