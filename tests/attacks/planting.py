"""Words and secrets that no log may hold: sent through a service in every way that succeeds and fails, and looked for
afterwards in all that its processes wrote.
"""

import base64
import io
import json
import secrets
import time
import wave
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
from jose import jwt

from tests.support.options import environment
from tests.support.tokens import NO_LIMITS

PROGRAM = ("tests.support.options", "src.main")
ISSUER, AUDIENCE = "https://issuer.example", "voice"


def _word() -> str:
    """Nobody else writes it; letters only, so that no encoding changes it."""
    return "q" + "".join(secrets.choice("bcdfghjkmnpqrstvwxz") for _ in range(19))


@dataclass
class Plants:
    """`words`: what must not be found, by what it is."""

    words: dict[str, str] = field(default_factory=dict)

    def new(self, what: str) -> str:
        """The same one each time for the same `what`."""
        return self.words.setdefault(what, _word())

    def secret(self, what: str) -> str:
        """32 bytes in base64."""
        return self.words.setdefault(what, base64.b64encode(secrets.token_bytes(32)).decode())

    def also(self, what: str, text: str) -> str:
        self.words[what] = text
        return text

    def found(self, text: str) -> list[str]:
        """What of it is in the text, as it is or in base64."""
        return [what for what, word in self.words.items() if any(form in text for form in _forms(word))]


def _forms(word: str) -> Iterator[str]:
    """As it is, reversed as the stand-in translator has it, and in base64 wherever it begins."""
    yield word
    yield word[::-1]
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + word.encode()).decode().rstrip("=")
        yield encoded[-(-shift * 8 // 6) : -2]


def settings(plants: Plants) -> dict[str, str]:
    """Secrets of every kind, for PROGRAM; what they open is not there, so that each is used and fails."""
    nowhere = "127.0.0.1:1"
    return {
        **{name.upper(): str(value) for name, value in NO_LIMITS.items()},
        "LOG_LEVEL": "debug",
        "AUTH_MODE": "jwt",
        "JWT_SECRET": plants.secret("JWT_SECRET"),
        "JWT_ISSUER": ISSUER,
        "JWT_AUDIENCE": AUDIENCE,
        "STORAGE_KEYS": plants.secret("STORAGE_KEYS"),
        "WEBHOOK_SECRET": "whsec_" + plants.secret("WEBHOOK_SECRET"),
        "CALLBACK_ALLOW_HTTP": "true",
        "CALLBACK_ALLOWED_NETWORKS": "127.0.0.1/32",
        "DEEPL_API_KEY": plants.new("DEEPL_API_KEY"),
        "LIBRETRANSLATE_API_KEY": plants.new("LIBRETRANSLATE_API_KEY"),
        "REDIS_URL": f"redis://:{plants.new('the password of Redis')}@{nowhere}/0",
        "S3_ACCESS_KEY_ID": plants.new("S3_ACCESS_KEY_ID"),
        "S3_SECRET_ACCESS_KEY": plants.new("S3_SECRET_ACCESS_KEY"),
        **environment(
            {
                "src.adapters.translators.deepl.PRO_URL": f"http://{nowhere}",
                "src.adapters.translators.deepl.Budget": {"attempts": 1},
                "src.bootstrap.jobs.CallbackDelivery": {"pauses_seconds": [0]},
            }
        ),
    }


def token(plants: Plants, user: str = "ann") -> str:
    """One that is valid; the whole of it, and its signature, are planted."""
    now = int(time.time())
    claims = {"sub": user, "iss": ISSUER, "aud": AUDIENCE, "iat": now, "exp": now + 3600, "scope": "voice"}
    made = str(jwt.encode(claims, plants.secret("JWT_SECRET"), "HS256"))
    plants.also(f"the token of {user}", made)
    plants.also(f"the signature of {user}'s token", made.rpartition(".")[2])
    return made


def wav(marker: str) -> bytes:
    """A second of sound, with the marker among its samples."""
    samples = (marker.encode() * (32_000 // len(marker) + 1))[:32_000]
    with io.BytesIO() as written:
        with wave.open(written, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(16_000)
            file.writeframes(samples)
        return written.getvalue()


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


@dataclass
class Sender:
    """Sends requests, and counts the answers by status."""

    http: httpx.Client
    plants: Plants
    statuses: dict[int, int] = field(default_factory=dict)

    def send(self, method: str, path: str, **options: Any) -> httpx.Response:
        answer = self.http.request(method, path, **options)
        self.statuses[answer.status_code] = self.statuses.get(answer.status_code, 0) + 1
        return answer

    def translate(self, audio: str, **more: Any) -> httpx.Response:
        headers = {"Idempotency-Key": self.plants.new("an Idempotency-Key") + secrets.token_hex(4)}
        callback = f"http://127.0.0.1:1/{self.plants.new('a path of a callback')}?k={self.plants.new('its query')}"
        options = {"context": self.plants.new("a context"), "glossary_id": self.plants.new("a glossary")}
        body = {"audio": audio, "source_language": "en", "target_language": "es", "options": options}
        return self.send(
            "POST", "/api/v1/voice/translate", json={**body, "callback_url": callback, **more}, headers=headers
        )

    def voice(self, audio: str) -> None:
        """A profile, what it speaks, and its end."""
        plants = self.plants
        consent = {"given": True, "statement": plants.new("a consent"), "recorded_at": "2025-11-21T12:00:00Z"}
        body = {"reference_audio": audio, "name": plants.new("the name of a profile"), "consent": consent}
        made = self.send("POST", "/api/v1/voice/profile", json=body)
        clone = {"text": f"hello {plants.new('the text of a clone')}", "target_language": "es"}
        self.send("POST", "/api/v1/voice/clone", json={**clone, "reference_audio": audio})
        if made.is_success:
            profile_id = made.json()["profile_id"]
            self.send("POST", "/api/v1/voice/clone", json={**clone, "voice_profile_id": profile_id})
            self.send("DELETE", f"/api/v1/voice/profile/{profile_id}")

    def fetch(self, answer: httpx.Response) -> None:
        """The audio at its signed address, and at a wrong one."""
        if answer.is_success and (url := answer.json().get("audio_url")):
            signature = httpx.URL(url).params["signature"]
            self.plants.also(f"signature {len(self.plants.words)} of an address", signature)
            self.send("GET", str(url))
            self.send("GET", str(url).replace(signature, signature[::-1]))

    def mistakes(self) -> None:
        """Each refused, and each with a planted word where a careless line would quote it."""
        word = self.plants.new("what was sent in a request that is refused")
        path = "/api/v1/voice/translate"
        for body in (
            {"audio": f"{word}!!", "target_language": "es"},
            {"audio": encoded(word.encode() * 100), "target_language": "es"},
            {"audio": encoded(wav(word)[:60]), "target_language": "es"},
            {"audio": encoded(wav(word)), "target_language": word},
            {"audio": [word], "target_language": {word: word}},
            {"audio": encoded(wav(word)), "target_language": "es", "options": {"quality": word, word: word}},
            {"audio": encoded(wav(word)), "target_language": "es", "callback_url": f"file:///{word}"},
            {"audio": encoded(wav(word)), "target_language": "es", "voice_profile_id": word},
        ):
            self.send("POST", path, json=body)
        for raw in (f'{{"audio": "{word}', word, f'{{"audio": {json.dumps(word)}}}' * 2):
            self.send("POST", path, content=raw, headers={"Content-Type": "application/json"})
        self.send("POST", path, content=word, headers={"Content-Type": f"text/{word}"})
        for header in (f"Bearer {word}", f"Bearer {word}.{word}.{word}", word, f"Basic {word}"):
            self.send("GET", "/api/v1/voice/jobs", headers={"Authorization": header})
        self.send("GET", f"/api/v1/voice/job/{word}")
        self.send("GET", f"/api/v1/audio/results/{word}.wav?expires=9999999999&signature={word}")
        self.send("GET", f"/{word}?{word}={word}", headers={"X-Request-ID": f"{word} {word}", "traceparent": word})
        self.send("GET", "/api/v1/usage", headers={"Cookie": word, "Referer": word, "User-Agent": word})
