"""A service with its audio in a bucket, over HTTP, and what callers are told when the bucket is away."""

import base64
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from typing import Any

import httpx
import pytest

from tests.fakes.engines import serve
from tests.fakes.fakes import FakeTranscriber
from tests.servers.proxy import NO_FAULT, Fault, FaultyProxy
from tests.servers.s3 import KEY_ID, REGION, SECRET, S3Server
from tests.support.messages import AUDIO


class Service:
    """The service, its bucket, and the network between them."""

    def __init__(self, http: httpx.Client, server: S3Server, bucket: str, proxy: FaultyProxy) -> None:
        self.http = http
        self.server, self.bucket, self.proxy = server, bucket, proxy

    def translate(self, **more: object) -> httpx.Response:
        return self.http.post("/api/v1/voice/translate", json={"audio": AUDIO, "target_language": "es"} | more)

    def stored(self) -> list[str]:
        return self.server.keys(self.bucket)


@pytest.fixture(scope="module")
def service(s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    bucket = s3_server.new_bucket()
    data_dir = tmp_path_factory.mktemp("s3-service") / "data"
    with FaultyProxy(s3_server.port) as proxy:
        settings: dict[str, Any] = {
            "storage": "s3",
            "s3_bucket": bucket,
            "s3_prefix": "voice",
            "s3_endpoint_url": f"http://127.0.0.1:{proxy.port}",
            "s3_public_endpoint_url": s3_server.endpoint,
            "s3_region": REGION,
            "s3_access_key_id": KEY_ID,
            "s3_secret_access_key": SECRET,
            "min_reference_seconds": 0.5,
        }
        with logged() as log, serve(data_dir, **settings) as http:
            yield Service(http, s3_server, bucket, proxy)
    assert not (data_dir / "audio").exists()
    assert "lifecycle rules were set" in log.getvalue()
    for secret in (SECRET, KEY_ID, "X-Amz-Signature", *FakeTranscriber().sentences):
        assert secret not in log.getvalue()


@contextmanager
def logged() -> Iterator[StringIO]:
    """Everything that the service logs."""
    ours, stream = logging.getLogger("src"), StringIO()
    handler = logging.StreamHandler(stream)
    before = ours.level
    ours.addHandler(handler)
    ours.setLevel(logging.DEBUG)
    try:
        yield stream
    finally:
        ours.setLevel(before)
        ours.removeHandler(handler)


def test_a_translation_lies_in_the_bucket_until_its_job_is_deleted(service: Service) -> None:
    answer: dict[str, Any] = service.translate().raise_for_status().json()
    assert service.stored() == [f"voice/results/{answer['job_id']}/1.wav"]
    assert answer["audio_url"].startswith(f"{service.server.endpoint}/{service.bucket}/voice/results/")
    audio = httpx.get(answer["audio_url"], timeout=60).raise_for_status()
    assert audio.headers["content-type"] == "audio/wav"
    assert audio.content == base64.b64decode(answer["audio_base64"])
    service.http.delete(f"/api/v1/voice/job/{answer['job_id']}").raise_for_status()
    assert service.stored() == []
    assert httpx.get(answer["audio_url"], timeout=60).status_code in (403, 404)


def test_a_profile_and_what_it_spoke_leave_nothing_behind(service: Service) -> None:
    body = {
        "reference_audio": AUDIO,
        "consent": {"given": True, "statement": "I agree.", "recorded_at": "2025-11-21T10:00:00Z"},
    }
    profile_id = service.http.post("/api/v1/voice/profile", json=body).raise_for_status().json()["profile_id"]
    folders = [key.split("/")[1] for key in service.stored()]
    assert sorted(folders) == ["embeddings", "references"]
    spoken = {"text": "buenas tardes", "target_language": "es", "voice_profile_id": profile_id}
    service.http.post("/api/v1/voice/clone", json=spoken).raise_for_status()
    assert [key for key in service.stored() if key.startswith(f"voice/clones/{profile_id}/")]
    service.http.delete(f"/api/v1/voice/profile/{profile_id}").raise_for_status()
    assert service.stored() == []


def test_the_bucket_has_rules_that_erase_old_files(service: Service) -> None:
    found = service.server.client.get_bucket_lifecycle_configuration(Bucket=service.bucket)["Rules"]
    days = {rule["Filter"]["Prefix"]: rule["Expiration"]["Days"] for rule in found if "Expiration" in rule}
    assert days == {"voice/inputs/": 1, "voice/results/": 7, "voice/clones/": 7}


def test_while_the_store_is_away_callers_are_told_when_to_come_back(service: Service) -> None:
    assert service.http.get("/health").json()["checks"]["storage"]["status"] == "ok"
    service.proxy.fault = Fault(reset_after=0)
    service.proxy.cut()
    refused = service.translate()
    assert refused.status_code in (503, 504), refused.text
    assert refused.json()["retryable"] is True
    assert int(refused.headers["retry-after"]) >= 1
    health = service.http.get("/health").json()
    assert (health["status"], health["checks"]["storage"]["status"]) == ("unhealthy", "failing")
    assert service.http.get("/health/ready").status_code == 503
    assert service.http.get("/health/live").status_code == 200
    service.proxy.fault = NO_FAULT
    answer = service.translate().raise_for_status().json()
    assert service.http.get("/health").json()["checks"]["storage"]["status"] == "ok"
    service.http.delete(f"/api/v1/voice/job/{answer['job_id']}").raise_for_status()
    assert service.stored() == []
