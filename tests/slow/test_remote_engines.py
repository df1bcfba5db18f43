"""A service whose API process has no engines: everything that needs one is done by workers, over real servers."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fakes.stand_in import Message
from tests.servers.fleet import Fleet, fleet
from tests.servers.postgres import PostgresServer, name_of
from tests.servers.redis import RedisServer
from tests.support.waiting import files_under

LEASE_SECONDS = 1.0
CONSENT = {"given": True, "statement": "I agree.", "recorded_at": "2025-11-21T12:00:00Z"}
NETWORKS = ("torch", "whisper", "TTS", "onnxruntime", "resemblyzer", "pyworld")


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer) -> Iterator[Fleet]:
    folder: Path = tmp_path_factory.mktemp("remote")
    (folder / "redis").mkdir()
    with (
        RedisServer(folder / "redis") as redis,
        fleet(
            folder,
            postgres,
            redis,
            workers=1,
            JOB_LEASE_SECONDS=str(LEASE_SECONDS),
            MIN_REFERENCE_SECONDS="0",
            SYNC_TIMEOUT_SECONDS="30",
            PYTHONPROFILEIMPORTTIME="1",
        ) as whole,
    ):
        yield whole


@pytest.fixture
def http(workplace: Fleet) -> Iterator[httpx.Client]:
    """With one worker that lives."""
    if not workplace.workers:
        workplace.start_workers(1)
    with httpx.Client(base_url=workplace.url, timeout=60) as client:
        await_workers(client, 1)
        yield client


def await_workers(http: httpx.Client, count: int) -> dict[str, Any]:
    deadline = time.monotonic() + 60
    while (answer := http.get("/health").json())["workers"]["live"] != count:
        assert time.monotonic() < deadline, answer
        time.sleep(0.05)
    return dict(answer)


def post(http: httpx.Client, path: str, **body: Any) -> httpx.Response:
    return http.post(f"/api/v1/voice/{path}", json=body)


def left(workplace: Fleet) -> tuple[str, list[Path]]:
    """Rows and files of calls that are not gone after a while."""
    deadline = time.monotonic() + 60
    while True:
        rows = workplace.postgres.sql("SELECT count(*) FROM engine_calls", name_of(workplace.database_url))
        files = files_under(workplace.folder / "data/audio/inputs")
        if (rows, files) == ("0", []) or time.monotonic() > deadline:
            return rows, files
        time.sleep(0.05)


def test_everything_that_needs_an_engine_is_done_by_the_worker(workplace: Fleet, http: httpx.Client) -> None:
    hello = Message("hello").encode()
    heard = post(http, "transcribe", audio=hello)
    assert (heard.status_code, heard.json()["text"], heard.json()["engine"]) == (200, "hello", "script")
    assert workplace.starts()[-1].process == workplace.workers[0].pid

    spoken = post(http, "clone", text="Good morning.", target_language="en", reference_audio=hello)
    assert spoken.status_code == 200, spoken.text
    assert spoken.json()["duration_seconds"] == 0.5

    profile = post(http, "profile", reference_audio=hello, consent=CONSENT)
    assert profile.status_code == 200, profile.text
    profile_id = profile.json()["profile_id"]
    again = post(http, "clone", text="Good morning.", target_language="en", voice_profile_id=profile_id)
    assert again.status_code == 200

    translated = post(http, "translate", audio=hello, target_language="es", voice_profile_id=profile_id)
    assert (translated.status_code, translated.json()["translated_text"]) == (200, "olleh")
    assert left(workplace) == ("0", [])


def test_a_challenge_is_made_for_what_workers_hear_and_heard_by_them(workplace: Fleet, http: httpx.Client) -> None:
    hello, made = Message("hello").encode(), post(http, "profile/challenge", language="es").json()
    answer = {"challenge_id": made["challenge_id"], "audio": Message(made["sentence"]).encode()}
    profile = post(http, "profile", reference_audio=hello, consent=CONSENT, verification=answer)
    assert (profile.status_code, profile.json()["verified"]) == (200, True), profile.text
    assert workplace.starts()[-1].process == workplace.workers[0].pid

    path = f"profile/{profile.json()['profile_id']}/verification"
    other = post(http, "profile/challenge", language="es").json()["challenge_id"]
    refused = post(http, path, challenge_id=other, audio=answer["audio"])
    assert (refused.status_code, refused.json()["code"]) == (422, "verification_failed")
    assert post(http, "profile/challenge", language="fr").json()["code"] == "unsupported_language"


def test_the_process_that_takes_requests_has_no_engine(workplace: Fleet) -> None:
    """Neither imported, as the import times that Python wrote show, nor mapped into memory."""
    api = workplace.processes[0]
    imported = {line.rpartition("|")[2].strip() for line in workplace.log(api).splitlines() if "import time:" in line}
    assert "fastapi" in imported
    assert not {name.partition(".")[0] for name in imported} & set(NETWORKS)
    assert "libtorch" not in Path(f"/proc/{api.pid}/maps").read_text()


def test_what_the_workers_can_do_is_what_the_service_offers(http: httpx.Client) -> None:
    answer = http.get("/api/v1/languages").json()
    assert answer["transcription"] == {"engine": "script", "languages": ["en", "es"]}
    assert answer["voice"] == {"engine": "fake-voice", "languages": ["en", "fr", "es"]}
    assert [(pair["source"], pair["target"]) for pair in answer["pairs"]] == [("en", "fr"), ("en", "es")]
    health = http.get("/health").json()
    assert (health["engines"]["transcription"], health["engines"]["voice"]) == ("script", "fake-voice")
    assert (health["checks"]["workers"]["status"], health["workers"]["live"]) == ("ok", 1)


@pytest.mark.parametrize(("how", "times"), [(signal.SIGKILL, 2), (signal.SIGTERM, 1)], ids=["killed", "told to end"])
def test_a_call_survives_the_end_of_its_worker(
    workplace: Fleet, http: httpx.Client, how: signal.Signals, times: int
) -> None:
    """Another one does it again after a kill; who is told to end ends it first."""
    workplace.start_workers(1)
    message = Message(f"ends by {how.name}", seconds=1.5)
    with ThreadPoolExecutor() as pool:
        asking = pool.submit(post, http, "transcribe", audio=message.encode())
        first = started(workplace, message.words, 1)
        workplace.kill(next(worker for worker in workplace.workers if worker.pid == first), how)
        answer = asking.result(60)
    assert (answer.status_code, answer.json()["text"]) == (200, message.words)
    begun = [start.process for start in workplace.starts() if start.words == message.words]
    assert begun == [first, workplace.workers[0].pid][:times]
    assert left(workplace) == ("0", [])


def started(workplace: Fleet, words: str, times: int) -> int:
    """The process that began with it."""
    deadline = time.monotonic() + 60
    while len(found := [start for start in workplace.starts() if start.words == words]) < times:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found[times - 1].process


def test_without_workers_callers_are_told_so_and_translations_wait_for_the_next(
    workplace: Fleet, http: httpx.Client
) -> None:
    assert check(workplace) == 0
    worker = workplace.workers[0]
    workplace.kill(worker, signal.SIGTERM)
    await_workers(http, 0)  # at once: it said that it goes
    refused = post(http, "transcribe", audio=Message("nobody").encode())
    assert (refused.status_code, refused.json()["code"]) == (503, "engine_unavailable")
    assert int(refused.headers["retry-after"]) >= 1
    assert http.get("/api/v1/languages").json()["pairs"]  # for a while: it is being replaced
    headers = {"Prefer": "respond-async"}
    body = {"audio": Message("patient").encode(), "target_language": "es"}
    accepted = http.post("/api/v1/voice/translate", json=body, headers=headers)
    assert accepted.status_code == 202

    deadline = time.monotonic() + 60
    while http.get("/health/ready").status_code == 200:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert http.get("/health").json()["checks"]["workers"]["status"] == "failing"
    assert http.get("/health/live").status_code == 200
    while check(workplace) != 1:  # who drains was seen a moment longer than who takes work
        assert time.monotonic() < deadline

    workplace.start_workers(1)
    await_workers(http, 1)
    assert http.get("/health/ready").status_code == 200
    while (job := http.get(accepted.headers["location"]).json())["status"] != "completed":
        assert time.monotonic() < deadline + 20, job
        time.sleep(0.05)


def check(workplace: Fleet) -> int:
    """The exit code of a container's health check."""
    command = [sys.executable, "-m", "src.worker", "--check"]
    return subprocess.run(
        command, env=workplace.environment, timeout=60, check=False, stderr=subprocess.DEVNULL
    ).returncode


def test_a_service_that_has_never_had_a_worker_promises_nothing(
    workplace: Fleet, http: httpx.Client, tmp_path: Path, postgres: PostgresServer
) -> None:
    (tmp_path / "young").mkdir()
    young = Fleet(tmp_path / "young", postgres, workplace.redis, JOB_LEASE_SECONDS="5")
    try:
        young.start_api()
        with httpx.Client(base_url=young.url, timeout=60) as alone:
            assert alone.get("/api/v1/languages").json()["pairs"] == []
            assert alone.get("/health").json()["engines"]["voice"] == "none"
            for path, body in (
                ("translate", {"audio": Message("x").encode(), "target_language": "es"}),
                ("transcribe", {"audio": Message("x").encode(), "source_language": "en"}),
                ("clone", {"text": "x", "target_language": "es", "reference_audio": Message("x").encode()}),
            ):
                refused = post(alone, path, **body)
                assert (refused.status_code, refused.json()["code"]) == (503, "engine_unavailable"), refused.text
                assert int(refused.headers["retry-after"]) >= 1
    finally:
        young.close()
