"""Speaks in the voice of a recording without a neural model: a synthetic voice, converted frame by frame."""

import io
import textwrap
import zipfile
from functools import partial
from pathlib import Path

import numpy as np

from src.domain.audio import OUTPUT_SAMPLE_RATE, Audio, Samples, SpokenAudio
from src.domain.errors import InternalError, ReferenceTooShort, UnsupportedLanguage
from src.domain.speech import Quality, SpeechRequest, VoiceConditioning
from src.models.embedded_voice import base_voice
from src.models.embedded_voice.base_voice import spoken_languages
from src.models.embedded_voice.kokoro import Kokoro, Style, mixture
from src.models.embedded_voice.phonemes import phonemes
from src.models.embedded_voice.unit_selection import convert
from src.models.embedded_voice.world import BANDS, COEFFICIENTS, FRAME_SECONDS, Frames, analyse, synthesise
from src.utils.audio import beginning, join, resample

__all__ = ["ESPEAK_ALONE", "NAME", "EmbeddedVoice", "spoken_languages"]

NAME, ESPEAK_ALONE = "kokoro+world", "espeak-ng+world"
"""With Kokoro's network, and without it. Both read what the other has learned of a voice."""

MAX_REFERENCE_SECONDS = 60.0
"""Of all recordings of a voice together, each with an equal share: more of a voice brings nothing that is heard, and
makes every search slower."""

MIN_VOICED_SECONDS = 0.6

_MAX_UNITS = {Quality.FAST: 1500, Quality.BALANCED: 6000, Quality.HIGH: 12000}
"""Frames of the reference that are searched."""
_UNCONVERTED = b"unconverted"
_PAUSE_SECONDS = 0.25
_PEAK = 10 ** (-3 / 20)
_SILENCE = 10 ** (-50 / 20)


class EmbeddedVoice:
    """Implements `condition` and `speak` of `domain.ports.VoiceEngine` as blocking calls: run it in a child process.

    `kokoro`: the folder of the network that speaks; None: espeak-ng does, which is hard to understand.
    """

    def __init__(self, kokoro: Path | None = None) -> None:
        """Raises EngineUnavailable when espeak-ng is not installed."""
        base_voice.require_espeak()
        self._kokoro = None if kokoro is None else Kokoro(kokoro)
        self.name = ESPEAK_ALONE if kokoro is None else NAME
        self.languages = spoken_languages()

    def condition(self, references: tuple[Audio, ...]) -> VoiceConditioning:
        """Analyse recordings, joined; none at all is the synthetic voice as it is. Raises ReferenceTooShort with under
        0.6 s of voiced speech in all of them.
        """
        if not references:
            return VoiceConditioning(self.name, _UNCONVERTED)
        share = MAX_REFERENCE_SECONDS / len(references)
        frames = analyse(join(beginning(reference, share) for reference in references), with_aperiodicity=False)
        seconds = frames.voiced.sum() * FRAME_SECONDS
        if seconds < MIN_VOICED_SECONDS:
            raise ReferenceTooShort(
                f"The recording has {seconds:.1f} s of voiced speech; a voice needs {MIN_VOICED_SECONDS} s."
            )
        return VoiceConditioning(self.name, _pack(frames))

    def speak(self, request: SpeechRequest) -> SpokenAudio:
        """The texts one after the other with short pauses, peak at -3 dB; texts without words are a pause.

        Raises UnsupportedLanguage, EngineUnavailable, DeadlineExceeded.
        """
        if request.language not in self.languages:
            raise UnsupportedLanguage(f"espeak-ng has no voice for {request.language!r} here.")
        return converted(request, self.plain(request))

    def plain(self, request: SpeechRequest) -> list[list[Audio]]:
        """Each text in parts, before conversion: of Kokoro's voices those that are nearest to the speaker, or
        espeak-ng. What is said at once is bounded; a longer sentence has several parts.
        """
        say, language = partial(base_voice.say, language=request.language), request.language
        if self._kokoro is not None:
            style = self._kokoro.mixed(mixture(language, request.speaker, _pitch(request.voice)))
            say = partial(_say_with, self._kokoro, language=language, style=style)
        return [[_trimmed(say(part)) for part in _parts(text)] for text in request.texts]


def converted(request: SpeechRequest, spoken: list[list[Audio]]) -> SpokenAudio:
    """What `EmbeddedVoice.plain` said, in the voice that was asked for."""
    joined = _joined(_sounds([audio for parts in spoken for audio in parts], request))
    seconds = tuple(sum(audio.duration_seconds for audio in parts) for parts in spoken)
    return SpokenAudio(joined.samples, joined.sample_rate, seconds)


def _say_with(kokoro: Kokoro, text: str, language: str, style: Style) -> Audio:
    return kokoro.say(phonemes(text, language), style)


def _pitch(voice: VoiceConditioning) -> float:
    """Median in Hz; 0 when there is nothing to convert to."""
    pitch = np.zeros(0) if voice.data == _UNCONVERTED else _unpack(voice).pitch
    return float(np.median(pitch[pitch > 0])) if (pitch > 0).any() else 0.0


def _parts(text: str) -> list[str]:
    return textwrap.wrap(text, base_voice.MAX_CHARACTERS)


def _sounds(spoken: list[Audio], request: SpeechRequest) -> list[Samples]:
    """What was spoken, in the voice that was asked for."""
    if request.voice.data == _UNCONVERTED:
        return [resample(audio, OUTPUT_SAMPLE_RATE).samples for audio in spoken]
    voice = _unpack(request.voice)
    melody = voice if request.prosody is None else _unpack(request.prosody)
    sources = [analyse(audio) for audio in spoken]
    sources = [source for source in sources if len(source.pitch)]
    return _converted(sources, voice, melody, _MAX_UNITS[request.quality])


def _converted(sources: list[Frames], voice: Frames, melody: Frames, max_units: int) -> list[Samples]:
    """One sound for each source. They are converted together, so that all count in the speaker's statistics."""
    if not any(frames.voiced.any() for frames in sources):
        return []
    together = Frames(
        np.concatenate([frames.pitch for frames in sources]),
        np.concatenate([frames.cepstrum for frames in sources]),
        np.concatenate([frames.aperiodicity for frames in sources]),
    )
    whole = convert(together, voice, melody, max_units)
    ends = np.cumsum([len(frames.pitch) for frames in sources])
    parts = [slice(start, end) for start, end in zip([0, *ends[:-1]], ends, strict=True)]
    return [synthesise(Frames(whole.pitch[p], whole.cepstrum[p], whole.aperiodicity[p])) for p in parts]


def _joined(sounds: list[Samples]) -> Audio:
    pause = np.zeros(int(_PAUSE_SECONDS * OUTPUT_SAMPLE_RATE), np.float32)
    pieces = [piece for sound in sounds for piece in (sound, pause)]
    samples = np.concatenate(pieces[:-1]) if pieces else pause
    samples = np.nan_to_num(samples)
    peak = float(np.abs(samples).max(initial=0.0))
    return Audio(samples * np.float32(_PEAK / peak) if peak > 0 else samples, OUTPUT_SAMPLE_RATE)


def _trimmed(audio: Audio) -> Audio:
    """Without the silence at both ends."""
    loud = np.flatnonzero(np.abs(audio.samples) > _SILENCE)
    margin = audio.sample_rate // 50
    cut = audio.samples[max(0, loud[0] - margin) : loud[-1] + margin] if len(loud) > margin else audio.samples[:0]
    return Audio(cut, audio.sample_rate)


def _pack(frames: Frames) -> bytes:
    """A compressed .npz of the speech in a reference: about 20 KB per second."""
    file = io.BytesIO()
    np.savez_compressed(
        file, pitch=frames.pitch.astype(np.float32), cepstrum=frames.cepstrum.astype(np.float16), version=np.int32(1)
    )
    return file.getvalue()


def _unpack(conditioning: VoiceConditioning) -> Frames:
    try:
        with np.load(io.BytesIO(conditioning.data), allow_pickle=False) as stored:
            pitch, cepstrum = stored["pitch"].astype(np.float64), stored["cepstrum"].astype(np.float64)
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
        pitch = cepstrum = np.zeros(0)
    if (
        conditioning.engine not in (NAME, ESPEAK_ALONE)
        or cepstrum.shape != (len(pitch), COEFFICIENTS)
        or not (pitch > 0).any()
    ):
        raise InternalError(f"A voice made by {conditioning.engine!r} is not one of the embedded engine.")
    return Frames(pitch, cepstrum, np.zeros((len(pitch), BANDS)))
