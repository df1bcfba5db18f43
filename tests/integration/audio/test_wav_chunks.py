"""WAV files whose chunks are not as their headers say: the sound is heard."""

import struct

import pytest

from src.adapters.decoding.pyav_decoder import PyAvDecoder
from src.domain.audio import AudioFormat
from src.domain.errors import AudioUndecodable
from tests.recordings import audio_files as files

WAV = files.raw_wav(files.pcm16(files.speech()), 16_000)
FMT, DATA = WAV[12:36], WAV[36:]
SECONDS = len(files.speech()) / 16_000
INFO = b"INFOISFT\x04\0\0\0Lavf"


def chunk(name: bytes, content: bytes, size: int | None = None) -> bytes:
    return name + struct.pack("<I", len(content) if size is None else size) + content


FILES = {
    "an odd chunk without its padding": (FMT, chunk(b"LIST", INFO + b"x"), DATA),
    "an odd chunk without its padding, first": (chunk(b"JUNK", bytes(27)), FMT, DATA),
    "a chunk of 2 GB": (FMT, chunk(b"LIST", INFO, 2_000_000_000), DATA),
    "a chunk of 2 GB, first": (chunk(b"bext", INFO, 2_000_000_000), FMT, DATA),
    "a chunk of no bytes": (FMT, chunk(b"LIST", INFO, 0), DATA),
    "the oldest form of fmt": (chunk(b"fmt ", FMT[8:22]), DATA),
    "fmt that says less than it is": (chunk(b"fmt ", FMT[8:], 14), DATA),
    "fmt that says more than it is": (chunk(b"fmt ", FMT[8:], 18), DATA),
    "the sound first": (DATA, FMT),
    "the sound first, of 2 GB": (chunk(b"data", DATA[8:], 2_000_000_000), FMT),
    "a byte behind the sound": (FMT, DATA + b"x"),
}


@pytest.mark.parametrize("name", FILES)
def test_the_sound_is_heard_whatever_is_wrong_with_the_chunks(name: str) -> None:
    content = b"WAVE" + b"".join(FILES[name])
    recording = PyAvDecoder(1.0, 300.0).decode(chunk(b"RIFF", content), AudioFormat.WAV)
    assert recording.seconds == pytest.approx(SECONDS, abs=0.01)
    whole = PyAvDecoder(1.0, 300.0).decode(WAV, AudioFormat.WAV)
    assert abs(recording.channels[:, : 2 * 22_050] - whole.channels[:, : 2 * 22_050]).max() < 1e-4
    assert recording.notes == ()


def test_a_wav_of_many_chunks_is_answered() -> None:
    made = b"RIFF\xff\xff\xff\x7fWAVE" + b"fmt \xff\xff\xff\x7f" * 500_000
    with pytest.raises(AudioUndecodable, match="damaged"):
        PyAvDecoder(1.0, 300.0).decode(made, AudioFormat.WAV)
