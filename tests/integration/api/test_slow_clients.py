"""Slow clients, a few for a short time; tests/security has 200 of them."""

from pathlib import Path
from urllib.parse import urlsplit

import httpx

from tests.attacks.slow_clients import Crowd, probe, time_limits
from tests.conftest import service_process
from tests.fakes.stand_in import Message
from tests.servers.waiting import until
from tests.support.options import environment


async def test_slow_clients_are_sent_away_and_keep_nobody_waiting(tmp_path: Path) -> None:
    limits = environment(time_limits(2))
    with service_process(tmp_path / "data", ("tests.fakes.stand_in", "api"), **limits) as (url, _):
        port = urlsplit(url).port
        assert port
        crowd = Crowd(port)
        crowd.come(10)
        try:
            await probe(port, 2.0)
            body = {"audio": Message("hello").encode(), "source_language": "en", "target_language": "es"}
            async with httpx.AsyncClient(base_url=url, timeout=60) as http:
                assert (await http.post("/api/v1/voice/translate", json=body)).status_code == 200
            await until(lambda: all(crowd.sent_away[kind] >= 10 for kind in ("heads", "bodies", "readers")), 100)
        finally:
            await crowd.leave()
        assert set(crowd.statuses) == {408}
