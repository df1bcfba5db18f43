"""What answers tell a browser: which pages may call, and what it may do with what it gets."""

from dataclasses import replace

import pytest

from src.api.middleware import Edge
from tests.support.edge_app import client, edge_app

EDGE = Edge(max_body_bytes=1000)
APP = "https://app.example.org"


@pytest.mark.parametrize(
    ("path", "resource", "kept"),
    [
        ("/api/v1/whoami/x", "same-origin", "no-store"),
        ("/api/v1/unknown", "same-origin", "no-store"),
        ("/health/live", "same-origin", "no-store"),
        ("/api/v1/audio/k", "cross-origin", "no-store"),
        ("/", "same-origin", None),
    ],
)
async def test_security_headers(path: str, resource: str, kept: str | None) -> None:
    async with client(edge_app(EDGE)) as http:
        headers = (await http.get(path)).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "media-src 'self' blob:" in headers["content-security-policy"] or path != "/"
    assert "http" not in headers["content-security-policy"]
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["cross-origin-resource-policy"] == resource
    assert headers.get("cache-control") == kept
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert "strict-transport-security" not in headers


async def test_strict_transport_security() -> None:
    async with client(edge_app(replace(EDGE, hsts_seconds=600))) as http:
        for path in ("/", "/api/v1/unknown"):
            assert (await http.get(path)).headers["strict-transport-security"] == "max-age=600"


@pytest.mark.parametrize(
    ("origins", "origin", "allowed"),
    [
        ((), APP, None),
        ((APP,), APP, APP),
        ((APP,), "https://evil.example.org", None),
        ((APP,), f"{APP}.evil.example.org", None),
        ((APP,), "http://app.example.org", None),
        ((APP,), "null", None),
        (("*",), "https://any.example.org", "*"),
    ],
)
async def test_origins(origins: tuple[str, ...], origin: str, allowed: str | None) -> None:
    asked = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}
    async with client(edge_app(replace(EDGE, cors_origins=origins))) as http:
        answer = await http.get("/api/v1/whoami/x", headers={"origin": origin, "cookie": "a=b"})
        preflight = await http.options("/api/v1/voice/translate", headers={"origin": origin, **asked})
    assert answer.headers.get("access-control-allow-origin") == allowed
    assert preflight.headers.get("access-control-allow-origin") == allowed
    assert (preflight.status_code == 200) == (allowed is not None)
    for each in (answer, preflight):
        assert "access-control-allow-credentials" not in each.headers
