"""C2PA manifests (Content Credentials) on answers, by the library of the Content Authenticity Initiative."""

import asyncio
import io
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import c2pa

from src.adapters.provenance.certificates import SigningIdentity
from src.domain.audio import AnswerFormat, AudioFormat
from src.domain.errors import DeadlineExceeded, EngineUnavailable
from src.domain.provenance import SYNTHETIC_SOURCE, C2paMark, MarkedFile

MIME_TYPES = {
    AudioFormat.WAV: "audio/wav",
    AudioFormat.MP3: "audio/mpeg",
    AudioFormat.M4A: "audio/mp4",
    AudioFormat.FLAC: "audio/flac",
}

SETTINGS: dict[str, Any] = {
    "version": 1,
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False, "verify_after_sign": False},
    "builder": {"thumbnail": {"enabled": False}},
}
"""Of the library, to write and to read: nothing is fetched because a file says so."""

_THREADS = 4
"""A timestamp authority that does not answer holds a thread for 30 s."""
_SIGN_SECONDS = 10.0
_SOON = timedelta(days=30)


class C2paSigner:
    """Implements ManifestSigner. `timestamp_url`: an authority (RFC 3161) that says when it was signed."""

    def __init__(
        self, identity: SigningIdentity, *, software: str, version: str, timestamp_url: str | None = None
    ) -> None:
        self._identity = identity
        self._software = {"name": software, "version": version}
        self._timestamp_url = timestamp_url
        self._threads = ThreadPoolExecutor(_THREADS, "c2pa")

    @property
    def name(self) -> str:
        return "self-signed" if self._identity.self_signed else self._identity.name

    async def sign(self, file: bytes, at: datetime, kind: AnswerFormat) -> MarkedFile:
        work = asyncio.get_running_loop().run_in_executor(self._threads, self.sign_now, file, at, kind)
        try:
            async with asyncio.timeout(_SIGN_SECONDS):
                return await work
        except TimeoutError:
            raise DeadlineExceeded(f"The answer was not signed within {_SIGN_SECONDS:g} s.") from None

    def sign_now(self, file: bytes, at: datetime, kind: AnswerFormat = AnswerFormat.WAV) -> MarkedFile:
        """The same, blocking."""
        if at >= self._identity.expires_at:
            raise EngineUnavailable("The certificate that answers are signed with has expired.")
        signed = io.BytesIO()
        with _foreign_errors():
            context = c2pa.Context.from_dict(SETTINGS, self._signer())
            with context, c2pa.Builder(self._manifest(at), context) as builder:
                builder.sign(kind.media_type, io.BytesIO(file), signed)
        data = signed.getvalue()
        return MarkedFile(
            data, (C2paMark(_active_manifest(data, kind), self._identity.name, self._identity.self_signed),)
        )

    def notices(self) -> tuple[str, ...]:
        """A certificate that ends soon."""
        left = self._identity.expires_at - datetime.now(UTC)
        if left > _SOON:
            return ()
        return (f"provenance: the C2PA certificate expires on {self._identity.expires_at:%Y-%m-%d}; renew it",)

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _signer(self) -> c2pa.Signer:
        identity = self._identity
        url = None if self._timestamp_url is None else self._timestamp_url.encode()
        return c2pa.Signer.from_info(c2pa.C2paSignerInfo(identity.algorithm, identity.chain, identity.key, url))

    def _manifest(self, at: datetime) -> dict[str, Any]:
        """What is claimed: that this software made the sound, and when. Nothing of who asked for it or of the words."""
        created = {
            "action": "c2pa.created",
            "when": at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "digitalSourceType": SYNTHETIC_SOURCE,
            "softwareAgent": self._software,
        }
        return {
            "claim_generator_info": [self._software],
            "assertions": [{"label": "c2pa.actions", "data": {"actions": [created]}}],
        }


def _active_manifest(data: bytes, kind: AnswerFormat) -> str:
    with (
        _foreign_errors(),
        c2pa.Context.from_dict(SETTINGS) as context,
        c2pa.Reader(kind.media_type, io.BytesIO(data), context=context) as reader,
    ):
        return str(json.loads(reader.json())["active_manifest"])


@contextmanager
def _foreign_errors() -> Iterator[None]:
    """What the library raises, as our own error. Its messages may quote addresses, so only their kind is kept."""
    try:
        yield
    except (c2pa.C2paError, ValueError, OSError) as error:
        kind = type(error).__name__.lstrip("_")
        raise EngineUnavailable(f"The answer could not be signed ({kind}).", retry_after_seconds=5) from error
