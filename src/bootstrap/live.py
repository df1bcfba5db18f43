"""Live translation: the services of the pipeline, for speech that goes on."""

from src.adapters.database.accounts.usage import SqlUsageRepository
from src.bootstrap.engines import Engines
from src.bootstrap.stores import Stores
from src.bootstrap.use_cases import UseCases
from src.config.settings import Settings
from src.services.deployment.languages import LanguageCatalog
from src.services.live.sessions import LiveSessions
from src.services.live.stages import Parts


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
