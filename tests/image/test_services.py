"""Translator and worker as docker/docker-compose.yml starts them, from the image, on real servers of this machine."""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.image.caller import SENTENCE, Caller
from tests.image.clean_root import Image
from tests.image.container import Container, running
from tests.servers.ports import free_port
from tests.servers.postgres import PostgresServer
from tests.servers.redis import RedisServer
from tests.servers.s3 import REGION, S3Server
from tests.unit.deployment.test_compose import SECRETS, SERVICES

pytestmark = pytest.mark.timeout(3600)

WORK_SECONDS = 120.0
BUCKET = SERVICES["s3"]["environment"]["S3_BUCKET"]


@pytest.fixture(scope="module")
def settings(postgres: PostgresServer, s3_server: S3Server) -> Iterator[dict[str, dict[str, str]]]:
    """Of each service, with the addresses of this machine's servers for those of compose's network."""
    s3_server.client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    password = SECRETS["REDIS_PASSWORD"]
    with (
        tempfile.TemporaryDirectory() as folder,
        RedisServer(Path(folder), options={"requirepass": password}) as redis,
    ):
        addresses = {
            f"postgresql+asyncpg://voice:{SECRETS['POSTGRES_PASSWORD']}@postgres:5432/voice": postgres.new_database(),
            f"redis://:{password}@redis:6379/0": f"redis://:{password}@127.0.0.1:{redis.port}/0",
            "http://s3:8333": s3_server.endpoint,
            "http://127.0.0.1:8333": s3_server.endpoint,
        }
        yield {
            name: {key: addresses.get(value, value) for key, value in SERVICES[name]["environment"].items()}
            for name in ("translator", "worker")
        }


def _await(what: str, container: Container, log: Path) -> None:
    deadline = time.monotonic() + WORK_SECONDS
    while container.exec(*SERVICES["worker"]["healthcheck"]["test"][1:]).returncode != 0:
        if not container.running or time.monotonic() > deadline:
            raise RuntimeError(f"{what}:\n{log.read_text()[-4000:]}")
        time.sleep(0.5)


def _finished(caller: Caller, location: str) -> dict[str, str]:
    deadline = time.monotonic() + WORK_SECONDS
    while True:
        job: dict[str, str] = httpx.get(f"{caller.url}{location}", headers=caller.headers, timeout=60).json()
        if job["status"] in {"completed", "failed"}:
            return job
        assert time.monotonic() < deadline, job
        time.sleep(0.2)


def test_a_worker_does_what_the_translator_takes(
    image: Image, settings: dict[str, dict[str, str]], s3_server: S3Server, tmp_path: Path
) -> None:
    port = free_port()
    ours = settings["translator"]
    caller = Caller(port, ours["JWT_SECRET"], ours["JWT_ISSUER"], ours["JWT_AUDIENCE"])
    logs = {name: tmp_path / name for name in settings}
    with running(image, logs["worker"], settings["worker"], SERVICES["worker"]["command"]) as worker:
        _await("the worker shows no life", worker, logs["worker"])
        with running(image, logs["translator"], {**ours, "PORT": str(port)}) as translator:
            caller.await_ready(translator, logs["translator"])
            taken = caller.translate(Prefer="respond-async")
            assert taken.status_code == 202
            job = _finished(caller, taken.headers["Location"])
            assert (job["status"], job["original_text"]) == ("completed", SENTENCE)
            answer = caller.translate().json()
            assert "hermana" in answer["translated_text"]
            assert answer["audio_url"].startswith(s3_server.endpoint)
            assert httpx.get(answer["audio_url"]).content.startswith(b"RIFF")
            backup = worker.exec("python", "scripts/backup.py")
            assert backup.returncode == 0, backup.stderr
            assert any(key.startswith("backups/") for key in s3_server.keys(BUCKET))
            grace = float(SERVICES["worker"]["stop_grace_period"].removesuffix("s"))
            assert worker.stop(grace) == 0
            assert translator.stop(grace) in (0, 143)
    spoken = "".join(log.read_text() for log in logs.values())
    assert [secret for secret in SECRETS.values() if secret in spoken] == []
