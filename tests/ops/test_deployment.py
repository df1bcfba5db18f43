"""The service behind its gateway, as an operator has it. Each caller has an address of its own, as the gateway counts
requests by it.
"""

import asyncio
import base64
import json
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from http.client import HTTPSConnection
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from websockets.asyncio.client import connect

from src.services.live.intake import RATE
from src.utils.audio import encode_pcm
from tests.fakes.fakes import tone
from tests.fakes.stand_in import Message
from tests.providers.libretranslate_server import LibreTranslateServer
from tests.providers.provider_server import Answer, ProviderServer, Request, as_json
from tests.servers.deployment import PATIENCE, Deployment, deployment
from tests.servers.gateway import Nginx
from tests.support.tokens import bearer, claims, hs256

pytestmark = pytest.mark.timeout(600)

TRANSLATE = "/api/v1/voice/translate"
DOCKER = Path(__file__).resolve().parents[2] / "docker"
NAMING = ("observe/alerts.yml", "observe/dashboard.json", "kubernetes/scaled/scaler.yaml")
OF_A_DEVICE = {
    *("voice_batch_calls_sum", "voice_batch_calls_count"),
    *("voice_gpu_memory_used_bytes", "voice_gpu_memory_bytes"),
}
"""What stand-ins have not: a process that batches, and a GPU."""
MEGABYTE = 10**6
_addresses = (f"127.0.{number // 250}.{number % 250 + 2}" for number in count(250))


class Collector(ProviderServer):
    """Takes spans, as an OpenTelemetry collector does."""

    def answer(self, request: Request) -> Answer:
        return Answer(200, b"", {"Content-Type": "application/x-protobuf"})

    def spans(self) -> list[Span]:
        asked = [ExportTraceServiceRequest.FromString(request.body) for request in list(self.requests)]
        return [
            span for one in asked for each in one.resource_spans for scope in each.scope_spans for span in scope.spans
        ]


@dataclass(frozen=True)
class Service:
    deployed: Deployment
    collector: Collector
    provider: LibreTranslateServer


@pytest.fixture(scope="module")
def watched() -> Iterator[Service]:
    """Its spans and its provider's requests are kept."""
    with ExitStack() as stack:
        collector, provider = stack.enter_context(Collector()), stack.enter_context(LibreTranslateServer())
        settings = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_BSP_SCHEDULE_DELAY": "100",
            "LIBRETRANSLATE_URL": provider.url,
            "TRANSLATION_ENGINES": "libretranslate",
            "SHUTDOWN_GRACE_SECONDS": "60",
            "JOB_LEASE_SECONDS": "3",
        }
        yield Service(stack.enter_context(deployment(settings)), collector, provider)


@pytest.fixture
def service(watched: Service) -> Deployment:
    return watched.deployed


def caller(service: Deployment, user: str | None = None) -> httpx.AsyncClient:
    """A new one, on an address of its own."""
    transport = httpx.AsyncHTTPTransport(verify=service.nginx.tls, local_address=next(_addresses))
    return service.client(user or uuid4().hex, transport=transport)


def body(message: Message, padding: int = 0) -> dict[str, Any]:
    audio = base64.b64decode(message.encode()) + b" " * padding
    return {
        "audio": base64.b64encode(audio).decode(),
        "target_language": "fr",
        "source_language": "en",
        "options": {"return_base64": False},
    }


def translated(message: Message) -> str:
    return f"fr:{message.words}"


async def ended(http: httpx.AsyncClient, address: str) -> dict[str, Any]:
    async with asyncio.timeout(PATIENCE):
        while True:
            answer: dict[str, Any] = (await http.get(address)).raise_for_status().json()
            if answer["status"] in ("completed", "failed"):
                return answer
            await asyncio.sleep(0.1)


async def begun(service: Deployment, message: Message) -> None:
    async with asyncio.timeout(PATIENCE):
        while message.words not in {start.words for start in service.starts()}:
            await asyncio.sleep(0.05)


async def test_a_message_and_its_job(service: Deployment) -> None:
    message, later = Message("at once"), Message("later", 0.2)
    async with caller(service) as http:
        answer = (await http.post(TRANSLATE, json=body(message))).raise_for_status().json()
        assert (answer["status"], answer["translated_text"]) == ("completed", translated(message))
        taken = await http.post(TRANSLATE, json=body(later), headers={"Prefer": "respond-async"})
        assert taken.status_code == 202
        assert (await ended(http, taken.headers["location"]))["translated_text"] == translated(later)


@pytest.mark.parametrize("megabytes", [3, 49])
async def test_large_recordings_pass_and_touch_no_disk_of_the_gateway(service: Deployment, megabytes: int) -> None:
    message = Message(f"{megabytes} megabytes")
    async with caller(service) as http:
        answer = await http.post(TRANSLATE, json=body(message, megabytes * MEGABYTE))
    assert answer.json()["translated_text"] == translated(message)
    assert "temporary file" not in service.nginx.errors.read_text()


def test_what_is_too_large_is_refused_before_it_is_sent(service: Deployment) -> None:
    host, port = service.nginx.url.removeprefix("https://").split(":")
    connection = HTTPSConnection(host, int(port), context=service.nginx.tls, timeout=PATIENCE)
    connection.putrequest("POST", TRANSLATE)
    connection.putheader("Content-Length", str(71 * 2**20))
    connection.endheaders()
    answer = connection.getresponse()
    assert (answer.status, answer.headers["content-type"]) == (413, "application/problem+json")
    assert json.loads(answer.read())["code"] == "audio_too_large"
    connection.close()


async def test_events_pass_as_they_come(service: Deployment) -> None:
    message = Message("it never ends", 1000.0)
    events = {"Accept": "text/event-stream"}
    async with caller(service) as http:
        async with http.stream("POST", TRANSLATE, json=body(message), headers=events) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            async for line in answer.aiter_lines():
                if "transcription" in line:
                    break
        (job,) = (await http.get("/api/v1/voice/jobs")).json()["jobs"]
        assert job["status"] == "processing"
        (await http.delete(f"/api/v1/voice/job/{job['job_id']}")).raise_for_status()


async def test_a_live_session(service: Deployment) -> None:
    address = service.nginx.url.replace("https", "wss") + "/v1/realtime/translations?model=any"
    token = bearer(hs256().token(claims("speaker")))
    local = (next(_addresses), 0)
    sound = encode_pcm(tone(1.0, RATE).samples) + bytes(2 * RATE)
    async with connect(
        address, ssl=service.nginx.tls, additional_headers=token, local_addr=local, proxy=None, max_size=None
    ) as session:
        update = {"audio": {"output": {"language": "fr"}}}
        await session.send(json.dumps({"type": "session.update", "session": update}))
        audio = base64.b64encode(sound).decode()
        await session.send(json.dumps({"type": "session.input_audio_buffer.append", "audio": audio}))
        await session.send(json.dumps({"type": "session.close"}))
        async with asyncio.timeout(PATIENCE):
            events = [json.loads(event)["type"] async for event in session]
    assert (events[0], events[-1]) == ("session.created", "session.closed")
    assert "session.output_audio.delta" in events


async def test_a_hundred_a_minute_of_an_address_and_of_a_token(service: Deployment) -> None:
    async with caller(service) as http:
        statuses = await statuses_of(http, 130, lambda: bearer(hs256().token(claims(uuid4().hex))))
        assert statuses[429] >= 20
        assert statuses[200] >= 100
        refused = await http.get("/api/v1/languages")
        assert refused.json()["code"] == "rate_limited" if refused.status_code == 429 else refused.is_success
        assert (await statuses_of(http, 20, path="/health/live"))[200] == 20
    token = bearer(hs256().token(claims("everywhere")))
    async with caller(service) as one, caller(service) as another:
        halves = await asyncio.gather(*(statuses_of(http, 65, lambda: token) for http in (one, another)))
    statuses = halves[0] + halves[1]
    assert statuses[429] >= 20
    assert statuses[200] >= 100


async def statuses_of(
    http: httpx.AsyncClient, requests: int, headers: Any = dict, path: str = "/api/v1/languages"
) -> Counter[int]:
    answers = await asyncio.gather(*(http.get(path, headers=headers()) for _ in range(requests)))
    return Counter(answer.status_code for answer in answers)


async def test_replacing_processes_under_load_fails_no_request(service: Deployment) -> None:
    messages = [Message(f"under way {number}", 1.0) for number in range(12)]
    async with caller(service) as http:
        asking = [asyncio.create_task(http.post(TRANSLATE, json=body(message))) for message in messages]
        await begun(service, messages[0])
        await asyncio.to_thread(service.replace_api)
        await asyncio.to_thread(service.replace_worker)
        answers = await asyncio.gather(*asking)
    assert [answer.status_code for answer in answers] == [200] * len(messages)
    assert [answer.json()["translated_text"] for answer in answers] == [translated(message) for message in messages]


async def test_who_asks_again_after_a_crash_gets_the_answer_of_the_same_work(service: Deployment) -> None:
    message, key = Message("crashed", 3.0), {"Idempotency-Key": uuid4().hex}
    async with caller(service) as http:
        asking = asyncio.create_task(http.post(TRANSLATE, json=body(message), headers=key))
        await begun(service, message)
        address, process = service.apis.popitem()
        await asyncio.to_thread(service.end, process)
        failed = await asking
        assert (failed.status_code, failed.json()["retryable"], failed.headers["retry-after"]) == (503, True, "5")
        await asyncio.to_thread(service.add_api)
        await asyncio.to_thread(service.nginx.serve, *service.apis)
        async with asyncio.timeout(PATIENCE):
            while (again := await http.post(TRANSLATE, json=body(message), headers=key)).status_code == 409:
                await asyncio.sleep(0.5)
        done = again.json() if again.status_code == 200 else await ended(http, again.headers["location"])
    assert done["translated_text"] == translated(message)
    assert [start.words for start in service.starts()].count(message.words) == 1
    assert address not in service.apis


async def test_one_trace_joins_gateway_api_worker_and_provider(watched: Service) -> None:
    trace_id = uuid4().hex
    message, given = Message(f"words {uuid4().hex}"), {"traceparent": f"00-{trace_id}-00f067aa0ba902b7-01"}
    async with caller(watched.deployed) as http:
        (await http.post(f"{TRANSLATE}?user_id=", json=body(message), headers=given)).raise_for_status()
    logged = [json.loads(line) for line in watched.deployed.nginx.access.read_text().splitlines()]
    assert [line["url"]["path"] for line in logged if line["trace"]["id"] == trace_id] == [TRANSLATE]
    (asked,) = [each for each in watched.provider.requests if trace_id in each.headers.get("traceparent", "")]
    async with asyncio.timeout(PATIENCE):
        while True:
            spans = {span.span_id: span for span in watched.collector.spans() if span.trace_id.hex() == trace_id}
            call = spans.get(bytes.fromhex(asked.headers["traceparent"].split("-")[2]))
            if call is not None and (path := names_above(call, spans))[-1] == f"POST {TRANSLATE}":
                break
            await asyncio.sleep(0.1)
    assert path == ["POST", "job", f"POST {TRANSLATE}"]
    statements = {value(span, "db.system.name") for span in spans.values()}
    assert {"postgresql", "redis"} <= statements
    sent = b"".join(request.body for request in watched.collector.requests)
    assert message.words.encode() not in sent
    assert b"user_id=" not in sent


def names_above(span: Span, spans: dict[bytes, Span]) -> list[str]:
    """From a span up, as far as its ancestors are known."""
    above = spans.get(span.parent_span_id)
    return [span.name, *(names_above(above, spans) if above else [])]


def value(span: Span, name: str) -> str:
    return next((each.value.string_value for each in span.attributes if each.key == name), "")


async def test_what_panels_and_rules_name_is_in_a_scrape(service: Deployment) -> None:
    """After all that the tests above did, and after a worker was lost under a job."""
    message = Message("its worker is lost", 1.0)
    async with caller(service) as http:
        asking = asyncio.create_task(http.post(TRANSLATE, json=body(message)))
        await begun(service, message)
        victim = next(start.process for start in service.starts() if start.words == message.words)
        await asyncio.to_thread(service.kill, next(each for each in service.workers if each.pid == victim))
        assert (await asking).json()["translated_text"] == translated(message)
    scrapes = await asyncio.to_thread(service.scrapes)
    for each in scrapes:
        await asyncio.to_thread(subprocess.run, ["promtool", "check", "metrics"], input=each, text=True, check=True)
    scrape = "".join(scrapes)
    samples = set(re.findall(r"^(\w+)(?=[{ ])", scrape, re.MULTILINE))
    declared = set(re.findall(r"^# TYPE (\w+) ", scrape, re.MULTILINE))
    named = set(re.findall(r"\b(?:voice|process)_\w+", "".join((DOCKER / name).read_text() for name in NAMING)))
    assert named - samples == OF_A_DEVICE
    assert {name.removesuffix("_sum").removesuffix("_count") for name in OF_A_DEVICE} <= declared


def test_the_gateway_s_log_is_ecs_and_holds_no_secret(service: Deployment) -> None:
    text = service.nginx.access.read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert all({"@timestamp", "log.level", "message", "ecs.version"} <= line.keys() for line in lines)
    assert "?" not in text
    assert "Bearer" not in text
    assert "eyJ" not in text


def test_callers_are_who_the_gateway_says_and_nothing_is_sent_twice(tmp_path_factory: pytest.TempPathFactory) -> None:
    with ExitStack() as stack:
        behind = stack.enter_context(ProviderServer())
        gate = Nginx(tmp_path_factory.mktemp("gateway"))
        stack.callback(gate.close)
        behind.always = as_json({})
        gate.serve(behind.url.removeprefix("http://"), "127.0.0.1:1")
        http = stack.enter_context(httpx.Client(base_url=gate.url, verify=gate.tls))
        lies = {"X-Forwarded-For": "9.9.9.9", "X-Real-IP": "9.9.9.9", "Forwarded": "for=9.9.9.9"}
        ids = {"X-Request-ID": "phone 17 <", "traceparent": "00-nonsense"}
        http.post("/one", json={}, headers={**lies, **ids}).raise_for_status()
        told = {name.lower(): text for name, text in behind.requests[-1].headers.items()}
        assert told["x-forwarded-for"] == "127.0.0.1"
        assert told["x-forwarded-proto"] == "https"
        assert not {"x-real-ip", "forwarded"} & told.keys()
        assert len(told["x-request-id"]) == 32
        assert told["traceparent"].startswith(f"00-{told['x-request-id']}-")
        before = len(behind.requests)
        behind.always = Answer(reset=True)
        answer = http.post("/two", json={})
        assert (answer.status_code, answer.json()["code"]) == (503, "engine_unavailable")
        assert len(behind.requests) == before + 1
