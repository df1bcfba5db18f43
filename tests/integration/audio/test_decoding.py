"""The real decoder and the real speech detector over real files, good and bad, in this process."""

import numpy as np
import pytest

from src.adapters.decoding.pyav_decoder import PyAvDecoder
from src.domain.audio import WORKING_SAMPLE_RATE, AudioFormat, Samples
from src.domain.errors import (
    AudioTooLong,
    AudioTooShort,
    AudioUndecodable,
    InvalidRequest,
    NoSpeechDetected,
    UnsupportedAudioFormat,
)
from src.models.silero_vad import SileroVad
from src.services.audio_processing import AudioProcessing
from tests.recordings import audio_files as files

RATES = (8_000, 16_000, 22_050, 44_100, 48_000)
FORMATS = ("wav", "mp3", "aac", "alac", "flac")


@pytest.fixture(scope="module")
def decoder() -> PyAvDecoder:
    return PyAvDecoder(1.0, 300.0)


@pytest.fixture(scope="module")
def processing(decoder: PyAvDecoder) -> AudioProcessing:
    return AudioProcessing(decoder, SileroVad())


def correlation(first: Samples, second: Samples) -> float:
    """Of the best alignment within 0.15 s: encoders delay what they encode."""
    length = min(len(first), len(second)) - 4000
    reference = first[:length]
    best = max(
        float(np.dot(reference, second[lag : lag + length]) / np.linalg.norm(second[lag : lag + length]))
        for lag in range(0, 4000, 1)
    )
    return best / float(np.linalg.norm(reference))


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("sample_rate", RATES)
@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_rate_and_channel_count(
    kind: str, sample_rate: int, channels: int, processing: AudioProcessing
) -> None:
    data = files.voice_message(kind, sample_rate, channels)
    speech = processing.decode(data, files.ENCODERS[kind][0])
    assert speech.audio.sample_rate == WORKING_SAMPLE_RATE
    assert speech.audio.samples.dtype == np.float32
    assert 20 * np.log10(np.abs(speech.audio.samples).max()) == pytest.approx(-3, abs=0.01)
    spoken_seconds = len(files.speech()) / 16_000
    assert speech.source_duration_seconds == pytest.approx(spoken_seconds, abs=0.2)
    assert speech.audio.duration_seconds == pytest.approx(spoken_seconds, abs=0.2)


@pytest.mark.parametrize("kind", ["wav24", "wavfloat", "wav8", "mulaw"])
def test_other_kinds_of_wav(kind: str, processing: AudioProcessing) -> None:
    assert processing.decode(files.voice_message(kind), AudioFormat.WAV).audio.duration_seconds > 4


@pytest.mark.parametrize("kind", FORMATS)
def test_what_comes_out_is_what_went_in(kind: str, decoder: PyAvDecoder) -> None:
    decoded = decoder.decode(files.voice_message(kind, 22_050, 2), files.ENCODERS[kind][0])
    assert correlation(files.speech(22_050), decoded.samples) > 0.97


@pytest.mark.parametrize("kind", ["mp3", "aac", "flac"])
def test_a_cover_picture_does_no_harm(kind: str, processing: AudioProcessing) -> None:
    data = files.encode(files.speech(), 16_000, kind, picture=files.jpeg())
    assert processing.decode(data, files.ENCODERS[kind][0]).audio.duration_seconds > 4


@pytest.mark.parametrize("claimed", [0, 0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000])
def test_a_wav_written_to_a_pipe_does_not_know_its_size(claimed: int, decoder: PyAvDecoder) -> None:
    data = files.raw_wav(files.pcm16(files.speech()), 16_000, claimed_bytes=claimed)
    assert decoder.decode(data, AudioFormat.WAV).duration_seconds == pytest.approx(4.85, abs=0.01)


def test_a_flac_written_to_a_pipe_does_not_know_its_length(decoder: PyAvDecoder) -> None:
    data = files.with_flac_seconds(files.voice_message("flac"), 0)
    assert decoder.decode(data, AudioFormat.FLAC).duration_seconds == pytest.approx(4.85, abs=0.01)


@pytest.mark.parametrize("level", [0.0005, 0.02, 1.0])
def test_quiet_and_loud_speech_is_found(level: float, processing: AudioProcessing) -> None:
    data = files.encode(files.speech() * np.float32(level), 16_000, "wav24")
    assert processing.decode(data, AudioFormat.WAV).audio.duration_seconds > 4


@pytest.mark.parametrize(
    "samples",
    [
        files.silence(5),
        files.white_noise(5),
        files.white_noise(5, level=0.002),
        files.music(8),
        files.tone(5),
        files.tone(5, frequency=150),
        np.full(80_000, 0.25, np.float32),
    ],
    ids=["silence", "noise", "faint noise", "music", "tone", "hum", "offset"],
)
def test_no_speech(samples: Samples, processing: AudioProcessing) -> None:
    with pytest.raises(NoSpeechDetected):
        processing.decode(files.encode(samples, 16_000, "wav24"), AudioFormat.WAV)


@pytest.mark.parametrize("kind", FORMATS)
def test_length_limits_hold_on_decoded_samples(kind: str, decoder: PyAvDecoder) -> None:
    declared = files.ENCODERS[kind][0]
    for seconds, error in ((0.5, AudioTooShort), (301.0, AudioTooLong)):
        data = files.encode(files.seconds_of_speech(seconds, 8_000), 8_000, kind)
        with pytest.raises(error):
            decoder.decode(data, declared)


@pytest.mark.parametrize("seconds", [1.0, 300.0])
def test_the_limits_themselves_are_allowed(seconds: float, decoder: PyAvDecoder) -> None:
    data = files.encode(files.seconds_of_speech(seconds, 8_000), 8_000, "mulaw")
    assert decoder.decode(data, AudioFormat.WAV).duration_seconds == pytest.approx(seconds, abs=0.01)


def test_a_header_that_claims_one_second_of_an_hour(decoder: PyAvDecoder) -> None:
    with pytest.raises(AudioTooLong):
        decoder.decode(files.with_flac_seconds(files.flac_bomb(), 1), AudioFormat.FLAC)


def test_a_header_that_claims_an_hour_of_five_seconds(decoder: PyAvDecoder) -> None:
    wav = files.raw_wav(files.pcm16(files.speech()), 16_000, claimed_bytes=3600 * 32_000)
    flac = files.with_flac_seconds(files.voice_message("flac"), 3600)
    for data, declared in ((wav, AudioFormat.WAV), (flac, AudioFormat.FLAC)):
        with pytest.raises(AudioUndecodable):
            decoder.decode(data, declared)


@pytest.mark.parametrize("sample_rate", [1, 4_000, 7_999, 48_001, 96_000, 4_000_000_000])
def test_sample_rates_that_are_not_accepted(sample_rate: int, decoder: PyAvDecoder) -> None:
    with pytest.raises((UnsupportedAudioFormat, AudioUndecodable)):
        decoder.decode(files.raw_wav(files.pcm16(files.speech()), sample_rate), AudioFormat.WAV)


@pytest.mark.parametrize(
    ("data", "declared"),
    [
        (files.mux(files.speech(), 16_000, "wav", "pcm_s16le", channels=6, layout="5.1"), AudioFormat.WAV),
        (files.mux(files.speech(), 16_000, "wav", "adpcm_ms"), AudioFormat.WAV),
        (files.mux(files.speech(), 16_000, "wav", "libmp3lame"), AudioFormat.WAV),
        (files.m4a_with_mp3_inside(), AudioFormat.M4A),
    ],
    ids=["six channels", "ADPCM in WAV", "MP3 in WAV", "MP3 in M4A"],
)
def test_codecs_and_layouts_that_are_not_accepted(data: bytes, declared: AudioFormat, decoder: PyAvDecoder) -> None:
    with pytest.raises(UnsupportedAudioFormat):
        decoder.decode(data, declared)


@pytest.mark.parametrize("kind", FORMATS)
def test_files_that_were_cut_off(kind: str, decoder: PyAvDecoder) -> None:
    data = files.voice_message(kind)
    for length in (4, 12, 16, 50, 200, 1000, len(data) // 4, len(data) // 2):
        with pytest.raises(AudioUndecodable):
            decoder.decode(data[:length], files.ENCODERS[kind][0])


@pytest.mark.parametrize("kind", FORMATS)
def test_garbage_in_the_right_container(kind: str, decoder: PyAvDecoder) -> None:
    data = files.voice_message(kind)
    with pytest.raises(AudioUndecodable):
        decoder.decode(data[:20] + np.random.default_rng(1).bytes(50_000), files.ENCODERS[kind][0])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number(value: float, decoder: PyAvDecoder) -> None:
    samples = files.speech().copy()
    samples[100] = value
    with pytest.raises(AudioUndecodable):
        decoder.decode(files.encode(samples, 16_000, "wavfloat"), AudioFormat.WAV)


@pytest.mark.parametrize("kind", FORMATS)
def test_mutated_files_are_decoded_or_refused_and_nothing_else(kind: str, processing: AudioProcessing) -> None:
    random = np.random.default_rng(5)
    original = files.voice_message(kind)
    for round_number in range(25):
        data = bytearray(original)
        reach = len(data) if round_number % 2 else 300  # headers first
        for position in random.integers(0, reach, 1 + round_number):
            data[position] = random.integers(256)
        try:
            speech = processing.decode(bytes(data), files.ENCODERS[kind][0])
        except InvalidRequest:
            continue
        assert np.abs(speech.audio.samples).max() <= 1
    assert processing.decode(original, files.ENCODERS[kind][0]).audio.duration_seconds > 4
