"""What every Storage promises, on a folder and on a bucket behind a real HTTP endpoint."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from src.adapters.storage.local import LocalStorage
from src.adapters.storage.s3 import S3Storage
from src.adapters.storage.s3_objects import PART_BYTES
from src.domain.errors import NotFound
from src.domain.ports import Storage
from tests.servers.s3 import S3Server
from tests.support.storage_options import NO_KEYS, s3_options


@pytest.fixture(params=["local", "s3", "s3 below a prefix"])
async def storage(
    request: pytest.FixtureRequest, tmp_path: Path, s3_server: S3Server
) -> AsyncIterator[LocalStorage | S3Storage]:
    if request.param == "local":
        local = LocalStorage(tmp_path / "audio", b"k" * 32, 60)
        await local.start()
        yield local
        return
    prefix = "team/voice" if request.param.endswith("prefix") else ""
    s3 = S3Storage(s3_options(s3_server, prefix=prefix), 60)
    try:
        await s3.start()
        yield s3
    finally:
        await s3.close()


SIZES = (0, 1, 100_000, PART_BYTES, PART_BYTES + 1, 2 * PART_BYTES + 12_345)


async def test_gives_back_the_bytes(storage: Storage) -> None:
    data = bytes(range(256)) * (max(SIZES) // 256 + 1)
    for size in SIZES:
        await storage.put("results/ab12.wav", data[:size])
        assert await storage.get("results/ab12.wav") == data[:size], size


async def test_a_later_file_replaces_the_earlier(storage: Storage) -> None:
    await storage.put("results/a.wav", b"first" * 1000)
    await storage.put("results/a.wav", b"second")
    assert await storage.get("results/a.wav") == b"second"


async def test_what_is_not_there_is_not_found(storage: Storage) -> None:
    await storage.put("results/a.wav", b"x")
    for key in ("results/b.wav", "results", "results/a.wav/c"):
        with pytest.raises(NotFound):
            await storage.get(key)


async def test_what_is_deleted_is_gone_and_may_be_deleted_again(storage: Storage) -> None:
    await storage.put("results/a.wav", b"x")
    await storage.put("results/b.wav", b"y")
    await storage.delete("results/a.wav")
    await storage.delete("results/a.wav")
    with pytest.raises(NotFound):
        await storage.get("results/a.wav")
    assert await storage.get("results/b.wav") == b"y"


async def test_keys_with_anything_unexpected_are_refused(storage: Storage) -> None:
    for key in (*NO_KEYS, "/".join("abcdefghi"), "x" * 201, "/".join(["x" * 100] * 6)):
        for refused in (storage.put(key, b"x"), storage.get(key), storage.delete(key), storage.delete_under(key)):
            with pytest.raises(ValueError, match="key"):
                await refused
        with pytest.raises(ValueError, match="key"):
            storage.url(key)
        with pytest.raises(NotFound):
            await storage.get_signed(key, {"expires": "9999999999", "signature": "0" * 64})


async def test_deleting_under_a_prefix_takes_what_is_old_enough_and_nothing_else(storage: Storage) -> None:
    for key in ("clones/a/1.wav", "clones/b.wav", "clonesque/c.wav"):
        await storage.put(key, b"x")
    assert await storage.delete_under("clones", older_than_seconds=3600) == 0
    assert await storage.delete_under("clones/a") == 1
    assert await storage.delete_under("clones") == 1
    assert await storage.delete_under("clones") == 0
    assert await storage.get("clonesque/c.wav") == b"x"


async def test_what_lies_under_a_prefix_is_told_with_its_size(storage: LocalStorage | S3Storage) -> None:
    for key, size in {"voices/a/1.wav": 3, "voices/b.wav": 0, "voicesque/c.wav": 5}.items():
        await storage.put(key, b"x" * size)
    assert await storage.sizes_under("voices") == {"voices/a/1.wav": 3, "voices/b.wav": 0}
    assert await storage.sizes_under("voices/a") == {"voices/a/1.wav": 3}
    assert await storage.sizes_under("nothing") == {}


async def test_a_file_comes_back_as_it_was_uploaded(storage: LocalStorage | S3Storage, tmp_path: Path) -> None:
    for size in (0, 12_345, PART_BYTES + 1):
        data, back = (bytes(range(256)) * (size // 256 + 1))[:size], tmp_path / f"back-{size}"
        (tmp_path / "here").write_bytes(data)
        await storage.upload("backups/a.dump", tmp_path / "here")
        assert await storage.get("backups/a.dump") == data
        await storage.download("backups/a.dump", back)
        assert back.read_bytes() == data
    with pytest.raises(NotFound):
        await storage.download("backups/b.dump", tmp_path / "nothing")
    assert len(files_in(tmp_path)) == 3 + 1


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_file())


async def test_readers_never_see_a_mixture_of_two_writes(storage: Storage) -> None:
    versions = {bytes([byte]) * 1_000_000 for byte in range(4)}
    await storage.put("a", next(iter(versions)))

    async def read() -> None:
        for _ in range(6):
            assert await storage.get("a") in versions

    await asyncio.gather(read(), read(), *(storage.put("a", version) for version in versions))


async def test_what_is_erased_is_gone_a_file_or_a_folder(storage: Storage) -> None:
    for key in ("results/a/1.wav", "results/a/2.wav", "results/ab/1.wav", "inputs/a.wav"):
        await storage.put(key, b"x")
    for _ in range(2):
        await storage.erase("results/a/")
        await storage.erase("inputs/a.wav")
    left = [key async for page in storage.pages_under("results") for key in page]
    assert left == ["results/ab/1.wav"]
    assert [page async for page in storage.pages_under("inputs") if page] == []
    assert storage.notices() == ()


async def test_pages_tell_what_is_old_enough(storage: Storage) -> None:
    await storage.put("results/a/1.wav", b"x")
    assert [key async for page in storage.pages_under("results", 3600) for key in page] == []
    assert [key async for page in storage.pages_under("results") for key in page] == ["results/a/1.wav"]
