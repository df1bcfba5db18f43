"""Downloads behind `audio_url`, when this server keeps the audio itself. The signature in the address is the
permission.
"""

import re
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Response

from src.api.dependencies import ServicesDep
from src.api.error_handlers import problems
from src.domain.audio import AnswerFormat

router = APIRouter(prefix="/api/v1/audio", tags=["audio"])

_CONTENT: dict[str, Any] = {kind.media_type: {} for kind in AnswerFormat}
_RANGE = re.compile(r"^bytes=([0-9]{0,18})-([0-9]{0,18})$")


@router.get(
    "/{key:path}",
    response_class=Response,
    responses={200: {"content": _CONTENT}, 206: {"content": _CONTENT}, 416: {}, **problems(404, 422)},
)
async def download(
    key: str, request: Request, services: ServicesDep, wanted: Annotated[str | None, Header(alias="Range")] = None
) -> Response:
    """A stored answer. One byte range is honoured, which Safari's player needs."""
    data = await services.storage.get_signed(key, dict(request.query_params))
    headers = {"Accept-Ranges": "bytes", "Cache-Control": "private, max-age=3600"}
    kind = AnswerFormat(key.rpartition(".")[2]).media_type
    match = _RANGE.match(wanted or "")
    if match is None or match.groups() == ("", ""):
        return Response(data, media_type=kind, headers=headers)
    start, end = _bounds(match[1], match[2], len(data))
    if start >= end:
        return Response(status_code=416, headers={"Content-Range": f"bytes */{len(data)}"})
    headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(data)}"
    return Response(data[start:end], status_code=206, media_type=kind, headers=headers)


def _bounds(first: str, last: str, size: int) -> tuple[int, int]:
    """RFC 9110: `a-b`, `a-`, or `-n` for the last n bytes; as a half-open interval."""
    if not first:
        return max(0, size - int(last)), size
    return int(first), min(int(last) + 1, size) if last else size
