"""Whether a file has the marks of synthetic speech."""

from fastapi import APIRouter, Request

from src.api.dependencies import Caller, ServicesDep
from src.api.disconnection import unless_gone
from src.api.intake import decode_audio
from src.api.json_route import JsonRoute
from src.api.problems import problems
from src.api.provenance import present_detection
from src.api.schemas.provenance import DetectRequest, DetectResponse
from src.services.on_demand import RecordedSpeech

router = APIRouter(prefix="/api/v1/voice", tags=["voice"], route_class=JsonRoute)


@router.post("/detect", responses=problems(400, 413, 415, 422, 429, 503, 504))
async def detect(body: DetectRequest, caller: Caller, services: ServicesDep, request: Request) -> DetectResponse:
    """Look for marks that say that speech is synthetic: a C2PA manifest, RIFF INFO fields, and, where this deployment
    has a detector, a watermark.

    Nothing that the file names is fetched. A file without marks may be synthetic all the same.
    """
    recorded = RecordedSpeech(await decode_audio(body.audio), body.audio_format)
    return present_detection(await unless_gone(request, services.on_demand.detect(caller.user_id, recorded)))
