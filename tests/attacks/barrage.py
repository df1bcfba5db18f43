"""Sends a great many damaged recordings and bodies to a service, a few at a time, and counts what comes back."""

import asyncio
import base64
import json
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import httpx

from tests.attacks.fuzzed_service import Fuzzed, token
from tests.attacks.mutations import Recording

T = TypeVar("T")

_AT_A_TIME = 6
_CONSENT = {"given": True, "statement": "I agree.", "recorded_at": "2025-11-21T10:00:00Z"}


@dataclass
class Outcome:
    answers: Counter[tuple[int, str]] = field(default_factory=Counter)
    """By status and `code`, which is empty for success."""
    of_damage: dict[str, Counter[int]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    """Answers that no caller should get, at most twenty of them."""
    slowest_seconds: float = 0.0
    seconds: float = 0.0

    @property
    def sent(self) -> int:
        return sum(self.answers.values())

    def note(self, response: httpx.Response, seconds: float, what: str) -> None:
        said = _problem(response)
        self.answers[response.status_code, "" if response.is_success else said] += 1
        self.of_damage.setdefault(what, Counter())[response.status_code] += 1
        self.slowest_seconds = max(self.slowest_seconds, seconds)
        if (response.status_code >= 500 or not said) and len(self.wrong) < 20:
            self.wrong.append(f"{what}: {response.status_code} {response.text[:300]}")

    def table(self) -> str:
        codes = "\n".join(f"  {n:>6}  {status} {code}" for (status, code), n in sorted(self.answers.items()))
        damages = "\n".join(
            f"  {what:<18}" + "  ".join(f"{status}: {n}" for status, n in sorted(found.items()))
            for what, found in sorted(self.of_damage.items())
        )
        return f"{codes}\n{damages}"


def _problem(response: httpx.Response) -> str:
    """The code of a problem as it should be; empty for what is none."""
    if response.is_success:
        return "success"
    if response.headers.get("content-type") != "application/problem+json":
        return ""
    problem = response.json()
    return str(problem["code"]) if problem["status"] == response.status_code else ""


async def send_recordings(service: Fuzzed, recordings: Iterable[Recording]) -> Outcome:
    """Most to `transcribe`, the others to the three that keep something."""

    def request(number: int, recording: Recording) -> tuple[str, bytes, str]:
        path, body = _request(number, base64.b64encode(recording.data).decode() or "AA==", recording.declared)
        return path, json.dumps(body).encode(), recording.damage

    return await _send(service, recordings, request)


async def send_bodies(service: Fuzzed, bodies: Iterable[bytes]) -> Outcome:
    """All to `translate`."""
    return await _send(service, bodies, lambda _, body: ("translate", body, "body"))


def _request(number: int, audio: str, declared: str) -> tuple[str, dict[str, Any]]:
    if number % 10 == 1:
        return "translate", {"audio": audio, "audio_format": declared, "target_language": "es"}
    if number % 10 == 2:
        return "profile", {"reference_audio": audio, "audio_format": declared, "consent": _CONSENT}
    if number % 10 == 3:
        return "clone", {"reference_audio": audio, "audio_format": declared, "text": "Hola.", "target_language": "es"}
    return "transcribe", {"audio": audio, "audio_format": declared}


async def _send(service: Fuzzed, items: Iterable[T], request: Callable[[int, T], tuple[str, bytes, str]]) -> Outcome:
    outcome, numbered = Outcome(), enumerate(items)
    headers = {"Authorization": f"Bearer {token()}", "Content-Type": "application/json"}

    async def caller(http: httpx.AsyncClient) -> None:
        for number, item in numbered:  # shared: each is taken by one of the callers
            path, body, what = request(number, item)
            begun = time.perf_counter()
            response = await http.post(f"/api/v1/voice/{path}", content=body)
            outcome.note(response, time.perf_counter() - begun, what)

    begun = time.monotonic()
    async with httpx.AsyncClient(base_url=service.url, headers=headers, timeout=60) as http:
        await asyncio.gather(*(caller(http) for _ in range(_AT_A_TIME)))
    outcome.seconds = time.monotonic() - begun
    return outcome
