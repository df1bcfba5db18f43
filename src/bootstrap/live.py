"""Live translation: the services of the pipeline, for speech that goes on."""

from src.adapters.database.accounts.usage import SqlUsageRepository
from src.bootstrap.engines import Engines
from src.bootstrap.stores import Stores
from src.bootstrap.use_cases import UseCases
from src.config.settings import Settings
from src.services.deployment.languages import LanguageCatalog
from src.services.live.events import LiveLimits
from src.services.live.sessions import LiveSessions
from src.services.live.stages import Parts


def build_live(settings: Settings, stores: Stores, engines: Engines, use_cases: UseCases) -> LiveSessions:
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
    lag = settings.live_lag_seconds
    return LiveSessions(
        parts,
        most=settings.max_live_sessions,
        most_of_user=settings.max_live_sessions_per_user or None,
        limits=LiveLimits(lag=lag, stage=2 * lag, drain=2 * lag),
    )
