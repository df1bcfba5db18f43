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

    def __init__(self, detail: str, *, retry_after_seconds: float | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.retry_after_seconds = retry_after_seconds

    def __reduce__(self) -> tuple[object, ...]:
        """Errors cross process borders: rebuild from the detail, not from BaseException's args."""
        return (_rebuild, (type(self), self.detail, self.retry_after_seconds))


def _rebuild(kind: type[VoiceServiceError], detail: str, retry_after_seconds: float | None) -> VoiceServiceError:
    return kind(detail, retry_after_seconds=retry_after_seconds)


class InvalidRequest(VoiceServiceError):
    """The caller sent something that will not work."""

    code = "validation_error"
    title = "The request is not valid"


@contextmanager
def about(field: str) -> Iterator[None]:
    """The caller's mistakes that are found inside are told with the name of the field that they are in."""
    try:
        yield
    except InvalidRequest as error:
        raise type(error)(f"{field}: {error.detail}") from error


class RequestInvalid(InvalidRequest):
    """A field is missing or has a wrong value."""


class InvalidBase64(InvalidRequest):
    """The audio field is not base64."""

    code = "invalid_base64"
    title = "The audio is not valid base64"


class MalformedJson(InvalidRequest):
    """The body is not JSON, or nested too deep."""

    code = "malformed_json"
    title = "The body is not valid JSON"


class UnsupportedMediaType(InvalidRequest):
    """The body is not declared as JSON."""

    code = "unsupported_media_type"
    title = "The body must be JSON"


class AudioTooLarge(InvalidRequest):
    """More bytes than the service accepts."""

    code = "audio_too_large"
    title = "The audio is too large"


class AudioTooShort(InvalidRequest):
    """Less decoded audio than the service accepts."""

    code = "audio_too_short"
    title = "The audio is too short"


class AudioTooLong(InvalidRequest):
    """More decoded audio than the service accepts."""

    code = "audio_too_long"
    title = "The audio is too long"


class AudioUndecodable(InvalidRequest):
    """The bytes have the declared container but cannot be decoded."""

    code = "audio_undecodable"
    title = "The audio cannot be decoded"


class UnsupportedAudioFormat(InvalidRequest):
    """The container or codec is not one that the service reads."""

    code = "unsupported_audio_format"
    title = "The audio format is not supported"


class FormatMismatch(InvalidRequest):
    """The bytes are another format than `audio_format` says."""

    code = "format_mismatch"
    title = "The audio is not in the declared format"


class NoSpeechDetected(InvalidRequest):
    """Silence, noise or music: nothing that anyone said."""

    code = "no_speech_detected"
    title = "No speech was found in the audio"


class SpeechNotUnderstood(InvalidRequest):
    """Somebody speaks, and what was made out is not what they say."""

    code = "speech_not_understood"
    title = "The speech was not understood"


class ReferenceTooShort(InvalidRequest):
    """Too little speech to take a voice from."""

    code = "reference_too_short"
    title = "The reference recording has too little speech"


class VerificationFailed(InvalidRequest):
    """Other words than the challenge's, or another voice than the reference's."""

    code = "verification_failed"
    title = "The speaker was not verified"


class UnsupportedLanguage(InvalidRequest):
    """The language, or the pair, is not one that the configured engines can do."""

    code = "unsupported_language"
    title = "The language is not supported"


class ContentBlocked(InvalidRequest):
    """A text holds what the operator's moderation does not let pass. The message names its kind, never its words."""

    code = "content_blocked"
    title = "The content is not allowed here"


class IdempotencyConflict(InvalidRequest):
    """The first request with this Idempotency-Key is still running."""

    code = "idempotency_key_in_flight"
    title = "A request with this Idempotency-Key is in flight"
    retryable = True


class IdempotencyMismatch(InvalidRequest):
    """The Idempotency-Key was used before with another body."""

    code = "idempotency_key_reused"
    title = "The Idempotency-Key was used with another request"


class AccessDenied(VoiceServiceError):
    """The caller may not do this."""

    code = "forbidden"
    title = "Access denied"


class Unauthenticated(AccessDenied):
    """No token, or one that is not valid."""

    code = "unauthenticated"
    title = "A valid token is required"


class Forbidden(AccessDenied):
    """The token does not allow this."""


class ConsentRequired(AccessDenied):
    """A voice profile needs the speaker's consent."""

    code = "consent_required"
    title = "The speaker's consent is required"


class NotFound(AccessDenied):
    """There is no such thing, or it belongs to another user: callers cannot tell which."""

    code = "not_found"
    title = "Not found"


class RateLimited(VoiceServiceError):
    """The caller sent too many requests."""

    code = "rate_limited"
    title = "Too many requests"
    retryable = True


class Unavailable(VoiceServiceError):
    """The service cannot do it now."""

    code = "engine_unavailable"
    title = "The service is unavailable"
    retryable = True


class TranslationUnavailable(Unavailable):
    """No configured translation engine answered."""

    code = "translation_unavailable"
    title = "No translation engine answered"


class Overloaded(Unavailable):
    """A queue is full."""

    code = "overloaded"
    title = "The service is overloaded"


class EngineUnavailable(Unavailable):
    """An engine died or is not there."""

    title = "An engine is unavailable"


class DeadlineExceeded(Unavailable):
    """The work took longer than it may."""

    code = "deadline_exceeded"
    title = "The work took too long"


class JobCancelled(VoiceServiceError):
    """The caller cancelled the job, or went away."""

    code = "cancelled"
    title = "The job was cancelled"


class JobDead(VoiceServiceError):
    """The job ended its worker each time that it was begun, and is not begun again."""

    code = "job_dead"
    title = "The job ends its workers"


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
