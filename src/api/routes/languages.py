"""What this deployment can translate now."""

from fastapi import APIRouter

from src.api.dependencies import ServicesDep
from src.api.error_handlers import problems
from src.api.schemas.system import LanguagesResponse

router = APIRouter(prefix="/api/v1", tags=["languages"])


@router.get("/languages", responses=problems(429))
async def languages(services: ServicesDep) -> LanguagesResponse:
    """The languages and pairs that the configured engines can do, computed from the engines themselves."""
    return LanguagesResponse.model_validate(services.languages, from_attributes=True)
