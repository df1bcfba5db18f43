"""The web page: a handful of files that are read once, at import, and served from memory.

A request names a key of `_FILES`, never a path, so that nothing else in the package can be reached. What the page may
load and do is said by `api/middleware/headers.py`.
"""

from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files

from fastapi import APIRouter, Request, Response

from src.domain.errors import NotFound

_MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class _File:
    body: bytes
    media_type: str
    etag: str


def _read_files() -> dict[str, _File]:
    found = {}
    for entry in files("src.api").joinpath("web").iterdir():
        media_type = _MEDIA_TYPES.get("." + entry.name.rpartition(".")[2])
        if media_type:
            body = entry.read_bytes()
            found[entry.name] = _File(body, media_type, f'"{sha256(body).hexdigest()[:32]}"')
    return found


_FILES = _read_files()

router = APIRouter(include_in_schema=False)


def _answer(name: str, request: Request) -> Response:
    file = _FILES.get(name)
    if file is None:
        raise NotFound(f"This server has no page file {name!r}.")
    # the names carry no version: a browser keeps the file and asks whether it has changed
    headers = {"Cache-Control": "no-cache", "ETag": file.etag}
    if file.etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(file.body, media_type=file.media_type, headers=headers)


@router.get("/")
async def page(request: Request) -> Response:
    """The page itself."""
    return _answer("index.html", request)


@router.get("/web/{name}")
async def page_file(name: str, request: Request) -> Response:
    """A style, module or picture of the page. Raises NotFound."""
    return _answer(name, request)
