"""Files that are made to hurt whoever decodes them."""

import numpy as np

from src.domain.audio import AudioFormat
from tests.recordings import audio_files as files

WAV = AudioFormat.WAV


def attacks(address: str) -> list[tuple[str, bytes, AudioFormat]]:
    """Name, bytes, and what the sender says they are."""
    message = files.voice_message()
    listed = [
        ("FLAC bomb", files.flac_bomb(), AudioFormat.FLAC),
        ("FLAC bomb that says 1 s", files.with_flac_seconds(files.flac_bomb(), 1), AudioFormat.FLAC),
        ("WAV of 1 Hz", files.raw_wav(files.pcm16(files.speech()), 1), WAV),
        ("empty", b"", WAV),
        ("random", np.random.default_rng(0).bytes(100_000), WAV),
        ("truncated", message[:200], WAV),
        ("mislabelled", files.voice_message("mp3"), WAV),
        ("aiff", files.aiff(), WAV),
        ("silence", files.encode(files.silence(5), 16_000), WAV),
        ("music", files.encode(files.music(8), 16_000), WAV),
        ("short", files.encode(files.seconds_of_speech(0.5), 16_000), WAV),
        *too_long(),
    ]
    for name, text in files.playlists(address).items():
        listed += [(f"{name} as {declared}", text, declared) for declared in AudioFormat]
        listed += [(f"{name} in RIFF", b"RIFF\0\0\0\0WAVE" + text, WAV)]
        listed += [(f"{name} in ID3", b"ID3" + bytes(7) + text, AudioFormat.MP3)]
        listed += [(f"{name} in MP4", b"\0\0\0\x10ftypM4A \0\0\0\0" + text, AudioFormat.M4A)]
    return listed


def too_long() -> list[tuple[str, bytes, AudioFormat]]:
    """301 seconds of speech in every format; WAV and FLAC also under headers that say something else."""
    speech = files.seconds_of_speech(301, 8_000)
    flac, sound = files.encode(speech, 8_000, "flac"), files.pcm16(speech)
    return [
        ("301 s of WAV", files.raw_wav(sound, 8_000), WAV),
        ("301 s of WAV that says 0 s", files.raw_wav(sound, 8_000, claimed_bytes=0), WAV),
        ("301 s of WAV that says days", files.raw_wav(sound, 8_000, claimed_bytes=0xFFFF_FFFF), WAV),
        ("301 s of MP3", files.encode(speech, 8_000, "mp3"), AudioFormat.MP3),
        ("301 s of M4A", files.encode(speech, 8_000, "aac"), AudioFormat.M4A),
        ("301 s of FLAC", flac, AudioFormat.FLAC),
        ("301 s of FLAC that says 1 s", files.with_flac_seconds(flac, 1.0), AudioFormat.FLAC),
    ]
