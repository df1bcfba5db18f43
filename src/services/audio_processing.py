"""From a caller's file to speech that the engines can use. Runs in the decoder's child process."""

from src.domain.audio import Audio, AudioFormat
from src.domain.errors import EngineUnavailable, NoSpeechDetected
from src.domain.ports import FileDecoder, SpeechDetector
from src.domain.provenance import FileMarks, Trust
from src.domain.speech import DecodedSpeech
from src.services.safeguards.provenance import MarkProcessing
from src.utils.audio import normalise_peak

PADDING_SECONDS = 0.15
"""Kept before the first and after the last speech, so that soft consonants are not cut."""

PEAK_DECIBELS = -3.0


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
        # 1. Decode, and bring to 22 050 Hz mono.
        audio = self._decoder.decode(data, declared)

        # 2. Find where somebody speaks, also when it was recorded far too quietly.
        extent = self._detector.extent(Audio(normalise_peak(audio.samples, PEAK_DECIBELS), audio.sample_rate))
        if extent is None:
            raise NoSpeechDetected("Nobody speaks in the audio: it is silence, noise or music.")

        # 3. Trim the silence at both ends.
        start = max(0, round((extent[0] - PADDING_SECONDS) * audio.sample_rate))
        end = round((extent[1] + PADDING_SECONDS) * audio.sample_rate)

        # 4. Bring the peak of what is left to -3 dB.
        samples = normalise_peak(audio.samples[start:end], PEAK_DECIBELS)
        return DecodedSpeech(
            audio=Audio(samples, audio.sample_rate),
            source_duration_seconds=audio.duration_seconds,
            offset_seconds=start / audio.sample_rate,
        )
