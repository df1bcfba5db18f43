"""The service to throw things at, in a process of its own: `python -m tests.attacks.fuzzed_service`.

Everything is real, with tokens, but the engines behind the decoder: they are stand-ins, and instant. Settings come
from the environment.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen

from jose import jwt

from src import main as service
from src.bootstrap.engines import Engines, decoder_pool
from src.config.settings import Settings
from src.domain.audio import Audio
from src.domain.speech import SpeechRequest
from src.workers.engines import RemoteDecoder
from tests.conftest import service_process
from tests.fakes.fakes import FakeAnalyzer, FakeTranscriber, FakeTranslator, FakeVoice, FakeVoiceActivity
from tests.support import options
from tests.support.tokens import NO_LIMITS

_SECRET = "what signs tokens of a service that is fuzzed"
_ISSUER = _AUDIENCE = "fuzzing"
_SETTINGS = {
    "AUTH_MODE": "jwt",
    "JWT_SECRET": _SECRET,
    "JWT_ISSUER": _ISSUER,
    "JWT_AUDIENCE": _AUDIENCE,
    "LOG_LEVEL": "warning",
    "MIN_REFERENCE_SECONDS": "0.5",
    **{name.upper(): str(value) for name, value in NO_LIMITS.items()},
    **options.environment({"src.bootstrap.use_cases.Challenges": {"most_per_user": 1000}}),
}


class ForgetfulVoice(FakeVoice):
    """Keeps no list of what it was asked: the memory of its process is measured."""

    async def speak(self, request: SpeechRequest) -> Audio:
        self.requests.clear()
        self.users.clear()
        return await super().speak(request)


@dataclass(frozen=True)
class Fuzzed:
    """A running service."""

    url: str
    process: Popen[bytes]
    log: Path


@contextmanager
def fuzzed_service(folder: Path, **settings: str) -> Iterator[Fuzzed]:
    program = ("tests.attacks.fuzzed_service",)
    with service_process(folder / "data", program, **{**_SETTINGS, **settings}) as (url, process):
        yield Fuzzed(url, process, folder / "data.log")


def token(user: str = "ann", scope: str = "voice") -> str:
    """For an hour."""
    now = int(time.time())
    claims = {"sub": user, "iss": _ISSUER, "aud": _AUDIENCE, "iat": now, "exp": now + 3600, "scope": scope}
    encoded: str = jwt.encode(claims, _SECRET, algorithm="HS256")
    return encoded


def engines() -> Engines:
    decoder = decoder_pool(Settings())
    return Engines(
        decoder=RemoteDecoder(decoder),
        transcriber=FakeTranscriber(),
        translators=(FakeTranslator(),),
        voice=ForgetfulVoice(),
        analyzer=FakeAnalyzer(),
        activity=FakeVoiceActivity(),
        runners={"decoder": decoder},
    )


if __name__ == "__main__":
    options.apply()
    sys.exit(service.main(engines()))
