"""Small ways of doing things at the same time without leaking tasks, or what they hold."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import Any, TypeVar

logger = logging.getLogger(__name__)

A = TypeVar("A")
B = TypeVar("B")


async def run_both(first: Coroutine[Any, Any, A], second: Coroutine[Any, Any, B]) -> tuple[A, B]:
    """Run two coroutines at the same time. When one fails the other is cancelled, and that one's error is raised."""
    try:
        async with asyncio.TaskGroup() as tasks:
            one, two = tasks.create_task(first), tasks.create_task(second)
    except ExceptionGroup as group:
        raise group.exceptions[0] from None
    return one.result(), two.result()


async def finish_before_cancel(work: Coroutine[Any, Any, A]) -> A:
    """Like `await work`; but a caller that is cancelled waits until it has ended, and is cancelled then.

    For work that must not be left half-way: a connection that is being opened belongs to nobody yet who could close it.
    """
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        if not task.cancelled():
            task.exception()  # seen
        raise


@asynccontextmanager
async def background_task(work: Coroutine[Any, Any, A]) -> AsyncIterator[asyncio.Task[A]]:
    """Start `work` now, to be awaited later inside the block; leaving the block cancels what still runs."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def for_each(items: Iterable[A], work: Callable[[A], Awaitable[object]], *, at_once: int) -> None:
    """Do `work` with each, so many at a time; the first error stops all."""
    waiting = iter(items)

    async def one_after_another() -> None:
        for item in waiting:
            await work(item)

    workers = [asyncio.create_task(one_after_another()) for _ in range(at_once)]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)


async def in_order(
    items: AsyncGenerator[A], work: Callable[[A], Coroutine[Any, Any, B]], *, at_once: int, first_alone: bool = False
) -> AsyncGenerator[B]:
    """What `work` makes of each item as it comes, in the order of the items. So many are taken on before the first of
    them is taken off; `first_alone`: of the very first none beside it, until what follows it is asked for. The first
    error, of `items` too, stops all. Close it: that closes `items`.
    """
    begun: asyncio.Queue[asyncio.Task[B] | None] = asyncio.Queue()  # `room` bounds it
    room, tasks, several = asyncio.Semaphore(at_once), list[asyncio.Task[B]](), asyncio.Event()
    if not first_alone:
        several.set()

    async def begin() -> None:
        try:
            async with aclosing(items):
                async for item in items:
                    await room.acquire()
                    tasks.append(asyncio.create_task(work(item)))
                    begun.put_nowait(tasks[-1])
                    await several.wait()
        finally:
            begun.put_nowait(None)

    async with background_task(begin()) as beginning:
        try:
            while (task := await begun.get()) is not None:
                yield await task
                tasks.remove(task)
                room.release()
                several.set()
            await beginning
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def after(first: A, rest: AsyncGenerator[A]) -> AsyncGenerator[A]:
    """All items of which the first was taken already. Close it: that closes `rest`."""
    async with aclosing(rest):
        yield first
        async for item in rest:
            yield item


def start_background(work: Coroutine[Any, Any, None], stack: AsyncExitStack) -> None:
    """Run it beside the service, until that closes."""
    task = asyncio.create_task(work)
    task.add_done_callback(_log_failure)
    stack.push_async_callback(_stop, task)


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.error("a background task ended", exc_info=error)


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
