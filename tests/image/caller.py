"""A caller of a service in a container."""

import base64
import time
from dataclasses import dataclass
from pathlib import Path

import httpx
from jose import jwt

from tests.image.container import Container
from tests.recordings import audio_files

SENTENCE = "my sister will arrive at the airport tomorrow evening"

_START_SECONDS = 180.0


@dataclass(frozen=True)
class Caller:
    """Of the service at `port`, with tokens that it believes."""

    port: int
    secret: str = ""
    issuer: str = ""
    audience: str = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def headers(self) -> dict[str, str]:
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": self.audience,
            "sub": "anna",
            "iat": now,
            "exp": now + 600,
            "scope": "voice",
        }
        return {"Authorization": f"Bearer {jwt.encode(claims, self.secret, 'HS256')}"}

    def await_ready(self, container: Container, log: Path) -> None:
        """Raises RuntimeError, with the container's log."""
        deadline = time.monotonic() + _START_SECONDS
        while container.running and time.monotonic() < deadline:
            try:
                if httpx.get(f"{self.url}/health/ready", timeout=60).status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.2)
        raise RuntimeError(f"the container did not become ready:\n{log.read_text()[-4000:]}")

    def translate(self, **headers: str) -> httpx.Response:
        """A spoken message, to Spanish."""
        audio = audio_files.encode(audio_files.speech(16_000, SENTENCE), 16_000)
        body = {"audio": base64.b64encode(audio).decode(), "audio_format": "wav", "target_language": "es"}
        address = f"{self.url}/api/v1/voice/translate"
        response = httpx.post(address, json=body, headers=self.headers | headers, timeout=120)
        assert response.is_success, response.text
        return response
