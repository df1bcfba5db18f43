"""Mixed traffic for a while, and what is left of it: `scripts/soak.py [--minutes 30] [--restarts 20]`.

Callers send people's recordings through nginx to an API process and two workers, over PgBouncer, Postgres, Redis and S3
(moto's server), all on this machine. Exit code 1: a request failed, a process has more memory or descriptors than after
the warm-up, or files are left.
"""

import argparse
import asyncio
import base64
import os
import random
import re
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import httpx  # noqa: E402
import numpy as np  # noqa: E402

from src.domain.audio import Audio  # noqa: E402
from src.utils.audio import encode_wav  # noqa: E402
from src.utils.concurrency import background_task  # noqa: E402
from tests.fakes.stand_in import Message  # noqa: E402
from tests.servers.deployment import Deployment, deployment  # noqa: E402

MOST_GROWTH = 0.02
"""Of the memory of a process and its children."""
MOST_MORE_DESCRIPTORS = 4
"""Connections of pools, which are made when they are first needed."""
_COMPLETED = re.compile('"status": ?"completed"')
_SETTLE_SECONDS = 120.0
_QUIET_SECONDS = 5.0

Recording = dict[str, str]
"""The fields `audio` and `audio_format` of a request."""


@dataclass
class Traffic:
    """What `callers` do for a while; what failed, and how long each kind of request took, in seconds."""

    service: Deployment
    recordings: list[Recording]
    callers: int
    pace: float  # seconds between the ends of two tasks of a caller, on the mean
    took: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    failed: Counter[str] = field(default_factory=Counter)

    async def flow(self, seconds: float, restarts: int = 0) -> None:
        """Meanwhile an API process and a worker are replaced in turn, so many times."""
        until = time.monotonic() + seconds
        async with background_task(self._replace(restarts, seconds)) as replacing:
            await asyncio.gather(*(self._call(random.Random(number), until) for number in range(self.callers)))  # noqa: S311
            await replacing

    async def _replace(self, restarts: int, seconds: float) -> None:
        for number in range(restarts):
            await asyncio.sleep(seconds / (restarts + 1))
            await asyncio.to_thread(self.service.replace_worker if number % 2 else self.service.replace_api)

    async def _call(self, rng: random.Random, until: float) -> None:
        tasks: list[Callable[[httpx.AsyncClient, Recording], Awaitable[None]]] = [
            *[self._at_once] * 4,
            *(self._later, self._as_events, self._transcribed, self._voice_kept),
        ]
        while time.monotonic() < until:
            # An address and a user for each task: the gateway allows each a hundred requests a minute.
            address = f"127.{rng.randint(1, 254)}.{rng.randint(0, 254)}.{rng.randint(1, 254)}"
            transport = httpx.AsyncHTTPTransport(verify=self.service.nginx.tls, local_address=address)
            async with self.service.client(uuid4().hex, transport=transport) as http:
                with suppress(_Failed):
                    await rng.choice(tasks)(http, rng.choice(self.recordings))
            await asyncio.sleep(self.pace * rng.uniform(0.5, 1.5))

    async def _timed(self, name: str, asking: Awaitable[httpx.Response]) -> httpx.Response:
        """Raises _Failed, after it was counted."""
        began = time.monotonic()
        try:
            answer = await asking
        except httpx.HTTPError as error:
            raise self._fail(f"{name}: {type(error).__name__}") from error
        self.took[name].append(time.monotonic() - began)
        if not answer.is_success:
            raise self._fail(f"{name}: {answer.status_code}")
        return answer

    def _fail(self, why: str) -> "_Failed":
        self.failed[why] += 1
        return _Failed(why)

    async def _translate(self, http: httpx.AsyncClient, recording: Recording, name: str, **headers: str) -> None:
        """Until the job is done, or told as done."""
        wanted = {**recording, "target_language": "es", "source_language": "en", "options": {"return_base64": False}}
        answer = await self._timed(name, http.post("/api/v1/voice/translate", json=wanted, headers=headers))
        if answer.status_code == 202:
            address = answer.headers["location"]
            while answer.json()["status"] in ("pending", "processing"):
                await asyncio.sleep(1)
                answer = await self._timed("job", http.get(address))
        if not _COMPLETED.search(answer.text):
            raise self._fail(f"{name}: not completed")

    async def _at_once(self, http: httpx.AsyncClient, recording: Recording) -> None:
        await self._translate(http, recording, "translate")
        await self._forget(http)

    async def _later(self, http: httpx.AsyncClient, recording: Recording) -> None:
        await self._translate(http, recording, "translate, async", Prefer="respond-async")
        await self._forget(http)

    async def _as_events(self, http: httpx.AsyncClient, recording: Recording) -> None:
        await self._translate(http, recording, "translate, events", Accept="text/event-stream")
        await self._forget(http)

    async def _forget(self, http: httpx.AsyncClient) -> None:
        for job in (await self._timed("jobs", http.get("/api/v1/voice/jobs"))).json()["jobs"]:
            await self._timed("job, deleted", http.delete(f"/api/v1/voice/job/{job['job_id']}"))

    async def _transcribed(self, http: httpx.AsyncClient, recording: Recording) -> None:
        await self._timed("transcribe", http.post("/api/v1/voice/transcribe", json=recording))

    async def _voice_kept(self, http: httpx.AsyncClient, recording: Recording) -> None:
        body = {"reference_audio": recording["audio"], "audio_format": recording["audio_format"]}
        kept = (await self._timed("profile", http.post("/api/v1/voice/profile", json=body))).json()
        await self._timed("profile, deleted", http.delete(f"/api/v1/voice/profile/{kept['profile_id']}"))


class _Failed(Exception):
    """Counted already."""


@dataclass(frozen=True)
class Use:
    """Of a process and its children."""

    bytes: int
    descriptors: int


def use_of(process: subprocess.Popen[bytes]) -> Use:
    pids, found = [process.pid], []
    while pids:
        pid = pids.pop()
        with suppress(OSError):
            folder = Path(f"/proc/{pid}")
            resident = int((folder / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
            found.append((resident, len(os.listdir(folder / "fd"))))  # noqa: PTH208 - names alone
            pids += (int(child) for file in folder.glob("task/*/children") for child in file.read_text().split())
    return Use(sum(one for one, _ in found), sum(two for _, two in found))


async def settled(service: Deployment, before: dict[int, Use]) -> dict[int, Use]:
    """Of each process, once nothing is in work and descriptors are as few as before; or after two minutes."""
    deadline = time.monotonic() + _SETTLE_SECONDS
    while True:
        await asyncio.sleep(_QUIET_SECONDS)
        living = [process for process in service.processes if process.poll() is None]
        now = {process.pid: use_of(process) for process in living}
        if all(
            now[pid].descriptors - use.descriptors <= MOST_MORE_DESCRIPTORS for pid, use in before.items() if pid in now
        ):
            return now
        if time.monotonic() > deadline:
            return now


async def files_left(service: Deployment) -> list[str]:
    """In the bucket, two minutes after the last was deleted at most."""
    deadline = time.monotonic() + _SETTLE_SECONDS
    while True:
        keys = await asyncio.to_thread(service.s3.keys, service.bucket)
        if not keys or time.monotonic() > deadline:
            return keys
        await asyncio.sleep(1)


async def soak(traffic: Traffic, warm_seconds: float, seconds: float, restarts: int, *, judges_memory: bool) -> bool:
    """Prints what came of it. Whether all is well."""
    service = traffic.service
    await traffic.flow(warm_seconds)
    before = await settled(service, {})
    traffic.took.clear()
    await traffic.flow(seconds, restarts)
    after = await settled(service, before)
    left = await files_left(service)
    print("| request | count | p50 | p95 | p99 |\n|---|---|---|---|---|")
    for name, took in sorted(traffic.took.items()):
        p50, p95, p99 = np.percentile(took, (50, 95, 99))
        print(f"| {name} | {len(took)} | {p50:.2f} s | {p95:.2f} s | {p99:.2f} s |")
    well = not traffic.failed and not left
    print(f"failed: {dict(traffic.failed) or 'none'}; replaced: {restarts}; files left: {len(left)} {left[:5]}")
    for process in service.processes:
        if process.pid in before and process.pid in after:
            role = "worker" if process in service.workers else "api"
            one, two = before[process.pid], after[process.pid]
            growth = two.bytes / one.bytes - 1
            well &= two.descriptors - one.descriptors <= MOST_MORE_DESCRIPTORS
            well &= growth < MOST_GROWTH or not judges_memory
            memory = f"{one.bytes / 1e6:.0f} to {two.bytes / 1e6:.0f} MB ({growth:+.1%})"
            print(f"{role} {process.pid}: {memory}, descriptors {one.descriptors} to {two.descriptors}")
    return well


def real_recordings() -> list[Recording]:
    from scripts.parts import people  # noqa: PLC0415 - what stands in needs none

    clips = people.clips("en", 2.5, 8.0)[:40]
    return [_sent(encode_wav(Audio(clip.samples, people.RATE)), "wav") for clip in clips]


def stand_in_recordings() -> list[Recording]:
    return [{"audio": Message(f"message {n}", 0.05 * (n % 8)).encode(), "audio_format": "wav"} for n in range(40)]


def _sent(data: bytes, audio_format: str) -> Recording:
    return {"audio": base64.b64encode(data).decode(), "audio_format": audio_format}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Mixed traffic for a while, and what is left of it.")
    parser.add_argument("--minutes", type=float, default=30, help="after the warm-up, which is a fifth of it more (30)")
    parser.add_argument(
        "--restarts", type=int, default=0, help="processes to replace meanwhile, API and workers in turn (0)"
    )
    parser.add_argument("--callers", type=int, default=4, help="at the same time (4)")
    parser.add_argument("--pace", type=float, default=2.0, help="seconds that a caller rests between two tasks (2)")
    parser.add_argument("--engines", choices=["real", "stand-in"], default="real")
    given = parser.parse_args(arguments)
    real = given.engines == "real"
    recordings = real_recordings() if real else stand_in_recordings()
    settings = {"SHUTDOWN_GRACE_SECONDS": "60", "ENGINE_PROCESSES": "1"}
    settings |= {} if real else {"MIN_REFERENCE_SECONDS": "0"}
    with deployment(settings, real=real) as service:
        traffic = Traffic(service, recordings, given.callers, given.pace)
        seconds = 60 * given.minutes
        # short of ten minutes memory still finds its level
        run = soak(traffic, seconds / 5, seconds, given.restarts, judges_memory=given.minutes >= 10)
        return 0 if asyncio.run(run) else 1


if __name__ == "__main__":
    sys.exit(main())
