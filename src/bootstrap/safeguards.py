"""Safeguards: moderation of texts, and the marks that say an answer is synthetic (C2PA, watermark)."""

import asyncio
import hashlib
import io
import logging
import wave
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from src import __version__
from src.adapters.database.accounts.audit import SqlAuditLog
from src.adapters.database.engine import Database
from src.adapters.provenance.c2pa_signing import C2paSigner
from src.adapters.provenance.certificates import SigningIdentity, load_identity, make_self_signed
from src.adapters.provenance.mark_reading import MarkFiles
from src.adapters.provenance.riff_info import info_fields, with_info
from src.adapters.storage.private_files import load_or_create
from src.bootstrap.engines import MAX_WAITING_CALLS
from src.config.settings import Settings
from src.config.values import signing_keys
from src.domain.audio import OUTPUT_SAMPLE_RATE, AudioFormat
from src.domain.errors import EngineUnavailable
from src.domain.jobs import now
from src.domain.moderation import Moderator, OnFailure, Policy
from src.domain.ports import Runner
from src.domain.provenance import InfoMark, MarkReader, Trust
from src.models import audioseal_files
from src.services.accounts.audit import Audit
from src.services.safeguards.moderation import Moderation
from src.services.safeguards.provenance import MarkDetection, Marking, Marks
from src.workers.engines import Named, RemoteWatermark
from src.workers.process_pool import ProcessPool

logger = logging.getLogger(__name__)


async def start_moderation(settings: Settings, database: Database, stack: AsyncExitStack) -> Moderation:
    """Raises EngineUnavailable for lists of words that cannot be read."""
    policy = Policy(settings.moderation_policy)
    if policy is Policy.OFF:
        return Moderation.off()
    moderators = [await _moderator(name, settings, stack) for name in settings.moderation_engines]
    on_failure = OnFailure.REFUSE if policy is Policy.BLOCK else OnFailure.ALLOW
    return Moderation(policy, tuple(moderators), on_failure, Audit(SqlAuditLog(database)))


async def _moderator(name: str, settings: Settings, stack: AsyncExitStack) -> Moderator:
    if name == "webhook":
        return _webhook(settings, stack)
    # here, as a service without moderation needs no lists
    from src.adapters.moderation.words import WordLists  # noqa: PLC0415

    return await asyncio.to_thread(WordLists.load, settings.moderation_words_dir)


def _webhook(settings: Settings, stack: AsyncExitStack) -> Moderator:
    from src.adapters.moderation.webhook import ModerationWebhook  # noqa: PLC0415 - as above

    url, secret, user_key = (
        settings.moderation_webhook_url,
        settings.moderation_webhook_secret,
        settings.moderation_user_key,
    )
    if url is None or secret is None:
        raise EngineUnavailable("MODERATION_ENGINES=webhook needs MODERATION_WEBHOOK_URL and _SECRET.")
    webhook = ModerationWebhook(
        url, signing_keys(secret.get_secret_value()), None if user_key is None else user_key.get_secret_value().encode()
    )
    stack.push_async_callback(webhook.close)
    return webhook


_SOFTWARE = "voice-translation"
_SELF_SIGNED = "c2pa-self-signed.pem"


@dataclass(frozen=True, slots=True)
class Provenance:
    """`runners` are started; `/health` asks whether they live."""

    marks: Marks
    signer: C2paSigner
    runners: Mapping[str, Runner]

    def notices(self) -> tuple[str, ...]:
        return self.signer.notices()


async def start_provenance(settings: Settings, reader: MarkReader, stack: AsyncExitStack) -> Provenance:
    """Raises EngineUnavailable, with what to do, for a certificate that cannot sign, and for missing weights."""
    identity = await asyncio.to_thread(_identity, settings)
    if identity.self_signed and settings.workers == "remote":
        logger.warning("answers are signed by each process with a certificate of its own: set C2PA_CERTIFICATE_FILE")
    trust = Trust(identity.anchor, identity.serial_number, await asyncio.to_thread(_anchors, settings))
    signer = C2paSigner(identity, software=_SOFTWARE, version=__version__, timestamp_url=settings.c2pa_timestamp_url)
    stack.push_async_callback(signer.close)
    await asyncio.to_thread(_try_out, identity, trust)
    runner = await _start_watermark(settings, identity, stack)
    watermark = None if runner is None else RemoteWatermark(runner, audioseal_files.NAME, _message(identity))
    marks = Marks(Marking(signer, _with_info, watermark), MarkDetection(reader, trust, watermark))
    return Provenance(marks, signer, {} if runner is None else {"watermark": runner})


async def _start_watermark(settings: Settings, identity: SigningIdentity, stack: AsyncExitStack) -> Runner | None:
    """What the networks run in; None: answers get no watermark. Raises EngineUnavailable."""
    if settings.watermark == "none":
        return None
    reason = await asyncio.to_thread(audioseal_files.missing, settings.audioseal_dir)
    if reason is not None:
        if settings.watermark == "audioseal":
            raise EngineUnavailable(f"WATERMARK=audioseal: {reason}.")
        logger.info("watermark: none: %s (WATERMARK=auto)", reason)
        return None
    logger.info("watermark: audioseal from %s (WATERMARK=%s)", settings.audioseal_dir, settings.watermark)
    runner = ProcessPool(
        partial(
            Named("src.models.audioseal_watermark", "AudioSealWatermark"), settings.audioseal_dir, _message(identity)
        ),
        size=settings.engine_processes,
        queue_size=MAX_WAITING_CALLS,
        call_timeout_seconds=settings.job_timeout_seconds,
        name="watermark",
    )
    stack.push_async_callback(runner.close)
    await runner.start()
    return runner


def _message(identity: SigningIdentity) -> str:
    """16 bits, in hexadecimal, by which the watermark names this deployment."""
    return hashlib.sha256(identity.chain).hexdigest()[:4]


def _identity(settings: Settings) -> SigningIdentity:
    if settings.c2pa_certificate_file is None or settings.c2pa_private_key_file is None:
        file = settings.data_dir / _SELF_SIGNED
        pem = load_or_create(file, make_self_signed)
        try:
            return load_identity(pem, pem, self_signed=True)
        except ValueError as error:
            raise EngineUnavailable(f"{file}: {error} Delete the file, and a new one is made.") from error
    chain = _read(settings.c2pa_certificate_file, "C2PA_CERTIFICATE_FILE")
    key = _read(settings.c2pa_private_key_file, "C2PA_PRIVATE_KEY_FILE")
    try:
        return load_identity(chain, key)
    except ValueError as error:
        raise EngineUnavailable(f"C2PA_CERTIFICATE_FILE: {error}") from error


def _anchors(settings: Settings) -> str:
    """Empty: none."""
    if settings.c2pa_trust_anchors_file is None:
        return ""
    pem = _read(settings.c2pa_trust_anchors_file, "C2PA_TRUST_ANCHORS_FILE")
    if b"-----BEGIN CERTIFICATE-----" not in pem:
        raise EngineUnavailable("C2PA_TRUST_ANCHORS_FILE: there is no PEM certificate in it.")
    return pem.decode("ascii", "replace")


def _read(file: Path, setting: str) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise EngineUnavailable(f"{setting}: {file} cannot be read: {error.strerror}.") from error


def _try_out(identity: SigningIdentity, trust: Trust) -> None:
    """Sign a moment of silence and read it back: a certificate that C2PA does not take is seen at the start. No
    timestamp is asked for: an authority that rests now does not keep the service from starting.
    """
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, 2, OUTPUT_SAMPLE_RATE, 0, "NONE", ""))
        writer.writeframes(bytes(480))
    try:
        signed = C2paSigner(identity, software=_SOFTWARE, version=__version__).sign_now(file.getvalue(), now())
        accepted = MarkFiles().c2pa(signed.data, AudioFormat.WAV, trust).ours
    except EngineUnavailable:
        accepted = False
    if not accepted:
        raise EngineUnavailable(
            "C2PA_CERTIFICATE_FILE: C2PA does not accept the certificate. It needs the key usage digitalSignature, and"
            " an extended key usage such as emailProtection or documentSigning."
        )


def _with_info(wav: bytes, at: datetime) -> tuple[bytes, InfoMark]:
    fields = info_fields(f"{_SOFTWARE} {__version__}", at.date().isoformat())
    return with_info(wav, fields), InfoMark(fields)
