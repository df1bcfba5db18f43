"""Decodes the four accepted formats from memory, trusting nothing that a header says."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import av
import numpy as np

from src.domain.audio import WORKING_SAMPLE_RATE, Audio, AudioFormat, Samples
from src.domain.errors import AudioTooLong, AudioTooShort, AudioUndecodable, UnsupportedAudioFormat
from src.utils.audio import check_format

MIN_SAMPLE_RATE, MAX_SAMPLE_RATE = 8_000, 48_000
MAX_CHANNELS = 2

_PCM = frozenset(f"pcm_{kind}" for kind in ("u8", "s16le", "s24le", "s32le", "f32le", "f64le", "alaw", "mulaw"))


@dataclass(frozen=True, slots=True)
class _Reader:
    """The one demuxer and the few decoders that a format may use."""

    demuxer: str
    codecs: frozenset[str]


_READERS = {
    AudioFormat.WAV: _Reader("wav", _PCM),
    AudioFormat.MP3: _Reader("mp3", frozenset({"mp3", "mp3float"})),
    AudioFormat.M4A: _Reader("mov", frozenset({"aac", "alac"})),
    AudioFormat.FLAC: _Reader("flac", frozenset({"flac"})),
}

_ENCODER_PADDING_SECONDS = 0.3
"""AAC and MP3 encoders fill up frames at both ends: 300 s may come out a little longer."""

_MAX_MISSING_SECONDS = 0.5
"""A file that holds so much less than its header promises was cut off on its way."""

_STREAMED_WAV_BYTES = 0x7FFF_0000
"""Programs that write WAV to a pipe put 0, or a size from here on, for what they cannot know."""

_BAD_PACKETS_FORGIVEN, _BAD_PACKETS_SHARE = 5, 0.05


class PyAvDecoder:
    """Reads files of `min_seconds` to `max_seconds`, mono or stereo, 8 to 48 kHz. For a child process with limits."""

    def __init__(self, min_seconds: float, max_seconds: float) -> None:
        self._min_seconds = min_seconds
        self._max_seconds = max_seconds

    def decode(self, data: bytes, declared: AudioFormat) -> Audio:
        """The file's sound at 22 050 Hz, channels mixed.

        Raises FormatMismatch, UnsupportedAudioFormat, AudioUndecodable, AudioTooShort, AudioTooLong.
        """
        check_format(data, declared)
        with _foreign_errors(declared), _opened(data, _READERS[declared]) as container:
            stream = _audio_stream(container, declared)
            samples, seconds = self._read(_frames(container, stream))
            promised = (
                _promised_wav(data, seconds) if declared is AudioFormat.WAV else _promised(stream, data, declared)
            )
        if promised is not None and seconds < promised - _MAX_MISSING_SECONDS:
            raise AudioUndecodable(f"The file ends after {seconds:.1f} s; its header promises {promised:.1f} s.")
        if seconds < self._min_seconds:
            raise AudioTooShort(f"The audio lasts {seconds:.2f} s; at least {self._min_seconds:g} s are needed.")
        return Audio(_as_sound(samples), WORKING_SAMPLE_RATE)

    def _read(self, frames: "Iterator[av.AudioFrame]") -> tuple[Samples, float]:
        """Samples [T] at the working rate, and the seconds decoded. Stops at the first frame beyond the limit."""
        resampler = av.AudioResampler("flt", "mono", WORKING_SAMPLE_RATE)
        count, seconds, blocks = 0, 0.0, []
        for frame in frames:
            _check_frame(frame)
            count += frame.samples
            seconds = count / frame.sample_rate  # one rate in all of a file: the resampler takes no other
            if seconds > self._max_seconds + _ENCODER_PADDING_SECONDS:
                raise AudioTooLong(f"The audio lasts longer than {self._max_seconds:g} s.")
            blocks += resampler.resample(frame)
        if not count:
            raise AudioUndecodable("The file has no audio in it.")
        blocks += resampler.resample(None)
        return np.concatenate([block.to_ndarray()[0] for block in blocks]), seconds


@contextmanager
def _opened(data: bytes, reader: _Reader) -> "Iterator[av.container.InputContainer]":
    """One named demuxer reads `data`: nothing is guessed, and nothing that the file names is opened."""
    options = {
        "format_whitelist": reader.demuxer if reader.demuxer != "mov" else "mov,mp4,m4a,3gp,3g2,mj2",
        "codec_whitelist": ",".join(reader.codecs),
        "protocol_whitelist": "",
        "probesize": "32",  # bytes decoded in advance to guess at the stream: the header and the frames say it all
    }
    file = io.BytesIO(data)
    with av.open(file, "r", format=reader.demuxer, options=options, metadata_errors="ignore") as container:
        yield container


@contextmanager
def _foreign_errors(declared: AudioFormat) -> Iterator[None]:
    """What ffmpeg raises on a broken file, as our own error. Its messages say little, so only their kind is kept."""
    try:
        yield
    except (av.FFmpegError, ValueError, OverflowError, MemoryError, EOFError) as error:
        raise AudioUndecodable(f"The audio is damaged: it cannot be read as {declared}.") from error


def _audio_stream(container: "av.container.InputContainer", declared: AudioFormat) -> av.AudioStream:
    if not container.streams.audio:
        raise AudioUndecodable(f"The {declared} file has no audio in it.")
    stream = container.streams.audio[0]
    codec = stream.codec_context.name if stream.codec_context is not None else "unknown"
    if codec not in _READERS[declared].codecs:
        raise UnsupportedAudioFormat(f"The {declared} file holds audio of the kind {codec}, which is not accepted.")
    return stream


def _promised(stream: av.AudioStream, data: bytes, declared: AudioFormat) -> float | None:
    """Seconds that the header claims, to notice a file that was cut off; None when it does not say.

    An MP3 says it only in a Xing or Info frame; else ffmpeg guesses from the bit rate.
    """
    if stream.duration is None or stream.time_base is None:
        return None
    if declared is AudioFormat.MP3 and not (b"Xing" in data or b"Info" in data):
        return None
    return float(stream.duration * stream.time_base)


def _promised_wav(data: bytes, seconds: float) -> float | None:
    """The same for WAV, from the size of its data chunk: ffmpeg corrects that by the size of the file."""
    position = 12
    while position + 8 <= len(data):
        name, size = data[position : position + 4], int.from_bytes(data[position + 4 : position + 8], "little")
        position += 8
        if name == b"data":
            there = min(size, len(data) - position)
            return seconds * size / there if there > 0 and size < _STREAMED_WAV_BYTES else None
        position += size + size % 2
    return None


def _frames(container: "av.container.InputContainer", stream: av.AudioStream) -> "Iterator[av.AudioFrame]":
    """Decoded frames; a few damaged packets are skipped. Raises AudioUndecodable when there are many."""
    bad = 0
    for count, packet in enumerate(container.demux(stream)):
        try:
            yield from packet.decode()
        except av.InvalidDataError:
            bad += 1
            if bad > _BAD_PACKETS_FORGIVEN and bad > _BAD_PACKETS_SHARE * count:
                raise AudioUndecodable("Too much of the audio is damaged.") from None


def _check_frame(frame: av.AudioFrame) -> None:
    if not MIN_SAMPLE_RATE <= frame.sample_rate <= MAX_SAMPLE_RATE:
        raise UnsupportedAudioFormat(f"The sample rate is {frame.sample_rate} Hz; accepted are 8 to 48 kHz.")
    if frame.layout.nb_channels > MAX_CHANNELS:
        raise UnsupportedAudioFormat(f"The audio has {frame.layout.nb_channels} channels; accepted are one or two.")


def _as_sound(samples: Samples) -> Samples:
    """Samples in [-1, 1]: a floating-point file may hold louder ones, or what is no number."""
    peak = float(np.abs(samples).max(initial=0.0))
    if not np.isfinite(peak):
        raise AudioUndecodable("The audio holds values that are not numbers.")
    return samples / np.float32(peak) if peak > 1 else samples
