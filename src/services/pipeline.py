"""The product: a recorded message becomes the same message in another language, in the speaker's voice.

Five steps, in `Pipeline.run`. Each is a service or an engine behind a port; this file says only what happens in which
order.
"""

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace

from src.domain.errors import ContentBlocked, ReferenceTooShort
from src.domain.jobs import Engines, Job, Stage, TranslationResult
from src.domain.languages import joined
from src.domain.ports import AudioDecoder, Storage
from src.domain.speech import DecodedSpeech, Transcript, Translation, VoiceMatch
from src.services.interpreting import (
    Heard,
    Interpreting,
    Piece,
    Spoken,
    Tell,
    Translated,
    Voice,
    tell_nobody,
    translated_segments,
)
from src.services.profiles.profiles import Profiles
from src.services.safeguards.moderation import Moderation, Review
from src.services.safeguards.provenance import Marking
from src.services.saying import CloneRequest, RecordedSpeech, Saying
from src.services.stage_clock import OnStage, StageClock
from src.services.transcription import Transcription
from src.services.transcription import merged as merged_transcripts
from src.services.translation import TextTranslation
from src.services.translation import merged as merged_translations
from src.services.voice_cloning import Speech, VoiceCloning
from src.services.voice_cloning import joined as joined_speech
from src.utils.concurrency import background_task


@dataclass(eq=False)
class Pipeline:
    decoder: AudioDecoder
    transcription: Transcription
    translation: TextTranslation
    voices: VoiceCloning
    profiles: Profiles
    storage: Storage
    marking: Marking
    moderation: Moderation

    async def run(self, job: Job, on_stage: OnStage, tell: Tell = tell_nobody) -> TranslationResult:
        """Do a job whose input is in storage. `tell` gets what of a translation is done, piece by piece.

        Raises the errors of every step; nothing is stored unless all succeed.
        """
        clock = StageClock(on_stage)
        wanted = job.request
        review = self.moderation.review(job.user_id, "job", job.id)
        target = wanted.target_language
        if target is None:
            return await self._hear(job, review, clock, tell)
        if wanted.text is not None:
            return await self._say(job, wanted.text, target, review, clock, tell)

        # 1. Untrusted bytes become 22 050 Hz mono speech, trimmed and levelled.
        async with clock.stage(Stage.PREPROCESSING):
            data = await self.storage.get(job.input_key)
            speech = await self.decoder.decode(data, wanted.audio_format)

        # 2 to 4. Speech to text, text to text, text to speech. The voice needs no text, so it is learned meanwhile.
        said = _Said(tell)
        heard = self.transcription.in_pieces(
            speech, wanted.source_language, wanted.quality, self.translation.sources_of(target), wanted.hints
        )
        interpreting = Interpreting(
            self.translation, self.voices, self.marking, target, wanted.quality, wanted.wording, review, clock, said.add
        )
        async with self._unlearned_when_blocked(speech), background_task(self._learn_voice(job, speech)) as learning:
            await interpreting.run(heard, learning)
            voice = await learning

        # 5. Compare the voices, mark the answer as synthetic, and keep it.
        async with clock.stage(Stage.POSTPROCESSING):
            transcript, translation, spoken = said.whole()
            match = await self.voices.match(voice.learned, spoken)
            marked, audio_key = await self.marking.file_of(spoken.audio, wanted.output_format), job.result_key()
            await self.storage.put(audio_key, marked.data)
        result = self._result(job, speech, transcript, translation, spoken, match, audio_key, clock)
        hearing = (*speech.notes, *self.transcription.degraded(transcript, wanted.source_language))
        degraded = (*hearing, *review.degraded, *translation.degraded, *voice.notes, *spoken.degraded)
        return replace(result, provenance=marked.marks, moderation=review.report, degraded=degraded)

    async def _say(
        self, job: Job, text: str, language: str, review: Review, clock: StageClock, tell: Tell
    ) -> TranslationResult:
        """A given text needs no steps 2 and 3, and takes no time in them; no engine did them."""
        wanted, audio_key = job.request, job.result_key()
        saying = Saying(self.decoder, self.voices, self.profiles, self.marking)
        async with clock.stage(Stage.VOICE_CLONING):
            voice: RecordedSpeech | str = wanted.voice_profile_id or ""
            if wanted.voice_profile_id is None:
                voice = RecordedSpeech(await self.storage.get(job.input_key), wanted.audio_format)
            asked = CloneRequest(text, language, voice, wanted.quality, wanted.speed)
            said = await saying.say(job.user_id, asked, review, tell)
        async with clock.stage(Stage.POSTPROCESSING):
            await self.storage.put(audio_key, said.file.data)
        return TranslationResult(
            original_text=text,
            translated_text=text,
            source_language=language,
            segments=(),
            confidence=1.0,
            source_seconds=0.0,
            duration_seconds=said.duration_seconds,
            voice_match=said.match,
            engines=Engines("none", "none", self.voices.engine_name),
            degraded=said.degraded,
            timestamps=clock.all_stages(),
            processing_time_ms=clock.total(),
            audio_key=audio_key,
            provenance=said.file.marks,
            moderation=review.report,
        )

    async def _hear(self, job: Job, review: Review, clock: StageClock, tell: Tell) -> TranslationResult:
        """Steps 1 and 2 alone."""
        wanted = job.request
        async with clock.stage(Stage.PREPROCESSING):
            speech = await self.decoder.decode(await self.storage.get(job.input_key), wanted.audio_format)
        said = _Said(tell)
        pieces = self.transcription.in_pieces(speech, wanted.source_language, wanted.quality, hints=wanted.hints)
        async with clock.stage(Stage.TRANSCRIPTION), aclosing(pieces):
            async for piece in pieces:
                await review.transcript(piece)
                await said.add(Heard(piece))
        transcript = merged_transcripts(said.transcripts)
        hearing = self.transcription.degraded(transcript, wanted.source_language)
        return TranslationResult(
            original_text=transcript.text,
            translated_text="",
            source_language=transcript.language,
            segments=(),
            confidence=transcript.confidence,
            source_seconds=speech.source_duration_seconds,
            duration_seconds=0.0,
            voice_match=None,
            engines=Engines(self.transcription.engine_name, "none", "none"),
            degraded=(*speech.notes, *review.degraded, *hearing),
            timestamps=clock.all_stages(),
            processing_time_ms=clock.total(),
            audio_key=job.result_key(),
            moderation=review.report,
            transcript=transcript,
        )

    @asynccontextmanager
    async def _unlearned_when_blocked(self, speech: DecodedSpeech) -> AsyncIterator[None]:
        try:
            yield
        except ContentBlocked:
            await self.voices.unlearn(speech.audio)
            raise

    async def _learn_voice(self, job: Job, speech: DecodedSpeech) -> Voice:
        """With a profile the melody is this message's own or, when the caller does not want that or the message is too
        short, the profile's.
        """
        if job.request.voice_profile_id is None:
            own, notes = await self.voices.learn_message(speech.audio)
            return Voice(own, notes=notes)
        voice = await self.profiles.voice(job.request.voice_profile_id, job.user_id)
        if not job.request.preserve_emotion:
            return Voice(voice)
        try:
            return Voice(voice, (await self.voices.learn_cached(speech.audio)).conditioning)
        except ReferenceTooShort:
            note = "The message is too short to follow its melody: the profile's melody was used."
            return Voice(voice, notes=(note,))

    def _result(
        self,
        job: Job,
        speech: DecodedSpeech,
        transcript: Transcript,
        translation: Translation,
        spoken: Speech,
        match: VoiceMatch,
        audio_key: str,
        clock: StageClock,
    ) -> TranslationResult:
        return TranslationResult(
            original_text=transcript.text,
            translated_text=joined(translation.texts, job.request.target_language or ""),
            source_language=transcript.language,
            segments=translated_segments(transcript, translation),
            confidence=transcript.confidence,
            source_seconds=speech.source_duration_seconds,
            duration_seconds=spoken.audio.duration_seconds,
            voice_match=match,
            engines=Engines(self.transcription.engine_name, translation.engine, self.voices.engine_name),
            degraded=(),
            timestamps=clock.milliseconds,
            processing_time_ms=clock.total(),
            audio_key=audio_key,
            target_variant=translation.target_variant,
        )


@dataclass(slots=True)
class _Said:
    """The pieces of a message, told on as they come."""

    tell: Tell
    transcripts: list[Transcript] = field(default_factory=list)
    translations: list[Translation] = field(default_factory=list)
    speeches: list[Speech] = field(default_factory=list)

    async def add(self, piece: Piece) -> None:
        match piece:
            case Heard(transcript):
                self.transcripts.append(transcript)
            case Translated(_, translation):
                self.translations.append(translation)
            case Spoken(speech):
                self.speeches.append(speech)
        await self.tell(piece)

    def whole(self) -> tuple[Transcript, Translation, Speech]:
        """Raises as `voice_cloning.joined` does."""
        return (
            merged_transcripts(self.transcripts),
            merged_translations(self.translations),
            joined_speech(self.speeches),
        )
