"""The consents of voice profiles: rows are added, and go with their profile; none is changed.

Raises Overloaded and EngineUnavailable when the database cannot answer.
"""

from typing import Any

from sqlalchemy import Row, Select, select
from sqlalchemy.ext.asyncio import AsyncConnection

from src.adapters.database.consent_tables import consents
from src.adapters.database.engine import Database
from src.adapters.database.mapping import consent_from_row, consent_to_values, profile_from_row
from src.adapters.database.tables import voice_profiles as profiles
from src.domain.consent import Consent
from src.domain.errors import NotFound
from src.domain.jobs import VoiceProfile

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


class SqlConsentRepository:
    """Implements ConsentRepository."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, profile_id: str, user_id: str, consent: Consent, *, instead_of: str) -> None:
        row = consents.insert().values(consent_to_values(consent, profile_id, user_id))
        this = (profiles.c.id == profile_id) & (profiles.c.user_id == user_id) & (profiles.c.consent_id == instead_of)
        change = profiles.update().where(this).values(consent_id=consent.id, updated_at=consent.received_at)

        async def work(connection: AsyncConnection) -> None:
            if (await connection.execute(change)).rowcount == 0:
                raise NotFound("The voice profile is not there any more, or was replaced meanwhile.")
            await connection.execute(row)

        await self._database.write(work)

    async def of_profile(self, profile_id: str) -> list[Consent]:
        query = select(consents).where(consents.c.profile_id == profile_id)
        rows = await self._database.read(query.order_by(consents.c.received_at.desc(), consents.c.id))
        return [consent_from_row(row._asdict()) for row in rows]
