"""Puts the use cases together over fakes, as bootstrap does over the real parts."""

from dataclasses import dataclass, field

from src.adapters.redis.events import InProcessJobEvents
from src.domain.accounts import DeletionKind
from src.domain.audio import AudioFormat
from src.domain.consent import Consent
from src.domain.jobs import JobRequest, now
from src.domain.provenance import Trust, Watermark
from src.services.accounts.deletions import Deletions
from src.services.jobs.ending import JobEnding, JobUpkeep
from src.services.jobs.jobs import Jobs
from src.services.jobs.runner import JobRunner
from src.services.jobs.trail import Trails
from src.services.on_demand import CloneStore, Hearing, OnDemand, Safeguards
from src.services.pipeline import Pipeline
from src.services.profiles.challenges import Challenges
from src.services.profiles.profiles import NewProfile, Profiles
from src.services.profiles.verification import Bounds, Verification
from src.services.safeguards.moderation import Moderation
from src.services.safeguards.provenance import MarkDetection, Marking, Marks
from src.services.transcription import Transcription
from src.services.translation import TextTranslation
from src.services.voice_cloning import VoiceCloning
from tests.fakes.fake_deletions import MemoryDeletions
from tests.fakes.fake_stores import (
    DictCache,
    HandedLeases,
    ListQueue,
    MemoryChallenges,
    MemoryIdempotency,
    MemoryJobs,
    MemoryProfiles,
    MemoryStorage,
    MemoryUsage,
)
from tests.fakes.fakes import (
    FakeAnalyzer,
    FakeDecoder,
    FakeSigner,
    FakeTranscriber,
    FakeTranslator,
    FakeVoice,
    fake_info,
)

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
    leases: HandedLeases = field(default_factory=HandedLeases)
    events: InProcessJobEvents = field(default_factory=InProcessJobEvents)
    cache: DictCache = field(default_factory=DictCache)
    signer: FakeSigner = field(default_factory=FakeSigner)
    watermark: Watermark | None = None
    moderation: Moderation = field(default_factory=Moderation.off)
    challenges: MemoryChallenges = field(default_factory=MemoryChallenges)
    verification_required: bool = False
    timeout_seconds: float = 5.0
    most_waiting: int = 100

    def __post_init__(self) -> None:
        decoder = FakeDecoder()
        self.deletion_rows = MemoryDeletions(jobs=self.rows, profiles=self.profile_rows)
        self.deletions = Deletions(self.deletion_rows, self.storage, self.cache, self.events)
        marking = Marking(self.signer, fake_info, self.watermark)
        self.marks = Marks(marking, MarkDetection(decoder, Trust("", 0), self.watermark))
        self.voices = VoiceCloning(self.voice, FakeAnalyzer(), self.cache, self.transcriber)
        challenges = Challenges(self.challenges, self.transcriber, lifetime_seconds=60.0, most_per_user=3)
        self.verification = Verification(
            challenges,
            decoder,
            Transcription(self.transcriber),
            FakeAnalyzer(),
            Bounds(0.3, 0.8),
            required=self.verification_required,
            timeout_seconds=5.0,
        )
        self.profiles = Profiles(
            self.profile_rows,
            self.storage,
            decoder,
            self.voices,
            self.verification,
            min_reference_seconds=1.0,
            max_reference_seconds=3.0,
        )
        self.transcription = Transcription(self.transcriber)
        self.pipeline = Pipeline(
            decoder,
            self.transcription,
            TextTranslation((self.translator,), self.cache),
            self.voices,
            self.profiles,
            self.storage,
            marking,
            self.moderation,
        )
        ending = JobEnding(self.rows, self.events, self.storage)
        self.jobs = Jobs(
            self.rows,
            self.queue,
            self.events,
            self.storage,
            self.idempotency,
            ending,
            Trails(self.cache, self.events),
            most_waiting=self.most_waiting,
        )
        self.runner = JobRunner(
            self.rows,
            self.leases,
            self.events,
            ending,
            self.pipeline,
            Trails(self.cache, self.events),
            lease_seconds=10.0,
            max_attempts=3,
            timeout_seconds=self.timeout_seconds,
        )
        self.on_demand = OnDemand(
            decoder,
            Hearing(self.transcription, self.pipeline.translation),
            self.voices,
            self.profiles,
            CloneStore(self.storage, self.deletion_rows, 3600.0),
            self.usage,
            Safeguards(self.moderation, self.marks),
            timeout_seconds=self.timeout_seconds,
        )
        self.upkeep = JobUpkeep(self.rows, self.storage, ending, max_attempts=3, lease_seconds=10.0)

    async def run_next(self) -> None:
        """What a worker does with the job that waits longest."""
        job = await self.runner.claim()
        assert job is not None
        await self.runner.run(job)

    async def delete_job(self, job_id: str, user_id: str) -> None:
        await self.deletions.request(DeletionKind.JOB, job_id, user_id, user_id)

    async def delete_profile(self, profile_id: str, user_id: str) -> None:
        await self.deletions.request(DeletionKind.PROFILE, profile_id, user_id, user_id)

    async def new_profile(self, user_id: str = "ann") -> str:
        consent = Consent("I agree.", now())
        return (await self.profiles.save(NewProfile(user_id, b"reference", AudioFormat.WAV, consent))).id
