"""Callers that go away before they are answered."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from fastapi import Request

from src.domain.errors import JobCancelled
from src.utils.concurrency import started_early

T = TypeVar("T")


async def disconnected(request: Request) -> None:
    """Returns when the caller has gone away. Not before the body was read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def unless_gone(request: Request, work: Coroutine[Any, Any, T], *, goes_on: bool = False) -> T:
    """What `work` comes to. A caller that goes away has no use for it: it is cancelled, and JobCancelled raised.

    `goes_on`: not so, as this caller will ask for the same again.
    """
    if goes_on:
        return await work
    async with started_early(work) as doing, started_early(disconnected(request)) as gone:
        await asyncio.wait({doing, gone}, return_when=asyncio.FIRST_COMPLETED)
        if doing.done():
            return doing.result()
        raise JobCancelled("The caller went away.")
