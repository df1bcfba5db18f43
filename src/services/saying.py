"""A given text in a given voice: what `clone` does while its caller waits, or as a job."""

import asyncio
from contextlib import aclosing
from dataclasses import dataclass, replace

from src.domain.audio import AudioFormat
from src.domain.errors import about
from src.domain.moderation import ReviewStage
from src.domain.ports import AudioDecoder
from src.domain.provenance import MarkedFile
from src.domain.speech import Quality, SpeechRequest, VoiceMatch
from src.services.interpreting import Spoken, Tell, tell_nobody
from src.services.profiles.profiles import Profiles
from src.services.safeguards.moderation import Review
from src.services.safeguards.provenance import Marking
from src.services.voice_cloning import LearnedVoice, Speech, VoiceCloning, at_once, joined, require_sayable
from src.utils.encoding import stretched
from src.utils.text import split_sentences


@dataclass(frozen=True, slots=True)
class RecordedSpeech:
    """Bytes as the caller sent them, after base64."""

    data: bytes
    audio_format: AudioFormat


@dataclass(frozen=True, slots=True)
class CloneRequest:
    """`voice` is a recording, or the id of a stored profile. `speed`: 0.25 to 4 times the engine's own."""

    text: str
    language: str
    voice: RecordedSpeech | str
    quality: Quality
    speed: float = 1.0


@dataclass(frozen=True, slots=True)
class Said:
    """The answer's file, and what is told of it."""

    file: MarkedFile
    duration_seconds: float
    match: VoiceMatch
    degraded: tuple[str, ...]


@dataclass(eq=False)
class Saying:
    decoder: AudioDecoder
    voices: VoiceCloning
    profiles: Profiles
    marking: Marking

    def sentences(self, request: CloneRequest) -> tuple[str, ...]:
        """Raises ConsentRequired, UnsupportedLanguage, RequestInvalid for a text with nothing to say."""
        if not isinstance(request.voice, str):
            self.profiles.require_usable_recording()
        self.voices.require_language(request.language)
        sentences = split_sentences(request.text, request.language)
        with about("text"):
            require_sayable(sentences, request.language)
        return sentences

    async def require(self, user_id: str, request: CloneRequest) -> None:
        """Before a job is made of it: raises as `sentences` does, and NotFound for a profile that is not there."""
        self.sentences(request)
        if isinstance(request.voice, str):
            await self.profiles.require_usable(request.voice, user_id)

    async def say(self, user_id: str, request: CloneRequest, review: Review, tell: Tell = tell_nobody) -> Said:
        """`tell` gets it piece by piece. Raises as `require` does, ContentBlocked, decoding errors."""
        sentences = self.sentences(request)
        await review.check(ReviewStage.TEXT, sentences, request.language)
        voice, notes = await self._voice(user_id, request.voice)
        asked = SpeechRequest((request.text,), request.language, voice.conditioning, quality=request.quality)
        pieces = list[Speech]()
        async with aclosing(self.voices.in_pieces(at_once(asked.texts), asked, voice)) as spoken:
            async for piece in spoken:
                audio = piece.audio
                if request.speed != 1 and piece.sentences:
                    audio = await asyncio.to_thread(stretched, audio, request.speed)
                pieces.append(replace(piece, audio=await self.marking.watermarked(audio)))
                await tell(Spoken(pieces[-1]))
        whole = joined(pieces)
        match = await self.voices.match(voice, whole)
        file = await self.marking.file_of(whole.audio)
        return Said(file, whole.audio.duration_seconds, match, (*notes, *review.degraded, *whole.degraded))

    async def _voice(self, user_id: str, voice: RecordedSpeech | str) -> tuple[LearnedVoice, tuple[str, ...]]:
        """And what of its recording could not be used."""
        if isinstance(voice, str):
            return await self.profiles.voice(voice, user_id), ()
        speech = await self.decoder.decode(voice.data, voice.audio_format)
        learned, notes = await self.voices.learn_message(speech.audio)
        return learned, (*speech.notes, *notes)
