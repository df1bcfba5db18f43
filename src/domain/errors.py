"""Everything that can go wrong and that a caller can be told, as one tree.

VoiceServiceError
├── InvalidRequest           the caller sent something that will not work, now or later
│   ├── InvalidBase64, MalformedJson, RequestInvalid, UnsupportedMediaType
│   ├── AudioTooLarge, AudioTooShort, AudioTooLong, AudioUndecodable, UnsupportedAudioFormat, FormatMismatch
│   ├── NoSpeechDetected, ReferenceTooShort, VerificationFailed, UnsupportedLanguage, ContentBlocked
│   └── IdempotencyConflict, IdempotencyMismatch
├── AccessDenied
│   ├── Unauthenticated, Forbidden, ConsentRequired
│   └── NotFound             also for what belongs to another user
├── RateLimited
├── Unavailable              the service cannot do it now; the same request may work later
│   └── TranslationUnavailable, Overloaded, EngineUnavailable, DeadlineExceeded
├── JobCancelled, JobDead
└── InternalError
    └── DamagedFile          what is stored is not what was put there

`code` is the stable name that clients branch on, `title` a short constant text, and the message says what happened
and what to do.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar


class VoiceServiceError(Exception):
    """Base of all errors that leave the service. `retry_after_seconds`: when the same request may work."""

    code: ClassVar[str] = "internal_error"
    title: ClassVar[str] = "Internal error"
    retryable: ClassVar[bool] = False

    def __init_subclass__(cls, **told: str | bool) -> None:
        """`code`, `title` and `retryable`, where they are not those of the base."""
        for name, value in told.items():
            setattr(cls, name, value)

    def __init__(self, detail: str, *, retry_after_seconds: float | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.retry_after_seconds = retry_after_seconds

    def __reduce__(self) -> tuple[object, ...]:
        """Errors cross process borders: rebuild from the detail, not from BaseException's args."""
        return (_rebuild, (type(self), self.detail, self.retry_after_seconds))


def _rebuild(kind: type[VoiceServiceError], detail: str, retry_after_seconds: float | None) -> VoiceServiceError:
    return kind(detail, retry_after_seconds=retry_after_seconds)


class InvalidRequest(VoiceServiceError, code="validation_error", title="The request is not valid"):
    """The caller sent something that will not work."""


@contextmanager
def about(field: str) -> Iterator[None]:
    """The caller's mistakes that are found inside are told with the name of the field that they are in."""
    try:
        yield
    except InvalidRequest as error:
        raise type(error)(f"{field}: {error.detail}") from error


class RequestInvalid(InvalidRequest):
    """A field is missing or has a wrong value."""


class InvalidBase64(InvalidRequest, code="invalid_base64", title="The audio is not valid base64"):
    """The audio field is not base64."""


class MalformedJson(InvalidRequest, code="malformed_json", title="The body is not valid JSON"):
    """The body is not JSON, or nested too deep."""


class UnsupportedMediaType(InvalidRequest, code="unsupported_media_type", title="The body must be JSON"):
    """The body is not declared as JSON."""


class AudioTooLarge(InvalidRequest, code="audio_too_large", title="The audio is too large"):
    """More bytes than the service accepts."""


class AudioTooShort(InvalidRequest, code="audio_too_short", title="The audio is too short"):
    """Less decoded audio than the service accepts."""


class AudioTooLong(InvalidRequest, code="audio_too_long", title="The audio is too long"):
    """More decoded audio than the service accepts."""


class AudioUndecodable(InvalidRequest, code="audio_undecodable", title="The audio cannot be decoded"):
    """The bytes have the declared container but cannot be decoded."""


class UnsupportedAudioFormat(
    InvalidRequest, code="unsupported_audio_format", title="The audio format is not supported"
):
    """The container or codec is not one that the service reads."""


class FormatMismatch(InvalidRequest, code="format_mismatch", title="The audio is not in the declared format"):
    """The bytes are another format than `audio_format` says."""


class NoSpeechDetected(InvalidRequest, code="no_speech_detected", title="No speech was found in the audio"):
    """Silence, noise or music: nothing that anyone said."""


class SpeechNotUnderstood(InvalidRequest, code="speech_not_understood", title="The speech was not understood"):
    """Somebody speaks, and what was made out is not what they say."""


class ReferenceTooShort(
    InvalidRequest, code="reference_too_short", title="The reference recording has too little speech"
):
    """Too little speech to take a voice from."""


class VerificationFailed(InvalidRequest, code="verification_failed", title="The speaker was not verified"):
    """Other words than the challenge's, or another voice than the reference's."""


class UnsupportedLanguage(InvalidRequest, code="unsupported_language", title="The language is not supported"):
    """The language, or the pair, is not one that the configured engines can do."""


class ContentBlocked(InvalidRequest, code="content_blocked", title="The content is not allowed here"):
    """A text holds what the operator's moderation does not let pass. The message names its kind, never its words."""


class IdempotencyConflict(
    InvalidRequest,
    code="idempotency_key_in_flight",
    title="A request with this Idempotency-Key is in flight",
    retryable=True,
):
    """The first request with this Idempotency-Key is still running."""


class IdempotencyMismatch(
    InvalidRequest, code="idempotency_key_reused", title="The Idempotency-Key was used with another request"
):
    """The Idempotency-Key was used before with another body."""


class AccessDenied(VoiceServiceError, code="forbidden", title="Access denied"):
    """The caller may not do this."""


class Unauthenticated(AccessDenied, code="unauthenticated", title="A valid token is required"):
    """No token, or one that is not valid."""


class Forbidden(AccessDenied):
    """The token does not allow this."""


class ConsentRequired(AccessDenied, code="consent_required", title="The speaker's consent is required"):
    """A voice profile needs the speaker's consent."""


class NotFound(AccessDenied, code="not_found", title="Not found"):
    """There is no such thing, or it belongs to another user: callers cannot tell which."""


class RateLimited(VoiceServiceError, code="rate_limited", title="Too many requests", retryable=True):
    """The caller sent too many requests."""


class Unavailable(VoiceServiceError, code="engine_unavailable", title="The service is unavailable", retryable=True):
    """The service cannot do it now."""


class TranslationUnavailable(Unavailable, code="translation_unavailable", title="No translation engine answered"):
    """No configured translation engine answered."""


class Overloaded(Unavailable, code="overloaded", title="The service is overloaded"):
    """A queue is full."""


class EngineUnavailable(Unavailable, title="An engine is unavailable"):
    """An engine died or is not there."""


class DeadlineExceeded(Unavailable, code="deadline_exceeded", title="The work took too long"):
    """The work took longer than it may."""


class JobCancelled(VoiceServiceError, code="cancelled", title="The job was cancelled"):
    """The caller cancelled the job, or went away."""


class JobDead(VoiceServiceError, code="job_dead", title="The job ends its workers"):
    """The job ended its worker each time that it was begun, and is not begun again."""


class InternalError(VoiceServiceError):
    """A defect of the service. The log has the reason under the request id."""


class DamagedFile(InternalError):
    """A stored file does not have the checksum that it was stored with."""


def error_kind(code: str) -> type[VoiceServiceError]:
    """InternalError for a code that is none of these."""
    return _KINDS.get(code, InternalError)


def _kinds(of: type[VoiceServiceError]) -> Iterator[type[VoiceServiceError]]:
    """Those that have a code of their own."""
    for kind in of.__subclasses__():
        if "code" in vars(kind):
            yield kind
        yield from _kinds(kind)


_KINDS: dict[str, type[VoiceServiceError]] = {
    **{kind.code: kind for kind in _kinds(VoiceServiceError)},
    InternalError.code: InternalError,
    EngineUnavailable.code: EngineUnavailable,
}
