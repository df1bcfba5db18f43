"""`scripts/rotate_keys.py` over a folder and a bucket, beside a service that goes on, and killed midway."""

import asyncio
import base64
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from scripts.rotate_keys import main
from src.adapters.storage.local import LocalStorage
from src.adapters.storage.s3 import S3Storage
from src.adapters.storage.sealed import Keyring, is_sealed
from src.bootstrap.storage import FOLDERS, new_key
from src.config.values import storage_keys
from tests.conftest import ROOT
from tests.fakes.engines import served
from tests.integration.storage.test_sealed_storage import MESSAGE, clone, make_profile, settings_in
from tests.servers.s3 import KEY_ID, REGION, SECRET, S3Server
from tests.support.messages import CONSENT
from tests.support.storage_options import s3_options

OLD, NEW = new_key(), new_key()


def ring(*keys: str) -> Keyring:
    return Keyring(storage_keys(",".join(keys))[0])


def files(folder: Path) -> dict[str, bytes]:
    """What lies there; a file that goes meanwhile is none."""
    audio, found = folder / "audio", {}
    for path in (path for part in FOLDERS for path in (audio / part).rglob("*")):
        with suppress(FileNotFoundError, IsADirectoryError):
            found[path.relative_to(audio).as_posix()] = path.read_bytes()
    return found


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> "Command":
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    return Command(monkeypatch, capsys)


class Command:
    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys

    def __call__(self, keys: str | None, *arguments: str, code: int = 0) -> dict[str, Any]:
        if keys is not None:
            self._monkeypatch.setenv("STORAGE_KEYS", keys)
        ended = main(arguments)
        out, err = self._capsys.readouterr()
        assert ended == code, err
        assert OLD not in out + err
        assert NEW not in out + err
        said: dict[str, Any] = json.loads(out)
        return said


def written(folder: Path, keyring: Keyring | None, count: int = 6, size: int = 300) -> dict[str, bytes]:
    """Files in every folder of the storage; without a keyring as an earlier release left them."""
    made = {}
    for part in ("inputs", "results/j", "references", "embeddings", "clones/p"):
        for number in range(count):
            key, data = f"{part}/{number:04}.wav", b"RIFF" + os.urandom(size)
            path = folder / "audio" / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(keyring.seal(key, data) if keyring else data)
            made[key] = data
    return made


def test_everything_is_sealed_under_the_newest_key_and_the_old_one_may_go(run: Command, tmp_path: Path) -> None:
    made = written(tmp_path / "data", ring(OLD))
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "data").rglob("*.wav")}
    dry = run(f"{NEW},{OLD}", "--dry-run")
    assert (dry["sealed"], dry["already"]) == (30, 0)
    done = run(f"{NEW},{OLD}")
    assert (done["sealed"], done["already"], done["gone"], done["unopened"]) == (30, 0, 0, 0)
    assert {key: ring(NEW).open(key, data) for key, data in files(tmp_path / "data").items()} == made
    assert {path: path.stat().st_mtime_ns for path in before} == before  # what is erased by age still is
    again = run(NEW)
    assert (again["sealed"], again["already"]) == (0, 30)


def test_files_of_an_earlier_release_are_sealed_and_then_no_others_are_taken(run: Command, tmp_path: Path) -> None:
    made = written(tmp_path / "data", None)
    assert run(None, "--dry-run")["sealed"] == 30
    key_file = tmp_path / "data" / "storage.key"
    assert key_file.read_text().splitlines()[1:] == ["plain"]
    assert run(None)["sealed"] == 30
    (key,) = key_file.read_text().splitlines()
    assert {name: ring(key).open(name, data) for name, data in files(tmp_path / "data").items()} == made
    assert oct(key_file.stat().st_mode)[-3:] == "600"


def test_what_does_not_open_is_told_and_left_as_it_is(run: Command, tmp_path: Path) -> None:
    written(tmp_path / "data", ring(OLD), count=1)
    foreign, cut = tmp_path / "data/audio/references/0000.wav", tmp_path / "data/audio/embeddings/0000.wav"
    foreign.write_bytes(ring(new_key()).seal("references/0000.wav", MESSAGE))
    cut.write_bytes(cut.read_bytes()[:-1])
    before = foreign.read_bytes(), cut.read_bytes()
    said = run(f"{NEW},{OLD}", code=3)
    assert said["unopened_files"] == ["embeddings/0000.wav", "references/0000.wav"]
    assert (said["ok"], said["sealed"]) == (False, 3)
    assert (foreign.read_bytes(), cut.read_bytes()) == before


def test_without_a_key_there_is_nothing_to_seal_under(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE", "s3")
    monkeypatch.setenv("S3_BUCKET", "somewhere")
    assert "STORAGE_KEYS" in run(None, code=2)["error"]


def test_a_new_key_is_all_that_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--new-key"]) == 0
    out, err = capsys.readouterr()
    assert len(storage_keys(out)[0]) == 1
    assert (len(out.splitlines()), err) == (1, "")


def test_a_bucket_is_rotated_but_for_what_callers_fetch_from_it(
    run: Command, monkeypatch: pytest.MonkeyPatch, s3_server: S3Server
) -> None:
    bucket = s3_server.new_bucket()
    for name, value in {
        "STORAGE": "s3",
        "S3_BUCKET": bucket,
        "S3_PREFIX": "voice",
        "S3_ENDPOINT_URL": s3_server.endpoint,
        "S3_REGION": REGION,
        "S3_ACCESS_KEY_ID": KEY_ID,
        "S3_SECRET_ACCESS_KEY": SECRET,
    }.items():
        monkeypatch.setenv(name, value)
    large = MESSAGE * 400_000  # more than one part

    async def put(pairs: dict[str, bytes]) -> None:
        storage = S3Storage(s3_options(s3_server, bucket=bucket, prefix="voice"), 60)
        await storage.start()
        for key, data in pairs.items():
            await storage.put(key, data)
        await storage.close()

    sealed = ring(OLD).seal("references/a.wav", large)
    asyncio.run(put({"references/a.wav": sealed, "embeddings/b.voice": b"before", "results/c.wav": b"fetched"}))
    assert run(f"{NEW},{OLD}", code=3)["unopened_files"] == ["embeddings/b.voice"]
    assert run(f"{NEW},{OLD},plain")["sealed"] == 1
    got = {key: s3_server.client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in s3_server.keys(bucket)}
    assert ring(NEW).open("references/a.wav", got["voice/references/a.wav"]) == large
    assert ring(NEW).open("embeddings/b.voice", got["voice/embeddings/b.voice"]) == b"before"
    assert got["voice/results/c.wav"] == b"fetched"


@pytest.mark.parametrize("kind", ["folder", "bucket"])
async def test_what_was_deleted_or_written_meanwhile_stays_so(kind: str, tmp_path: Path, s3_server: S3Server) -> None:
    storage: LocalStorage | S3Storage = LocalStorage(tmp_path / "audio", b"k" * 32, 60)
    if kind == "bucket":
        storage = S3Storage(s3_options(s3_server), 60)
    await storage.start()
    try:
        for key in ("references/a", "references/b", "references/c"):
            await storage.put(key, b"old")
        versions = {key: (await storage.read_version(key))[1] for key in await storage.sizes_under("references")}
        await storage.delete("references/a")
        await storage.put("references/b", b"newer")
        replaced = {key: await storage.replace(key, b"resealed", version) for key, version in versions.items()}
        assert replaced == {"references/a": False, "references/b": False, "references/c": True}
        assert set(await storage.sizes_under("references")) == {"references/b", "references/c"}
        assert await storage.get("references/b") == b"newer"
        assert await storage.get("references/c") == b"resealed"
    finally:
        if isinstance(storage, S3Storage):
            await storage.close()


async def test_deletes_beside_a_rotation_leave_nothing_behind(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path / "audio", b"k" * 32, 60)
    await storage.start()
    keys = [f"references/{number}" for number in range(200)]
    for key in keys:
        await storage.put(key, b"old")
    versions = {key: (await storage.read_version(key))[1] for key in keys}

    async def reseal() -> None:
        for key in random.sample(keys, len(keys)):
            await storage.replace(key, b"new", versions[key])

    async def delete() -> None:
        for key in random.sample(keys, len(keys)):
            await storage.delete(key)

    await asyncio.gather(reseal(), reseal(), delete())
    assert await storage.sizes_under("references") == {}
    assert list((tmp_path / "audio" / ".partial").iterdir()) == []


def test_the_service_goes_on_while_its_keys_are_changed_and_a_killed_rotation_is_done_again(
    run: Command, tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    with served(settings_in(folder, storage_keys=OLD)) as http:
        profile_id = make_profile(http)
    written(folder, ring(OLD), count=150, size=20_000)
    both = f"{NEW},{OLD}"
    with served(settings_in(folder, storage_keys=both)) as http, closing(Readers(http, profile_id)) as readers:
        killed, last = 0, -1
        while killed < 3:
            rotation = started(both, folder)
            deadline = time.monotonic() + 60
            while (done := resealed(folder)) <= last and time.monotonic() < deadline and rotation.poll() is None:
                time.sleep(0.002)
            if rotation.poll() is not None:
                break
            rotation.send_signal(signal.SIGKILL)
            rotation.wait(30)
            killed, last = killed + 1, done
        assert killed >= 2
        finished = run(both)
        assert finished["already"] >= 1
        assert finished["sealed"] + finished["already"] + finished["gone"] >= 752
        after = make_profile(http)
    assert readers.answers > 0
    assert readers.refusals == []
    stored = files(folder)
    assert all(ring(NEW).open(key, data) for key, data in stored.items())
    with served(settings_in(folder, storage_keys=NEW)) as http:
        assert [clone(http, profile).status_code for profile in (profile_id, after)] == [200, 200]


def resealed(folder: Path) -> int:
    """How many files are under the new key."""
    new = ring(NEW)
    return sum(new.is_newest(data) for data in files(folder).values() if is_sealed(data))


def started(keys: str, folder: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, ROOT / "scripts" / "rotate_keys.py"],
        env={**os.environ, "STORAGE_KEYS": keys, "DATA_DIR": str(folder)},
        stdout=subprocess.DEVNULL,
    )


class Readers:
    """Speak with a profile, and make others, all the time."""

    def __init__(self, http: httpx.Client, profile_id: str) -> None:
        self._http, self._profile_id = http, profile_id
        self.answers, self.refusals = 0, list[str]()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        body = {"reference_audio": base64.b64encode(MESSAGE).decode(), "consent": CONSENT}
        while not self._stop.is_set():
            made = self._http.post("/api/v1/voice/profile", json=body)
            for answer in (clone(self._http, self._profile_id), made):
                self.answers += 1
                if answer.is_error:
                    self.refusals.append(answer.text)
            self._http.delete(f"/api/v1/voice/profile/{made.json().get('profile_id')}")

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
