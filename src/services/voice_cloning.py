"""Learn a voice from a recording, speak in it, and measure how near the result is."""

import hashlib
import json
from dataclasses import asdict, dataclass

from src.domain.audio import Audio
from src.domain.errors import UnsupportedLanguage
from src.domain.ports import Cache, SpeakerAnalyzer, VoiceEngine
from src.domain.speech import SpeechRequest, VoiceConditioning, VoiceMatch, VoicePrint, compare
from src.utils.concurrency import both

_CACHE_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class LearnedVoice:
    """A voice that can be spoken with: what the engine needs, and what was measured of it."""

    conditioning: VoiceConditioning
    voice_print: VoicePrint

    def pack(self) -> bytes:
        """A line of JSON, then the engine's own bytes."""
        header = {"engine": self.conditioning.engine, "voice_print": asdict(self.voice_print)}
        return json.dumps(header).encode() + b"\n" + self.conditioning.data

    @classmethod
    def unpack(cls, packed: bytes) -> "LearnedVoice":
        head, _, data = packed.partition(b"\n")
        header = json.loads(head)
        measured = header["voice_print"]
        voice_print = VoicePrint(
            embedding=tuple(measured["embedding"]),
            pitch_hz=measured["pitch_hz"],
            brightness=measured["brightness"],
            timbre=tuple(measured["timbre"]),
        )
        return cls(VoiceConditioning(header["engine"], data), voice_print)


class VoiceCloning:
    """`cache` keeps what was learned from a message for ten minutes, for the same message into another language."""

    def __init__(self, engine: VoiceEngine, analyzer: SpeakerAnalyzer, cache: Cache) -> None:
        self._engine = engine
        self._analyzer = analyzer
        self._cache = cache

    @property
    def engine_name(self) -> str:
        return self._engine.name

    def require_language(self, language: str) -> None:
        """Raises UnsupportedLanguage, before any work, for a language that the voice engine does not speak."""
        if language not in self._engine.languages:
            spoken = ", ".join(sorted(self._engine.languages)) or "nothing"
            raise UnsupportedLanguage(f"The voice engine {self._engine.name} speaks {spoken}, not {language!r}.")

    async def learn(self, reference: Audio) -> LearnedVoice:
        """Condition the engine on a recording and measure the voice in it. Raises ReferenceTooShort."""
        return LearnedVoice(*await both(self._engine.condition(reference), self._analyzer.analyze(reference)))

    async def learn_cached(self, reference: Audio) -> LearnedVoice:
        """As `learn`, remembered by the sound of the recording."""
        digest = hashlib.sha256(reference.samples.data).hexdigest()
        key = f"voice:{self._engine.name}:{digest}"
        if (packed := await self._cache.get(key)) is not None:
            return LearnedVoice.unpack(packed)
        voice = await self.learn(reference)
        await self._cache.set(key, voice.pack(), _CACHE_SECONDS)
        return voice

    async def speak(self, request: SpeechRequest) -> Audio:
        """Say the texts: 24 kHz mono. Raises UnsupportedLanguage."""
        return await self._engine.speak(request)

    async def match(self, voice: LearnedVoice, spoken: Audio) -> VoiceMatch:
        """How near `spoken` is to the voice that it was to be spoken with."""
        return compare(voice.voice_print, await self._analyzer.analyze(spoken))
