"""Write src/models/embedded_voice/kokoro_likeness.npz: what each of Kokoro's voices is like, from a sentence it says.

.venv/bin/python -m scripts.parts.kokoro_likeness
"""

import sys

import numpy as np

from src.config.settings import Settings
from src.models.embedded_voice.kokoro import LIKENESS_FILE, Kokoro
from src.models.embedded_voice.kokoro_files import VOICES
from src.models.embedded_voice.phonemes import phonemes
from src.models.speaker_analysis import SpeakerAnalysis

TEXT = "The meeting starts early in the morning. The doctor said that he should stay in bed."
LEFT_OUT = ("af_nicole", "am_santa", "em_santa", "pm_santa")
"""They whisper, or play a part, and are understood less."""


def main() -> None:
    kokoro, analysis = Kokoro(Settings().kokoro_dir), SpeakerAnalysis()
    said = phonemes(TEXT, "en")
    names = [name for name in VOICES if name not in LEFT_OUT]
    prints = []
    for name in names:
        prints.append(analysis.analyze(kokoro.say(said, kokoro.voices[name])))
        print(f"{name}: {prints[-1].pitch_hz:.0f} Hz", file=sys.stderr)
    np.savez_compressed(
        LIKENESS_FILE,
        names=np.array(names),
        embeddings=np.array([each.embedding for each in prints], np.float16),
        pitches=np.array([each.pitch_hz for each in prints], np.float32),
    )


if __name__ == "__main__":
    main()
