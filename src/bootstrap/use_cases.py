"""What the service does with stores and engines: in the process that takes requests and in a worker alike."""

import logging
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial

from src.adapters.database.accounts.deletions import SqlDeletions
from src.adapters.database.accounts.usage import SqlAudioLedger, SqlUsageRepository
from src.adapters.database.profiles import SqlChallengeRepository, SqlProfileRepository
from src.bootstrap.engines import Engines
from src.bootstrap.safeguards import Provenance, start_moderation, start_provenance
from src.bootstrap.stores import Stores, pseudonym_notices
from src.config.settings import Settings
from src.domain.ports import AudioDecoder
from src.services.accounts.audio_budget import AudioBudget, BudgetedDecoder
from src.services.accounts.deletions import Deletions
from src.services.deployment.languages import LanguageCatalog
from src.services.live.sessions import LiveSessions
from src.services.live.stages import Parts
from src.services.pipeline import Pipeline
from src.services.profiles.challenges import Challenges
from src.services.profiles.profiles import Profiles
from src.services.profiles.verification import Verification
from src.services.safeguards.moderation import Moderation
from src.services.transcription import Transcription
from src.services.translation import TextTranslation
from src.services.voice_cloning import VoiceCloning
from src.utils.concurrency import start_background

logger = logging.getLogger(__name__)

_USAGE_SECONDS = 366 * 24 * 3600.0
"""What a user used is counted for a year."""


@dataclass(frozen=True, slots=True)
class UseCases:
    """`decoder` counts what it decodes towards `budget`, where there is one."""

    decoder: AudioDecoder
    budget: AudioBudget | None
    transcription: Transcription
    voices: VoiceCloning
    challenges: Challenges
    profiles: Profiles
    deletions: Deletions
    provenance: Provenance
    moderation: Moderation
    pipeline: Pipeline


async def start_use_cases(settings: Settings, stores: Stores, engines: Engines, stack: AsyncExitStack) -> UseCases:
    """Raises EngineUnavailable for safeguards that lack what they need."""
    budget = _audio_budget(settings, stores)
    decoder = BudgetedDecoder(engines.decoder, budget) if budget else engines.decoder
    transcription = Transcription(engines.transcriber)
    voices = VoiceCloning(engines.voice, engines.analyzer, stores.shared.cache, engines.transcriber)
    challenges = Challenges(SqlChallengeRepository(stores.database), engines.transcriber)
    verification = Verification(
        challenges,
        decoder,
        transcription,
        engines.analyzer,
        required=settings.profile_verification == "required",
        timeout_seconds=settings.sync_timeout_seconds,
    )
    profiles = _profiles(settings, stores, decoder, voices, verification)
    deletions = _start_deletions(settings, stores, stack)
    provenance = await start_provenance(settings, engines.decoder, stack)
    moderation = await start_moderation(settings, stores.database, stack)
    translation = TextTranslation(engines.translators, stores.shared.cache)
    marking = provenance.marks.marking
    pipeline = Pipeline(decoder, transcription, translation, voices, profiles, stores.storage, marking, moderation)
    return UseCases(
        decoder, budget, transcription, voices, challenges, profiles, deletions, provenance, moderation, pipeline
    )


def _audio_budget(settings: Settings, stores: Stores) -> AudioBudget | None:
    """None: there is no limit."""
    seconds = settings.rate_limit_audio_seconds_per_day
    return AudioBudget(SqlAudioLedger(stores.database), seconds) if seconds else None


def _profiles(
    settings: Settings, stores: Stores, decoder: AudioDecoder, voices: VoiceCloning, verification: Verification
) -> Profiles:
    return Profiles(
        SqlProfileRepository(stores.database),
        stores.storage,
        decoder,
        voices,
        verification,
        min_reference_seconds=settings.min_reference_seconds,
        max_reference_seconds=settings.max_audio_seconds,
        consent_required=settings.profile_consent == "required",
    )


def _start_deletions(settings: Settings, stores: Stores, stack: AsyncExitStack) -> Deletions:
    """They go on until the stack is closed; then another process does."""
    usage = SqlUsageRepository(stores.database)
    old_usage = partial(usage.forget_older_than, _USAGE_SECONDS)
    rows = SqlDeletions(stores.database)
    deletions = Deletions(rows, stores.storage, stores.shared.cache, stores.shared.events, old_usage)
    start_background(deletions.run(), stack)
    for notice in pseudonym_notices(settings):
        logger.warning("%s", notice)
    return deletions


def build_live(settings: Settings, stores: Stores, engines: Engines, use_cases: UseCases, most: int) -> LiveSessions:
    """`most`: at a time."""
    parts = Parts(
        engines.activity,
        use_cases.transcription,
        use_cases.pipeline.translation,
        use_cases.voices,
        use_cases.profiles,
        use_cases.provenance.marks.marking,
        use_cases.moderation,
        LanguageCatalog(engines.transcriber, engines.translators, engines.voice),
        SqlUsageRepository(stores.database),
        use_cases.budget,
    )
    return LiveSessions(parts, most=most, most_of_user=settings.max_concurrent_requests_per_user or None)
