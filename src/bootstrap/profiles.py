"""Settings to voice profiles, and to how the consent to them is verified."""

from src.adapters.database.engine import Database
from src.adapters.database.profiles.challenges import SqlChallengeRepository
from src.adapters.database.profiles.consents import SqlConsentRepository
from src.adapters.database.profiles.profile_repository import SqlProfileRepository
from src.bootstrap.engines import Engines
from src.config.settings import Settings
from src.domain.ports import AudioDecoder, Storage
from src.services.profiles.challenges import Challenges
from src.services.profiles.profiles import Profiles
from src.services.profiles.verification import Verification
from src.services.transcription import Transcription
from src.services.voice_cloning import VoiceCloning


def build_challenges(database: Database, engines: Engines) -> Challenges:
    return Challenges(SqlChallengeRepository(database), engines.transcriber)


def build_profiles(
    settings: Settings,
    database: Database,
    storage: Storage,
    decoder: AudioDecoder,
    voices: VoiceCloning,
    engines: Engines,
    challenges: Challenges,
) -> Profiles:
    verification = Verification(
        challenges,
        decoder,
        Transcription(engines.transcriber),
        engines.analyzer,
        required=settings.profile_verification == "required",
        timeout_seconds=settings.sync_timeout_seconds,
    )
    return Profiles(
        SqlProfileRepository(database),
        SqlConsentRepository(database),
        storage,
        decoder,
        voices,
        verification,
        min_reference_seconds=settings.min_reference_seconds,
        max_reference_seconds=settings.max_audio_seconds,
    )
