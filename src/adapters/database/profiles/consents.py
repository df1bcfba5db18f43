"""The consents of voice profiles: rows are added, and go with their profile; none is changed."""

from typing import Any

from sqlalchemy import Row, Select, select
from sqlalchemy.ext.asyncio import AsyncConnection

from src.adapters.database.consent_tables import consents
from src.adapters.database.engine import Database
from src.adapters.database.mapping import consent_from_row, consent_to_values, profile_from_row
from src.adapters.database.tables import voice_profiles as profiles
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
