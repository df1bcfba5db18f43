"""Slow clients, and a prober that hardly notices."""

import asyncio
import os
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.attacks.slow_clients import Crowd, established, percentile, probe, time_limits
from tests.conftest import service_process
from tests.fakes.stand_in import Message
from tests.support.options import environment
from tests.support.reporting import LONG, either, say
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(300)

CLIENTS, SECONDS, PATIENCE = either((201, 40.0, 5), (30, 4.0, 2))
KINDS = ("heads", "bodies", "readers")
LIMITS = environment(time_limits(PATIENCE))


async def test_slow_clients_are_sent_away_and_keep_nobody_waiting(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with service_process(tmp_path / "data", ("tests.fakes.stand_in", "api"), **LIMITS) as (url, process):
        port = urlsplit(url).port
        assert port
        alone = await probe(port, PATIENCE)
        crowd = Crowd(port)
        crowd.come(CLIENTS // 3, within_seconds=PATIENCE)
        most = 0
        try:
            working = asyncio.create_task(_translate(url, SECONDS))
            probing = asyncio.create_task(probe(port, SECONDS))
            while not probing.done():
                most = max(most, len(established(port)))
                await asyncio.sleep(0.5)
            took, served = await probing, await working
            await until(lambda: all(crowd.sent_away[kind] >= CLIENTS // 3 for kind in KINDS), 100)
        finally:
            await crowd.leave()
        assert process.poll() is None
    sent_away = ", ".join(f"{count} {kind}" for kind, count in sorted(crowd.sent_away.items()))
    say(
        capsys,
        f"{CLIENTS} slow clients (heads, bodies, readers) for {SECONDS:g} s, up to {most} connections; sent away: "
        f"{sent_away}; answers {dict(crowd.statuses)}\n"
        f"GET /health/live, ms: alone p50 {_ms(alone, 0.5)}, p99 {_ms(alone, 0.99)}; meanwhile p50 {_ms(took, 0.5)}, "
        f"p99 {_ms(took, 0.99)}, longest {_ms(took, 1)}, {len(took)} times; {served} translations, none failed; "
        f"load {os.getloadavg()[0]:.0f} on {os.cpu_count()} cores",
    )
    assert most >= CLIENTS or not LONG
    assert set(crowd.statuses) == {408}
    assert served > 0


async def _translate(url: str, seconds: float) -> int:
    """How many messages were translated, one after another."""
    body = {"audio": Message("hello").encode(), "source_language": "en", "target_language": "es"}
    served, until = 0, asyncio.get_running_loop().time() + seconds
    async with httpx.AsyncClient(base_url=url, timeout=60) as http:
        while asyncio.get_running_loop().time() < until:
            answer = await http.post("/api/v1/voice/translate", json=body)
            assert answer.status_code == 200, answer.text
            served += 1
            await asyncio.sleep(0.2)
    return served


def _ms(values: list[float], share: float) -> str:
    return f"{1000 * percentile(values, share):.1f}"
