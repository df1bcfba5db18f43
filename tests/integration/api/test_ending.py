"""SIGTERM while callers wait: each is told what to do next, and the job goes on at the next start."""

import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from tests.conftest import service_process
from tests.fakes.stand_in import Message, starts
from tests.support.waiting import until

STAND_IN = ("tests.fakes.stand_in", "api")


async def test_who_waits_when_the_service_ends_is_told_where_the_job_goes_on(tmp_path: Path) -> None:
    begun, log = tmp_path / "starts", tmp_path / "data.log"
    settings = {"SHUTDOWN_GRACE_SECONDS": "1", "STAND_IN_STARTS": str(begun), "JOB_LEASE_SECONDS": "4"}
    body = {"target_language": "es", "source_language": "en"}
    message = body | {"audio": Message("hello", seconds=5).encode()}
    endless = body | {"audio": Message("endless", seconds=600).encode()}
    with (
        service_process(tmp_path / "data", STAND_IN, **settings) as (url, process),
        ThreadPoolExecutor(3) as callers,
        httpx.Client(base_url=f"{url}/api/v1/voice", timeout=60) as http,
    ):
        waiting = callers.submit(http.post, "/translate", json=message)
        keyed = callers.submit(http.post, "/translate", json=endless, headers={"Idempotency-Key": "once"})
        listening = callers.submit(http.post, "/transcribe", json=endless)
        await until(lambda: len(starts(begun)) == 3, 60)
        process.send_signal(signal.SIGTERM)
        for caller in (waiting, keyed):
            answer = caller.result()
            assert (answer.status_code, answer.json()["status"]) == (202, "processing"), answer.text
            assert answer.headers["location"] == f"/api/v1/voice/job/{answer.json()['job_id']}"
        refused = listening.result()
        assert (refused.status_code, refused.json()["code"]) == (503, "engine_unavailable"), refused.text
        assert (refused.json()["retryable"], refused.headers["retry-after"]) == (True, "5")
        assert process.wait(60) == -signal.SIGTERM  # as uvicorn ends, after all is closed
    assert "Traceback" not in log.read_text()
    with service_process(tmp_path / "data", STAND_IN, **settings) as (url, _), httpx.Client(base_url=url) as http:
        await until(lambda: http.get(waiting.result().headers["location"]).json()["status"] == "completed", 60)
