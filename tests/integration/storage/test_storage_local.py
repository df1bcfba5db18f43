"""The storage folder, on a real disk: whole files or none, private, and served only at addresses that it signed.

What it has in common with a bucket is in test_storage_contract.py.
"""

import asyncio
import fcntl
import multiprocessing
import os
import stat
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from src.adapters.storage.local import LocalStorage
from src.adapters.storage.private_files import load_or_create_key
from src.domain.errors import EngineUnavailable, NotFound
from src.domain.ports import Storage

SIGNING_KEY = b"k" * 32


@dataclass
class Clock:
    seconds: float = 1_000_000.5

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "var" / "audio"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def storage(root: Path, clock: Clock) -> LocalStorage:
    return LocalStorage(root, SIGNING_KEY, url_ttl_seconds=60, clock=clock)


def tree(folder: Path) -> list[Path]:
    return [folder, *folder.rglob("*")]


def stored(folder: Path) -> list[str]:
    """The names in the folder but for that of partial files; none when there is no folder."""
    return sorted(path.name for path in folder.glob("*") if path.name != ".partial")


def split_url(url: str) -> tuple[str, dict[str, str]]:
    """Key and query, as the route that serves audio sees them."""
    parts = urlsplit(url)
    return parts.path.removeprefix("/api/v1/audio/"), dict(parse_qsl(parts.query))


async def test_delete_removes_the_file_and_its_empty_folders_only(storage: Storage, root: Path) -> None:
    await storage.put("profiles/p1/voice.npz", b"x")
    await storage.put("profiles/p2.wav", b"y")
    await storage.delete("profiles/p1/voice.npz")
    await storage.delete("profiles/p1/voice.npz")
    assert stored(root) == ["profiles"]
    assert stored(root / "profiles") == ["p2.wav"]
    assert await storage.get("profiles/p2.wav") == b"y"
    await storage.delete("profiles/p2.wav")
    assert stored(root) == []


async def test_files_and_folders_are_private(storage: LocalStorage, root: Path) -> None:
    previous = os.umask(0)
    try:
        await storage.start()
        await storage.put("profiles/p1/voice.npz", b"x")
    finally:
        os.umask(previous)
    modes = {path.is_dir(): stat.S_IMODE(path.stat().st_mode) for path in tree(root)}
    assert modes == {True: 0o700, False: 0o600}


async def test_put_beside_deletes_that_empty_the_folder_succeeds(storage: LocalStorage) -> None:
    async def come_and_go(name: str) -> None:
        for _ in range(100):
            await storage.put(f"shared/{name}", b"x")
            assert await storage.get(f"shared/{name}") == b"x"
            await storage.delete(f"shared/{name}")

    await asyncio.gather(*(come_and_go(name) for name in "abcdef"))


async def test_services_that_share_a_folder_do_not_take_it_from_each_other(root: Path, clock: Clock) -> None:
    async def use(name: str) -> None:
        storage = LocalStorage(root, b"k" * 32, 60, clock=clock)
        for number in range(400):
            await storage.put(f"calls/{name}-{number}/arguments", b"x")
            await storage.delete_under(f"calls/{name}-{number}")
            await storage.delete_under("calls", 100.0)

    await asyncio.gather(*(use(name) for name in "abcd"))
    assert stored(root) == []


async def test_cancelled_put_writes_no_more_once_it_has_ended(storage: LocalStorage, root: Path) -> None:
    for attempt in range(20):
        writer = asyncio.create_task(storage.put(f"a{attempt}", b"x" * 8_000_000))
        await asyncio.sleep(0)
        time.sleep(0.001)  # noqa: ASYNC251 - the thread is at work, and this loop cannot hear that it has ended
        writer.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writer
        await storage.delete(f"a{attempt}")
        assert stored(root) == stored(root / ".partial") == []
    await asyncio.get_running_loop().shutdown_default_executor()  # the threads have ended
    assert stored(root) == []


async def test_start_removes_leftovers_of_killed_writes_but_no_running_one(storage: LocalStorage, root: Path) -> None:
    await storage.start()
    old, running = root / ".partial" / "old", root / ".partial" / "running"
    for path in (old, running):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 3600,) * 2)
    await storage.start()
    assert not old.exists()
    assert running.exists()


async def test_disk_that_refuses_is_reported_as_unavailable(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path / "audio", SIGNING_KEY, 60)
    await storage.put("folder/file", b"x")
    with pytest.raises(EngineUnavailable) as refusal:
        await storage.put("folder", b"y")  # a folder has this name
    assert refusal.value.retryable
    assert stored(tmp_path / "audio" / ".partial") == []


async def test_signed_address_gives_the_file_until_it_expires(storage: LocalStorage, clock: Clock) -> None:
    await storage.put("results/a.wav", b"sound")
    key, query = split_url(storage.url("results/a.wav"))
    assert key == "results/a.wav"
    assert await storage.get_signed(key, {**query, "download": "1"}) == b"sound"
    clock.seconds += 59
    assert await storage.get_signed(key, query) == b"sound"
    clock.seconds += 1
    with pytest.raises(NotFound):
        await storage.get_signed(key, query)


async def test_address_holds_for_its_own_key_expiry_and_signing_key_only(storage: LocalStorage, root: Path) -> None:
    await storage.put("results/a.wav", b"a")
    await storage.put("results/b.wav", b"b")
    key, query = split_url(storage.url("results/a.wav"))
    forged = [
        ("results/b.wav", query),
        (key, {**query, "expires": str(int(query["expires"]) + 1)}),
        (key, {**query, "expires": "0" + query["expires"]}),
        (key, {**query, "expires": "٣"}),
        (key, {**query, "signature": query["signature"][:-1]}),
        (key, {**query, "signature": ""}),
        (key, {**query, "signature": "é\ud800"}),
        (key, {"expires": query["expires"]}),
        (key, {"signature": query["signature"]}),
        (key, {}),
        (key, split_url(LocalStorage(root, b"other" * 8, 60).url(key))[1]),
    ]
    for other_key, other_query in forged:
        with pytest.raises(NotFound):
            await storage.get_signed(other_key, other_query)
    assert await storage.get_signed(key, query) == b"a"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
@given(key=st.text(max_size=20), expires=st.text(max_size=12), signature=st.text(max_size=70))
async def test_no_made_up_address_is_answered(storage: LocalStorage, key: str, expires: str, signature: str) -> None:
    with pytest.raises(NotFound):
        await storage.get_signed(key, {"expires": expires, "signature": signature})


def test_short_signing_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        LocalStorage(tmp_path, b"short", 60)


def test_key_is_made_once_and_private(tmp_path: Path) -> None:
    path = tmp_path / "var" / "url-signing.key"
    key = load_or_create_key(path)
    assert len(key) == 32
    assert load_or_create_key(path) == key
    assert load_or_create_key(tmp_path / "another.key") != key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [child.name for child in path.parent.iterdir()] == [path.name]


def test_processes_that_start_together_get_the_same_key(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        for number in range(10):
            keys = pool.map(load_or_create_key, [tmp_path / f"{number}.key"] * 16, chunksize=1)
            assert len(set(keys)) == 1


def test_damaged_key_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "url-signing.key"
    path.write_bytes(b"short")
    with pytest.raises(ValueError, match="signing key"):
        load_or_create_key(path)


async def test_erasing_takes_what_killed_writes_left_but_nothing_that_is_being_written(
    storage: LocalStorage, root: Path
) -> None:
    await storage.start()
    left, written = root / ".partial" / "left", root / ".partial" / "written"
    for path in (left, written):
        path.write_bytes(b"a voice")
        os.utime(path, (0, 0))
    with written.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)  # as whoever writes it does
        await storage.erase("results/a.wav")
    assert (left.exists(), written.exists()) == (False, True)
