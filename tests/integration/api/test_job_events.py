"""A job as server-sent events, on fake engines."""

import asyncio
import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import httpx
import numpy as np
import pytest

from src.adapters.decoding.pyav_decoder import PyAvDecoder
from src.adapters.redis.events import InProcessJobEvents
from src.api.job_events import Events, Told
from src.config.settings import Settings
from src.domain.audio import Audio, AudioFormat
from src.domain.errors import TranslationUnavailable
from src.domain.jobs import Job
from src.main import create_app
from src.services.interpreting import Heard
from src.services.jobs.trail import Sound, Texts, Trails
from src.utils.audio import encode_pcm, samples_of_wav
from tests.conftest import serving
from tests.fakes.assembly import WANTED
from tests.fakes.engines import fake_engines, serve
from tests.fakes.fake_stores import DictCache
from tests.fakes.fakes import FakeTranslator, FakeVoice, Gate
from tests.fakes.long_message import Ears, LongMessages, heard
from tests.support.messages import AUDIO

BODY = {"audio": AUDIO, "target_language": "es"}
STREAM = {"Accept": "text/event-stream"}


@pytest.fixture(scope="module")
def translator() -> FakeTranslator:
    return FakeTranslator()


@pytest.fixture(scope="module")
def voice() -> FakeVoice:
    return FakeVoice()


@pytest.fixture(scope="module")
def http(
    tmp_path_factory: pytest.TempPathFactory, translator: FakeTranslator, voice: FakeVoice
) -> Iterator[httpx.Client]:
    with serve(tmp_path_factory.mktemp("data"), fake_engines(translators=(translator,), voice=voice)) as client:
        yield client


def events(answer: httpx.Response) -> list[tuple[str, str, Any]]:
    """Kind, id and members of each."""
    assert answer.headers["content-type"].startswith("text/event-stream")
    found = []
    for block in answer.text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if fields:
            found.append((fields["event"], fields["id"], json.loads(fields["data"])))
    return found


def test_a_message_is_told_in_pieces_that_join_to_its_answer(http: httpx.Client) -> None:
    told = events(http.post("/api/v1/voice/translate", json=BODY, headers=STREAM))
    kinds = [kind for kind, _, _ in told]
    pieces = [kind for kind in kinds if kind != "progress"]
    assert pieces == sorted(pieces, key=["transcript", "translation", "audio", "done"].index)
    assert set(kinds) == {"progress", "transcript", "translation", "audio", "done"}
    done = told[-1][2]
    assert (done["status"], done["audio_base64"]) == ("completed", None)
    assert [members["text"] for kind, _, members in told if kind == "transcript"] == [
        "good morning",
        "the train is late",
    ]
    job = http.get(f"/api/v1/voice/job/{done['job_id']}").json()
    sound = b"".join(base64.b64decode(members["audio"]) for kind, _, members in told if kind == "audio")
    assert sound == encode_pcm(samples_of_wav(base64.b64decode(job["audio_base64"])).samples)


def sound_of(told: list[tuple[str, str, Any]]) -> bytes:
    return b"".join(base64.b64decode(members["audio"]) for kind, _, members in told if kind == "audio")


def test_whoever_comes_back_gets_what_follows_the_last_event(http: httpx.Client) -> None:
    whole = events(http.post("/api/v1/voice/translate", json=BODY, headers=STREAM))
    path = f"/api/v1/voice/job/{whole[-1][2]['job_id']}/events"
    pieces = [event for event in whole if event[0] != "progress"]
    for number, (_, last, _) in enumerate(pieces, 1):
        rest = events(http.get(path, headers={"Last-Event-ID": last}))
        texts = [event[2] for event in rest if event[0] in ("transcript", "translation")]
        assert texts == [event[2] for event in pieces[number:] if event[0] in ("transcript", "translation")]
        assert sound_of(pieces[:number]) + sound_of(rest) == sound_of(pieces)
        assert [kind for kind, _, _ in rest][-1:] == (["done"] if last != "done" else [])
    everything = events(http.get(path))
    assert events(http.get(path, headers={"Last-Event-ID": "another-jobs"})) == everything
    assert sound_of(everything) == sound_of(pieces)
    said = " ".join(members["text"] for kind, _, members in everything if kind == "audio").strip()
    assert said == whole[-1][2]["translated_text"]
    assert http.get("/api/v1/voice/job/nobodys/events").status_code == 404


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Gate:
    """Open once somebody watches: what was done before that is told with the next piece."""
    gate, watch = Gate(), Trails.watch

    async def opening(trails: Trails, job_id: str, user_id: str) -> None:
        await watch(trails, job_id, user_id)
        gate.opened.set()

    monkeypatch.setattr(Trails, "watch", opening)
    return gate


def test_what_is_done_is_told_while_the_rest_is_still_heard(tmp_path: Any, watched: Gate) -> None:
    gate = Gate()
    ears = Ears(gates={0: watched, 23: gate})
    with serve(tmp_path, fake_engines(decoder=LongMessages(), transcriber=ears)) as client:
        with client.stream("POST", "/api/v1/voice/translate", json=BODY, headers=STREAM) as answer:
            lines = answer.iter_lines()
            for line in lines:  # until it is spoken
                if line == "event: audio":
                    break
            assert not gate.opened.is_set()
            gate.opened.set()
            rest = [line for line in lines if line.startswith("event: ")]
        assert rest.count("event: transcript") == 2
        assert rest[-1] == "event: done"


async def test_what_is_told_at_the_same_time_is_all_kept_in_order() -> None:
    trails, job = Trails(DictCache(), InProcessJobEvents()), Job("1", "ann", WANTED, "")
    trail = trails.of(job)
    await trails.watch(job.id, job.user_id)
    await asyncio.gather(*(trail.tell(Heard(heard(str(number)))) for number in range(8)))
    steps = [await trails.read(job, number) for number in range(8)]
    assert [step.segments[0][2] for step in steps if isinstance(step, Texts)] == [str(number) for number in range(8)]


def test_a_job_that_is_begun_again_is_told_again() -> None:
    texts, sound = Texts("transcript", ((0.0, 1.0, "one"), (1.0, 2.0, "two")), "en"), Sound(bytes(8), "one")
    telling, job = Events(Told()), Job("1", "ann", WANTED, "")
    assert not telling.attempt(replace(job, fence=1))
    first = [*telling.events(texts), *telling.events(sound)]
    assert [line.splitlines()[1] for line in first] == ["id: 1-1-0-0-0", "id: 1-2-0-0-0", "id: 1-2-0-8-1"]
    again = replace(job, fence=2)
    assert telling.attempt(again)
    assert len([*telling.events(texts), *telling.events(sound)]) == 3
    back = Events(Told.of("2-1-0-4-1"))
    assert not back.attempt(again)
    assert [json.loads(line.splitlines()[2][6:])["text"] for line in back.events(texts)] == ["two"]
    (rest,) = [json.loads(line.splitlines()[2][6:]) for line in back.events(sound)]
    assert (base64.b64decode(rest["audio"]), rest["sequence"], rest["start"]) == (bytes(4), 1, 4 / 48_000)
    assert rest["text"] == ""  # told with the sound's beginning
    assert back.attempt(replace(job, fence=3))


def test_a_transcription_has_events_too(http: httpx.Client) -> None:
    body = {"audio": BODY["audio"]}
    begun = http.post("/api/v1/voice/transcribe", json=body, headers={"Prefer": "respond-async"})
    told = events(http.get(f"{begun.headers['location']}/events"))
    pieces = [(kind, members.get("text")) for kind, _, members in told if kind != "progress"]
    assert pieces == [("transcript", "good morning"), ("transcript", "the train is late"), ("done", None)]


def test_each_stage_is_told_once_when_it_begins(http: httpx.Client, voice: FakeVoice) -> None:
    voice.gate.opened.clear()
    opening = threading.Timer(1.0, voice.gate.opened.set)
    opening.start()
    told = events(http.post("/api/v1/voice/translate", json=BODY, headers=STREAM))
    opening.join()
    stages = [members["stage"] for kind, _, members in told if kind == "progress"]
    assert "voice_cloning" in stages
    assert len(stages) == len(set(stages))


def test_a_job_that_fails_ends_with_its_problem(http: httpx.Client, translator: FakeTranslator) -> None:
    translator.error = TranslationUnavailable("Nobody answered.")
    try:
        body = {**BODY, "source_language": "fr", "target_language": "en"}
        kind, _, problem = events(http.post("/api/v1/voice/translate", json=body, headers=STREAM))[-1]
    finally:
        translator.error = None
    assert (kind, problem["code"], problem["status"]) == ("error", "translation_unavailable", 502)


def test_nobody_watches_jobs_without_bound(http: httpx.Client, voice: FakeVoice) -> None:
    voice.gate.opened.clear()
    job = http.post("/api/v1/voice/translate", json=BODY, headers={"Prefer": "respond-async"}).json()["job_id"]
    path = f"/api/v1/voice/job/{job}/events"
    with ExitStack() as watching:
        streams = [watching.enter_context(http.stream("GET", path)).iter_lines() for _ in range(20)]
        assert [next(lines) for lines in streams] == ["event: progress"] * 20
        assert http.get(path).json()["code"] == "rate_limited"
        refused = http.post("/api/v1/voice/translate", json=BODY, headers=STREAM)
        assert (refused.status_code, "retry-after" in refused.headers) == (429, True)
    voice.gate.opened.set()
    for _ in range(100):
        told = events(http.get(path))
        if told[-1][0] == "done":
            break
        time.sleep(0.1)
    assert told[-1][0] == "done"


def test_a_server_that_ends_lets_go_of_those_who_watch(tmp_path: Any) -> None:
    voice = FakeVoice()
    voice.gate.opened.clear()
    engines = fake_engines(voice=voice)
    app = create_app(Settings(_env_file=None, data_dir=tmp_path), engines)
    with serving(app) as url, httpx.Client(base_url=url, timeout=30) as client:
        threading.Timer(1.0, app.state.ending.set).start()
        begun = time.monotonic()
        told = events(client.post("/api/v1/voice/translate", json=BODY, headers=STREAM))
        assert {kind for kind, _, _ in told} == {"progress", "transcript", "translation"}
        assert time.monotonic() - begun < 20
        voice.gate.opened.set()


SOUNDS = [("audio/wav", "wav"), ("audio/ogg", "ogg"), ("audio/mpeg", "mp3")]


@pytest.mark.parametrize(("kind", "name"), SOUNDS)
def test_the_sound_alone_is_streamed_in_the_format_that_is_asked_for(http: httpx.Client, kind: str, name: str) -> None:
    answer = http.post("/api/v1/voice/translate", json=BODY, headers={"Accept": kind})
    assert (answer.status_code, answer.headers["content-type"]) == (200, kind)
    job = http.get(answer.headers["content-location"]).json()
    stored = samples_of_wav(base64.b64decode(job["audio_base64"]))
    if name == "wav":
        assert answer.content[44:] == encode_pcm(stored.samples)
    heard = decoded(answer.content, name)
    assert heard.duration_seconds == pytest.approx(stored.duration_seconds, abs=0.15)
    assert np.abs(heard.samples).max() == pytest.approx(np.abs(stored.samples).max(), rel=0.2)


def test_sound_is_sent_while_the_rest_is_still_heard_and_who_leaves_stops_it(tmp_path: Any, watched: Gate) -> None:
    gate = Gate()
    ears = Ears(gates={0: watched, 23: gate})
    with serve(tmp_path, fake_engines(decoder=LongMessages(), transcriber=ears)) as client:
        with client.stream("POST", "/api/v1/voice/translate", json=BODY, headers={"Accept": "audio/wav"}) as answer:
            assert next(answer.iter_raw())[:4] == b"RIFF"
            assert gate.inside == 1
        job = client.get(answer.headers["content-location"]).json()
        for _ in range(200):
            if job["status"] == "failed":
                break
            time.sleep(0.05)
            job = client.get(answer.headers["content-location"]).json()
        assert job["error"]["code"] == "cancelled"
        assert gate.inside == 0


def test_a_message_that_fails_is_a_problem_and_no_sound(http: httpx.Client, translator: FakeTranslator) -> None:
    translator.error = TranslationUnavailable("Nobody answered.")
    try:
        body = {**BODY, "source_language": "fr", "target_language": "en"}
        answer = http.post("/api/v1/voice/translate", json=body, headers={"Accept": "audio/mpeg"})
    finally:
        translator.error = None
    assert (answer.status_code, answer.json()["code"]) == (502, "translation_unavailable")
    refused = http.post(
        "/api/v1/voice/translate", json={**BODY, "output_format": "mp3"}, headers={"Accept": "audio/mpeg"}
    )
    assert (refused.status_code, refused.json()["code"]) == (422, "validation_error")


@pytest.mark.parametrize("kind", ["mp3", "opus", "flac"])
def test_the_answer_is_stored_in_the_format_that_is_asked_for(http: httpx.Client, kind: str) -> None:
    answer = http.post("/api/v1/voice/translate", json={**BODY, "output_format": kind}).json()
    stored = base64.b64decode(answer["audio_base64"]).removesuffix(b"C2")
    heard = decoded(stored, "ogg" if kind == "opus" else kind)
    assert heard.duration_seconds == pytest.approx(answer["duration_seconds"], abs=0.15)
    assert "tag" in [mark["kind"] for mark in answer["provenance"]]
    fetched = http.get(answer["audio_url"])
    assert fetched.headers["content-type"] == {"mp3": "audio/mpeg", "opus": "audio/ogg", "flac": "audio/flac"}[kind]
    assert fetched.content.removesuffix(b"C2") == stored


def decoded(data: bytes, kind: str) -> Audio:
    return PyAvDecoder(0.0, 300.0).decode(data, AudioFormat(kind)).mixed
