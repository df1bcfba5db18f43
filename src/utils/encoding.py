"""Speech as files of the formats that players take, beside WAV."""

import io
import struct
from typing import TYPE_CHECKING

import numpy as np

from src.domain.audio import OUTPUT_SAMPLE_RATE, Audio
from src.utils.audio import decode_pcm

if TYPE_CHECKING:
    import av

_CODECS = {"mp3": ("mp3", "libmp3lame"), "opus": ("ogg", "libopus"), "aac": ("adts", "aac"), "flac": ("flac", "flac")}
"""FFmpeg's names of the container and of the codec in it."""
_UNKNOWN = 2**32 - 1
"""As a WAV says that its length is not known yet."""
_TEMPO = (0.5, 2.0)
"""What one `atempo` filter changes without leaving something out."""


def encode_as(audio: Audio, name: str, comment: str) -> bytes:
    """A file in the format mp3, opus (in Ogg), aac (ADTS) or flac. `comment` is its tag of that name; ADTS has none."""
    file = io.BytesIO()
    output, stream = _opened(file, name, audio.sample_rate, comment)
    with output:
        output.mux(stream.encode(_frame(audio)))
        output.mux(stream.encode(None))
    return file.getvalue()


def _opened(
    file: "io.BytesIO | _Written", name: str, rate: int, comment: str
) -> "tuple[av.container.OutputContainer, av.AudioStream]":
    import av  # noqa: PLC0415 - as below: 80 MB that a service without such callers does without

    container, codec = _CODECS[name]
    output = av.open(file, "w", format=container)
    stream = output.add_stream(codec, rate=rate, layout="mono")
    output.metadata["comment"] = stream.metadata["comment"] = comment  # Ogg keeps its tags with the stream
    assert isinstance(stream, av.AudioStream)  # noqa: S101 - what its codecs are of
    return output, stream


class StreamEncoder:
    """A file of speech (24 kHz, mono) that is sent while it is made. `name`: wav, of unknown length, pcm (16 bits, no
    header), or as of `encode_as`.
    """

    def __init__(self, name: str, comment: str) -> None:
        self._new = _Written()
        self._encoding: tuple[av.container.OutputContainer, av.AudioStream] | None = None
        if name == "wav":
            self._new.write(_endless_wav(OUTPUT_SAMPLE_RATE))
        elif name != "pcm":
            self._encoding = _opened(self._new, name, OUTPUT_SAMPLE_RATE, comment)

    def encode(self, pcm: bytes) -> bytes:
        """What there is of the file after these samples, and was not given before."""
        if self._encoding is None:
            return self._new.taken() + pcm
        output, stream = self._encoding
        output.mux(stream.encode(_frame(Audio(decode_pcm(pcm), OUTPUT_SAMPLE_RATE))))
        return self._new.taken()

    def end(self) -> bytes:
        """The rest of it."""
        if self._encoding is not None:
            output, stream = self._encoding
            output.mux(stream.encode(None))
            self.close()
        return self._new.taken()

    def close(self) -> None:
        """Also of a file that nobody wants to its end."""
        if self._encoding is not None:
            self._encoding[0].close()


def _endless_wav(rate: int) -> bytes:
    """The header of a file of 16 bits, mono, whose length is not known yet."""
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate, 2 * rate, 2, 16)
    return struct.pack("<4sI4s", b"RIFF", _UNKNOWN, b"WAVE") + form + struct.pack("<4sI", b"data", _UNKNOWN)


class _Written:
    """A file that nobody can go back in."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def taken(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)


def stretched(audio: Audio, speed: float) -> Audio:
    """The same speech `speed` times as fast (0.25 to 4), at the same pitch."""
    import av  # noqa: PLC0415

    graph = av.filter.Graph()
    chain = [graph.add_abuffer(format="flt", sample_rate=audio.sample_rate, layout="mono")]
    while speed != 1.0:
        step = min(max(speed, _TEMPO[0]), _TEMPO[1])
        chain.append(graph.add("atempo", f"{step}"))
        speed /= step
    chain.append(graph.add("abuffersink"))
    graph.link_nodes(*chain).configure()
    chain[0].push(_frame(audio))
    chain[0].push(None)
    pieces = []
    while True:
        try:
            frame = chain[-1].pull()
        except (av.error.BlockingIOError, av.error.EOFError):
            break
        assert isinstance(frame, av.AudioFrame)  # noqa: S101 - what its filters give
        pieces.append(frame.to_ndarray().reshape(-1))
    return Audio(np.concatenate(pieces).astype(np.float32), audio.sample_rate)


def _frame(audio: Audio) -> "av.AudioFrame":
    import av  # noqa: PLC0415

    frame = av.AudioFrame.from_ndarray(audio.samples[None].astype(np.float32), format="flt", layout="mono")
    frame.sample_rate = audio.sample_rate
    return frame
