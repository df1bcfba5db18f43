"""Challenges on both databases: for one user, one answer, a while; and so many."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import select

from src.adapters.database.consent_tables import voice_challenges
from src.adapters.database.engine import Database
from src.adapters.database.profiles import SqlChallengeRepository
from src.adapters.database.tables import users
from src.domain.consent import Challenge
from src.domain.errors import NotFound, RateLimited
from src.domain.jobs import now

MANY = 100


def challenge(user: str = "ann", seconds: float = 60.0) -> Challenge:
    return Challenge(uuid4().hex, user, "en", "My uncle reads.", now() + timedelta(seconds=seconds))


@pytest.fixture
def challenges(database: Database) -> SqlChallengeRepository:
    return SqlChallengeRepository(database)


async def test_a_challenge_can_be_taken_once(challenges: SqlChallengeRepository) -> None:
    made = challenge()
    await challenges.add(made, MANY)
    assert await challenges.take(made.id, "ann") == made
    with pytest.raises(NotFound):
        await challenges.take(made.id, "ann")


async def test_a_challenge_is_taken_by_one_of_many_concurrent_callers(challenges: SqlChallengeRepository) -> None:
    made = challenge()
    await challenges.add(made, MANY)
    got = await asyncio.gather(*(challenges.take(made.id, "ann") for _ in range(20)), return_exceptions=True)
    assert got.count(made) == 1
    assert sum(isinstance(each, NotFound) for each in got) == 19


async def test_a_challenge_of_another_user_or_an_expired_one_is_not_found(challenges: SqlChallengeRepository) -> None:
    made, late = challenge(), challenge(seconds=-0.001)
    await challenges.add(made, MANY)
    await challenges.add(late, MANY)
    for name, user in ((made.id, "bob"), (late.id, "ann"), ("nothing", "ann")):
        with pytest.raises(NotFound):
            await challenges.take(name, user)
    assert await challenges.take(made.id, "ann") == made


async def test_a_user_gets_so_many_until_the_first_expires_whether_they_are_answered_or_not(
    challenges: SqlChallengeRepository,
) -> None:
    first = challenge(seconds=30)
    await challenges.add(first, 3)
    await challenges.add(challenge(), 3)
    await challenges.take(first.id, "ann")
    await challenges.add(challenge(), 3)
    with pytest.raises(RateLimited) as refusal:
        await challenges.add(challenge(), 3)
    assert refusal.value.retry_after_seconds is not None
    assert 20 < refusal.value.retry_after_seconds <= 30
    await challenges.add(challenge("bob"), 3)


async def test_concurrent_requests_get_no_more_challenges_than_the_limit(challenges: SqlChallengeRepository) -> None:
    got = await asyncio.gather(*(challenges.add(challenge(), 3) for _ in range(12)), return_exceptions=True)
    assert got.count(None) == 3
    assert sum(isinstance(each, RateLimited) for each in got) == 9


async def test_expired_challenges_make_room(challenges: SqlChallengeRepository, database: Database) -> None:
    for user in ("ann", "ann", "bob"):
        await challenges.add(challenge(user, seconds=0.02), 2)
    await asyncio.sleep(0.05)
    made = challenge()
    await challenges.add(made, 1)
    assert [row.id for row in await database.read(select(voice_challenges))] == [made.id]


async def test_challenges_are_deleted_with_their_user(challenges: SqlChallengeRepository, database: Database) -> None:
    await challenges.add(challenge(), MANY)
    async with database._writer.begin() as connection:
        await connection.execute(users.delete().where(users.c.id == "ann"))
    assert await database.read(select(voice_challenges)) == []
