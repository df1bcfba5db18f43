"""Files that are cut, overwritten or filled up: what is whole is heard, and what is missing is said."""

import re
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest

from src.adapters.decoding.pyav_decoder import PyAvDecoder
from src.domain.audio import AudioFormat, Recording, Samples
from src.domain.errors import AudioUndecodable, InvalidRequest
from tests.recordings import audio_files as files

SECONDS = 14
QUIET = {"b": "24000"}
FRAGMENTS = {"movflags": "frag_keyframe+empty_moov+default_base_moof", "frag_duration": "500000"}


@cache
def speech(rate: int) -> Samples:
    return files.seconds_of_speech(SECONDS, rate)


MESSAGES: dict[str, Callable[[], bytes]] = {
    "wav": lambda: files.encode(speech(16_000), 16_000, "wav"),
    "mp3": lambda: files.encode(speech(16_000), 16_000, "mp3"),
    "mp3 without Xing": lambda: files.mux(speech(16_000), 16_000, "mp3", "libmp3lame", options={"write_xing": "0"}),
    "adts": lambda: files.encode(speech(16_000), 16_000, "adts"),
    "m4a": lambda: files.encode(speech(16_000), 16_000, "aac"),
    "alac": lambda: files.encode(speech(16_000), 16_000, "alac"),
    "m4a, index first": lambda: files.index_first(files.encode(speech(16_000), 16_000, "aac")),
    "fragments": lambda: files.mux(speech(48_000), 48_000, "mp4", "aac", options=FRAGMENTS),
    "fragments of Opus": lambda: files.mux(speech(48_000), 48_000, "mp4", "libopus", options=FRAGMENTS),
    "Opus in MP4": lambda: files.mux(speech(48_000), 48_000, "mp4", "libopus"),
    "flac": lambda: files.encode(speech(16_000), 16_000, "flac"),
    "opus": lambda: files.mux(speech(48_000), 48_000, "ogg", "libopus", options=QUIET),
    "webm": lambda: files.mux(speech(48_000), 48_000, "webm", "libopus", options=QUIET),
    "live webm": lambda: files.mux(speech(48_000), 48_000, "webm", "libopus", options={"b": "24000", "live": "1"}),
    "webm, one cluster": lambda: files.mux(
        speech(48_000),
        48_000,
        "webm",
        "libopus",
        options={"live": "1", "cluster_time_limit": "30000", "cluster_size_limit": "9000000"},
    ),
    "amr": lambda: files.mux(speech(8_000), 8_000, "amr", "libopencore_amrnb", options={"b": "12200"}),
    "3gp": lambda: files.mux(speech(8_000), 8_000, "3gp", "libopencore_amrnb", options={"b": "12200"}),
    "caf of AAC": lambda: files.caf_of_aac(speech(16_000), 16_000),
    "caf of ALAC": lambda: files.encode(speech(16_000), 16_000, "cafalac"),
    "caf": lambda: files.encode(speech(16_000), 16_000, "caf"),
    "vorbis": lambda: files.mux(speech(48_000), 48_000, "ogg", "vorbis", 2, options={"strict": "experimental"}),
}
WHOLE = [name for name in MESSAGES if name != "vorbis"]
INDEX_LAST = ("m4a", "alac", "3gp", "Opus in MP4", "caf of AAC", "caf of ALAC")
STREAMED = [name for name in WHOLE if name not in INDEX_LAST]
OWN_NAMES = [name for name in WHOLE if name not in ("wav", "caf")]  # of which damage is no sound
RANDOM = np.random.default_rng(5)

Damage = Callable[[bytes], bytes]
OVERWRITTEN: dict[str, Damage] = {
    "zeros": lambda there: bytes(len(there)),
    "others": lambda there: RANDOM.bytes(len(there)),
    "inverted": lambda there: bytes(byte ^ 0x5A for byte in there),
}


@cache
def message(name: str) -> bytes:
    return MESSAGES[name]()


@pytest.fixture(scope="module")
def decoder() -> PyAvDecoder:
    return PyAvDecoder(1.0, 300.0)


def damaged(data: bytes, begin: float, share: float, damage: Damage) -> bytes:
    start, length = round(len(data) * begin), round(len(data) * share)
    return data[:start] + damage(data[start : start + length]) + data[start + length :]


def left_out_seconds(recording: Recording) -> float:
    (note,) = (note for note in recording.notes if note.startswith("Damaged places of the recording were left out"))
    return float(note.split()[-2])


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_message_has_no_notes(name: str, decoder: PyAvDecoder) -> None:
    recording = decoder.decode(message(name), AudioFormat.AUTO)
    assert recording.seconds == pytest.approx(SECONDS, abs=0.1)
    assert recording.notes == ()


def test_what_a_container_says_of_the_length_of_all_packets_is_no_reason_to_refuse_them(decoder: PyAvDecoder) -> None:
    data = message("Opus in MP4")
    table = data.rindex(b"stts") + 12  # entries of a number of packets, and the length of each
    lying = data[: table + 4] + (960 // 2).to_bytes(4) + data[table + 8 :]
    recording = decoder.decode(lying, AudioFormat.M4A)
    assert recording.seconds == pytest.approx(SECONDS, abs=0.1)
    assert recording.notes == ()


@pytest.mark.parametrize("damage", OVERWRITTEN)
@pytest.mark.parametrize("begin", [0.3, 0.45])
@pytest.mark.parametrize("name", OWN_NAMES)
def test_what_is_overwritten_in_the_middle_is_left_out_and_said(
    name: str, begin: float, damage: str, decoder: PyAvDecoder
) -> None:
    data = damaged(message(name), begin, 0.15, OVERWRITTEN[damage])
    recording = decoder.decode(data, AudioFormat.AUTO)
    assert recording.seconds > 0.6 * SECONDS
    assert left_out_seconds(recording) == pytest.approx(SECONDS - recording.seconds, abs=1.0)
    assert len(recording.notes) == 1


@pytest.mark.parametrize("name", ["mp3", "adts", "flac", "webm", "live webm", "webm, one cluster", "amr", "3gp"])
def test_little_damage_costs_little(name: str, decoder: PyAvDecoder) -> None:
    data = message(name)
    for damage in OVERWRITTEN.values():
        assert decoder.decode(damaged(data, 0.4, 0.03, damage), AudioFormat.AUTO).seconds > 0.93 * SECONDS


@pytest.mark.parametrize("name", ["adts", "flac", "opus", "webm", "live webm", "fragments", "amr"])
def test_a_piece_that_is_missing_within_is_said(name: str, decoder: PyAvDecoder) -> None:
    recording = decoder.decode(damaged(message(name), 0.4, 0.1501, lambda there: b""), AudioFormat.AUTO)
    assert recording.seconds > 0.6 * SECONDS
    assert recording.notes


@pytest.mark.parametrize("share", [0.3, 0.5, 0.97])
@pytest.mark.parametrize("name", STREAMED)
def test_of_a_file_that_was_cut_off_the_beginning_is_used_and_the_cut_is_said(
    name: str, share: float, decoder: PyAvDecoder
) -> None:
    data = message(name)
    recording = decoder.decode(data[: round(len(data) * share) + 5], AudioFormat.AUTO)
    assert recording.seconds > 0.8 * share * SECONDS
    assert recording.notes == ("The file was cut off: the end of the recording is missing.",)


@pytest.mark.parametrize("name", WHOLE)
def test_a_few_bytes_of_a_file_are_refused(name: str, decoder: PyAvDecoder) -> None:
    for length in (4, 12, 16, 50, 200):
        with pytest.raises(InvalidRequest):
            decoder.decode(message(name)[:length], AudioFormat.AUTO)


@pytest.mark.parametrize("name", INDEX_LAST)
def test_a_recording_that_was_not_finished_is_told_so(name: str, decoder: PyAvDecoder) -> None:
    with pytest.raises(AudioUndecodable, match="not finished"):
        decoder.decode(message(name)[: len(message(name)) // 2], AudioFormat.AUTO)


@pytest.mark.parametrize("name", ["mp3", "adts", "flac", "opus", "live webm", "amr"])
def test_zeros_at_the_end_are_padding_or_what_did_not_arrive(name: str, decoder: PyAvDecoder) -> None:
    data = message(name)
    padded = decoder.decode(data + bytes(3000), AudioFormat.AUTO)
    assert padded.seconds == pytest.approx(SECONDS, abs=0.1)
    assert padded.notes == ()
    filled = decoder.decode(data[: len(data) // 4] + bytes(3 * len(data) // 4), AudioFormat.AUTO)
    assert filled.seconds > 0.2 * SECONDS
    assert "The file was cut off: the end of the recording is missing." in filled.notes


@pytest.mark.parametrize("name", ["mp3", "adts", "flac", "opus", "live webm", "amr"])
def test_a_tag_behind_a_file_is_no_damage(name: str, decoder: PyAvDecoder) -> None:
    assert decoder.decode(message(name) + b"TAG" + b"title" * 25, AudioFormat.AUTO).notes == ()


def test_two_recordings_in_one_ogg_are_heard_and_damage_in_one_is_said(decoder: PyAvDecoder) -> None:
    both = 2 * message("opus")
    assert decoder.decode(both, AudioFormat.OGG).seconds == pytest.approx(2 * SECONDS, abs=0.1)
    recording = decoder.decode(damaged(both, 0.7, 0.05, OVERWRITTEN["zeros"]), AudioFormat.OGG)
    assert recording.seconds > 1.8 * SECONDS
    assert left_out_seconds(recording) > 1


@pytest.mark.parametrize("name", ["opus", "live webm", "amr", "adts", "flac", "fragments"])
def test_a_file_of_which_most_is_damaged_is_refused(name: str, decoder: PyAvDecoder) -> None:
    with pytest.raises(InvalidRequest):
        decoder.decode(damaged(message(name), 0.2, 0.7, OVERWRITTEN["others"]), AudioFormat.AUTO)


@pytest.mark.parametrize(
    "repeated", [b"\xec\x80", b"\xa3\x81\x81", b"\x7c", b"OggS", b"\xff\xf1", b"moof", b"\x1a\x45\xdf\xa3"]
)
@pytest.mark.parametrize("name", ["opus", "live webm", "amr", "adts", "fragments"])
def test_a_file_made_of_millions_of_parts_is_answered(name: str, repeated: bytes, decoder: PyAvDecoder) -> None:
    data = message(name)
    with pytest.raises(InvalidRequest):
        decoder.decode(data[: len(data) // 30] + repeated * (5_000_000 // len(repeated)), AudioFormat.AUTO)


def test_frames_of_a_flac_with_a_wrong_checksum_are_no_sound(decoder: PyAvDecoder) -> None:
    """Decoded, they would be noise, in which a recogniser hears words."""
    file = bytearray(message("flac"))
    for place in range(2000, len(file), 4001):
        file[place] ^= 0x10
    found = decoder.decode(bytes(file), AudioFormat.FLAC)
    assert found.seconds < 0.95 * SECONDS
    assert any("Damaged places" in note for note in found.notes)


@pytest.mark.parametrize(("rate", "channels"), [(16_000, 1), (44_100, 2)])
@pytest.mark.parametrize("begin", [0.02, 0.15, 0.25])
def test_a_flac_of_which_most_is_zeros_is_refused(begin: float, rate: int, channels: int, decoder: PyAvDecoder) -> None:
    data = files.encode(files.seconds_of_speech(20, rate), rate, "flac", channels)
    with pytest.raises(AudioUndecodable):
        decoder.decode(damaged(data, begin, 0.7, OVERWRITTEN["zeros"]), AudioFormat.FLAC)


@pytest.mark.parametrize("name", ["opus", "vorbis"])
@pytest.mark.parametrize("flips", [1, 10, 60])
def test_flipped_bits_cost_an_ogg_no_whole_page(flips: int, name: str, decoder: PyAvDecoder) -> None:
    data = bytearray(message(name))
    for place in np.random.default_rng(flips).integers(len(data) // 5, len(data), flips):
        data[place] ^= 0x10
    recording = decoder.decode(bytes(data), AudioFormat.OGG)
    assert recording.seconds > (1 - flips / 400) * SECONDS
    assert len(recording.notes) == 1


def test_packets_of_a_damaged_ogg_page_that_are_plainly_others_are_left_out(decoder: PyAvDecoder) -> None:
    """A page of which all but the header is overwritten is no sound."""
    data = message("opus")
    begin = data.index(b"OggS", len(data) // 2)
    end = data.index(b"OggS", begin + 4)
    body = begin + 27 + data[begin + 26]
    for damage in OVERWRITTEN.values():
        recording = decoder.decode(data[:body] + damage(data[body:end]) + data[end:], AudioFormat.OGG)
        assert recording.seconds < SECONDS - 0.8
        assert left_out_seconds(recording) == pytest.approx(1.0, abs=0.5)


@pytest.mark.parametrize("name", ["fragments", "fragments of Opus", "opus"])
def test_parts_that_are_missing_between_whole_ones_are_said(name: str, decoder: PyAvDecoder) -> None:
    mark, offset = (b"OggS", 0) if name == "opus" else (b"moof", -4)
    data = message(name)
    starts = [found.start() + offset for found in re.finditer(mark, data)]
    for first, behind in ((5, 6), (8, 10)):
        recording = decoder.decode(data[: starts[first]] + data[starts[behind] :], AudioFormat.AUTO)
        assert left_out_seconds(recording) == pytest.approx(SECONDS - recording.seconds, abs=0.1)


def test_what_no_demuxer_can_go_on_with_is_told(decoder: PyAvDecoder) -> None:
    """A stream whose channels change midway."""
    said = files.speech(16_000)
    joined = files.encode(said, 16_000, "opus", 2) + files.encode(said, 16_000, "opus", 1)
    assert decoder.decode(joined, AudioFormat.OGG).notes != ()
