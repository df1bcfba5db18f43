"""Decodes the accepted formats from memory, trusting nothing that a header says."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import av
import numpy as np
from numpy.typing import NDArray

from src.adapters.decoding.cut_files import files_in, lacks_a_part, was_cut
from src.adapters.decoding.packets import AMR, Packets
from src.adapters.decoding.wav_chunks import tidied
from src.adapters.decoding.whole_parts import WholeParts, whole_parts
from src.domain.audio import WORKING_SAMPLE_RATE, AudioFormat, Recording, Samples
from src.domain.errors import AudioTooLong, AudioTooShort, AudioUndecodable, UnsupportedAudioFormat
from src.utils.audio_formats import check_format, unwrapped, without_tags

MIN_SAMPLE_RATE, MAX_SAMPLE_RATE = 8_000, 192_000

_PCM = frozenset(f"pcm_{kind}" for kind in ("u8", "s16le", "s24le", "s32le", "f32le", "f64le", "alaw", "mulaw"))
_PCM_OF_CAF = (_PCM - {"pcm_u8"}) | {f"pcm_{kind}" for kind in ("s8", "s16be", "s24be", "s32be", "f32be", "f64be")}
_TELEPHONE = frozenset({"adpcm_ima_wav", "adpcm_ms", "gsm_ms"})


@dataclass(frozen=True, slots=True)
class _Reader:
    """The one demuxer and the few decoders that a format may use. `allowed`: its names in ffmpeg's own list."""

    demuxer: str
    codecs: frozenset[str]
    allowed: str = ""


_READERS = {
    AudioFormat.WAV: _Reader("wav", _PCM | _TELEPHONE),
    AudioFormat.MP3: _Reader("mp3", frozenset({"mp3", "mp3float"})),
    AudioFormat.M4A: _Reader(
        "mov", AMR | {"aac", "alac", "opus", "mp3", "mp3float", "flac"}, "mov,mp4,m4a,3gp,3g2,mj2"
    ),
    AudioFormat.AAC: _Reader("aac", frozenset({"aac"})),
    AudioFormat.FLAC: _Reader("flac", frozenset({"flac"})),
    AudioFormat.OGG: _Reader("ogg", frozenset({"opus", "vorbis", "flac"})),
    AudioFormat.WEBM: _Reader("matroska", _PCM | {"opus", "vorbis", "aac", "flac"}, "matroska,webm"),
    AudioFormat.AMR: _Reader("amr", AMR),
    AudioFormat.CAF: _Reader("caf", _PCM_OF_CAF | {"aac", "alac"}),
}

_ENCODER_PADDING_SECONDS = 0.3
"""AAC and MP3 encoders fill up frames at both ends: 300 s may come out a little longer."""

_MOSTLY = 0.9
"""Share of a file that is read when nothing but tags and headers is not."""
_FEW = 0.01
"""Share of samples that are no numbers up to which a file is heard without them."""
_SHORTEST_SOUND_SECONDS = 0.1
"""No word is lost with less. A frame or two that cannot be decoded is usual where MP3 files were joined."""


class PyAvDecoder:
    """Reads files of `min_seconds` to `max_seconds`, 8 to 192 kHz, any channels. For a child process with limits."""

    def __init__(self, min_seconds: float, max_seconds: float) -> None:
        self._min_seconds = min_seconds
        self._max_seconds = max_seconds

    def decode(self, data: bytes, declared: AudioFormat) -> Recording:
        """The file's sound at 22 050 Hz; one channel, or two where the file has more.

        Whatever can be decoded is used; what could not, or was promised in vain, is in `notes`.
        Raises FormatMismatch, UnsupportedAudioFormat, AudioUndecodable, AudioTooShort, AudioTooLong.
        """
        kind = check_format(data, declared)
        data = unwrapped(data)
        if kind in (AudioFormat.MP3, AudioFormat.AAC):
            data = without_tags(data)
        sound = _Pieces()
        losses = list(self._read_all(data, kind, sound))
        if not sound.seconds:
            raise AudioUndecodable("The file has no audio in it.")
        if sum(loss.by_bytes for loss in losses) > sound.seconds:
            raise AudioUndecodable("More than half of the audio is damaged.")
        if sound.seconds < self._min_seconds:
            raise AudioTooShort(f"The audio lasts {sound.seconds:.2f} s; at least {self._min_seconds:g} s are needed.")
        channels = sound.joined()
        numbers = np.isfinite(channels)
        if np.mean(~numbers) > _FEW:
            raise AudioUndecodable("The audio holds values that are not numbers.")
        channels[~numbers] = 0.0
        notes = (
            *_damage(losses),
            *(() if numbers.all() else ("Values in the recording that are not numbers were left out.",)),
            *(("The file was cut off: the end of the recording is missing.",) if any(x.cut for x in losses) else ()),
        )
        return Recording(channels, WORKING_SAMPLE_RATE, sound.seconds, notes)

    def _read_all(self, data: bytes, kind: AudioFormat, sound: "_Pieces") -> "Iterator[_Loss]":
        """What was lost of each of the files in `data`, of which most have one."""
        for number, file in enumerate(files_in(data, kind)):
            try:
                yield self._read(file, kind, sound)
            except AudioUndecodable:
                if number == 0:
                    raise
                yield _Loss(broken=True)

    def _read(self, data: bytes, kind: AudioFormat, sound: "_Pieces") -> "_Loss":
        """Stops at the first frame beyond the limit."""
        parts, packets = whole_parts(data, kind), Packets()
        with _foreign_errors(data, kind), _opened(parts.data, _READERS[kind]) as container:
            for frame in packets.frames(container, _audio_stream(container, kind)):
                _check_frame(frame)
                sound.add(frame)
                if sound.seconds > self._max_seconds + _ENCODER_PADDING_SECONDS:
                    raise AudioTooLong(f"The audio lasts longer than {self._max_seconds:g} s.")
        return self._loss(parts, packets, kind)

    def _loss(self, parts: WholeParts, packets: Packets, kind: AudioFormat) -> "_Loss":
        """By the bytes that were left out; or by the time stamps, where they have more. These alone say nothing, but in
        FLAC, which counts its frames: a pause of the recorder is in them, too.
        """
        seconds, lacking = packets.seconds, lacks_a_part(parts.data, kind)
        read = packets.good_bytes + packets.bad_bytes + packets.passed_over_bytes
        passed_over = parts.left_out_bytes + packets.passed_over_bytes
        if kind is AudioFormat.FLAC:  # its parser knows where frames are, and passes over anything else
            passed_over += max(0, parts.whole_bytes - packets.begins_at - read)
        bad = seconds * packets.bad_bytes / max(1, packets.good_bytes)
        missing = seconds * passed_over / max(1, packets.good_bytes)
        lost = bad + missing
        if (passed_over or lacking or kind is AudioFormat.FLAC) and seconds + packets.gap_seconds < self._max_seconds:
            lost = bad + max(missing, packets.gap_seconds)
        cut = parts.cut or was_cut(parts.data, kind, seconds + lost, self._max_seconds)
        unread = packets.ended_early and not cut and read < _MOSTLY * parts.whole_bytes  # the rest is tags and headers
        return _Loss(lost, bad + missing, parts.broken or lacking or unread, cut)


@dataclass(frozen=True, slots=True)
class _Loss:
    """Of one file. `by_bytes`: the part of `seconds` that is no time stamp's word."""

    seconds: float = 0.0
    by_bytes: float = 0.0
    broken: bool = False
    cut: bool = False


def _damage(losses: list[_Loss]) -> tuple[str, ...]:
    lost_seconds = sum(loss.seconds for loss in losses)
    if lost_seconds >= _SHORTEST_SOUND_SECONDS:
        return (f"Damaged places of the recording were left out, about {lost_seconds:.1f} s.",)
    broken = any(loss.broken for loss in losses)
    return ("The recording is damaged in places: some of it may be missing.",) if broken else ()


@dataclass(slots=True)
class _Pieces:
    """Collects sound; its rate and channels may change midway, as in files that were joined."""

    blocks: list[Samples] = field(default_factory=list)
    seconds: float = 0.0
    _shape: tuple[int, str, str] | None = None
    _resampler: av.AudioResampler | None = None

    def add(self, frame: av.AudioFrame) -> None:
        self.seconds += frame.samples / frame.sample_rate
        shape = (frame.sample_rate, frame.layout.name, frame.format.name)
        if shape != self._shape:
            self._flush()
            self._shape = shape
            layout = "mono" if frame.layout.nb_channels == 1 else "stereo"
            self._resampler = av.AudioResampler("fltp", layout, WORKING_SAMPLE_RATE)
        assert self._resampler is not None  # noqa: S101 - made above
        frame.pts = None  # a pause in the timestamps is no pause in the sound
        self.blocks += _arrays(self._resampler.resample(frame))

    def joined(self) -> Samples:
        """[C, T]; mono pieces between stereo ones are on both channels. Raises AudioUndecodable where there is none."""
        self._flush()
        if not self.blocks:
            raise AudioUndecodable("What can be decoded of the recording is too short to be a sound.")
        most = max(len(block) for block in self.blocks)
        wide = [block if len(block) == most else np.repeat(block, most, axis=0) for block in self.blocks]
        sound: NDArray[np.float32] = np.concatenate(wide, axis=1)
        return sound

    def _flush(self) -> None:
        if self._resampler is not None:
            self.blocks += _arrays(self._resampler.resample(None))


def _arrays(frames: "list[av.AudioFrame]") -> list[Samples]:
    return [frame.to_ndarray().astype(np.float32, copy=False) for frame in frames]


@contextmanager
def _opened(data: bytes, reader: _Reader) -> "Iterator[av.container.InputContainer]":
    """One named demuxer reads `data`: nothing is guessed, and nothing that the file names is opened."""
    options = {
        "format_whitelist": reader.allowed or reader.demuxer,
        "codec_whitelist": ",".join(reader.codecs),
        "protocol_whitelist": "",
        "probesize": "32",  # bytes decoded in advance to guess at the stream: the header and the frames say it all
    }
    file = io.BytesIO(tidied(data) if reader.demuxer == "wav" else data)
    with av.open(file, "r", format=reader.demuxer, options=options, metadata_errors="ignore") as container:
        yield container


@contextmanager
def _foreign_errors(data: bytes, kind: AudioFormat) -> Iterator[None]:
    """What ffmpeg raises on a broken file, as our own error. Its messages say little, so only their kind is kept."""
    try:
        yield
    except (av.FFmpegError, ValueError, OverflowError, MemoryError, EOFError) as error:
        if kind is AudioFormat.M4A and b"moov" not in data:
            raise AudioUndecodable("The recording was not finished: the file has no index (moov).") from error
        if kind is AudioFormat.CAF and b"pakt" not in data and b"lpcm" not in data[:64]:
            raise AudioUndecodable(
                "The recording was not finished: the file has no table of packets (pakt)."
            ) from error
        raise AudioUndecodable(f"The audio is damaged: it cannot be read as {kind}.") from error


def _audio_stream(container: "av.container.InputContainer", kind: AudioFormat) -> av.AudioStream:
    if not container.streams.audio:
        raise AudioUndecodable(f"The {kind} file has no audio in it.")
    stream = container.streams.audio[0]
    codec = stream.codec_context.name if stream.codec_context is not None else "unknown"
    if codec not in _READERS[kind].codecs:
        raise UnsupportedAudioFormat(f"The {kind} file holds audio of the kind {codec}, which is not accepted.")
    return stream


def _check_frame(frame: av.AudioFrame) -> None:
    if not MIN_SAMPLE_RATE <= frame.sample_rate <= MAX_SAMPLE_RATE:
        raise UnsupportedAudioFormat(f"The sample rate is {frame.sample_rate} Hz; accepted are 8 to 192 kHz.")
