"""What `/` and `/web/…` answer, without a browser."""

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from src.api import error_handlers
from src.api.routes import page


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()
    app.include_router(page.router)
    error_handlers.install(app)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        yield client


@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/web/style.css", "text/css; charset=utf-8"),
        ("/web/app.js", "text/javascript; charset=utf-8"),
        ("/web/favicon.svg", "image/svg+xml"),
    ],
)
async def test_each_file_has_its_type_and_a_tag_that_saves_sending_it_again(
    client: httpx.AsyncClient, path: str, media_type: str
) -> None:
    first = await client.get(path)
    assert first.status_code == 200
    assert first.headers["content-type"] == media_type
    assert first.headers["cache-control"] == "no-cache"
    again = await client.get(path, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert (await client.get(path, headers={"If-None-Match": '"other"'})).content == first.content


async def test_the_page_names_no_address_outside_the_server_and_nothing_inline(client: httpx.AsyncClient) -> None:
    text = (await client.get("/")).text
    for forbidden in ("http:", "https:", "//", "style=", "<style", "onclick"):
        assert forbidden not in text, forbidden


@pytest.mark.parametrize("name", ["missing.js", "%2e%2e", "..%2froutes%2fpage.py", "%2fetc%2fpasswd", "__init__.py"])
async def test_nothing_else_can_be_reached(client: httpx.AsyncClient, name: str) -> None:
    assert (await client.get(f"/web/{name}")).status_code == 404
