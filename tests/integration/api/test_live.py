"""Live sessions over real sockets, on fake engines: the protocol, who may open one, and its bounds."""

import asyncio
import base64
import json
import re
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, get_args

import httpx
import jsonschema
import numpy as np
import pytest
import uvicorn
from fastapi import FastAPI
from openai import AsyncOpenAI
from pydantic import BaseModel
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.http11 import Response
from websockets.typing import Subprotocol

from src.api.connections import ConnectionLimits
from src.api.connections import guarded as guarded_protocol
from src.api.schemas import realtime as schemas
from src.bootstrap.engines import Engines
from src.bootstrap.process import build_server
from src.config.settings import Settings
from src.domain.audio import OUTPUT_SAMPLE_RATE
from src.main import create_app
from src.services.live.events import EndReason, LiveLimits
from src.utils.audio import encode_pcm
from tests.conftest import serving
from tests.fakes.engines import fake_engines
from tests.fakes.fakes import FakeVoice, Gate, pitch_of, tone
from tests.fakes.live import ToneTranscriber, name_of, said, words_of
from tests.servers import live
from tests.servers.ports import free_port
from tests.support import asyncapi
from tests.support.tokens import SECRET, WITH_TOKENS, bearer, claims, hs256

PATH = "/v1/realtime/translations"
PAGE = Path(__file__).resolve().parents[3] / "src" / "services" / "live" / "README.md"
PATIENCE = 60.0
TO_SPANISH = {"audio": {"output": {"language": "es"}, "input": {"transcription": {"model": "whisper-1"}}}}
Event = dict[str, Any]


@dataclass
class Service:
    """`url` is empty until it runs."""

    transcriber: ToneTranscriber = field(default_factory=ToneTranscriber)
    voice: FakeVoice = field(default_factory=FakeVoice)
    url: str = ""

    @property
    def engines(self) -> Engines:
        return fake_engines(transcriber=self.transcriber, voice=self.voice)

    @contextmanager
    def running(self, app: FastAPI, **options: Any) -> Iterator["Service"]:
        with serving(app, **options) as self.url:
            yield self

    def token(self, user: str = "ann", **changes: Any) -> dict[str, str]:
        return bearer(hs256(SECRET.encode()).token(claims(user, **changes)))

    async def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        async with httpx.AsyncClient(base_url=self.url, timeout=PATIENCE) as client:
            return await client.request(method, path, **options)

    async def sessions(self) -> dict[str, Any]:
        """As /health tells of them."""
        told: dict[str, Any] = (await self.ask("GET", "/health")).json()["live_sessions"]
        return told

    async def has_none_open(self) -> bool:
        return bool((await self.sessions())["open"] == 0)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Without tokens; of 60 sessions."""
    made = Service()
    settings = Settings(_env_file=None, data_dir=tmp_path_factory.mktemp("live"), job_concurrency=60)
    with made.running(create_app(settings, made.engines)):
        yield made


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Service]:
    """With tokens; two sessions of a user, three in all."""
    made = Service()
    settings = Settings(
        _env_file=None,
        data_dir=tmp_path,
        job_concurrency=3,
        cors_origins="https://app.example.org",
        **{**WITH_TOKENS, "max_concurrent_requests_per_user": 2},
    )
    with made.running(create_app(settings, made.engines)):
        yield made


@contextmanager
def limited(tmp_path: Path, limits: LiveLimits) -> Iterator[Service]:
    made = Service()
    with live.limited(Settings(_env_file=None, data_dir=tmp_path), limits, made.engines) as made.url:
        yield made


@asynccontextmanager
async def opened(service: Service, **options: Any) -> AsyncIterator[ClientConnection]:
    address = service.url.replace("http", "ws") + PATH + "?model=secret"
    async with connect(address, open_timeout=PATIENCE, max_size=None, proxy=None, **options) as socket:
        yield socket


async def refused(service: Service, status: int, **options: Any) -> Response:
    """What comes in place of a session."""
    with pytest.raises(InvalidStatus) as caught:
        async with opened(service, **options):
            pass
    assert caught.value.response.status_code == status
    return caught.value.response


async def receive(socket: ClientConnection) -> Event:
    async with asyncio.timeout(PATIENCE):
        event: Event = json.loads(await socket.recv())
    asyncapi.check(event, "tell")
    return event


async def until(socket: ClientConnection, kind: str) -> list[Event]:
    """All events to the first of this type."""
    events = [await receive(socket)]
    while events[-1]["type"] != kind:
        events.append(await receive(socket))
    return events


async def send(socket: ClientConnection, kind: str, **members: Any) -> None:
    message = {"type": kind, **members}
    asyncapi.check(message, "take")
    await socket.send(json.dumps(message))


async def say(socket: ClientConnection, pcm: bytes) -> None:
    for start in range(0, len(pcm), 9600):
        audio = base64.b64encode(pcm[start : start + 9600]).decode()
        await send(socket, "session.input_audio_buffer.append", audio=audio)


def joined(events: list[Event], kind: str) -> str:
    return "".join(event["delta"] for event in events if event["type"] == kind)


def sound(events: list[Event]) -> bytes:
    return b"".join(
        base64.b64decode(event["delta"]) for event in events if event["type"] == "session.output_audio.delta"
    )


async def converse(service: Service, speaker: int) -> list[Event]:
    """Of one who says something, and closes."""
    async with opened(service) as socket:
        await send(socket, "session.update", session=TO_SPANISH)
        await say(socket, said(speaker))
        await send(socket, "session.close")
        return await until(socket, "session.closed")


async def test_a_session_from_its_begin_to_its_end(service: Service) -> None:
    events = await converse(service, 3)
    kinds = [event["type"] for event in events]
    assert kinds[:2] == ["session.created", "session.updated"]
    assert set(kinds[2:]) == {
        "session.input_transcript.delta",
        "session.output_transcript.delta",
        "session.output_audio.delta",
        "session.closed",
    }
    created, updated = events[0]["session"], events[1]["session"]
    assert created["audio"]["output"] == {"language": None, "voice": "speaker", "speaker": "once"}
    assert updated["audio"]["output"]["language"] == "es"
    assert time.time() + 3000 < created["expires_at"] < time.time() + 3601
    assert created["id"] == updated["id"]
    assert joined(events, "session.input_transcript.delta") == words_of(3, 1.0)
    assert joined(events, "session.output_transcript.delta") == words_of(3, 1.0)[::-1]
    assert len(sound(events)) == OUTPUT_SAMPLE_RATE
    deltas = [event for event in events if event["type"].endswith("delta")]
    assert all(event["lag_ms"] >= 0 and 1000 <= event["elapsed_ms"] <= 1400 for event in deltas)
    assert events[-1]["reason"] == "client_closed"
    assert len({event["event_id"] for event in events}) == len(events)


async def test_fifty_at_once_each_hear_their_own_words(service: Service) -> None:
    async with asyncio.timeout(240):
        answers = await asyncio.gather(*(converse(service, speaker) for speaker in range(50)))
    spoken = {request.texts[0]: request for request in service.voice.requests}
    for speaker, events in enumerate(answers):
        assert joined(events, "session.input_transcript.delta") == words_of(speaker, 1.0)
        assert joined(events, "session.output_transcript.delta") == words_of(speaker, 1.0)[::-1]
        mine = next(text for text in spoken if text.rstrip(".").endswith(name_of(speaker)[::-1]))
        assert sound(events) == encode_pcm(tone(0.5, OUTPUT_SAMPLE_RATE, pitch_of(mine)).samples)


async def test_binary_frames_are_sound(service: Service) -> None:
    async with opened(service) as socket:
        await send(socket, "session.update", session=TO_SPANISH)
        await socket.send(said(4))
        events = await until(socket, "session.output_audio.delta")
    assert joined(events, "session.input_transcript.delta") == words_of(4, 1.0)


async def test_the_stock_client(service: Service) -> None:
    async with AsyncOpenAI(api_key="any", base_url=f"{service.url}/v1") as client:
        secret = await client.realtime.translations.client_secrets.create(
            session={"model": "live", "audio": {"output": {"language": "es"}}}
        )
        assert secret.session.audio.output is not None
        assert secret.session.audio.output.language == "es"
    async with (
        AsyncOpenAI(api_key=secret.value, base_url=f"{service.url}/v1") as browser,
        browser.realtime.translations.connect(model="live") as session,
    ):
        created = await session.recv()
        assert created.type == "session.created"
        assert (created.session.id, created.session.model) == (secret.session.id, "live")
        await session.session.update(session={"audio": {"input": {"transcription": {"model": "whisper-1"}}}})
        pcm = said(6)
        for start in range(0, len(pcm), 9600):
            audio = base64.b64encode(pcm[start : start + 9600]).decode()
            await session.session.input_audio_buffer.append(audio=audio)
        await session.session.close()
        heard, audible = "", b""
        async for event in session:
            if event.type == "session.input_transcript.delta":
                heard += event.delta
            elif event.type == "session.output_audio.delta":
                audible += base64.b64decode(event.delta)
            elif event.type == "session.closed":
                break
    assert heard == words_of(6, 1.0)
    assert np.abs(np.frombuffer(audible, "<i2")).max() > 10_000


async def test_the_client_of_the_page(service: Service) -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    client = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        code.replace("http://127.0.0.1:8000", service.url),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(PATIENCE):
        audible, told = await client.communicate(said(3))
    assert client.returncode == 0, told
    assert len(audible) == OUTPUT_SAMPLE_RATE
    assert b"session.closed" in told


WRONG: dict[str, tuple[str | Event, str, str | None]] = {
    "not JSON": ("{", "malformed_json", None),
    "not an object": ("[]", "validation_error", "type"),
    "no type": ({"event_id": "e"}, "validation_error", "type"),
    "an unknown type": ({"type": "session.sing"}, "validation_error", "type"),
    "an unknown field": ({"type": "session.update", "session": {"voice": "x"}}, "validation_error", "session.voice"),
    "no base64": ({"type": "session.input_audio_buffer.append", "audio": "ä"}, "invalid_base64", None),
    "half a sample": ({"type": "session.input_audio_buffer.append", "audio": "AAAA"}, "validation_error", None),
    "an unknown language": (
        {"type": "session.update", "session": {"audio": {"output": {"language": "tlh"}}}},
        "unsupported_language",
        None,
    ),
    "a language that nobody speaks": (
        {"type": "session.update", "session": {"audio": {"output": {"language": "hu"}}}},
        "unsupported_language",
        None,
    ),
    "another's voice": (
        {"type": "session.update", "session": {"audio": {"output": {"voice": "nobodys"}}}},
        "not_found",
        None,
    ),
}


@pytest.mark.parametrize(("sent", "code", "param"), WRONG.values(), ids=WRONG.keys())
async def test_a_wrong_event_is_told_and_ends_nothing(
    service: Service, sent: str | Event, code: str, param: str | None
) -> None:
    async with opened(service) as socket:
        await send(socket, "session.update", session=TO_SPANISH)
        await until(socket, "session.updated")
        named = {**sent, "event_id": "mine-1"} if isinstance(sent, dict) else None
        await socket.send(sent if isinstance(sent, str) else json.dumps(named))
        (event,) = await until(socket, "error")
        error = event["error"]
        assert (error["code"], error["event_id"], error["param"]) == (code, named and "mine-1", param)
        assert error["message"]
        await say(socket, said(1))
        await until(socket, "session.output_audio.delta")


CHANGES: dict[str, tuple[Any, bool]] = {
    "nothing": ({}, True),
    "all that there is": (
        {
            "type": "translation",
            "model": "gpt-realtime-translate",
            "audio": {
                "input": {
                    "noise_reduction": {"type": "near_field", "strength": 0.5},
                    "transcription": {"model": "whisper-1", "language": "en-GB"},
                },
                "output": {"language": "es-MX", "voice": "speaker", "speaker": "always"},
            },
        },
        True,
    ),
    "nulls": (
        {"audio": {"input": {"noise_reduction": None, "transcription": None}, "output": {"language": None}}},
        True,
    ),
    "an unknown field": ({"audio": {"output": {"speed": 2}}}, False),
    "a number for a language": ({"audio": {"output": {"language": 5}}}, False),
    "a language of one letter": ({"audio": {"output": {"language": "e"}}}, False),
    "an unknown way to learn": ({"audio": {"output": {"speaker": "never"}}}, False),
    "a voice with a slash": ({"audio": {"output": {"voice": "a/b"}}}, False),
    "a text for a strength": (
        {"audio": {"input": {"noise_reduction": {"type": "near_field", "strength": "1"}}}},
        False,
    ),
    "another type": ({"type": "realtime"}, False),
    "a list": ([], False),
}


@pytest.mark.parametrize(("change", "right"), CHANGES.values(), ids=CHANGES.keys())
async def test_the_document_says_what_the_server_takes(service: Service, change: Any, right: bool) -> None:
    message = {"type": "session.update", "session": change}
    if right:
        asyncapi.check(message, "take")
    else:
        with pytest.raises(jsonschema.ValidationError):
            asyncapi.check(message, "take")
    async with opened(service) as socket:
        await receive(socket)
        await socket.send(json.dumps(message))
        assert (await receive(socket))["type"] == ("session.updated" if right else "error")


async def test_what_was_chosen_is_told(service: Service) -> None:
    async with opened(service) as socket:
        await receive(socket)
        await send(socket, "session.update", session=CHANGES["all that there is"][0])
        chosen = (await receive(socket))["session"]
        assert chosen["audio"]["output"] == {"language": "es-419", "voice": "speaker", "speaker": "always"}
        assert chosen["audio"]["input"]["transcription"]["language"] == "en"
        await send(socket, "session.update", session={"audio": {"output": {"speaker": "once"}}})
        kept = (await receive(socket))["session"]
        assert kept["audio"]["output"] == {"language": "es-419", "voice": "speaker", "speaker": "once"}
        assert kept["audio"]["input"] == chosen["audio"]["input"]
        await send(socket, "session.update", session=CHANGES["nulls"][0])
        assert (await receive(socket))["session"]["audio"]["input"]["transcription"] is None


def test_the_document_has_every_event_and_reason() -> None:
    told = {model.model_fields["type"].default for model in _leaves(schemas.ServerEvent)}
    assert set(asyncapi.messages("tell")) == told
    taken = get_args(get_args(schemas.ClientEvent)[0])
    assert set(asyncapi.messages("take")) == {get_args(model.model_fields["type"].annotation)[0] for model in taken}
    reasons = asyncapi.messages("tell")["session.closed"]["properties"]["reason"]["enum"]
    assert set(reasons) == set(EndReason)
    for message in asyncapi.document()["channels"]["translations"]["messages"]:
        assert message in asyncapi.document()["components"]["messages"]


def _leaves(model: type[BaseModel]) -> list[type[BaseModel]]:
    children = model.__subclasses__()
    return [leaf for child in children for leaf in _leaves(child)] if children else [model]


async def test_sound_before_a_language_is_told(service: Service) -> None:
    async with opened(service) as socket:
        await socket.send(bytes(960))
        events = await until(socket, "error")
        assert "audio.output.language" in events[-1]["error"]["message"]


async def test_who_is_too_fast_is_sent_away(service: Service) -> None:
    async with opened(service) as socket:
        await send(socket, "session.update", session=TO_SPANISH)
        for _ in range(28):
            await socket.send(bytes(48_000))
        events = await until(socket, "session.closed")
        await socket.wait_closed()
    assert next(event["error"]["code"] for event in events if event["type"] == "error") == "rate_limited"
    assert (events[-1]["reason"], socket.close_code) == ("too_fast", 1008)


async def test_who_leaves_stops_the_engines(service: Service) -> None:
    gate = service.voice.gate
    gate.opened.clear()
    before = gate.cancelled
    try:
        async with opened(service) as socket:
            await send(socket, "session.update", session=TO_SPANISH)
            await say(socket, said(2))
            await eventually(inside(gate, 1))
        await eventually(inside(gate, 0))
        assert gate.cancelled == before + 1
        await eventually(service.has_none_open)
    finally:
        gate.opened.set()


async def eventually(true: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await true():
            await asyncio.sleep(0.02)


def inside(gate: Gate, count: int) -> Callable[[], Awaitable[bool]]:
    """Whether so many wait there."""

    async def true() -> bool:
        return gate.inside == count

    return true


async def test_silence_and_an_hour_end_it(tmp_path: Path) -> None:
    for name, limits, reason in (
        ("gap", LiveLimits(gap=0.5), "no_audio"),
        ("session", LiveLimits(session=0.5), "expired"),
    ):
        with limited(tmp_path / name, limits) as short:
            async with opened(short) as socket:
                events = await until(socket, "session.closed")
                await socket.wait_closed()
            assert (events[-1]["reason"], socket.close_code) == (reason, 1000)


async def test_an_engine_that_is_behind_is_told(tmp_path: Path) -> None:
    with limited(tmp_path, LiveLimits(lag=0.5)) as slow:
        slow.transcriber.gate.opened.clear()
        async with opened(slow) as socket:
            await send(socket, "session.update", session={"audio": {"output": {"language": "es"}}})
            await say(socket, said(1))
            await say(socket, said(2))
            await asyncio.sleep(0.6)
            slow.transcriber.gate.opened.set()
            events = await until(socket, "error")
            assert events[-1]["error"]["code"] == "overloaded"
            assert "was left out" in events[-1]["error"]["message"]


async def test_a_token_is_asked_for(guarded: Service) -> None:
    for headers in ({}, bearer("wrong"), bearer("ek_wrong"), guarded.token(exp=int(time.time()) - 60)):
        refusal = await refused(guarded, 401, additional_headers=headers)
        assert json.loads(refusal.body)["error"]["code"] == "unauthenticated"
    await refused(guarded, 403, additional_headers=guarded.token(scope="admin"))
    async with opened(guarded, additional_headers=guarded.token()) as socket:
        assert (await receive(socket))["type"] == "session.created"


async def test_a_browser_brings_its_token_as_a_subprotocol(guarded: Service) -> None:
    token = guarded.token()["Authorization"].removeprefix("Bearer ")
    protocols = [Subprotocol("realtime"), Subprotocol(f"openai-insecure-api-key.{token}")]
    async with opened(guarded, subprotocols=protocols) as socket:
        assert socket.subprotocol == "realtime"
        assert (await receive(socket))["type"] == "session.created"


async def test_a_client_secret_opens_one_session(guarded: Service) -> None:
    body = {"session": {"audio": {"output": {"language": "fr"}}}, "expires_after": {"seconds": 600}}
    made = await guarded.ask("POST", f"{PATH}/client_secrets", json=body, headers=guarded.token())
    value = made.json()["value"]
    assert made.json()["expires_at"] <= time.time() + 61
    protocols = [Subprotocol("realtime"), Subprotocol(f"openai-insecure-api-key.{value}")]
    async with opened(guarded, subprotocols=protocols) as socket:
        created = await receive(socket)
        assert created["session"]["audio"]["output"]["language"] == "fr"
    await refused(guarded, 401, subprotocols=protocols)
    assert (await guarded.ask("GET", "/v1/models", headers=bearer(value))).status_code == 401


def test_a_secret_for_what_cannot_be_is_refused(guarded: Service) -> None:
    for language, status in (("hu", 422), ("es", 200)):
        body = {"session": {"audio": {"output": {"language": language}}}}
        answer = httpx.post(f"{guarded.url}{PATH}/client_secrets", json=body, headers=guarded.token())
        assert answer.status_code == status
    assert httpx.post(f"{guarded.url}{PATH}/client_secrets", json={"session": {}}).status_code == 401


async def test_a_token_that_ends_ends_the_session(guarded: Service) -> None:
    """Clocks may differ by 30 s: this one ended 28 s ago."""
    ending = guarded.token(exp=int(time.time()) - 28)
    async with opened(guarded, additional_headers=ending) as socket:
        events = await until(socket, "session.closed")
        await socket.wait_closed()
    assert (events[-2]["error"]["code"], events[-1]["reason"]) == ("unauthenticated", "token_ended")
    assert socket.close_code == 1008


async def test_a_token_that_is_revoked_ends_the_session(guarded: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("src.api.live._LOOK_SECONDS", 0.2)
    async with opened(guarded, additional_headers=guarded.token(jti="t-1")) as socket:
        await until(socket, "session.created")
        admin = guarded.token("root", scope="admin")
        revoked = await guarded.ask("POST", "/api/v1/admin/revocations", json={"token_id": "t-1"}, headers=admin)
        revoked.raise_for_status()
        events = await until(socket, "session.closed")
    assert (events[-2]["error"]["code"], events[-1]["reason"]) == ("unauthenticated", "token_ended")


async def test_pages_of_other_origins_open_nothing(guarded: Service) -> None:
    headers = guarded.token()
    await refused(guarded, 403, additional_headers=headers, origin="https://evil.example.org")
    for origin in ("https://app.example.org", guarded.url):
        async with opened(guarded, additional_headers=headers, origin=origin) as socket:
            assert (await receive(socket))["type"] == "session.created"


async def test_sessions_are_bounded_for_each_user_and_in_all(guarded: Service) -> None:
    of = guarded.token
    async with opened(guarded, additional_headers=of("ann")) as first, opened(guarded, additional_headers=of("ann")):
        await refused(guarded, 429, additional_headers=of("ann"))
        async with opened(guarded, additional_headers=of("bob")):
            assert await guarded.sessions() == {"open": 3, "most": 3, "accepting": False}
            assert "retry-after" in (await refused(guarded, 503, additional_headers=of("eve"))).headers
        await first.close()
    await eventually(guarded.has_none_open)
    assert (await guarded.sessions())["accepting"]


async def test_a_reader_that_does_not_read_is_let_go(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("src.api.live._SEND_SECONDS", 0.5)
    monkeypatch.setattr("tests.fakes.fakes.tone", lambda seconds, rate, pitch: tone(120, rate, pitch))
    async with opened(service) as socket:
        await send(socket, "session.update", session=TO_SPANISH)
        socket.transport.pause_reading()
        await say(socket, said(2))
        await eventually(service.has_none_open)
        socket.transport.abort()


async def test_a_message_that_is_too_large_ends_it(tmp_path: Path) -> None:
    made = Service()
    app = create_app(Settings(_env_file=None, data_dir=tmp_path), made.engines)
    with made.running(app, ws_max_size=2**20):
        async with opened(made) as socket:
            await socket.send(bytes(2**20 + 2))
            with pytest.raises(ConnectionClosed):
                await until(socket, "session.closed")
        assert socket.close_code == 1009
        await eventually(made.has_none_open)


async def all_taken(socket: ClientConnection) -> None:
    """When it returns, what was sent before has been read."""
    await socket.send("{")
    await until(socket, "error")


async def test_a_server_that_ends_drains(tmp_path: Path) -> None:
    made = Service()
    settings = Settings(_env_file=None, data_dir=tmp_path, port=free_port())
    server = build_server(create_app(settings, made.engines), settings)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    made.url = f"http://127.0.0.1:{settings.port}"
    await eventually(partial(started, server))
    async with opened(made) as socket:
        await send(socket, "session.update", session=TO_SPANISH)
        await say(socket, said(3, pause=0.0))
        await all_taken(socket)
        server.should_exit = True
        events = await until(socket, "session.closed")
        await socket.wait_closed()
    await asyncio.to_thread(thread.join, PATIENCE)
    assert not thread.is_alive()
    assert joined(events, "session.output_transcript.delta") == words_of(3, 1.0)[::-1]
    assert (events[-1]["reason"], socket.close_code) == ("server_ending", 1012)


async def started(server: uvicorn.Server) -> bool:
    return server.started


async def test_a_connection_counts_until_it_is_lost_and_no_longer(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made, protocol = Service(), guarded_protocol(ConnectionLimits(most=1))
    app = create_app(Settings(_env_file=None, data_dir=tmp_path), made.engines)
    caplog.set_level("INFO")
    with made.running(app, http=protocol):
        async with opened(made) as socket:
            await until(socket, "session.created")
            await refused(made, 503)
        await eventually(partial(is_empty, protocol))
    assert "route=/v1/realtime/translations status=101" in caplog.text
    assert "model=secret" not in caplog.text


async def is_empty(protocol: Any) -> bool:
    return not protocol.guard._open


async def test_opening_counts_for_the_clients_limit(tmp_path: Path) -> None:
    made = Service()
    settings = Settings(_env_file=None, data_dir=tmp_path, rate_limit_requests_per_minute=2)
    with made.running(create_app(settings, made.engines)):
        for _ in range(2):
            async with opened(made) as socket:
                await until(socket, "session.created")
        assert "ratelimit" in (await refused(made, 429)).headers
