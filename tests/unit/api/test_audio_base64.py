"""Base64 as mobile clients write it, in every spelling, and nothing else."""

import base64
import json
import random
import textwrap
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.domain.errors import AudioTooLarge, InvalidBase64
from src.utils.audio import decode_base64
from tests.recordings.audio_files import voice_message

LIMIT = 1_000_000


@given(st.binary(min_size=1, max_size=300), st.booleans(), st.booleans(), st.booleans(), st.booleans())
def test_every_spelling_of_the_same_bytes(data: bytes, url_safe: bool, padded: bool, prefix: bool, lines: bool) -> None:
    text = (base64.urlsafe_b64encode if url_safe else base64.b64encode)(data).decode()
    if not padded:
        text = text.rstrip("=")
    if lines:
        text = "\r\n".join(text[start : start + 76] for start in range(0, len(text), 76)) + "\n"
    if prefix:
        text = "data:audio/wav;codecs=1;base64," + text
    assert decode_base64(text, LIMIT) == data


@pytest.mark.parametrize(
    "prefix",
    [
        'data:video/webm;codecs="vp8,opus";base64,',
        "data:video/webm;codecs=vp8,opus;base64,",
        "data:;base64,",
        " \n data:audio/wav;base64,",
        "data:audio/wav;base64, \n ",
        "DATA:audio/wav; charset=x; BASE64,",
    ],
)
def test_data_addresses_as_recorders_write_them(prefix: str) -> None:
    assert decode_base64(prefix + "UklGRg==", LIMIT) == b"RIFF"


RANDOM = random.Random(5).randbytes(3000)
PLAIN = base64.b64encode(RANDOM).decode()


@pytest.mark.parametrize(
    "text",
    [
        quote(PLAIN, safe=""),
        PLAIN.replace("+", "%2b").replace("=", "%3d"),
        quote("data:audio/mp4;base64," + PLAIN, safe=""),
        quote("\r\n".join(textwrap.wrap(PLAIN, 76)), safe=""),
        PLAIN.replace("+", " "),
        "data:audio/wav;base64," + PLAIN.replace("+", " "),
        " ".join(textwrap.wrap(PLAIN, 76)),
        json.dumps(PLAIN),
        '"' + PLAIN.replace("/", "\\/") + '"',
        json.dumps("\n".join(textwrap.wrap(PLAIN, 64))),
        f" {json.dumps('data:audio/mp4;base64,' + PLAIN)}\n",
        '"' + PLAIN.replace("+", "\\u002B") + '"',
        str(PLAIN.encode()),
    ],
)
def test_what_clients_do_to_base64_by_mistake_is_undone(text: str) -> None:
    assert decode_base64(text, LIMIT) == RANDOM


def test_lines_without_a_plus_stay_lines() -> None:
    data = bytes(3000)  # all of it `A`
    for length in (64, 76):
        lines = textwrap.wrap(base64.b64encode(data).decode(), length)
        for between in (" ", "\n", "\r\n", "\n    ", " \n"):
            assert decode_base64(between.join(lines), LIMIT) == data


@pytest.mark.parametrize(
    "text",
    [
        *("", '"', '""', '"QUJD', "b'QUJD", "'QUJD'", '{"a":"QUJD"}', "QUJD%", "QUJD%4", "%%%"),
        *("", "   ", "=", "====", "data:audio/wav;base64,", "A", "AAAAA", "AA=", "AAA==", "AAAA=", "AA=A", "A==="),
        *(
            "AA*A",
            "AAAA\x00",
            "AÄAA",
            "data:audio/wav,AAAA",
            "data:a,b;base64",
            "data:audio/wav;codecs=a,b,AAAA",
            "data:text",
            "https://example.org/a.wav",
            "{}",
            "AAA.",
        ),
        "AAAA====AAAA",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidBase64):
        decode_base64(text, LIMIT)


def test_a_file_in_hexadecimal_is_told_what_to_send() -> None:
    """Its digits are those of base64, too."""
    for text in (voice_message("mp3").hex(), voice_message("wav").hex().upper()):
        with pytest.raises(InvalidBase64, match="hexadecimal"):
            decode_base64(text, LIMIT)


def test_the_limit_is_on_decoded_bytes() -> None:
    assert len(decode_base64(base64.b64encode(b"x" * 1000).decode(), 1000)) == 1000
    for padding in (True, False):
        text = base64.b64encode(b"x" * 1001).decode()
        with pytest.raises(AudioTooLarge, match="1001"):
            decode_base64(text if padding else text.rstrip("="), 1000)


def test_too_much_is_refused_before_it_is_decoded() -> None:
    text = "A" * 68_000_000 + "!"  # decoding would find the wrong character
    with pytest.raises(AudioTooLarge):
        decode_base64(text, 50_000_000)
