"""Makes the audio that tests send: real speech in every accepted format, and every kind of file that must be refused.

Speech comes from Debian's flite; files are encoded with PyAV. Everything that takes time is made once per test run.
"""

import io
import struct
import subprocess
import tempfile
import wave
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import av
import numpy as np
import soundfile
import soxr
from av.stream import Disposition

from src.domain.audio import AudioFormat, Samples

SENTENCE = "The weather is very nice today and we are going to the beach with our friends."

ENCODERS: dict[str, tuple[AudioFormat, str, str]] = {
    "wav": (AudioFormat.WAV, "wav", "pcm_s16le"),
    "wav24": (AudioFormat.WAV, "wav", "pcm_s24le"),
    "wavfloat": (AudioFormat.WAV, "wav", "pcm_f32le"),
    "wav8": (AudioFormat.WAV, "wav", "pcm_u8"),
    "mulaw": (AudioFormat.WAV, "wav", "pcm_mulaw"),
    "mp3": (AudioFormat.MP3, "mp3", "libmp3lame"),
    "aac": (AudioFormat.M4A, "ipod", "aac"),
    "alac": (AudioFormat.M4A, "ipod", "alac"),
    "adts": (AudioFormat.AAC, "adts", "aac"),
    "flac": (AudioFormat.FLAC, "flac", "flac"),
    "opus": (AudioFormat.OGG, "ogg", "libopus"),
    "webm": (AudioFormat.WEBM, "webm", "libopus"),
    "fragmented": (AudioFormat.M4A, "ismv", "aac"),
    "amr": (AudioFormat.AMR, "amr", "libopencore_amrnb"),
    "3gp": (AudioFormat.M4A, "3gp", "libopencore_amrnb"),
    "caf": (AudioFormat.CAF, "caf", "pcm_s16le"),
    "caf24": (AudioFormat.CAF, "caf", "pcm_s24be"),
    "cafalac": (AudioFormat.CAF, "caf", "alac"),
}
"""What `encode` can make: the format to declare, ffmpeg's container and encoder."""


@lru_cache
def speech(sample_rate: int = 16_000, text: str = SENTENCE, voice: str = "rms") -> Samples:
    """Someone says `text`: float32 [T] in [-1, 1]. About five seconds for the sentence above."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        subprocess.run(["flite", "-voice", voice, "-t", text, "-o", str(path)], check=True, timeout=60)
        with wave.open(str(path)) as file:
            spoken_rate = file.getframerate()
            spoken = np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float32) / 32_768
    resampled: Samples = soxr.resample(spoken, spoken_rate, sample_rate).astype(np.float32)
    return np.clip(resampled, -1, 1)


def encode(
    samples: Samples, sample_rate: int, kind: str = "wav", channels: int = 1, picture: bytes | None = None
) -> bytes:
    """`samples` in a file of `kind` (see ENCODERS), each channel the same. `picture`: a JPEG shown as the cover."""
    _, container_format, codec = ENCODERS[kind]
    if picture is not None and container_format == "ipod":
        container_format = "mp4"  # ffmpeg's ipod writer takes no JPEG stream; both are M4A
    return mux(samples, sample_rate, container_format, codec, channels, picture)


def mux(
    samples: Samples,
    sample_rate: int,
    container_format: str,
    codec: str,
    channels: int = 1,
    picture: bytes | None = None,
    layout: str | None = None,
    options: dict[str, str] | None = None,
) -> bytes:
    """Any container and encoder that ffmpeg has. `layout` for more channels than two, `options` for both."""
    file = io.BytesIO()
    container: Any
    with av.open(file, "w", format=container_format, options=options or {}) as container:
        layout = layout or ("mono" if channels == 1 else "stereo")
        stream = container.add_stream(codec, rate=sample_rate, layout=layout, options=options or {})
        cover = None if picture is None else _cover(container)
        frame_size = stream.codec_context.frame_size or None
        resampler = av.AudioResampler(stream.format, stream.layout, sample_rate, frame_size)
        frame = av.AudioFrame.from_ndarray(np.tile(samples, (channels, 1)), "fltp", stream.layout.name)
        frame.sample_rate = sample_rate
        for part in (*resampler.resample(frame), None):
            container.mux(stream.encode(part))
            if cover is not None and picture is not None:
                container.mux(_picture_packet(cover, picture))
                cover = None
    return file.getvalue()


def caf_of_aac(samples: Samples, sample_rate: int) -> bytes:
    """As Apple's recorders write it: a description, a cookie, the packets, and behind them a table of their lengths."""
    with av.open(io.BytesIO(mux(samples, sample_rate, "mp4", "aac")), "r") as file:
        config = file.streams.audio[0].codec_context.extradata or b""
        packets = [bytes(packet) for packet in file.demux(audio=0) if packet.size]
    decoder = bytes((0x40, 0x14)) + bytes(11) + _descriptor(5, config)
    cookie = _descriptor(3, bytes(3) + _descriptor(4, decoder) + _descriptor(6, b"\2"))
    lengths = b"".join(bytes((len(packet) >> 7 | 0x80, len(packet) & 0x7F)) for packet in packets)
    table = struct.pack(">qqii", len(packets), len(samples), 0, 0) + lengths
    chunks = {
        b"desc": struct.pack(">d4sIIIII", sample_rate, b"aac ", 0, 0, 1024, 1, 0),
        b"kuki": cookie,
        b"data": bytes(4) + b"".join(packets),
        b"pakt": table,
    }
    return b"caff\0\1\0\0" + b"".join(name + struct.pack(">q", len(body)) + body for name, body in chunks.items())


def _descriptor(tag: int, body: bytes) -> bytes:
    return bytes((tag, 0x80, 0x80, 0x80, len(body))) + body


def _cover(container: Any) -> Any:
    cover = container.add_stream("mjpeg", rate=1)
    cover.width = cover.height = 16
    cover.pix_fmt = "yuvj420p"
    cover.disposition = Disposition.attached_pic
    return cover


def _picture_packet(cover: Any, picture: bytes) -> "av.Packet[Any]":
    packet = av.Packet(picture)
    packet.stream, packet.pts, packet.dts, packet.time_base = cover, 0, 0, Fraction(1, 1)
    return packet


@lru_cache
def voice_message(kind: str = "wav", sample_rate: int = 16_000, channels: int = 1) -> bytes:
    """The sentence, spoken, as a file of `kind`."""
    return encode(speech(sample_rate), sample_rate, kind, channels)


def jpeg() -> bytes:
    """A small picture."""
    context: Any = av.CodecContext.create("mjpeg", "w")
    context.width = context.height = 16
    context.pix_fmt = "yuvj420p"
    context.time_base = Fraction(1, 1)
    picture = av.VideoFrame.from_ndarray(np.full((16, 16, 3), 128, np.uint8), "rgb24").reformat(format="yuvj420p")
    return b"".join(bytes(packet) for packet in (*context.encode(picture), *context.encode(None)))


def seconds_of_speech(seconds: float, sample_rate: int = 16_000) -> Samples:
    """Speech repeated or cut to exactly that long."""
    return np.resize(speech(sample_rate), round(seconds * sample_rate))


def silence(seconds: float, sample_rate: int = 16_000) -> Samples:
    return np.zeros(round(seconds * sample_rate), np.float32)


def white_noise(seconds: float, sample_rate: int = 16_000, level: float = 0.1) -> Samples:
    noise = np.random.default_rng(7).standard_normal(round(seconds * sample_rate))
    return np.clip(level * noise, -1, 1).astype(np.float32)


def music(seconds: float, sample_rate: int = 16_000) -> Samples:
    """Chords of plucked tones over a drum-like noise: loud, changing, and nobody speaks."""
    time = np.arange(round(seconds * sample_rate)) / sample_rate
    beat = time % 0.5
    chord = np.array([(0, 4, 7), (5, 9, 12), (7, 11, 14), (0, 4, 7)])[(time // 2).astype(int) % 4].T
    pitches = 2 * np.pi * 220 * 2 ** (chord / 12) * time
    tones = sum((np.sin(harmonic * pitches).sum(axis=0) / harmonic for harmonic in (1, 2, 3, 4)), np.zeros_like(time))
    drum = np.random.default_rng(3).standard_normal(len(time)) * np.exp(-40 * beat)
    mixed = tones * np.exp(-3 * beat) + drum
    scaled: Samples = (0.5 * mixed / np.abs(mixed).max()).astype(np.float32)
    return scaled


def tone(seconds: float, sample_rate: int = 16_000, frequency: float = 440.0) -> Samples:
    return (0.5 * np.sin(2 * np.pi * frequency * np.arange(round(seconds * sample_rate)) / sample_rate)).astype(
        np.float32
    )


@lru_cache
def flac_bomb(minutes: int = 60) -> bytes:
    """An hour of silence in a few kilobytes a minute: 1.4 GB of samples. The header claims the first minute."""
    one_minute = encode(silence(60, 48_000), 48_000, "flac", channels=2)
    end = 4  # of the metadata blocks: each has a flag for the last, its kind, and its size in 24 bits
    last = False
    while not last:
        last = one_minute[end] & 0x80 != 0
        end += 4 + int.from_bytes(one_minute[end + 1 : end + 4])
    return one_minute[:end] + minutes * one_minute[end:]


def with_flac_seconds(flac: bytes, seconds: float) -> bytes:
    """The same FLAC claiming another duration: STREAMINFO's total of samples is the low 36 bits of bytes 18 to 25."""
    (word,) = struct.unpack_from(">Q", flac, 18)
    sample_rate = word >> 44
    return flac[:18] + struct.pack(">Q", word >> 36 << 36 | round(seconds * sample_rate)) + flac[26:]


def raw_wav(data: bytes, sample_rate: int, channels: int = 1, claimed_bytes: int | None = None) -> bytes:
    """16-bit PCM under a header that may claim another size than there is."""
    size = len(data) if claimed_bytes is None else claimed_bytes
    byte_rate = sample_rate * 2 * channels
    chunk = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, channels, sample_rate, byte_rate & 0xFFFFFFFF, 2 * channels, 16)
    return (
        struct.pack("<4sI4s", b"RIFF", (size + 36) & 0xFFFFFFFF, b"WAVE")
        + chunk
        + struct.pack("<4sI", b"data", size)
        + data
    )


def telephone_wav(subtype: str, rate: int = 8_000) -> bytes:
    """Speech as answering machines keep it, in a codec of libsndfile: GSM610, IMA_ADPCM, MS_ADPCM, ALAW, ULAW."""
    file = io.BytesIO()
    soundfile.write(file, speech(rate), rate, format="WAV", subtype=subtype)
    return file.getvalue()


def pcm16(samples: Samples) -> bytes:
    return (np.clip(samples, -1, 1) * 32_767).astype("<i2").tobytes()


def aiff() -> bytes:
    """Speech in a container that the service does not take."""
    return mux(speech(), 16_000, "aiff", "pcm_s16be")


def stereo_wav(left: Samples, right: Samples, sample_rate: int = 16_000) -> bytes:
    return raw_wav(pcm16(np.stack((left, right), axis=1)), sample_rate, channels=2)


def zeroed(data: bytes, share: float, pieces: int = 3) -> bytes:
    """With so much of the file overwritten by zeros, in places spread over all but its ends."""
    damaged, length = bytearray(data), round(len(data) * share / pieces)
    for number in range(pieces):
        start = round(len(data) * (number + 0.5) / pieces) - length // 2
        damaged[start : start + length] = bytes(length)
    return bytes(damaged)


def paused_m4a(seconds: float = 3.0) -> bytes:
    """As phones write it when the recording was paused: the timestamps jump, the sound goes on."""
    read = av.open(io.BytesIO(voice_message("aac", 16_000)), "r")
    file = io.BytesIO()
    container: Any
    with read, av.open(file, "w", format="ipod") as container:
        stream = container.add_stream_from_template(read.streams.audio[0])
        for number, packet in enumerate(read.demux(read.streams.audio[0])):
            if packet.pts is None or packet.dts is None:
                continue
            jump = round(seconds / packet.time_base) if number >= 20 else 0
            packet.pts, packet.dts, packet.stream = packet.pts + jump, packet.dts + jump, stream
            container.mux(packet)
    return file.getvalue()


def index_first(m4a: bytes) -> bytes:
    """The same file with its index in front of its sound, as those have it that are to be played while they arrive."""
    begin, sound = m4a.rindex(b"moov") - 4, m4a.index(b"mdat") - 4
    index = bytearray(m4a[begin : begin + int.from_bytes(m4a[begin : begin + 4])])
    table = index.index(b"stco") + 8
    for number in range(int.from_bytes(index[table : table + 4])):
        entry = slice(table + 4 + 4 * number, table + 8 + 4 * number)
        index[entry] = (int.from_bytes(index[entry]) + len(index)).to_bytes(4)
    return m4a[:sound] + bytes(index) + m4a[sound:begin] + m4a[begin + len(index) :]


def m4a_with_ac3_inside() -> bytes:
    """An MP4 whose only audio stream has a codec that does not belong there."""
    return mux(speech(48_000), 48_000, "mp4", "ac3")


def playlists(address: str = "127.0.0.1:9") -> dict[str, bytes]:
    """Texts that media libraries obey by opening what they name; `address` would see the connection."""
    host, port = address.split(":")
    return {
        "sdp": f"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 {host}\r\nt=0 0\r\n"
        f"m=audio {port} RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n".encode(),
        "hls": f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nhttp://{address}/a.ts\n#EXT-X-ENDLIST\n".encode(),
        "dash": f'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period><AdaptationSet '
        f'mimeType="audio/mp4"><Representation id="1" bandwidth="1"><BaseURL>http://{address}/a.mp4</BaseURL>'
        f"</Representation></AdaptationSet></Period></MPD>".encode(),
        "concat": f"ffconcat version 1.0\nfile http://{address}/a.wav\nfile /etc/passwd\n".encode(),
    }
