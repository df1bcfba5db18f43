"""What the services need from the outside world. Engines and stores fill these Protocols; tests fill them with fakes.

What is kept in tables is in `repositories`.

Every method that waits is a coroutine and never blocks the event loop. Cancelling it stops the work behind it.
Errors are those of `domain.errors`; an adapter maps whatever its library raises.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from src.domain.accounts import Quota
from src.domain.audio import Audio, AudioFormat, Recording, Samples
from src.domain.leases import Leased
from src.domain.speech import (
    NO_HINTS,
    Activity,
    DecodedSpeech,
    Hints,
    Quality,
    SpeechRequest,
    Transcript,
    Translation,
    VoiceConditioning,
    VoicePrint,
    Wording,
)


class Runner(Protocol):
    """Runs methods of one object that lives elsewhere: in child processes, or in a thread that owns a GPU."""

    async def run(self, method: str, *args: object) -> Any:
        """Call `method` there. Raises Overloaded, EngineUnavailable, DeadlineExceeded, and what the method raises."""

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    @property
    def alive(self) -> bool:
        """Whether a call made now would be served."""


class Work(Protocol):
    """One call that a BatchEngine has begun."""

    def cancel(self) -> None:
        """Nobody wants the result. Any thread may say so; it may be said in the middle of a step, which may end."""


class BatchEngine(Protocol):
    """Serves many calls at once, a step at a time. One thread calls it, in the process where the device is.

    What `begin` and `result` raise concerns their call. What `step` raises means that the engine's state can no longer
    be trusted.
    """

    @property
    def methods(self) -> frozenset[str]:
        """What may be called."""

    @property
    def told(self) -> str:
        """Network, device and precision, for operators."""

    def begin(self, method: str, args: tuple[Any, ...]) -> Work:
        """Take a call on. Raises what is wrong with it."""

    def step(self) -> Sequence[Work]:
        """Do a little of the work that was begun. Returns what is finished by now; it is dropped then."""

    def result(self, work: Any) -> object:
        """What work that `begin` returned came to, once it is finished. Raises the error that it came to instead."""

    def drop(self, work: Any) -> None:
        """Forget it, finished or not. Every work is dropped once."""


class AudioDecoder(Protocol):
    async def decode(self, data: bytes, declared: AudioFormat) -> DecodedSpeech:
        """Untrusted bytes to speech that is ready for the engines.

        Raises UnsupportedAudioFormat, FormatMismatch, AudioUndecodable, AudioTooShort, AudioTooLong, NoSpeechDetected.
        """


class FileDecoder(Protocol):
    """Reads audio files; called inside the decoder's child process, so it may block."""

    def decode(self, data: bytes, declared: AudioFormat) -> Recording:
        """All of the file at 22 050 Hz. Raises what AudioDecoder.decode raises, but NoSpeechDetected."""


class SpeechDetector(Protocol):
    """Finds speech; called inside the decoder's child process, so it may block."""

    def extent(self, audio: Audio) -> tuple[float, float] | None:
        """Seconds at which the first speech begins and the last ends; None where nobody speaks."""

    def speech(self, audio: Audio) -> list[tuple[float, float]]:
        """Every stretch (begin, end) of speech in seconds, in order."""

    def seconds(self, audio: Audio) -> float:
        """How long somebody speaks, in all."""


class Transcriber(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def languages(self) -> frozenset[str]:
        """The languages that it hears."""

    async def transcribe(
        self, audio: Audio, language: str | None, quality: Quality, hints: Hints = NO_HINTS
    ) -> Transcript:
        """`language` None: detect it. Raises NoSpeechDetected, UnsupportedLanguage."""


class Translator(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def configuration(self) -> str:
        """What beside its name makes its answers what they are: variants, formality, glossary. Empty: nothing."""

    @property
    def contextual(self) -> bool:
        """Whether it translates a sentence in the light of the others of its message."""

    @property
    def routes(self) -> dict[tuple[str, str], tuple[str, ...]]:
        """Every pair (source, target) that works, with the languages that the text passes through, ends included."""

    def unused(self, wording: Wording, target: str) -> tuple[str, ...]:
        """Of `wording.asked`, what it cannot do for this target language."""

    async def translate(self, texts: tuple[str, ...], source: str, target: str, wording: Wording) -> Translation:
        """Sentences of one message, aligned one to one with the answer; what is in `unused` is left aside.

        Raises TranslationUnavailable, UnsupportedLanguage.
        """


class VoiceEngine(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def languages(self) -> frozenset[str]:
        """The languages that it speaks."""

    @property
    def varies(self) -> bool:
        """Whether another candidate of a request sounds different."""

    async def condition(self, references: tuple[Audio, ...]) -> VoiceConditioning:
        """Learn a voice from one or more recordings of it. Raises ReferenceTooShort when there is too little voiced
        speech.
        """

    async def speak(self, request: SpeechRequest) -> Audio:
        """Say the texts: 24 kHz mono. Raises UnsupportedLanguage."""


class SpeakerAnalyzer(Protocol):
    async def analyze(self, audio: Audio) -> VoicePrint:
        """Measure a voice, by the same models for every voice engine."""


class VoiceActivity(Protocol):
    """Finds speech in sound that goes on."""

    async def listen(self, audio: Audio, state: tuple[Samples, ...]) -> Activity:
        """`audio`: whole 32 ms at 24 kHz; `state`: of the sound before it; empty: there was none."""


class Storage(Protocol):
    """Audio and embeddings under keys such as `results/ab12.wav`."""

    async def put(self, key: str, data: bytes) -> None: ...

    async def get(self, key: str) -> bytes:
        """Raises NotFound."""

    async def delete(self, key: str) -> None:
        """Remove it in all its versions; nothing happens when it is not there."""

    async def delete_under(self, prefix: str, older_than_seconds: float = 0.0) -> int:
        """Remove everything under `prefix/` that was written that long ago or longer. Returns how many files."""

    async def erase(self, path: str) -> None:
        """As `delete`, or as `delete_under` for a path that ends in `/`; and what unfinished writes left there."""

    def pages_under(self, prefix: str, older_than_seconds: float = 0.0) -> AsyncIterator[list[str]]:
        """The keys of what lies under `prefix/` and was written that long ago or longer, some at a time. Those of a
        page may be removed before the next is asked for.
        """

    def notices(self) -> tuple[str, ...]:
        """What an operator should know."""

    def url(self, key: str) -> str:
        """A signed address that expires: absolute, or a path on this server."""

    async def get_signed(self, key: str, query: dict[str, str]) -> bytes:
        """What `url` points at, when this server serves it itself. Raises NotFound for a wrong or expired signature."""


class Cache(Protocol):
    """Each value has an owner, whose own it is: nobody else gets it, or learns from the time of an answer that it is
    there.
    """

    async def get(self, key: str, owner: str = "") -> bytes | None: ...

    async def set(self, key: str, value: bytes, ttl_seconds: float, owner: str = "") -> None: ...

    async def delete(self, key: str, owner: str = "") -> None: ...

    async def forget(self, owner: str) -> None:
        """Drop all that this owner has, here and where processes share it. Raises Unavailable: some may be left."""

    async def forget_here(self, owner: str | None = None) -> None:
        """The same in the memory of this process alone; None: of every owner."""


class RateCounter(Protocol):
    async def hit(self, policy: str, per_minute: int, key: str) -> Quota:
        """Count one request of `key` under the limit named `policy`; one above it is refused and not counted.

        Always answers: a counter behind a network has another for the time without it.
        """


class Leases(Protocol):
    """Keeps the leases of running jobs alive."""

    def held(self, job: Leased, lost: Callable[[], object]) -> AbstractContextManager[None]:
        """Inside, the lease is renewed. `lost` is called, on this event loop, when the job is not ours any more."""


class JobQueue(Protocol):
    """Wakes whoever does jobs. The rows say which jobs wait: what is put here may be lost."""

    async def put(self, job_id: str) -> None:
        """Tell that this job waits. Never fails, and takes a bounded time."""


class Wake(Protocol):
    async def wait(self, seconds: float) -> None:
        """Return when the job may have changed since the last return, or after `seconds`. The row tells how."""


class JobEvents(Protocol):
    """Tells those who wait for a job that it has ended, and its worker that it is cancelled, in whatever process they
    are. The job's row is the truth: an event may be lost, or come for nothing.
    """

    async def publish(self, job_id: str) -> None:
        """Call it after the change was written. Never fails: who hears nothing looks at the row."""

    def listening(self, job_id: str) -> AbstractContextManager[Wake]:
        """Inside, no event is missed: enter it before looking at the row."""

    @property
    def patience_seconds(self) -> float:
        """How long silence may be trusted before looking at the row again."""
