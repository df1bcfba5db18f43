"""What schemathesis is told beside the OpenAPI document: `SCHEMATHESIS_HOOKS=tests.attacks.openapi_hooks`.

Schema-valid bodies get what no JSON schema can say, in three of four cases: audio that is audio, languages that the
service has, consent that is given. And a count of all answers is written to the file STATUS_COUNTS at the end.
"""

import atexit
import base64
import json
import os
import random
from collections import Counter, deque
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import schemathesis
from schemathesis.core.failures import AcceptedNegativeData
from schemathesis.core.parameters import ParameterLocation
from schemathesis.generation.meta import TestPhase
from schemathesis.openapi.checks import AllowHeaderMismatch, RejectedPositiveData

from tests.recordings import audio_files

_SEMANTIC_CODES = {
    "invalid_base64",
    "audio_undecodable",
    "audio_too_short",
    "consent_required",
    "format_mismatch",
    "idempotency_key_reused",
    "no_speech_detected",
    "reference_too_short",
    "unsupported_audio_format",
    "unsupported_language",
    "verification_failed",
}
"""Refusals of schema-valid data for what it means: whether a text is sound is known to the decoder alone."""
_SEMANTIC_FIELDS = {
    "cursor",  # one that this service never gave out
    "consent.recorded_at",  # in the future
    "callback_url",  # not https, not public, or no secret to sign with
    "body",  # in `clone`: two voices, or none
    "text",  # in `clone`: signs alone, which nobody can say
}
"""Likewise, of code `validation_error`."""

_SPEAKING = ("/api/v1/voice/translate", "/api/v1/voice/clone")

_random = random.Random(5)
_counts: Counter[str] = Counter()
_heard: deque[tuple[dict[str, str], dict[str, str]]] = deque(maxlen=20)
"""Addresses of audio that answers named: key and query."""
_made: dict[str, deque[str]] = {"job_id": deque(maxlen=50), "profile_id": deque(maxlen=50)}
"""Ids of what the last cases made."""
_recordings = [
    (audio_files.ENCODERS[kind][0].value, base64.b64encode(audio_files.voice_message(kind)).decode())
    for kind in ("wav", "mp3", "aac", "flac")
]


@schemathesis.hook
def before_call(context: schemathesis.HookContext, case: schemathesis.Case[Any], kwargs: dict[str, Any]) -> None:
    """Make schema-valid bodies mean something."""
    if case.meta is None or _random.random() < 0.25:
        return
    headers = case.meta.components.get(ParameterLocation.HEADER)
    if headers is None or headers.mode.is_positive:
        case.headers.pop("X-On-Behalf-Of", None)  # the token is no service's: all the rest would not be looked at
    if not case.meta.generation.mode.is_positive:
        return
    if isinstance(case.body, dict):
        case.body = _meaningful(case.body)
        if case.operation.path == "/api/v1/voice/translate":
            case.headers["Prefer"] = _random.choice(["wait=10", "respond-async", "respond-async, wait=1"])
    if case.operation.path == "/api/v1/audio/{key}" and _heard:
        case.path_parameters, case.query = _random.choice(_heard)
    if case.meta.phase.name is TestPhase.FUZZING:  # in chains of calls ids are passed on
        known = {name: ids for name, ids in _made.items() if ids and name in case.path_parameters}
        case.path_parameters = {**case.path_parameters, **{name: _random.choice(ids) for name, ids in known.items()}}


def _meaningful(body: dict[str, Any]) -> dict[str, Any]:
    """The same body with values of ours in the fields that it has."""
    if "session" in body:  # of live translation, which takes no field that it does not know
        return body
    audio_format, audio = _random.choice(_recordings)
    ours: dict[str, Any] = {
        "audio": audio,
        "reference_audio": audio,
        "additional_references": [audio],
        "audio_format": audio_format,
        "target_language": _random.choice(["es", "ES", "es-419", "fr"]),
        "source_language": _random.choice(["en", "en-GB", None]),
        "language": _random.choice(["en", None]),
        "verification": None,
        "callback_url": None,
        "profile_id": None,
        "user_id": None,
    }
    if "file" in body:  # OpenAI's form
        ours |= {"file": base64.b64decode(audio), "prompt": ""}
    if "input" in body and (profiles := _made["profile_id"]):
        ours |= {"voice": _random.choice(profiles), "input": "Good morning."}
    if isinstance(consent := body.get("consent"), dict):
        ours["consent"] = {**consent, "given": True}
    if body.get("reference_audio") is None:
        ours.pop("reference_audio")  # a clone of a stored voice
    elif "text" in body:
        ours["voice_profile_id"] = None
    known = body.keys() | {"audio_format"}
    return body | {name: value for name, value in ours.items() if name in known}


@schemathesis.hook
def filter_failure(
    context: schemathesis.HookContext, failure: object, case: schemathesis.Case[Any], response: schemathesis.Response
) -> bool:
    """Whether it is one. See above for what is not."""
    if isinstance(failure, AllowHeaderMismatch):
        # /profile/challenge is an address of profiles, too: for GET, PATCH and DELETE `challenge` is some profile's id
        return str(case.operation.path) != "/api/v1/voice/profile/challenge"
    if isinstance(failure, AcceptedNegativeData):
        # what makes a case of a form wrong is its header, which `before_call` took away
        return not (isinstance(case.body, dict) and "file" in case.body)
    if not isinstance(failure, RejectedPositiveData):
        return True
    problem = response.json()
    if openai := problem.get("error"):
        problem = {"code": openai["code"], "detail": f"{openai['param'] or openai['message']}:"}
    wrong = {error["field"] for error in problem.get("errors", [])} or {problem["detail"].partition(":")[0]}
    return problem["code"] not in _SEMANTIC_CODES and not wrong <= _SEMANTIC_FIELDS


@schemathesis.hook
def after_call(
    context: schemathesis.HookContext, case: schemathesis.Case[Any], response: schemathesis.Response
) -> None:
    _counts[f"{response.request.method} {case.operation.path} {response.status_code}"] += 1
    if response.status_code == 200 and case.operation.path in _SPEAKING and (address := response.json()["audio_url"]):
        url = urlsplit(address)
        _heard.append(({"key": url.path.removeprefix("/api/v1/audio/")}, dict(parse_qsl(url.query))))
    is_json = "application/json" in response.headers.get("content-type", [""])[0]
    if is_json and response.status_code in (200, 202) and response.request.method == "POST":
        for name, ids in _made.items():
            if made := response.json().get(name):
                ids.append(made)


@atexit.register
def _write_counts() -> None:
    if path := os.environ.get("STATUS_COUNTS"):
        Path(path).write_text(json.dumps(_counts))
