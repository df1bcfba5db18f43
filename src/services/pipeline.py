"""The product: a recorded message becomes the same message in another language, in the speaker's voice.

Five steps, in `Pipeline.run`. Each is a service or an engine behind a port; this file says only what happens in which
order.
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from src.domain.errors import ContentBlocked, ReferenceTooShort
from src.domain.jobs import Engines, Job, Stage, TranslatedSegment, TranslationResult
from src.domain.languages import joined
from src.domain.ports import AudioDecoder, Storage
from src.domain.speech import DecodedSpeech, SpeechRequest, Transcript, Translation, VoiceConditioning, VoiceMatch
from src.services.profiles.profiles import Profiles
from src.services.safeguards.moderation import Moderation, Review
from src.services.safeguards.provenance import Marking
from src.services.saying import CloneRequest, RecordedSpeech, Saying
from src.services.transcription import Transcription
from src.services.translation import TextTranslation
from src.services.voice_cloning import LearnedVoice, Speech, VoiceCloning
from src.utils.concurrency import background_task

OnStage = Callable[[Stage], Awaitable[None]]


@dataclass(slots=True)
class StageClock:
    """Announces each stage as it starts and keeps how long it took, in milliseconds."""

    on_stage: OnStage
    started: float = field(default_factory=time.perf_counter)
    milliseconds: dict[Stage, float] = field(default_factory=dict)

    @asynccontextmanager
    async def stage(self, stage: Stage) -> AsyncIterator[None]:
        start = time.perf_counter()
        await self.on_stage(stage)
        yield
        self.milliseconds[stage] = (time.perf_counter() - start) * 1000

    def all_stages(self) -> dict[Stage, float]:
        """Those that were left out took no time."""
        return {stage: self.milliseconds.get(stage, 0.0) for stage in Stage}

    def total(self) -> float:
        return (time.perf_counter() - self.started) * 1000


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

    async def run(self, job: Job, on_stage: OnStage) -> TranslationResult:
        """Do a job whose input is in storage. Raises the errors of every step; nothing is stored unless all succeed."""
        clock = StageClock(on_stage)
        wanted = job.request
        review = self.moderation.review(job.user_id, "job", job.id)
        target = wanted.target_language
        if target is None:
            return await self._hear(job, review, clock)
        if wanted.text is not None:
            return await self._say(job, wanted.text, target, review, clock)

        # 1. Untrusted bytes become 22 050 Hz mono speech, trimmed and levelled.
        async with clock.stage(Stage.PREPROCESSING):
            data = await self.storage.get(job.input_key)
            speech = await self.decoder.decode(data, wanted.audio_format)

        # The voice needs no text, so it is learned while steps 2 and 3 run.
        async with self._unlearned_when_blocked(speech), background_task(self._learn_voice(job, speech)) as learning:
            # 2. Speech to text, in segments with times. What may not pass ends here, before it is sent anywhere.
            async with clock.stage(Stage.TRANSCRIPTION):
                answerable = self.translation.sources_of(target)
                transcript = await self.transcription.transcribe(
                    speech, wanted.source_language, wanted.quality, answerable, wanted.hints
                )
                await review.transcript(transcript)

            # 3. Text to text, segment by segment. It is kept for the next time only when it may pass.
            async with clock.stage(Stage.TRANSLATION):
                texts = tuple(segment.text for segment in transcript.segments)
                spoken_in = tuple(segment.language or transcript.language for segment in transcript.segments)
                translation = await self.translation.translate(
                    texts, spoken_in, target, wanted.wording, review.translation
                )

            # 4. Text to speech, in the speaker's voice.
            async with clock.stage(Stage.VOICE_CLONING):
                voice, prosody, notes = await learning
                spoken = await self.voices.speak(
                    SpeechRequest(translation.texts, target, voice.conditioning, prosody, wanted.quality),
                    voice,
                )
                spoken = replace(spoken, degraded=(*notes, *spoken.degraded))

        # 5. Compare the voices, mark the answer as synthetic, and keep it.
        async with clock.stage(Stage.POSTPROCESSING):
            match = await self.voices.match(voice, spoken)
            marked, audio_key = await self.marking.encode(spoken.audio), job.result_key()
            await self.storage.put(audio_key, marked.data)
        result = self._result(job, speech, transcript, translation, spoken, match, audio_key, clock)
        hearing = (*speech.notes, *self.transcription.degraded(transcript, wanted.source_language))
        degraded = (*hearing, *review.degraded, *result.degraded)
        return replace(result, provenance=marked.marks, moderation=review.report, degraded=degraded)

    async def _say(self, job: Job, text: str, language: str, review: Review, clock: StageClock) -> TranslationResult:
        """A given text needs no steps 2 and 3, and takes no time in them; no engine did them."""
        wanted, audio_key = job.request, job.result_key()
        saying = Saying(self.decoder, self.voices, self.profiles, self.marking)
        async with clock.stage(Stage.VOICE_CLONING):
            voice: RecordedSpeech | str = wanted.voice_profile_id or ""
            if wanted.voice_profile_id is None:
                voice = RecordedSpeech(await self.storage.get(job.input_key), wanted.audio_format)
            asked = CloneRequest(text, language, voice, wanted.quality)
            said = await saying.say(job.user_id, asked, review)
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

    async def _hear(self, job: Job, review: Review, clock: StageClock) -> TranslationResult:
        """Steps 1 and 2 alone."""
        wanted = job.request
        async with clock.stage(Stage.PREPROCESSING):
            speech = await self.decoder.decode(await self.storage.get(job.input_key), wanted.audio_format)
        async with clock.stage(Stage.TRANSCRIPTION):
            transcript = await self.transcription.transcribe(
                speech, wanted.source_language, wanted.quality, hints=wanted.hints
            )
            await review.transcript(transcript)
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

    async def _learn_voice(
        self, job: Job, speech: DecodedSpeech
    ) -> tuple[LearnedVoice, VoiceConditioning | None, tuple[str, ...]]:
        """The voice to speak with, the melody to follow, and what could not be done: with a profile the melody is this
        message's own or, when the caller does not want that or the message is too short, the profile's.
        """
        if job.request.voice_profile_id is None:
            own, notes = await self.voices.learn_message(speech.audio)
            return own, None, notes
        voice = await self.profiles.voice(job.request.voice_profile_id, job.user_id)
        if not job.request.preserve_emotion:
            return voice, None, ()
        try:
            return voice, (await self.voices.learn_cached(speech.audio)).conditioning, ()
        except ReferenceTooShort:
            return voice, None, ("The message is too short to follow its melody: the profile's melody was used.",)

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
        segments = tuple(
            TranslatedSegment(
                segment.start, segment.end, segment.text, translated, segment.language or transcript.language
            )
            for segment, translated in zip(transcript.segments, translation.texts, strict=True)
        )
        return TranslationResult(
            original_text=transcript.text,
            translated_text=joined(translation.texts, job.request.target_language or ""),
            source_language=transcript.language,
            segments=segments,
            confidence=transcript.confidence,
            source_seconds=speech.source_duration_seconds,
            duration_seconds=spoken.audio.duration_seconds,
            voice_match=match,
            engines=Engines(self.transcription.engine_name, translation.engine, self.voices.engine_name),
            degraded=(*translation.degraded, *spoken.degraded),
            timestamps=clock.milliseconds,
            processing_time_ms=clock.total(),
            audio_key=audio_key,
            target_variant=translation.target_variant,
        )
