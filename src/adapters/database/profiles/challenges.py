"""Sentences for speakers to say. Raises Overloaded and EngineUnavailable when the database cannot answer."""

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from src.adapters.database.consent_tables import voice_challenges as challenges
from src.adapters.database.engine import Database
from src.adapters.database.mapping import columns
from src.adapters.database.statements import know_user, only, returned
from src.adapters.database.tables import users
from src.domain.consent import Challenge
from src.domain.errors import NotFound, RateLimited
from src.domain.jobs import now


class SqlChallengeRepository:
    """Implements ChallengeRepository. An answered challenge stays until it expires, to be counted."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, challenge: Challenge, most_per_user: int) -> None:
        user = challenge.user_id
        expired = challenges.delete().where(challenges.c.expires_at <= now())
        alone = select(users.c.id).where(users.c.id == user).with_for_update()  # so that two do not count together
        count = select(func.count(), func.min(challenges.c.expires_at)).where(challenges.c.user_id == user)
        row = challenges.insert().values(columns(challenges, challenge))

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(expired)
            await know_user(self._database, connection, user)
            await connection.execute(alone)
            there, first_to_expire = (await connection.execute(count)).one()
            if there >= most_per_user:
                raise RateLimited(
                    f"You have been given {there} sentences in a short time. Say one of them, or wait.",
                    retry_after_seconds=max(1.0, (first_to_expire - now()).total_seconds()),
                )
            await connection.execute(row)

        await self._database.write(work)

    async def take(self, challenge_id: str, user_id: str) -> Challenge:
        present = now()
        this = (challenges.c.id == challenge_id) & (challenges.c.user_id == user_id)
        open_now = challenges.c.used_at.is_(None) & (challenges.c.expires_at > present)
        take = challenges.update().where(this, open_now).values(used_at=present).returning(challenges)
        row = only(await returned(self._database, take))
        if row is None:
            raise NotFound("There is no such challenge to be answered: it was, or it has expired. Ask for a new one.")
        return Challenge(row.id, row.user_id, row.language, row.sentence, row.expires_at)
