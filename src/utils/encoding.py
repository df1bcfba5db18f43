"""Speech as files of the formats that players take, beside WAV."""

import io
from typing import TYPE_CHECKING

import numpy as np

from src.domain.audio import Audio

if TYPE_CHECKING:
    import av

_CODECS = {"mp3": ("mp3", "libmp3lame"), "opus": ("ogg", "libopus"), "aac": ("adts", "aac"), "flac": ("flac", "flac")}
"""FFmpeg's names of the container and of the codec in it."""
_TEMPO = (0.5, 2.0)
"""What one `atempo` filter changes without leaving something out."""


def encode_as(audio: Audio, name: str, comment: str) -> bytes:
    """A file in the format mp3, opus (in Ogg), aac (ADTS) or flac. `comment` is its tag of that name; ADTS has none."""
    import av  # noqa: PLC0415 - as below: 80 MB that a service without such callers does without

    container, codec = _CODECS[name]
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream(codec, rate=audio.sample_rate, layout="mono")
        output.metadata["comment"] = stream.metadata["comment"] = comment  # Ogg keeps its tags with the stream
        assert isinstance(stream, av.AudioStream)  # noqa: S101 - what its codecs are of
        output.mux(stream.encode(_frame(audio)))
        output.mux(stream.encode(None))
    return file.getvalue()


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
