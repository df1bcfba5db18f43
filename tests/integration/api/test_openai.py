"""OpenAI's own client against the service, on fake engines: only its base URL is another."""

import base64
import io
import json
from collections.abc import Iterator

import av
import httpx
import numpy as np
import openai
import pytest

from src.api.subtitles import srt, vtt
from src.domain.speech import Segment, Word
from src.utils.audio import pcm_of_wav, samples_of_wav
from tests.fakes.engines import fake_engines, serve
from tests.fakes.fakes import FakeTranscriber

SEGMENTS = tuple(
    Segment(
        " ".join(words),
        float(start),
        start + 0.2 * len(words),
        tuple(Word(word, start + 0.2 * at, start + 0.2 * at + 0.2, 0.9) for at, word in enumerate(words)),
    )
    for start, words in enumerate((("Good", "morning."), ("The", "train", "is", "late.")))
)
TEXT = "Good morning. The train is late."
HELLO = "Hello there."
GUESSED = "So short a text may be in another language than 'en': `language` says which."
RECORDING = ("message.m4a", b"any bytes: the decoder is a fake")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    transcriber = FakeTranscriber(segments=SEGMENTS)
    with serve(
        tmp_path_factory.mktemp("data"), fake_engines(transcriber=transcriber), min_reference_seconds=0.5
    ) as http:
        yield str(http.base_url).rstrip("/")


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def voice(url: str) -> str:
    body = {"reference_audio": base64.b64encode(RECORDING[1]).decode(), "name": "Ana"}
    return str(httpx.post(f"{url}/api/v1/voice/profile", json=body).json()["profile_id"])


def test_a_recording_becomes_text_in_every_format(client: openai.OpenAI) -> None:
    told = client.audio.transcriptions.create(file=RECORDING, model="gpt-4o-transcribe", language="en")
    assert told.text == TEXT
    assert told.usage is not None
    written = {
        kind: client.audio.transcriptions.create(file=RECORDING, model="whisper-1", response_format=kind)
        for kind in ("text", "srt", "vtt")
    }
    assert written["text"] == f"{told.text}\n"
    assert str(written["srt"]).startswith("1\n00:00:00,")
    assert str(written["vtt"]).startswith("WEBVTT\n\n00:00:00.")
    assert str(written["vtt"]).count("-->") == 2


def test_segments_and_words_have_their_times(client: openai.OpenAI) -> None:
    told = client.audio.transcriptions.create(
        file=RECORDING,
        model="whisper-1",
        response_format="verbose_json",
        timestamp_granularities=["segment", "word"],
    )
    assert (told.language, told.text) == ("english", "Good morning. The train is late.")
    assert told.segments is not None
    assert [each.text for each in told.segments] == ["Good morning.", "The train is late."]
    assert told.words is not None
    assert " ".join(each.word for each in told.words) == told.text
    assert all(first.end <= second.start + 1e-6 for first, second in zip(told.words, told.words[1:], strict=False))
    words = client.audio.transcriptions.create(
        file=RECORDING, model="whisper-1", response_format="verbose_json", timestamp_granularities=["word"]
    )
    assert (words.segments, bool(words.words)) == (None, True)


def test_deltas_of_a_stream_join_to_the_text(client: openai.OpenAI) -> None:
    events = list(client.audio.transcriptions.create(file=RECORDING, model="gpt-4o-transcribe", stream=True))
    *deltas, done = events
    assert done.type == "transcript.text.done"
    assert len(deltas) == 2
    assert "".join(each.delta for each in deltas if each.type == "transcript.text.delta") == done.text


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")  # the client's own
def test_a_recording_becomes_english_text(client: openai.OpenAI) -> None:
    english = client.audio.translations.create(file=RECORDING, model="whisper-1")
    assert english.text == "Good morning. The train is late."
    french = client.audio.translations.create(file=RECORDING, model="whisper-1", extra_body={"language": "fr"})
    assert french.text == ".gninrom dooG .etal si niart ehT"  # the fake translator's words


def stored_seconds(client: openai.OpenAI, voice: str) -> float:
    """Of the same text as it is stored."""
    wav = client.audio.speech.create(input=HELLO, model="tts-1", voice=voice, response_format="wav").content
    return samples_of_wav(wav).duration_seconds


@pytest.mark.parametrize("kind", ["mp3", "opus", "aac", "flac", "wav", "pcm"])
def test_a_text_is_spoken_in_every_format(client: openai.OpenAI, voice: str, kind: str) -> None:
    answer = client.audio.speech.create(input=HELLO, model="tts-1", voice=voice, response_format=kind)  # type: ignore[arg-type]
    if kind == "pcm":
        samples = np.frombuffer(answer.content, "<i2") / 32_768
    else:
        with av.open(io.BytesIO(answer.content), "r") as file:
            frames = [frame.to_ndarray().ravel() for frame in file.decode(audio=0)]
            assert file.streams.audio[0].layout.nb_channels == 1
        samples = np.concatenate(frames)
    assert np.abs(samples.astype(float)).max() > 0.01
    seconds = len(samples) / (48_000 if kind == "opus" else 24_000)
    assert seconds == pytest.approx(stored_seconds(client, voice), abs=0.1)
    assert json.loads(answer.response.headers["x-degraded"]) == [GUESSED]


@pytest.mark.parametrize("kind", ["mp3", "opus", "flac"])
def test_a_file_that_has_tags_says_that_it_is_synthetic(client: openai.OpenAI, voice: str, kind: str) -> None:
    answer = client.audio.speech.create(input=HELLO, model="tts-1", voice=voice, response_format=kind)  # type: ignore[arg-type]
    with av.open(io.BytesIO(answer.content), "r") as file:
        tags = {name.lower(): text for name, text in (*file.metadata.items(), *file.streams[0].metadata.items())}
    assert "trainedAlgorithmicMedia" in tags["comment"]


def test_a_file_of_many_commas_is_no_large_form(client: openai.OpenAI) -> None:
    assert client.audio.transcriptions.create(file=("a.wav", b"," * 100_000), model="whisper-1").text


def test_subtitles_keep_to_their_grammar() -> None:
    said = (Segment("a --> b", 3599.9996, 3600.25),)
    assert srt(said) == "1\n01:00:00,000 --> 01:00:00,250\na -> b\n"
    assert vtt(said) == "WEBVTT\n\n01:00:00.000 --> 01:00:00.250\na -> b\n"


def test_twice_the_speed_is_half_the_time(client: openai.OpenAI, voice: str) -> None:
    seconds = [
        samples_of_wav(
            client.audio.speech.create(
                input="One, two, three.", model="tts-1", voice=voice, response_format="wav", speed=speed
            ).content
        ).duration_seconds
        for speed in (1.0, 2.0)
    ]
    assert seconds[1] == pytest.approx(seconds[0] / 2, abs=0.1)


def test_pieces_of_a_spoken_stream_join_to_the_file(url: str, client: openai.OpenAI, voice: str) -> None:
    with client.audio.speech.with_streaming_response.create(
        input="Hello there.", model="tts-1", voice=voice, response_format="pcm", stream_format="sse"
    ) as answer:
        lines = [line for line in answer.iter_lines() if line]
    assert '"speech.audio.done"' in lines[-1]
    assert all('"speech.audio.delta"' in line for line in lines[:-1])
    assert len(lines) > 1


def test_voices_and_models_are_listed(url: str, client: openai.OpenAI, voice: str) -> None:
    assert {each.id for each in client.models.list()} == {"whisper-1", "tts-1"}
    assert client.models.retrieve("tts-1").owned_by
    [listed] = httpx.get(f"{url}/v1/audio/voices").json()["data"]
    assert (listed["id"], listed["name"]) == (voice, "Ana")


def test_errors_have_openais_shape(url: str, client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as unknown:
        client.audio.speech.create(input="Hello.", model="tts-1", voice="alloy")
    assert unknown.value.code == "not_found"
    assert unknown.value.response.headers["x-should-retry"] == "false"
    with pytest.raises(openai.UnprocessableEntityError) as wrong:
        client.audio.speech.create(input="Hello.", model="tts-1", voice="alloy", speed=9)
    assert wrong.value.param == "speed"
    with pytest.raises(openai.UnprocessableEntityError):
        client.audio.transcriptions.create(
            file=RECORDING,
            model="whisper-1",
            timestamp_granularities=["sentence"],  # type: ignore[list-item]
        )
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-5")
    answer = httpx.post(f"{url}/v1/audio/transcriptions", json={"file": "x"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (415, "unsupported_media_type")
    assert (
        httpx.post(f"{url}/v1/audio/speech", content=b"{", headers={"content-type": "application/json"}).json()[
            "error"
        ]["type"]
        == "invalid_request_error"
    )


def test_a_long_text_is_sent_while_it_is_spoken(url: str, client: openai.OpenAI, voice: str) -> None:
    text = "Buenos días a todos. " * 20
    body = {"model": "tts-1", "voice": voice, "input": text, "response_format": "pcm", "speed": 2.0}
    with httpx.stream("POST", f"{url}/v1/audio/speech", json=body) as answer:
        sound = b"".join(answer.iter_raw())
    assert (answer.status_code, answer.headers["content-type"]) == (200, "audio/pcm")
    job = httpx.get(httpx.URL(url).join(answer.headers["content-location"])).json()
    assert sound == pcm_of_wav(base64.b64decode(job["audio_base64"]))[0]
    assert len(sound) / 48_000 == pytest.approx(20 * 0.5 / 2, rel=0.2)
    events = httpx.post(f"{url}/v1/audio/speech", json={**body, "stream_format": "sse"}).text
    pieces = [json.loads(line[6:]) for line in events.splitlines() if line.startswith("data: ")]
    assert pieces[-1]["type"] == "speech.audio.done"
    assert b"".join(base64.b64decode(each["audio"]) for each in pieces[:-1]) == sound


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")  # the client's own
def test_a_long_recording_becomes_english_text_by_a_job(url: str, client: openai.OpenAI) -> None:
    english = client.audio.translations.create(
        file=("a.wav", b"long"), model="whisper-1", extra_body={"language": "fr"}
    )
    assert english.text == ".gninrom dooG .etal si niart ehT"  # the fake translator's words
    newest = httpx.get(f"{url}/api/v1/voice/jobs").json()["jobs"][0]
    assert (newest["status"], newest["target_language"]) == ("completed", None)


def test_a_long_recording_is_heard_as_a_job_and_its_deltas_come_one_by_one(client: openai.OpenAI) -> None:
    whole = client.audio.transcriptions.create(model="whisper-1", file=("a.wav", b"long"))
    assert whole.text == TEXT
    stream = client.audio.transcriptions.create(model="whisper-1", file=("a.wav", b"long"), stream=True)
    events = list(stream)
    assert "".join(event.delta for event in events if event.type == "transcript.text.delta") == TEXT
    assert events[-1].type == "transcript.text.done"
    assert events[-1].text == TEXT
