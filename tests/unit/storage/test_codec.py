"""What crosses to an engine and back arrives as it was, and nothing else gets through."""

import dataclasses
import pickle
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from src.domain.audio import Audio
from src.domain.speech import Quality, Segment, SpeechRequest, Transcript, VoiceConditioning, VoicePrint, Word
from src.utils.codec import CodecError, decode, encode

seconds = st.floats(allow_nan=False, allow_infinity=False)
text = st.text(max_size=20)
samples = arrays(np.float32, st.integers(0, 50), elements=st.floats(-1, 1, width=32))
audio = st.builds(Audio, samples, st.sampled_from([8_000, 22_050, 24_000]))
words = st.builds(Word, text, seconds, seconds, seconds)
segments = st.builds(Segment, text, seconds, seconds, st.lists(words, max_size=3).map(tuple))
transcripts = st.builds(
    Transcript, st.lists(segments, max_size=3).map(tuple), text, st.none() | seconds, st.floats(0, 1)
)
voices = st.builds(VoiceConditioning, text, st.binary(max_size=200))
requests = st.builds(
    SpeechRequest,
    st.lists(text, max_size=3).map(tuple),
    text,
    voices,
    st.none() | voices,
    st.sampled_from(Quality),
    st.integers(0, 5),
)
plain = st.none() | st.booleans() | st.integers() | seconds | text | st.binary(max_size=20) | st.sampled_from(Quality)
values = st.recursive(
    plain | audio | transcripts | voices | requests, lambda inner: st.lists(inner, max_size=4).map(tuple), max_leaves=8
)


def parts(value: object) -> object:
    """For comparing: by type and field, samples by their bytes."""
    if isinstance(value, np.ndarray):
        return (value.dtype.str, value.tobytes())
    if isinstance(value, tuple):
        return tuple(parts(each) for each in value)
    if dataclasses.is_dataclass(value):
        fields = dataclasses.fields(value)
        return (type(value).__name__, *(parts(getattr(value, field.name)) for field in fields))
    return (type(value), value)


@given(values)
def test_every_value_arrives_as_it_was(value: object) -> None:
    assert parts(decode(encode(value))) == parts(value)


@given(values, st.data())
@settings(max_examples=200)
def test_damaged_bytes_are_refused_or_are_another_value_and_never_anything_else(value: object, data: Any) -> None:
    encoded = bytearray(encode(value))
    encoded[data.draw(st.integers(0, len(encoded) - 1))] = data.draw(st.integers(0, 255))
    with suppress(CodecError):
        decode(bytes(encoded))


@given(values, st.data())
def test_bytes_that_were_cut_or_grew_are_refused(value: object, data: Any) -> None:
    encoded = encode(value)
    with pytest.raises(CodecError):
        decode(encoded[: data.draw(st.integers(0, len(encoded) - 1))])
    with pytest.raises(CodecError):
        decode(encoded + b"\0")


class Text(str):
    __slots__ = ()


@pytest.mark.parametrize(
    "value",
    [
        [1],
        {"tuple": []},
        {1},
        object(),
        Text("text"),
        1j,
        float("nan"),
        np.zeros(3),
        np.zeros((2, 2), np.float32),
        VoicePrint((1.0,), 1.0, 1.0, (1.0,)),
        ValueError("secret"),
        Audio,
    ],
)
def test_what_is_not_named_does_not_cross(value: object) -> None:
    with pytest.raises(CodecError) as refused:
        encode((1, value))
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("data", [b"", b"vt1\n", pickle.dumps((1, 2)), encode(None).replace(b"null", b"[1] ")])
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(CodecError):
        decode(data)


@pytest.mark.parametrize(
    "header",
    [
        b'{"os.system": {"command": "x"}}',
        b'{"Audio": {"sample_rate": 1, "samples": null, "more": 1}}',
        b'{"Word": {"text": "x"}}',
        b'{"enum": ["Quality", "best"]}',
        b'{"enum": ["Stage", "translation"]}',
        b'{"samples": -1}',
        b'{"samples": 1e9}',
        b'{"bytes": 4000000000}',
        b'{"tuple": {}}',
        b"{}",
        b"NaN",
        b"[" * 100_000,
    ],
)
def test_a_header_that_names_something_else_is_refused(header: bytes) -> None:
    with pytest.raises(CodecError):
        decode(b"vt1\n" + len(header).to_bytes(4, "big") + header)


def test_samples_that_arrive_may_be_written_to() -> None:
    arrived = decode(encode(Audio(np.ones(3, np.float32), 8_000)))
    arrived.samples[0] = 0.5
    assert list(arrived.samples) == [0.5, 1.0, 1.0]
