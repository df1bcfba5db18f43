"""Puts the use cases together over fakes, as bootstrap does over the real parts."""

from dataclasses import dataclass, field

from src.domain.audio import AudioFormat
from src.domain.jobs import Consent, JobRequest, now
from src.services.jobs import Jobs
from src.services.pipeline import Pipeline
from src.services.profiles import NewProfile, Profiles
from src.services.transcription import Transcription
from src.services.translation import TextTranslation
from src.services.voice_cloning import VoiceCloning
from tests.fake_stores import (
    DictCache,
    ListQueue,
    MemoryIdempotency,
    MemoryJobs,
    MemoryProfiles,
    MemoryStorage,
    MemoryUsage,
)
from tests.fakes import FakeAnalyzer, FakeDecoder, FakeTranscriber, FakeTranslator, FakeVoice

WANTED = JobRequest(AudioFormat.WAV, "es", "en")


@dataclass
class Bench:
    """Every part of one service over fakes, each reachable by the test."""

    transcriber: FakeTranscriber = field(default_factory=FakeTranscriber)
    translator: FakeTranslator = field(default_factory=FakeTranslator)
    voice: FakeVoice = field(default_factory=FakeVoice)
    rows: MemoryJobs = field(default_factory=MemoryJobs)
    queue: ListQueue = field(default_factory=ListQueue)
    storage: MemoryStorage = field(default_factory=MemoryStorage)
    usage: MemoryUsage = field(default_factory=MemoryUsage)
    idempotency: MemoryIdempotency = field(default_factory=MemoryIdempotency)
    profile_rows: MemoryProfiles = field(default_factory=MemoryProfiles)
    timeout_seconds: float = 5.0

    def __post_init__(self) -> None:
        cache, decoder = DictCache(), FakeDecoder()
        self.voices = VoiceCloning(self.voice, FakeAnalyzer(), cache, self.transcriber)
        self.profiles = Profiles(
            self.profile_rows,
            self.storage,
            decoder,
            self.voices,
            min_reference_seconds=1.0,
            max_reference_seconds=3.0,
        )
        self.transcription = Transcription(self.transcriber)
        self.pipeline = Pipeline(
            decoder,
            self.transcription,
            TextTranslation((self.translator,), cache),
            self.voices,
            self.profiles,
            self.storage,
        )
        self.jobs = Jobs(
            self.rows,
            self.queue,
            self.storage,
            self.pipeline,
            self.usage,
            self.idempotency,
            timeout_seconds=self.timeout_seconds,
            max_attempts=3,
        )

    async def new_profile(self, user_id: str = "ann") -> str:
        consent = Consent("I agree.", now())
        return (await self.profiles.save(NewProfile(user_id, b"reference", AudioFormat.WAV, consent))).id
