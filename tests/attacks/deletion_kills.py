"""Deletions whose process is killed: what is done, and what is looked for. Long by `scripts/test security`, short in
every run of the tests.
"""

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import httpx

from tests.attacks import leftovers
from tests.fakes.stand_in import Message
from tests.servers.ports import free_port
from tests.servers.redis import RedisServer
from tests.servers.s3 import KEY_ID, REGION, SECRET, S3Server
from tests.support.options import environment

_ROOT = Path(__file__).resolve().parents[2]
_CONSENT = {"given": True, "statement": "I agree.", "recorded_at": "2025-11-21T10:00:00Z"}
_SOON = {
    "src.bootstrap.use_cases.SqlDeletions": {"settle_seconds": 2},
    "src.bootstrap.stores.RedisLink": {"timeout_seconds": 2},  # a busy machine is not taken for a Redis that is away
}
_GONE_SECONDS = 60.0
_START_SECONDS = 90.0


@dataclass
class Backing:
    """Where the service keeps what it keeps. None of redis and bucket: only in `folder`."""

    folder: Path
    database_url: str
    redis: RedisServer | None = None
    s3: S3Server | None = None
    bucket: str = ""

    def environment(self) -> dict[str, str]:
        values = {"DATA_DIR": str(self.folder), "DATABASE_URL": self.database_url, "MIN_REFERENCE_SECONDS": "0"}
        values |= {"OMP_NUM_THREADS": "1", **environment(_SOON)}
        if self.redis is not None:
            values |= {"REDIS_URL": self.redis.url}
        if self.s3 is not None:
            values |= {"STORAGE": "s3", "S3_BUCKET": self.bucket, "S3_ENDPOINT_URL": self.s3.endpoint}
            values |= {"S3_REGION": REGION, "S3_ACCESS_KEY_ID": KEY_ID, "S3_SECRET_ACCESS_KEY": SECRET}
        return values

    async def everything(self, needles: list[bytes]) -> list[str]:
        """Where one of the needles is left."""
        found = leftovers.found(await leftovers.rows(self.database_url), needles)
        found += leftovers.found(leftovers.on_disk(self.folder), needles)
        if self.redis is not None:
            found += leftovers.found(leftovers.in_redis(self.redis), needles)
        if self.s3 is not None:
            found += leftovers.found(leftovers.in_bucket(self.s3, self.bucket), needles)
        return found


@dataclass
class Outcome:
    kills: int = 0
    unheard: int = 0  # the caller was not answered
    again: int = 0  # of these, the deletion was not taken, and asked for again
    seconds: list[float] = field(default_factory=list)  # from the kill until nothing was left


class Service:
    """One process of it, which may be killed and started again."""

    def __init__(self, backing: Backing) -> None:
        self._backing = backing
        self._port = free_port()
        self._log = backing.folder.with_suffix(".log")
        self.process: subprocess.Popen[bytes] | None = None
        self.http = httpx.AsyncClient(base_url=f"http://127.0.0.1:{self._port}", timeout=60)

    async def start(self) -> None:
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(  # noqa: ASYNC220 - it returns at once
                [sys.executable, "-m", "tests.fakes.stand_in", "api"],
                cwd=_ROOT,
                env={**os.environ, **self._backing.environment(), "PORT": str(self._port)},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                if (await self.http.get("/health/live")).status_code == 200:
                    return
            except httpx.TransportError:
                await asyncio.sleep(0.05)
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"it did not start:\n{self._log.read_text()[-3000:]}")

    async def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        await asyncio.to_thread(self.process.wait, 10)


@asynccontextmanager
async def running(backing: Backing) -> AsyncIterator[Service]:
    service = Service(backing)
    try:
        await service.start()
        yield service
    finally:
        await service.kill()
        await service.http.aclose()


async def kill_in_deletions(backing: Backing, rounds: int, rng: random.Random) -> Outcome:
    """Each round makes a voice and what comes of it, deletes it, kills the process meanwhile, and looks for rests."""
    outcome = Outcome()
    async with running(backing) as service:
        for number in range(rounds):
            kind = ("profile", "me", "job")[number % 3]
            path, needles = await _make(service.http, backing, kind)
            assert await backing.everything(needles), "what is looked for can be found"
            await _strike(service, path, rng, outcome)
            await _until_gone(backing, needles, outcome)
    return outcome


async def _make(http: httpx.AsyncClient, backing: Backing, kind: str) -> tuple[str, list[bytes]]:
    """What to delete, and what must not be found then."""
    words = f"words-{uuid4().hex}"
    audio = Message(words).encode()
    sent = {"reference_audio": audio, "consent": _CONSENT, "name": words}
    profile = (await http.post("/api/v1/voice/profile", json=sent)).raise_for_status().json()["profile_id"]
    message = {"audio": audio, "target_language": "es", "source_language": "en", "voice_profile_id": profile}
    job = (await http.post("/api/v1/voice/translate", json=message)).raise_for_status().json()["job_id"]
    spoken = {"text": "Hello.", "target_language": "es", "voice_profile_id": profile}
    (await http.post("/api/v1/voice/clone", json=spoken)).raise_for_status()
    if kind == "job":
        return f"/api/v1/voice/job/{job}", [job.encode()]
    needles = [
        words.encode(),
        words[::-1].encode(),
        profile.encode(),
        job.encode(),
    ]  # files have the ids in their names
    return ("/api/v1/me" if kind == "me" else f"/api/v1/voice/profile/{profile}"), needles


async def _strike(service: Service, path: str, rng: random.Random, outcome: Outcome) -> None:
    asking = asyncio.create_task(service.http.delete(path))
    await asyncio.sleep(rng.choice((0.0, 0.005, 0.01, 0.02, 0.04, 0.08, 0.15)) * rng.uniform(0.5, 1.5))
    await service.kill()
    outcome.kills += 1
    try:
        taken = (await asking).status_code == 204
    except httpx.TransportError:
        outcome.unheard += 1
        taken = False
    await service.start()
    if not taken:  # as a caller does who was not answered
        answer = await service.http.delete(path)
        assert answer.status_code in (204, 404), answer.text
        outcome.again += answer.status_code == 204


async def _until_gone(backing: Backing, needles: list[bytes], outcome: Outcome) -> None:
    began = time.monotonic()
    while left := await backing.everything(needles):
        assert time.monotonic() - began < _GONE_SECONDS, left
        await asyncio.sleep(0.3)
    outcome.seconds.append(time.monotonic() - began)
