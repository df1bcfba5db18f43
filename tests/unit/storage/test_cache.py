"""The cache in memory: bounded by bytes, least recently used out first, nothing past its time."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from src.domain.ports import Cache
from src.utils.cache import MemoryCache


@dataclass
class Clock:
    seconds: float = 100.0

    def __call__(self) -> float:
        return self.seconds


async def test_gives_back_what_was_set() -> None:
    cache: Cache = MemoryCache(100)
    await cache.set("a", b"one", 60)
    await cache.set("a", b"two", 60)
    assert await cache.get("a") == b"two"
    assert await cache.get("b") is None


async def test_deleted_is_gone_and_its_room_is_free() -> None:
    cache = MemoryCache(100)
    await cache.set("a", b"one", 60)
    await cache.delete("a")
    await cache.delete("a")
    assert await cache.get("a") is None
    assert cache._entries.currsize == 0


async def test_expires_after_its_time_to_live() -> None:
    clock = Clock()
    cache = MemoryCache(100, clock)
    await cache.set("a", b"one", 10)
    clock.seconds += 9.9
    assert await cache.get("a") == b"one"
    clock.seconds += 0.1
    assert await cache.get("a") is None
    assert cache._entries.currsize == 0


async def test_least_recently_used_goes_first() -> None:
    cache = MemoryCache(12)
    for key in ("a", "b", "c"):
        await cache.set(key, b"123", 60)
    assert await cache.get("a") == b"123"
    await cache.set("d", b"123", 60)
    assert await cache.get("b") is None
    assert [await cache.get(key) for key in ("a", "c", "d")] == [b"123"] * 3


async def test_value_larger_than_the_cache_is_not_kept_and_replaces_the_old_one() -> None:
    cache = MemoryCache(12)
    await cache.set("a", b"old", 60)
    await cache.set("b", b"kept", 60)
    await cache.set("a", b"x" * 12, 60)
    assert await cache.get("a") is None
    assert await cache.get("b") == b"kept"


async def test_cache_without_room_keeps_nothing() -> None:
    cache = MemoryCache(0)
    await cache.set("a", b"", 60)
    assert await cache.get("a") is None


@given(
    st.lists(st.tuples(st.sampled_from("abcdé"), st.binary(max_size=30), st.floats(-1, 10), st.floats(0, 3))),
    st.integers(0, 60),
)
async def test_never_exceeds_its_bound_and_never_gives_anything_but_the_last_value(
    steps: list[tuple[str, bytes, float, float]], max_bytes: int
) -> None:
    clock = Clock()
    cache = MemoryCache(max_bytes, clock)
    last: dict[str, tuple[bytes, float]] = {}
    for key, value, ttl, pause in steps:
        await cache.set(key, value, ttl)
        last[key] = value, clock.seconds + ttl
        clock.seconds += pause
        found = {k: v for k in last if (v := await cache.get(k)) is not None}
        assert all(last[k][0] == v and last[k][1] > clock.seconds for k, v in found.items())
        assert cache._entries.currsize == sum(len(k.encode()) + len(v) for k, v in found.items()) <= max_bytes


async def test_values_of_one_owner_are_separate_and_forgotten_together() -> None:
    cache = MemoryCache(100)
    await cache.set("a", b"ann", 60, "ann")
    await cache.set("a", b"eve", 60, "eve")
    assert [await cache.get("a", owner) for owner in ("ann", "eve", "")] == [b"ann", b"eve", None]
    await cache.forget("ann")
    assert [await cache.get("a", owner) for owner in ("ann", "eve")] == [None, b"eve"]
    assert cache._entries.currsize == len(b"aeveeve")
    await cache.forget_here()
    assert cache._entries.currsize == 0
