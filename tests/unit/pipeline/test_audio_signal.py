"""WAV out, resampling, level, and what a file is by its first bytes."""

import io
import wave

import numpy as np
import pytest

from src.domain.audio import Audio, AudioFormat
from src.domain.errors import AudioUndecodable, FormatMismatch, UnsupportedAudioFormat
from src.services.audio_processing import high_pass
from src.utils.audio import encode_wav, levelled, resample
from src.utils.audio_formats import check_format, sniff_format
from tests.recordings import audio_files


def test_wav_out_is_sixteen_bit_mono_and_clips() -> None:
    samples = np.array([0, 0.5, -0.5, 1, -1, 3, -3], np.float32)
    with wave.open(io.BytesIO(encode_wav(Audio(samples, 24_000)))) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 24_000)
        written = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    np.testing.assert_array_equal(written, [0, 16_384, -16_384, 32_767, -32_767, 32_767, -32_767])


def test_an_empty_recording_is_still_a_wav() -> None:
    with wave.open(io.BytesIO(encode_wav(Audio(np.zeros(0, np.float32), 24_000)))) as file:
        assert file.getnframes() == 0


@pytest.mark.parametrize("sample_rate", [8_000, 16_000, 22_050, 48_000])
def test_resampling_keeps_length_pitch_and_level(sample_rate: int) -> None:
    resampled = resample(Audio(audio_files.tone(2, 22_050, 1000), 22_050), sample_rate)
    assert resampled.samples.dtype == np.float32
    assert resampled.duration_seconds == pytest.approx(2, abs=0.001)
    spectrum = np.abs(np.fft.rfft(resampled.samples))
    assert np.fft.rfftfreq(len(resampled.samples), 1 / sample_rate)[spectrum.argmax()] == pytest.approx(1000, abs=1)
    assert np.sqrt(np.mean(resampled.samples**2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.01)


def test_the_peak_of_speech_comes_to_minus_three_decibels_and_silence_stays_silent() -> None:
    quiet = 0.01 * audio_files.speech()
    louder = levelled(quiet, 16_000)
    assert -3.1 < 20 * np.log10(np.abs(louder).max()) < 0
    np.testing.assert_allclose(louder * (quiet[9000] / louder[9000]), quiet, atol=1e-6)
    assert not levelled(np.zeros(9, np.float32), 16_000).any()
    assert len(levelled(np.zeros(0, np.float32), 16_000)) == 0


def test_a_click_does_not_make_speech_quiet() -> None:
    quiet = 0.003 * audio_files.speech()
    expected = levelled(quiet, 16_000)
    clicked = quiet.copy()
    clicked[800:1100] = 0.99
    np.testing.assert_allclose(levelled(clicked, 16_000)[2000:], expected[2000:], rtol=0.3, atol=0.05)


def test_offset_and_hum_go_and_speech_stays() -> None:
    spoken = audio_files.speech()
    disturbed = spoken + 0.5 + audio_files.tone(len(spoken) / 16_000, frequency=50)[: len(spoken)]
    clean = high_pass(disturbed[None], 16_000)[0]
    assert abs(clean.mean()) < 0.001
    assert np.square(clean - spoken).mean() < 0.1 * np.square(spoken).mean()


@pytest.mark.parametrize("kind", audio_files.ENCODERS)
def test_every_accepted_file_is_known_by_its_first_bytes(kind: str) -> None:
    declared = audio_files.ENCODERS[kind][0]
    data = audio_files.voice_message(kind, 8_000)
    assert sniff_format(data) is declared
    assert check_format(data, declared) is check_format(data, AudioFormat.AUTO) is declared
    alike = {AudioFormat.M4A, AudioFormat.AAC} if declared in (AudioFormat.M4A, AudioFormat.AAC) else {declared}
    for other in set(AudioFormat) - alike - {AudioFormat.AUTO}:
        with pytest.raises(FormatMismatch, match=f"{other}.*{declared}"):
            check_format(data, other)


@pytest.mark.parametrize(
    ("name", "meant"),
    [("M4A", "m4a"), ("mp4", "m4a"), ("aac", "aac"), ("audio/aac", "aac"), ("audio/aacp", "aac"),
     ("audio/mp4", "m4a"), ("audio/x-m4a", "m4a"), ("3gp", "m4a"),
     ("audio/ogg; codecs=opus", "ogg"), ("opus", "ogg"), ("audio/webm;codecs=opus", "webm"), ("audio/mpeg", "mp3"),
     ("audio/wave", "wav"), ("audio/x-wav", "wav"), ("audio/AMR", "amr"), ("audio/x-flac", "flac"), ("Auto", "auto"),
     (".wav", "wav"), ("message.M4A", "m4a"), ("audio/vnd.wave", "wav"), ("application/ogg", "ogg"),
     ("", "auto"), (" ", "auto"), ("application/octet-stream", "auto"), ("binary/octet-stream", "auto"),
     ("audio/*", "auto"), ("m4b", "m4a"), ("MPEG4", "m4a"), ("mpeg-4", "m4a"), ("MPEG_4", "m4a"), ("mp4a.40.2", "m4a"),
     ("public.mpeg-4-audio", "m4a"), ("com.apple.m4a-audio", "m4a"), ("THREE_GPP", "m4a"), ("AAC_ADTS", "aac"),
     ("OGG_OPUS", "ogg"), ("WEBM_OPUS", "webm"), ("AMR_WB", "amr"), ("waveform-audio", "wav"),
     ("audio/x-caf", "caf"), ("com.apple.coreaudio-format", "caf"), ("CAFF", "caf")],
)  # fmt: skip
def test_a_format_is_known_by_the_names_that_clients_have_for_it(name: str, meant: str) -> None:
    assert AudioFormat.of(name) is AudioFormat(meant)


@pytest.mark.parametrize("name", ["docx", "audio/x", "text/plain", "null", "audio/L16"])
def test_other_names_are_no_formats(name: str) -> None:
    with pytest.raises(ValueError, match="not a valid"):
        AudioFormat.of(name)


def test_an_id3_tag_hides_neither_mp3_nor_flac() -> None:
    tag = b"ID3\x04\x00\x00\x00\x00\x01\x00" + bytes(128)
    assert sniff_format(tag + audio_files.voice_message("flac")) is AudioFormat.FLAC
    assert sniff_format(tag + audio_files.voice_message("mp3")) is AudioFormat.MP3
    bare = audio_files.voice_message("mp3")
    size = int.from_bytes(bytes(byte & 0x7F for byte in bare[8:10])) if bare[:3] == b"ID3" else -10
    assert sniff_format(bare[10 + size :]) is AudioFormat.MP3


@pytest.mark.parametrize("declared", [AudioFormat.WAV, AudioFormat.AUTO])
@pytest.mark.parametrize(
    "data",
    [
        audio_files.aiff(),
        *audio_files.playlists().values(),
        b"RIFF\0\0\0\0AVI " + bytes(50),
        *("Ünïcode text that a probe cuts".encode()[start:] * 40 for start in (0, 2, 3)),
        b"<html></html>",
        b"\xef\xbb\xbf#EXTM3U\nfile",
    ],
)
def test_known_formats_that_are_not_accepted(data: bytes, declared: AudioFormat) -> None:
    with pytest.raises(UnsupportedAudioFormat):
        check_format(data, declared)


@pytest.mark.parametrize("data", [b"", b"\0", b"\0\1\2\3" * 100, np.random.default_rng(0).bytes(1000), bytes(1000)])
def test_bytes_that_are_nothing_known(data: bytes) -> None:
    with pytest.raises(AudioUndecodable, match=r"Bare samples .* WAV"):
        check_format(data, AudioFormat.WAV)
