"""A request is in work until its answer begins: who reads slowly, or fails, keeps no slot."""

import asyncio

import pytest
from starlette.types import Message, Receive, Scope, Send

from src.api.middleware.rate_limit import ConcurrencyMiddleware
from src.utils.limits import LocalSlots

START: Message = {"type": "http.response.start", "status": 200, "headers": []}
SCOPE: Scope = {"type": "http", "path": "/", "method": "POST", "headers": [], "state": {}}


async def receive() -> Message:
    return {"type": "http.disconnect"}


async def status_of(middleware: ConcurrencyMiddleware) -> int:
    found: list[int] = []

    async def send(message: Message) -> None:
        found.append(int(message.get("status", 0)))

    await middleware(dict(SCOPE), receive, send)
    return found[0]


def limited(app: object) -> ConcurrencyMiddleware:
    return ConcurrencyMiddleware(app, LocalSlots(), 1, lambda _: "ann")  # type: ignore[arg-type]


async def test_a_slow_reader_keeps_no_slot() -> None:
    working, reading = asyncio.Event(), asyncio.Event()
    answers: list[None] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        answers.append(None)
        if len(answers) == 1:
            await working.wait()
        await send(dict(START))
        if len(answers) == 1:
            await reading.wait()
        await send({"type": "http.response.body", "body": b""})

    middleware = limited(app)
    first = asyncio.create_task(status_of(middleware))
    await asyncio.sleep(0.01)
    assert await status_of(middleware) == 429
    working.set()
    await asyncio.sleep(0.01)
    assert not first.done()
    assert await status_of(middleware) == 200
    reading.set()
    assert await first == 200


async def test_a_failure_and_a_cancellation_keep_no_slot() -> None:
    outcomes = [ValueError("a defect"), asyncio.CancelledError()]

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if outcomes:
            raise outcomes.pop(0)
        await send(dict(START))

    middleware = limited(app)
    for kind in (ValueError, asyncio.CancelledError):
        with pytest.raises(kind):
            await status_of(middleware)
    assert await status_of(middleware) == 200
