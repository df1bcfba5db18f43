"""Tokens that open one session: once, for a minute, in all processes."""

import asyncio
import math

import pytest

from src.domain.errors import Unauthenticated
from src.domain.identity import SCOPE_ADMIN, SCOPE_VOICE, Identity, Token
from src.services.live.secrets import ClientSecrets, Opening
from src.utils.cache import Cached, MemoryCache
from src.utils.limits import WindowCounter

ANN = Identity("ann", frozenset({SCOPE_VOICE, SCOPE_ADMIN}), Token("t-1", 1000.0, 2000.0), by="gateway")
OPENING = Opening(ANN, "sess_1", {"audio": {"output": {"language": "es"}}})


def secrets() -> ClientSecrets:
    return ClientSecrets(MemoryCache(100_000), WindowCounter(), clock=lambda: 5000.0)


async def test_it_stands_for_its_maker_and_how_the_session_begins() -> None:
    each = secrets()
    secret, expires_at = await each.issue(OPENING, 600)
    opened = await each.redeem(secret)
    assert (opened.session_id, opened.session, opened.caller.user_id) == ("sess_1", OPENING.session, "ann")
    assert (opened.caller.token, opened.caller.by) == (ANN.token, "gateway")
    assert opened.caller.scopes == {SCOPE_VOICE}
    assert expires_at == 5060


async def test_a_caller_without_a_token_can_make_one() -> None:
    each = secrets()
    secret, _ = await each.issue(Opening(Identity.local(), "sess_1", {}), 60)
    assert (await each.redeem(secret)).caller.token is None
    assert Token("t", 0.0).expires_at == math.inf


async def test_it_is_used_once_whoever_comes_first() -> None:
    """Two processes that share a cache and a count."""
    shared, counter = MemoryCache(100_000), WindowCounter()
    processes = [ClientSecrets(Cached(MemoryCache(100_000), shared), counter) for _ in range(2)]
    secret, _ = await processes[0].issue(OPENING, 60)
    asked = [process.redeem(secret) for process in processes * 5]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(answer) for answer in answers].count(Opening) == 1
    assert [type(answer) for answer in answers].count(Unauthenticated) == 9


async def test_its_maker_does_not_open_what_another_process_opened() -> None:
    shared, counter = MemoryCache(100_000), WindowCounter()
    maker, other = (ClientSecrets(Cached(MemoryCache(100_000), shared), counter) for _ in range(2))
    secret, _ = await maker.issue(OPENING, 60)
    await other.redeem(secret)
    with pytest.raises(Unauthenticated):
        await maker.redeem(secret)


async def test_it_expires() -> None:
    now = 0.0
    each = ClientSecrets(MemoryCache(100_000, clock=lambda: now), WindowCounter())
    secret, _ = await each.issue(OPENING, 600)
    now = 61.0
    with pytest.raises(Unauthenticated):
        await each.redeem(secret)


@pytest.mark.parametrize("wrong", ["ek_", "ek_unknown", "", "ek_\ud800"])
async def test_others_open_nothing(wrong: str) -> None:
    with pytest.raises(Unauthenticated):
        await secrets().redeem(wrong)
