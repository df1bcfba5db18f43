"""The record of consents on both databases: it grows, and goes with its profile alone."""

from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from src.adapters.database.accounts.deletions import SqlDeletions
from src.adapters.database.consent_tables import consents
from src.adapters.database.engine import Database
from src.adapters.database.mapping import consent_from_row
from src.adapters.database.profiles import SqlProfileRepository
from src.domain.accounts import DeletionKind
from src.domain.consent import Consent, ConsentMethod
from src.domain.errors import NotFound
from src.domain.jobs import VoiceProfile, now
from src.domain.speech import VoiceType

NOON = now().replace(hour=12, minute=0, second=0, microsecond=0)


def consent(name: str, method: ConsentMethod = ConsentMethod.DECLARED, minutes: int = 0) -> Consent:
    received = NOON + timedelta(minutes=minutes)
    return Consent("I agree.", NOON, "gateway", method, ("ab" * 32, "cd" * 32), received, name)


def profile(name: str = "p", user: str = "ann", agreed: str = "first") -> VoiceProfile:
    return VoiceProfile(
        name, user, None, 120.0, VoiceType.MEDIUM, 0.2, 3.0, "e.voice", "r.wav", consent(f"{name}-{agreed}")
    )


@pytest.fixture
def profiles(database: Database) -> SqlProfileRepository:
    return SqlProfileRepository(database)


@dataclass(frozen=True)
class Records:
    """What is kept of consents."""

    database: Database

    async def of(self, profile_id: str) -> list[Consent]:
        """Newest first."""
        query = select(consents).where(consents.c.profile_id == profile_id).order_by(consents.c.received_at.desc())
        return [consent_from_row(row._asdict()) for row in await self.database.read(query)]


@pytest.fixture
def records(database: Database) -> Records:
    return Records(database)


async def test_a_replaced_voice_has_a_new_consent_and_the_old_one_stays_known(
    profiles: SqlProfileRepository, records: Records
) -> None:
    old = profile()
    new = replace(old, consent=consent("p-second", minutes=5))
    await profiles.save(old)
    await profiles.save(new)
    assert await profiles.get("p", "ann") == new
    assert await records.of("p") == [new.consent, old.consent]


async def test_saving_the_same_again_adds_no_consent(profiles: SqlProfileRepository, records: Records) -> None:
    await profiles.save(profile())
    await profiles.save(replace(profile(), name="work"))
    assert len(await records.of("p")) == 1


async def test_a_consent_that_is_added_is_the_profiles(profiles: SqlProfileRepository, records: Records) -> None:
    old, spoken = profile(), consent("spoken", ConsentMethod.SPOKEN_CHALLENGE, minutes=9)
    await profiles.save(old)
    assert not (await profiles.get("p", "ann")).verified
    await profiles.add_consent("p", "ann", spoken, instead_of="p-first")
    found = await profiles.get("p", "ann")
    assert (found.consent, found.verified, found.updated_at) == (spoken, True, spoken.received_at)
    assert await records.of("p") == [spoken, old.consent]


async def test_another_name_changes_nothing_else_and_is_given_by_the_owner_alone(
    profiles: SqlProfileRepository, records: Records
) -> None:
    old = profile()
    await profiles.save(old)
    for name, user in (("p", "bob"), ("q", "ann")):
        with pytest.raises(NotFound):
            await profiles.rename(name, user, "mine")
    await profiles.rename("p", "ann", "work")
    found = await profiles.get("p", "ann")
    assert found == replace(old, name="work", updated_at=found.updated_at)
    assert found.updated_at > old.updated_at
    assert await records.of("p") == [old.consent]


@pytest.mark.parametrize(
    ("name", "user", "instead_of"), [("p", "bob", "p-first"), ("q", "ann", "p-first"), ("p", "ann", "p-zero")]
)
async def test_a_consent_to_what_is_not_there_any_more_is_refused_and_not_kept(
    profiles: SqlProfileRepository, records: Records, name: str, user: str, instead_of: str
) -> None:
    await profiles.save(profile())
    with pytest.raises(NotFound):
        await profiles.add_consent(name, user, consent("late"), instead_of=instead_of)
    assert [each.id for each in await records.of("p")] == ["p-first"]
    assert not (await profiles.get("p", "ann")).verified


async def test_consents_go_with_their_profile_and_others_stay(
    profiles: SqlProfileRepository, records: Records, database: Database
) -> None:
    await profiles.save(profile())
    await profiles.save(profile("q", "bob"))
    await SqlDeletions(database, 40, 60).request(DeletionKind.PROFILE, "p", "ann", "ann")
    assert await records.of("p") == []
    assert [row.profile_id for row in await database.read(select(consents))] == ["q"]


async def test_a_voice_without_consent_is_kept_until_it_has_one(
    profiles: SqlProfileRepository, records: Records
) -> None:
    bare = replace(profile(), consent=None)
    await profiles.save(bare)
    assert (await profiles.get("p", "ann"), await profiles.of_user("ann")) == (bare, [bare])
    assert await records.of("p") == []
    await profiles.save(profile())
    assert (await profiles.get("p", "ann")).consent == consent("p-first")
    await profiles.save(bare)
    assert (await profiles.get("p", "ann")).consent is None
    assert [each.id for each in await records.of("p")] == ["p-first"]


async def test_a_consent_to_another_users_profile_is_not_kept(profiles: SqlProfileRepository, records: Records) -> None:
    await profiles.save(profile())
    with pytest.raises(NotFound):
        await profiles.save(replace(profile(user="bob"), consent=consent("theirs")))
    assert [each.id for each in await records.of("p")] == ["p-first"]
