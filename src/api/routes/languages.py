"""What this deployment can translate now."""

from fastapi import APIRouter

from src.api.dependencies import ServicesDep
from src.api.problems import problems
from src.api.schemas.system import LanguageItem, LanguagePair, LanguagesResponse, StageLanguages

router = APIRouter(prefix="/api/v1", tags=["languages"])


@router.get("/languages", responses=problems(429))
async def languages(services: ServicesDep) -> LanguagesResponse:
    """The languages and pairs that the configured engines can do, computed from the engines themselves."""
    catalog = services.languages
    return LanguagesResponse(
        languages=[
            LanguageItem(code=item.code, name=item.name, native_name=item.native_name) for item in catalog.languages
        ],
        transcription=StageLanguages(
            engine=catalog.transcription.engine, languages=list(catalog.transcription.languages)
        ),
        voice=StageLanguages(engine=catalog.voice.engine, languages=list(catalog.voice.languages)),
        pairs=[
            LanguagePair(source=pair.source, target=pair.target, route=list(pair.route), engine=pair.engine)
            for pair in catalog.pairs
        ],
    )
