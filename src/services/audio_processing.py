"""From a caller's file to speech that the engines can use. Runs in the decoder's child process."""

import numpy as np
from scipy.signal import butter, sosfiltfilt

from src.domain.audio import Audio, AudioFormat, Recording, Samples
from src.domain.errors import AudioUndecodable, EngineUnavailable, NoSpeechDetected
from src.domain.ports import FileDecoder, SpeechDetector
from src.domain.provenance import FileMarks, Trust
from src.domain.speech import DecodedSpeech
from src.services.safeguards.provenance import MarkProcessing
from src.utils.audio import frame_levels, levelled, loud_level, scaled_to

PADDING_SECONDS = 0.25
"""Kept before the first and after the last speech, so that soft consonants are not cut."""

_DOUBTFUL_SECONDS = 1.5
"""Kept instead where there is sound: the detector hears words that begin in music or noise late."""
_SILENCE = 0.1
"""Of the level of the loud part, 20 dB below it."""

HEARD_AT_ONCE_SECONDS = 12.0
"""What is no longer is not cut into pieces."""

_DETECTION_LEVEL = 0.25
"""Root mean square of the loud part that the detector is given, as it is in speech whose peak is near full scale."""

_ALIKE = 0.95
"""Correlation above which two channels are one and the same."""
_AS_MUCH_SPEECH = 0.95
_CLEARER_DECIBELS = 6.0
"""What a single channel must have more between loud and quiet than the mixture of both."""


class AudioProcessing:
    """`marks`: what reads marks of synthetic speech."""

    def __init__(self, decoder: FileDecoder, detector: SpeechDetector, marks: MarkProcessing | None = None) -> None:
        self._decoder = decoder
        self._detector = detector
        self._marks = marks

    def read_marks(self, data: bytes, declared: AudioFormat, trust: Trust, with_audio: bool) -> FileMarks:
        """Raises what `domain.provenance.MarkReader.read_marks` raises, and EngineUnavailable without `marks`."""
        if self._marks is None:
            raise EngineUnavailable("This decoder reads no marks.")
        return self._marks.read(data, declared, trust, with_audio=with_audio)

    def decode(self, data: bytes, declared: AudioFormat) -> DecodedSpeech:
        """Raises what `domain.ports.AudioDecoder.decode` raises."""
        # 1. Decode to 22 050 Hz, without offset and hum; of two channels take what is heard best.
        recording = self._decoder.decode(data, declared)
        audio, notes = self._best_channel(recording)

        # 2. Find where somebody speaks, also when it was recorded far too quietly.
        extent = self._detector.extent(_audible(audio))
        if extent is None and recording.notes:
            raise AudioUndecodable(" ".join(("Nobody can be heard in what is left of the audio.", *recording.notes)))
        if extent is None:
            raise NoSpeechDetected("Nobody speaks in the audio: it is silence, noise or music.")

        # 3. Trim the silence at both ends.
        start, end = _with_padding(audio, extent)
        trimmed = Audio(audio.samples[start:end], audio.sample_rate)

        # 4. Bring the peak of the speech to -3 dB; a click beside it is clipped.
        return DecodedSpeech(
            audio=Audio(levelled(trimmed.samples, audio.sample_rate), audio.sample_rate),
            source_duration_seconds=recording.seconds,
            offset_seconds=start / audio.sample_rate,
            notes=(*recording.notes, *notes),
            stretches=self._stretches(trimmed),
        )

    def _stretches(self, audio: Audio) -> tuple[tuple[float, float], ...]:
        if audio.duration_seconds <= HEARD_AT_ONCE_SECONDS:
            return ()
        return tuple(self._detector.speech(_audible(audio)))

    def _best_channel(self, recording: Recording) -> tuple[Audio, tuple[str, ...]]:
        """The mixture of both channels; or the one in which as much is said, and more clearly."""
        rate = recording.sample_rate
        channels = high_pass(recording.channels, rate)
        mixed = Audio(channels.mean(axis=0), rate)
        if len(channels) < 2 or _correlation(channels) > _ALIKE:
            return mixed, ()
        candidates = [mixed, *(Audio(channel, rate) for channel in channels)]
        speech = [self._detector.seconds(_audible(audio)) for audio in candidates]
        clarity = [_clarity(audio) for audio in candidates]
        clarity[0] += _CLEARER_DECIBELS
        enough = [index for index, seconds in enumerate(speech) if seconds >= _AS_MUCH_SPEECH * max(speech)]
        best = max(enough, key=lambda index: clarity[index])
        if best == 0:
            return mixed, ()
        side = ("left", "right")[best - 1]
        return candidates[best], (f"Only the {side} channel was used: the other one is noise, or cancels it.",)


def _with_padding(audio: Audio, extent: tuple[float, float]) -> tuple[int, int]:
    """First sample and the one after the last, with a margin at both sides that is longer where it is not silent."""
    rate, loud = audio.sample_rate, loud_level(audio.samples, audio.sample_rate)
    begin, end = (round(seconds * rate) for seconds in extent)
    before = audio.samples[max(0, begin - round(_DOUBTFUL_SECONDS * rate)) : begin]
    after = audio.samples[end : end + round(_DOUBTFUL_SECONDS * rate)]
    margins = [
        _DOUBTFUL_SECONDS if loud_level(part, rate) > _SILENCE * loud else PADDING_SECONDS for part in (before, after)
    ]
    return max(0, begin - round(margins[0] * rate)), min(len(audio.samples), end + round(margins[1] * rate))


def _audible(audio: Audio) -> Audio:
    return Audio(
        scaled_to(audio.samples, _DETECTION_LEVEL, loud_level(audio.samples, audio.sample_rate)), audio.sample_rate
    )


def _correlation(channels: Samples) -> float:
    first, second = channels.astype(np.float64)
    norms = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float(first @ second) / norms if norms else 1.0


def _clarity(audio: Audio) -> float:
    """Decibels between the loud and the quiet tenth of a recording."""
    levels = frame_levels(audio.samples, audio.sample_rate)
    quiet, loud = np.percentile(levels, (10, 90)) if len(levels) else (0.0, 0.0)
    return float(20 * np.log10((loud + 1e-6) / (quiet + 1e-6)))


_CUTOFF_HERTZ = 70.0
"""Below every voice, and above the mains."""


def high_pass(samples: Samples, sample_rate: int) -> Samples:
    """[C, T] without offset, rumble and the hum of the mains: a Butterworth filter of order 4, forth and back, which
    leaves the phase as it is.
    """
    sections = butter(4, _CUTOFF_HERTZ, "highpass", fs=sample_rate, output="sos").astype(np.float32)
    filtered = np.empty_like(samples)
    for channel, sound in zip(filtered, samples, strict=True):
        channel[:] = sosfiltfilt(sections, sound, padlen=min(len(sound) - 1, sample_rate // 10))
    return filtered
