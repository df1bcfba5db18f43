"""Voice profiles, and the sentences for their speakers to say, in the database.

Every query; each method is one short transaction. The `work` that a method gives to `Database.write` may run again
when the connection was lost under it. All raise Overloaded and EngineUnavailable when the database cannot answer.
"""

from typing import Any

from sqlalchemy import Row, Select, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from src.adapters.database.accounts.deletions import SqlPlans, call_off, plan_now
from src.adapters.database.consent_tables import consents
from src.adapters.database.consent_tables import voice_challenges as challenges
from src.adapters.database.engine import Database
from src.adapters.database.mapping import (
    columns,
    consent_from_row,
    consent_to_values,
    profile_from_row,
    profile_to_values,
)
from src.adapters.database.statements import know_user, only, returned
from src.adapters.database.tables import users
from src.adapters.database.tables import voice_profiles as profiles
from src.domain.consent import Challenge, Consent
from src.domain.errors import NotFound, RateLimited
from src.domain.jobs import VoiceProfile, now

_PREFIX = "of_consent_"


async def keep_consent(database: Database, connection: AsyncConnection, profile: VoiceProfile) -> None:
    """Add the profile's consent, if it has one that is not there yet, in the transaction that writes the profile."""
    if profile.consent is None:
        return
    row = database.insert(consents).values(consent_to_values(profile.consent, profile.id, profile.user_id))
    await connection.execute(row.on_conflict_do_nothing(index_elements=["id"]))


def profiles_with_consents() -> Select[Any]:
    """Profiles, each with the consent that counts, or nulls."""
    columns = [column.label(_PREFIX + column.name) for column in consents.c]
    return select(profiles, *columns).outerjoin(consents, consents.c.id == profiles.c.consent_id)


def profile_of(row: Row[Any]) -> VoiceProfile:
    """A row of `profiles_with_consents`."""
    consent = {name.removeprefix(_PREFIX): value for name, value in row._asdict().items() if name.startswith(_PREFIX)}
    return profile_from_row(row, consent_from_row(consent) if consent["id"] is not None else None)


_NOT_THERE = "There is no such voice profile of this user. One saved with `user_id` is that user's: name the same here."


class SqlProfileRepository(SqlPlans):
    """Implements ProfileRepository."""

    async def save(self, profile: VoiceProfile, replaced: VoiceProfile | None = None, *, planned: bool = False) -> None:
        values = profile_to_values(profile)
        own = (profiles.c.id == profile.id) & (profiles.c.user_id == profile.user_id)
        upsert = self._database.insert(profiles).values(values)
        upsert = upsert.on_conflict_do_update(
            index_elements=["id"], set_=values, where=profiles.c.user_id == profile.user_id
        )
        change = profiles.update().where(own).values(values) if replaced is not None else upsert

        async def work(connection: AsyncConnection) -> None:
            if planned:
                await call_off(connection, _files_of(profile))
            await know_user(self._database, connection, profile.user_id)
            if (await connection.execute(change)).rowcount == 0:
                raise NotFound(_NOT_THERE)
            await keep_consent(self._database, connection, profile)
            if replaced is not None:
                await plan_now(self._database, connection, _files_of(replaced), profile)

        await self._database.write(work)  # once: else a profile that was deleted since might come back

    async def add_consent(self, profile_id: str, user_id: str, consent: Consent, *, instead_of: str) -> None:
        row = consents.insert().values(consent_to_values(consent, profile_id, user_id))
        this = (profiles.c.id == profile_id) & (profiles.c.user_id == user_id) & (profiles.c.consent_id == instead_of)
        change = profiles.update().where(this).values(consent_id=consent.id, updated_at=consent.received_at)

        async def work(connection: AsyncConnection) -> None:
            if (await connection.execute(change)).rowcount == 0:
                raise NotFound("The voice profile is not there any more, or was replaced meanwhile.")
            await connection.execute(row)

        await self._database.write(work)

    async def rename(self, profile_id: str, user_id: str, name: str) -> None:
        this = (profiles.c.id == profile_id) & (profiles.c.user_id == user_id)
        change = profiles.update().where(this).values(name=name, updated_at=now())

        async def work(connection: AsyncConnection) -> None:
            if (await connection.execute(change)).rowcount == 0:
                raise NotFound(_NOT_THERE)

        await self._database.write(work)

    async def get(self, profile_id: str, user_id: str) -> VoiceProfile:
        query = profiles_with_consents().where(profiles.c.id == profile_id, profiles.c.user_id == user_id)
        row = only(await self._database.read(query))
        if row is None:
            raise NotFound(_NOT_THERE)
        return profile_of(row)

    async def of_user(self, user_id: str) -> list[VoiceProfile]:
        query = profiles_with_consents().where(profiles.c.user_id == user_id)
        query = query.order_by(profiles.c.created_at.desc())
        rows = await self._database.read(query)
        return [profile_of(row) for row in rows]


def _files_of(profile: VoiceProfile) -> tuple[str, ...]:
    return (profile.embedding_path, *profile.audio_paths)


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
