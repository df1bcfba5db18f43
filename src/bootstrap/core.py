"""What processes that take jobs and processes that do them have in common, put together."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

from src.adapters.database.engine import Database
from src.adapters.database.jobs.job_repository import SqlJobRepository
from src.bootstrap.database import audio_budget, open_database, start_deletions
from src.bootstrap.engines import Engines, build_engines
from src.bootstrap.jobs import JobStores
from src.bootstrap.profiles import build_challenges, build_profiles
from src.bootstrap.remote import Front, start_front
from src.bootstrap.safeguards import Provenance, start_moderation, start_provenance
from src.bootstrap.shared import SharedState
from src.bootstrap.storage import StartedStorage, make_data_dir, start_storage
from src.config.settings import Settings
from src.domain.ports import AudioDecoder
from src.services.accounts.audio_budget import AudioBudget, BudgetedDecoder
from src.services.accounts.deletions import Deletions
from src.services.moderation import Moderation
from src.services.pipeline import Pipeline
from src.services.profiles.challenges import Challenges
from src.services.profiles.profiles import Profiles
from src.services.transcription import Transcription
from src.services.translation import TextTranslation
from src.services.voice_cloning import VoiceCloning
from src.workers.fleet import Fleet


@dataclass(frozen=True, slots=True)
class Core:
    """What processes that take jobs and processes that do them have in common."""

    settings: Settings
    engines: Engines
    database: Database
    stores: JobStores
    stored: StartedStorage
    transcription: Transcription
    translation: TextTranslation
    voices: VoiceCloning
    profiles: Profiles
    provenance: Provenance
    moderation: Moderation
    fleet: Fleet | None
    decoder: AudioDecoder  # counts what it decodes, where that is limited
    budget: AudioBudget | None
    challenges: Challenges
    deletions: Deletions

    @property
    def pipeline(self) -> Pipeline:
        return Pipeline(
            self.decoder,
            self.transcription,
            self.translation,
            self.voices,
            self.profiles,
            self.stores.storage,
            self.provenance.marks.marking,
            self.moderation,
        )

    @property
    def job_concurrency(self) -> int:
        return self.settings.job_concurrency or self.engines.job_concurrency


async def start_core(
    settings: Settings, engines: Engines | None, shared: SharedState, stack: AsyncExitStack, *, remote: bool
) -> Core:
    """`remote`: other processes have the engines."""
    make_data_dir(settings)
    database = open_database(settings)
    stack.push_async_callback(database.close)
    await database.start()
    await stack.enter_async_context(shared.running())
    stored = await start_storage(settings, stack)
    storage = stored.storage
    front = await start_front(settings, database, storage, shared, stack) if remote else None
    parts = await _start_engines(settings, engines, front, stack)
    budget = audio_budget(settings, database)
    decoder = BudgetedDecoder(parts.decoder, budget) if budget else parts.decoder
    challenges = build_challenges(database, parts)
    deletions = start_deletions(settings, database, storage, shared, stack)
    voices = VoiceCloning(parts.voice, parts.analyzer, shared.cache, parts.transcriber)
    return Core(
        settings,
        parts,
        database,
        JobStores(SqlJobRepository(database), storage, shared),
        stored,
        Transcription(parts.transcriber),
        TextTranslation(parts.translators, shared.cache),
        voices,
        build_profiles(settings, database, storage, decoder, voices, parts, challenges),
        await start_provenance(settings, parts.decoder, stack),
        await start_moderation(settings, database, stack),
        front.fleet if front else None,
        decoder,
        budget,
        challenges,
        deletions,
    )


async def _start_engines(
    settings: Settings, engines: Engines | None, front: Front | None, stack: AsyncExitStack
) -> Engines:
    """`engines`, or those that the settings name; of the large ones those in `front`, where there is one."""
    afar = (front.transcriber, front.voice) if front else None
    if engines is None:
        parts = await asyncio.to_thread(build_engines, settings, afar)
    else:
        parts = replace(engines, transcriber=afar[0], voice=afar[1]) if afar else engines
    if parts.close is not None:
        stack.push_async_callback(parts.close)
    runners = list(dict.fromkeys(parts.runners.values()))
    for runner in runners:
        stack.push_async_callback(runner.close)
    await asyncio.gather(*(runner.start() for runner in runners))
    return parts
