"""What a session is told and tells. Times are milliseconds: `elapsed_ms` of the sound that came until the end of what a
text or sound is about, `lag_ms` from when that came until now; of sound, until it is played.
"""

from dataclasses import dataclass
from enum import StrEnum

from src.domain.audio import Audio
from src.domain.errors import VoiceServiceError
from src.domain.speech import AS_CONFIGURED, Wording
from src.services.live.agreement import Agreement

SPEAKER = "speaker"


@dataclass(frozen=True, slots=True)
class LiveSettings:
    """`target` None: nobody said yet. `source` None: it is detected. `transcribes`: whether what is heard is told.
    `voice`: `speaker`, or a profile's id. `always`: the speaker's voice is learned anew all the time.
    """

    target: str | None = None
    wording: Wording = AS_CONFIGURED
    source: str | None = None
    transcribes: bool = False
    voice: str = SPEAKER
    always: bool = False


@dataclass(frozen=True, slots=True)
class LiveLimits:
    """In seconds. `gap`: without any sound. `lag`: that a translation may be behind; what is later is left out.
    `stage`: for one utterance in one engine. `drain`: after the end, for what was said before it.
    """

    session: float = 3600.0
    gap: float = 30.0
    lag: float = 15.0
    stage: float = 30.0
    drain: float = 30.0


class EndReason(StrEnum):
    CLIENT = "client_closed"
    NO_AUDIO = "no_audio"
    EXPIRED = "expired"
    TOO_FAST = "too_fast"
    OVERLOADED = "overloaded"
    BUDGET = "audio_budget_used_up"
    TOKEN = "token_ended"  # noqa: S105 - a reason, no secret
    SERVER = "server_ending"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, eq=False)
class Utterance:
    """Speech between two pauses. `begin` and `end`: seconds of the sound; `begun_at` and `ended_at`: when it came, on
    the session's clock.
    """

    audio: Audio
    begin: float
    end: float
    begun_at: float
    ended_at: float
    agreement: Agreement


@dataclass(frozen=True, slots=True)
class InputText:
    """Append-only."""

    delta: str
    elapsed_ms: int
    lag_ms: int


@dataclass(frozen=True, slots=True)
class OutputText:
    """Append-only. `degraded`: what was not done as asked, in this utterance."""

    delta: str
    elapsed_ms: int
    lag_ms: int
    degraded: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class OutputAudio:
    """At most a second of it. `degraded`: what of its sentence is not said, in the first of its pieces."""

    audio: Audio
    elapsed_ms: int
    lag_ms: int
    degraded: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Configured:
    """The settings are these now. `first`: the session has just begun."""

    settings: LiveSettings
    first: bool = False


@dataclass(frozen=True, slots=True)
class Trouble:
    """`event_id`: of what the caller sent that is not right."""

    error: VoiceServiceError
    event_id: str | None = None
    param: str | None = None  # which field of it


@dataclass(frozen=True, slots=True)
class Closed:
    """The last event."""

    reason: EndReason


LiveEvent = InputText | OutputText | OutputAudio | Configured | Trouble | Closed
