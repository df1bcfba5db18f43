"""The real decoder and the real speech detector over real files, good and bad, in this process."""

import struct

import numpy as np
import pytest
from scipy import signal

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

FORMATS = ("wav", "mp3", "aac", "alac", "adts", "flac", "opus", "webm", "caf", "cafalac")
RATES = {"opus": 48_000, "webm": 48_000}
SHAPES = [(kind, RATES.get(kind, 16_000), 1 + index % 2) for index, kind in enumerate(FORMATS)]
SHAPES += [
    ("caf24", 44_100, 2),
    ("amr", 8_000, 1),
    ("3gp", 8_000, 1),
    ("fragmented", 44_100, 1),
    ("wav", 8_000, 1),
    ("mp3", 44_100, 2),
    ("aac", 48_000, 2),
    ("flac", 96_000, 2),
    ("wav", 192_000, 1),
]


ID3 = b"ID3\x04\x00\x00\x00\x00\x01\x00" + bytes(128)


@pytest.fixture(scope="module")
def decoder() -> PyAvDecoder:
    return PyAvDecoder(1.0, 300.0)


@pytest.fixture(scope="module")
def processing(decoder: PyAvDecoder) -> AudioProcessing:
    return AudioProcessing(decoder, SileroVad())


def correlation(first: Samples, second: Samples) -> float:
    """Of the best alignment within 0.15 s: encoders delay what they encode."""
    length = min(len(first), len(second)) - 4000
    reference, shifted = first[:length].astype(np.float64), second[: length + 3999].astype(np.float64)
    energy = np.cumsum(np.concatenate(([0.0], shifted**2)))
    products = signal.correlate(shifted, reference, "valid", "fft")
    return float(np.max(products / np.sqrt(energy[length:] - energy[:-length])) / np.linalg.norm(reference))


@pytest.mark.parametrize(("kind", "sample_rate", "channels"), SHAPES)
def test_every_format_rate_and_channel_count(
    kind: str, sample_rate: int, channels: int, processing: AudioProcessing
) -> None:
    data = files.voice_message(kind, sample_rate, channels)
    speech = processing.decode(data, files.ENCODERS[kind][0])
    assert speech.audio.sample_rate == WORKING_SAMPLE_RATE
    assert speech.audio.samples.dtype == np.float32
    assert -3.1 < 20 * np.log10(np.abs(speech.audio.samples).max()) < 0
    assert speech.notes == ()
    spoken_seconds = len(files.speech()) / 16_000
    assert speech.source_duration_seconds == pytest.approx(spoken_seconds, abs=0.2)
    assert speech.audio.duration_seconds == pytest.approx(spoken_seconds, abs=0.2)


@pytest.mark.parametrize("kind", ["wav24", "wavfloat", "wav8", "mulaw"])
def test_other_kinds_of_wav(kind: str, processing: AudioProcessing) -> None:
    assert processing.decode(files.voice_message(kind), AudioFormat.WAV).audio.duration_seconds > 4


@pytest.mark.parametrize("subtype", ["GSM610", "IMA_ADPCM", "MS_ADPCM", "ALAW", "ULAW"])
def test_what_telephones_make_of_wav(subtype: str, decoder: PyAvDecoder) -> None:
    data = files.telephone_wav(subtype)
    recording = decoder.decode(data, AudioFormat.WAV)
    assert correlation(files.speech(22_050), recording.mixed.samples) > 0.9
    assert recording.notes == ()
    half = decoder.decode(data[: len(data) // 2], AudioFormat.WAV)
    assert half.seconds == pytest.approx(recording.seconds / 2, abs=0.1)
    assert any("cut off" in note for note in half.notes)


@pytest.mark.parametrize("kind", ["wav", "mp3", "adts", "flac", "opus", "webm", "amr"])
@pytest.mark.parametrize(
    "front",
    [bytes(5000), ID3, 2 * ID3, ID3 + bytes(10), b"ID3\x04\x00\x00\x7f\x7f\x7f\x7f"],
    ids=["zeros", "ID3", "ID3 twice", "both", "ID3 with a wrong size"],
)
def test_what_stands_in_front_of_a_file_does_no_harm(kind: str, front: bytes, decoder: PyAvDecoder) -> None:
    data = files.voice_message(kind, RATES.get(kind, 8_000))
    recording = decoder.decode(front + data, AudioFormat.AUTO)
    assert recording.seconds == pytest.approx(decoder.decode(data, AudioFormat.AUTO).seconds, abs=0.1)
    assert recording.notes == ()


@pytest.mark.parametrize("kind", ["mp3", "adts"])
@pytest.mark.parametrize("begin", [3, 100, 777, 1999])
def test_frames_may_begin_in_the_middle_of_one(kind: str, begin: int, decoder: PyAvDecoder) -> None:
    data = files.encode(files.seconds_of_speech(8), 16_000, kind)
    for front in (b"", bytes(500)):
        recording = decoder.decode(front + data[begin:], files.ENCODERS[kind][0])
        assert 7.4 < recording.seconds < 8.2
        assert recording.notes == ()


def test_aac_is_taken_under_either_of_its_names(decoder: PyAvDecoder) -> None:
    for kind in ("adts", "aac"):
        for name in ("aac", "m4a"):
            assert decoder.decode(files.voice_message(kind), AudioFormat(name)).seconds > 4


def test_pauses_that_amr_does_not_send_are_silence(decoder: PyAvDecoder) -> None:
    pause = np.concatenate((files.speech(8_000), files.silence(4, 8_000), files.speech(8_000)))
    for container in ("amr", "3gp"):
        recording = decoder.decode(
            files.mux(pause, 8_000, container, "libopencore_amrnb", options={"dtx": "1"}), AudioFormat.AUTO
        )
        assert recording.seconds == pytest.approx(len(pause) / 8_000, abs=0.1)
        assert recording.notes == ()


@pytest.mark.parametrize("kind", FORMATS)
def test_what_comes_out_is_what_went_in(kind: str, decoder: PyAvDecoder) -> None:
    rate = RATES.get(kind, 22_050)
    decoded = decoder.decode(files.voice_message(kind, rate, 2), files.ENCODERS[kind][0])
    assert correlation(files.speech(22_050), decoded.mixed.samples) > 0.97


@pytest.mark.parametrize("kind", ["mp3", "aac", "flac"])
def test_a_cover_picture_does_no_harm(kind: str, processing: AudioProcessing) -> None:
    data = files.encode(files.speech(), 16_000, kind, picture=files.jpeg())
    assert processing.decode(data, files.ENCODERS[kind][0]).audio.duration_seconds > 4


@pytest.mark.parametrize("claimed", [0, 0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000])
def test_a_wav_written_to_a_pipe_does_not_know_its_size(claimed: int, decoder: PyAvDecoder) -> None:
    data = files.raw_wav(files.pcm16(files.speech()), 16_000, claimed_bytes=claimed)
    assert decoder.decode(data, AudioFormat.WAV).seconds == pytest.approx(4.85, abs=0.01)


def test_a_flac_written_to_a_pipe_does_not_know_its_length(decoder: PyAvDecoder) -> None:
    data = files.with_flac_seconds(files.voice_message("flac"), 0)
    assert decoder.decode(data, AudioFormat.FLAC).seconds == pytest.approx(4.85, abs=0.01)


def test_a_caf_that_is_still_recorded_does_not_know_its_size(decoder: PyAvDecoder) -> None:
    whole = files.voice_message("caf")
    size = whole.index(b"data") + 4
    recording = decoder.decode(whole[:size] + b"\xff" * 8 + whole[size + 8 :], AudioFormat.CAF)
    assert recording.seconds == pytest.approx(4.85, abs=0.01)
    assert recording.notes == ()


def test_alac_is_heard_to_its_last_sample_in_either_container(decoder: PyAvDecoder) -> None:
    for kind in ("alac", "cafalac"):
        recording = decoder.decode(files.voice_message(kind), AudioFormat.AUTO)
        assert recording.seconds == pytest.approx(len(files.speech()) / 16_000, abs=0.001)


def test_other_kinds_of_caf_are_named(decoder: PyAvDecoder) -> None:
    data = files.mux(files.speech(44_100), 44_100, "caf", "adpcm_ima_qt")
    with pytest.raises(UnsupportedAudioFormat, match="adpcm_ima_qt"):
        decoder.decode(data, AudioFormat.CAF)


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


@pytest.mark.parametrize("kind", ["wav", "mp3"])
def test_length_limits_hold_on_decoded_samples(kind: str, decoder: PyAvDecoder) -> None:
    declared = files.ENCODERS[kind][0]
    for seconds, error in ((0.5, AudioTooShort), (301.0, AudioTooLong)):
        data = files.encode(files.seconds_of_speech(seconds, 8_000), 8_000, kind)
        with pytest.raises(error):
            decoder.decode(data, declared)


@pytest.mark.parametrize("seconds", [1.0, 300.0])
def test_the_limits_themselves_are_allowed(seconds: float, decoder: PyAvDecoder) -> None:
    data = files.encode(files.seconds_of_speech(seconds, 8_000), 8_000, "mulaw")
    assert decoder.decode(data, AudioFormat.WAV).seconds == pytest.approx(seconds, abs=0.01)


def test_a_header_that_claims_one_second_of_an_hour(decoder: PyAvDecoder) -> None:
    with pytest.raises(AudioTooLong):
        decoder.decode(files.with_flac_seconds(files.flac_bomb(), 1), AudioFormat.FLAC)


def test_a_header_that_claims_an_hour_of_five_seconds_is_not_believed(decoder: PyAvDecoder) -> None:
    wav = files.raw_wav(files.pcm16(files.speech()), 16_000, claimed_bytes=3600 * 32_000)
    flac = files.with_flac_seconds(files.voice_message("flac"), 3600)
    for data in (wav, flac):
        recording = decoder.decode(data, AudioFormat.AUTO)
        assert recording.seconds == pytest.approx(4.85, abs=0.01)
        assert recording.notes == ()


@pytest.mark.parametrize("sample_rate", [1, 4_000, 7_999, 192_001, 4_000_000_000])
def test_sample_rates_that_are_not_accepted(sample_rate: int, decoder: PyAvDecoder) -> None:
    with pytest.raises((UnsupportedAudioFormat, AudioUndecodable)):
        decoder.decode(files.raw_wav(files.pcm16(files.speech()), sample_rate), AudioFormat.WAV)


@pytest.mark.parametrize(
    ("data", "declared"),
    [
        (files.mux(files.speech(8_000), 8_000, "wav", "g726"), AudioFormat.WAV),
        (files.mux(files.speech(), 16_000, "wav", "libmp3lame"), AudioFormat.WAV),
        (files.m4a_with_ac3_inside(), AudioFormat.M4A),
    ],
    ids=["G.726 in WAV", "MP3 in WAV", "AC-3 in M4A"],
)
def test_codecs_that_are_not_accepted(data: bytes, declared: AudioFormat, decoder: PyAvDecoder) -> None:
    with pytest.raises(UnsupportedAudioFormat):
        decoder.decode(data, declared)


def test_rate_and_channels_may_change_midway(processing: AudioProcessing) -> None:
    first, second = files.voice_message("mp3", 44_100, 2), files.voice_message("mp3", 22_050, 1)
    speech = processing.decode(first + second, AudioFormat.MP3)
    assert speech.source_duration_seconds == pytest.approx(9.7, abs=0.3)


@pytest.mark.parametrize(
    ("left", "right", "side"),
    [
        (files.speech(), -files.speech(), "left"),
        (files.speech(), files.white_noise(len(files.speech()) / 16_000, level=0.3), "left"),
        (files.white_noise(len(files.speech()) / 16_000, level=0.3), 0.3 * files.speech(), "right"),
    ],
    ids=["inverted", "noise beside it", "quiet beside noise"],
)
def test_of_two_channels_the_one_that_is_heard_is_taken(
    left: Samples, right: Samples, side: str, processing: AudioProcessing
) -> None:
    length = min(len(left), len(right))
    speech = processing.decode(files.stereo_wav(left[:length], right[:length]), AudioFormat.WAV)
    assert any(f"Only the {side} channel" in note for note in speech.notes)
    assert correlation(files.speech(22_050), speech.audio.samples) > 0.9


def test_two_people_on_two_channels_are_both_heard(processing: AudioProcessing) -> None:
    one, other = files.speech(), files.speech(text="I would like a cup of coffee and a piece of cake.", voice="slt")
    left = np.concatenate((one, np.zeros_like(other)))
    right = np.concatenate((np.zeros_like(one), other))
    speech = processing.decode(files.stereo_wav(left, right), AudioFormat.WAV)
    assert speech.notes == ()
    assert speech.audio.duration_seconds > len(left) / 16_000 - 0.5


HUM = 1.4 * files.tone(len(files.speech()) / 16_000, frequency=50)[: len(files.speech())]


@pytest.mark.parametrize(
    "disturbed",
    [
        0.02 * files.speech() + 0.5,
        np.concatenate((np.full(300, 0.99, np.float32), files.silence(0.5), 0.003 * files.speech())),
        0.2 * files.speech()
        + 0.7 / 0.5 * files.tone(len(files.speech()) / 16_000, frequency=50)[: len(files.speech())],
    ],
    ids=["offset", "click", "hum"],
)
def test_offset_clicks_and_hum_cost_no_word(disturbed: Samples, processing: AudioProcessing) -> None:
    speech = processing.decode(files.encode(np.clip(disturbed, -1, 1), 16_000, "wav24"), AudioFormat.WAV)
    assert speech.audio.duration_seconds > len(files.speech()) / 16_000 - 0.2
    assert np.sqrt(np.square(speech.audio.samples).mean()) > 0.05


def test_a_pause_in_the_timestamps_is_no_pause_in_the_sound(processing: AudioProcessing) -> None:
    speech = processing.decode(files.paused_m4a(), AudioFormat.M4A)
    assert speech.source_duration_seconds == pytest.approx(4.9, abs=0.15)
    assert speech.notes == ()


@pytest.mark.parametrize("channels", [3, 6, 8])
def test_channels_without_a_layout_are_mixed(channels: int, decoder: PyAvDecoder) -> None:
    sound = np.repeat(files.speech()[:, None], channels, axis=1)
    recording = decoder.decode(files.raw_wav(files.pcm16(sound), 16_000, channels=channels), AudioFormat.WAV)
    assert correlation(files.speech(22_050), recording.mixed.samples) > 0.97


def test_six_channels_become_two(decoder: PyAvDecoder) -> None:
    recording = decoder.decode(
        files.mux(files.speech(), 16_000, "wav", "pcm_s16le", channels=6, layout="5.1"), AudioFormat.WAV
    )
    assert recording.channels.shape[0] == 2
    assert correlation(files.speech(22_050), recording.mixed.samples) > 0.97


@pytest.mark.parametrize("kind", FORMATS)
def test_garbage_in_the_right_container(kind: str, decoder: PyAvDecoder) -> None:
    data = files.voice_message(kind, RATES.get(kind, 16_000))
    with pytest.raises(InvalidRequest):
        decoder.decode(data[:20] + np.random.default_rng(1).bytes(50_000), files.ENCODERS[kind][0])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_few_values_that_are_no_numbers_are_left_out_and_said(value: float, decoder: PyAvDecoder) -> None:
    samples = files.speech().copy()
    samples[100] = value
    recording = decoder.decode(files.encode(samples, 16_000, "wavfloat"), AudioFormat.WAV)
    assert np.isfinite(recording.channels).all()
    assert recording.notes == ("Values in the recording that are not numbers were left out.",)
    samples[::50] = value
    with pytest.raises(AudioUndecodable, match="not numbers"):
        decoder.decode(files.encode(samples, 16_000, "wavfloat"), AudioFormat.WAV)


@pytest.mark.parametrize("claimed", [1, 1_000, 32_000])
def test_a_wav_whose_header_says_too_little_is_heard_whole(claimed: int, decoder: PyAvDecoder) -> None:
    wav = files.raw_wav(files.pcm16(files.speech()), 16_000, claimed_bytes=claimed)
    assert decoder.decode(wav, AudioFormat.WAV).seconds == pytest.approx(4.85, abs=0.01)


def test_what_stands_behind_the_sound_of_a_wav_is_not_heard(decoder: PyAvDecoder) -> None:
    wav = files.raw_wav(files.pcm16(files.speech()), 16_000)
    tagged = wav + b"LIST" + (8_000).to_bytes(4, "little") + bytes(8_000)
    assert decoder.decode(tagged, AudioFormat.WAV).seconds == decoder.decode(wav, AudioFormat.WAV).seconds


@pytest.mark.parametrize(
    ("container", "codec", "rate"),
    [
        ("mp4", "libopus", 48_000),
        ("mp4", "libmp3lame", 44_100),
        ("matroska", "aac", 44_100),
        ("matroska", "pcm_s16le", 48_000),
    ],
)
def test_what_browsers_record_in_other_containers_is_heard(
    container: str, codec: str, rate: int, decoder: PyAvDecoder
) -> None:
    data = files.mux(files.speech(rate), rate, container, codec)
    assert decoder.decode(data, AudioFormat.AUTO).seconds == pytest.approx(4.85, abs=0.15)


@pytest.mark.parametrize("kind", FORMATS)
def test_mutated_files_are_decoded_or_refused_and_nothing_else(kind: str, processing: AudioProcessing) -> None:
    random = np.random.default_rng(5)
    original = files.voice_message(kind, RATES.get(kind, 16_000))
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


@pytest.mark.parametrize("kind", ["wav", "mp3", "aac", "adts", "flac", "opus", "webm", "fragmented", "amr", "3gp"])
def test_files_that_were_joined_are_all_heard(kind: str, decoder: PyAvDecoder) -> None:
    one = files.voice_message(kind, RATES.get(kind, 8_000))
    recording = decoder.decode(3 * one, AudioFormat.AUTO)
    assert recording.seconds == pytest.approx(3 * decoder.decode(one, AudioFormat.AUTO).seconds, abs=0.8)
    assert recording.notes == ()


@pytest.mark.parametrize("kind", ["mp3", "adts"])
def test_tags_between_frames_and_behind_them_are_no_damage(kind: str, decoder: PyAvDecoder) -> None:
    one = files.voice_message(kind)
    picture = np.random.default_rng(3).bytes(90_000)
    id3 = b"ID3\x03\x00\x00" + bytes((0, 5, 0x3F, 0x10)) + picture
    ape = b"APETAGEX" + struct.pack("<II", 2000, len(picture) + 32) + bytes(16) + picture + b"APETAGEX" + bytes(24)
    for data in (one + id3 + one, one + ape + one + id3, id3 + one + one + ape):
        recording = decoder.decode(data, AudioFormat.AUTO)
        assert recording.seconds == pytest.approx(2 * decoder.decode(one, AudioFormat.AUTO).seconds, abs=0.2)
        assert recording.notes == ()


def test_an_mp4_may_begin_without_its_kind(decoder: PyAvDecoder) -> None:
    data = files.index_first(files.voice_message("aac"))
    kind = int.from_bytes(data[:4])
    older = struct.pack(">I4s", kind, b"wide") + bytes(kind - 8) + data[kind:]
    assert decoder.decode(older, AudioFormat.M4A).seconds > 4
