import asyncio

import pytest

from src.utils.concurrency import both, started_early
from src.utils.text import split_sentences


async def _value(value: int) -> int:
    await asyncio.sleep(0)
    return value


async def _fail() -> int:
    await asyncio.sleep(0)
    raise KeyError("first")


async def test_both_gives_both_results() -> None:
    assert await both(_value(1), _value(2)) == (1, 2)


async def test_both_cancels_the_other_and_raises_the_bare_error() -> None:
    cancelled = asyncio.Event()

    async def wait() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    with pytest.raises(KeyError):
        await both(_fail(), wait())
    assert cancelled.is_set()


async def test_leaving_the_block_stops_what_was_started_early() -> None:
    async with started_early(asyncio.sleep(60)) as task:
        await asyncio.sleep(0)
    assert task.cancelled()


async def test_an_error_that_nobody_awaits_is_swallowed_with_the_block() -> None:
    async with started_early(_fail()):
        await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two! Three?", ("One.", "Two!", "Three?")),
        ("first line\nsecond line", ("first line", "second line")),
        ("你好。再见。", ("你好。", "再见。")),
        ("It costs 3.5 euro.", ("It costs 3.5 euro.",)),
        ("   ", ()),
    ],
)
def test_sentences(text: str, sentences: tuple[str, ...]) -> None:
    assert split_sentences(text) == sentences
