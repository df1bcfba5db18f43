"""Learn a voice from a recording, speak in it, and measure how near the result is."""

import asyncio
import hashlib
import json
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass, replace
from functools import partial

import numpy as np

from src.domain.audio import OUTPUT_SAMPLE_RATE, Audio, SpokenAudio
from src.domain.errors import EngineUnavailable, ReferenceTooShort, RequestInvalid, UnsupportedLanguage
from src.domain.identity import current_user
from src.domain.ports import Cache, SpeakerAnalyzer, Transcriber, VoiceEngine
from src.domain.speech import Quality, SpeechRequest, VoiceConditioning, VoiceMatch, VoicePrint, compare
from src.services.candidates import Candidates
from src.services.spoken_text import SpokenText, least_seconds, spoken
from src.utils.audio import join
from src.utils.concurrency import in_order, run_both

logger = logging.getLogger(__name__)

_CACHE_SECONDS = 600.0
_STORED_CACHE_SECONDS = 60.0
"""A deleted voice is to be gone everywhere in a minute, also from a Redis that did not hear of the deletion."""


_MOST_NAMED = 10
"""Characters that one notice names."""

_AT_ONCE = 2
"""Engine calls for one message at the same time."""
_MOST_SENTENCES = 8
"""In one call: what XTTS decodes together."""
_PAUSE_SECONDS = 0.25
"""Between what two calls said."""


_NOTHING_TO_SAY = "There is no letter or digit in the text that can be said."
_UNCONVERTED = (
    "The recording has too little voice to learn from: the answer is spoken in the engine's own voice, unconverted."
)


class DamagedVoice(Exception):
    """Bytes that `LearnedVoice.pack` did not make, or not to the end."""


@dataclass(frozen=True, slots=True)
class LearnedVoice:
    """A voice that can be spoken with: what the engine needs, and what was measured of it.

    `recordings`: the `digest` of those that it was learned from.
    """

    conditioning: VoiceConditioning
    voice_print: VoicePrint
    recordings: str

    def pack(self) -> bytes:
        """A line with the SHA-256 of the rest, a line of JSON, then the engine's own bytes (XTTS: safetensors)."""
        header = {
            "engine": self.conditioning.engine,
            "recordings": self.recordings,
            "voice_print": asdict(self.voice_print),
        }
        content = json.dumps(header).encode() + b"\n" + self.conditioning.data
        return hashlib.sha256(content).hexdigest().encode() + b"\n" + content

    @classmethod
    def unpack(cls, packed: bytes) -> "LearnedVoice":
        """Raises DamagedVoice, also for what an older version stored."""
        checksum, _, content = packed.partition(b"\n")
        if checksum != hashlib.sha256(content).hexdigest().encode():
            raise DamagedVoice
        head, _, data = content.partition(b"\n")
        header = json.loads(head)
        measured = header["voice_print"]
        voice_print = VoicePrint(
            embedding=tuple(measured["embedding"]),
            pitch_hz=measured["pitch_hz"],
            brightness=measured["brightness"],
            timbre=tuple(measured["timbre"]),
        )
        return cls(VoiceConditioning(header["engine"], data), voice_print, header["recordings"])


def digest(references: tuple[Audio, ...]) -> str:
    """SHA-256 over recordings: the same for the same sounds in the same order."""
    total = hashlib.sha256()
    for reference in references:
        total.update(f"{reference.sample_rate} {len(reference.samples)}\n".encode())
        total.update(reference.samples.data)
    return total.hexdigest()


@dataclass(frozen=True, slots=True, eq=False)
class Speech:
    """What was spoken: `sentences`, as they were said, of which those at the indices `lost` have less sound than they
    take to say. `match`: how near it is to its voice, where choosing it needed to know that already.
    """

    audio: Audio
    sentences: tuple[str, ...]
    match: VoiceMatch | None = None
    lost: tuple[int, ...] = ()
    degraded: tuple[str, ...] = ()

    @property
    def silent(self) -> bool:
        return isinstance(self.audio, SpokenAudio) and not any(self.audio.seconds)


class VoiceCloning:
    """`cache` keeps what was learned from a message for ten minutes, for the same message into another language, and
    for a minute what was read from storage; each for the user whose work is done.
    `transcriber` listens to what was spoken where several takes are compared.
    """

    def __init__(self, engine: VoiceEngine, analyzer: SpeakerAnalyzer, cache: Cache, transcriber: Transcriber) -> None:
        self._engine = engine
        self._analyzer = analyzer
        self._cache = cache
        self._candidates = Candidates(engine, analyzer, transcriber)

    @property
    def engine_name(self) -> str:
        return self._engine.name

    def require_language(self, language: str) -> None:
        """Raises UnsupportedLanguage, before any work, for a language that the voice engine does not speak."""
        if language not in self._engine.languages:
            spoken = ", ".join(sorted(self._engine.languages)) or "nothing"
            raise UnsupportedLanguage(f"The voice engine {self._engine.name} speaks {spoken}, not {language!r}.")

    async def learn(self, references: tuple[Audio, ...], known: LearnedVoice | None = None) -> LearnedVoice:
        """Condition the engine on recordings of a voice, and measure it. Raises ReferenceTooShort.

        `known`: a voice to be taken as it is when this engine learned it from the same recordings.
        """
        recordings = await asyncio.to_thread(digest, references)
        if known is not None and (known.conditioning.engine, known.recordings) == (self._engine.name, recordings):
            return known
        return await self._learn(references, recordings)

    async def learn_cached(self, reference: Audio) -> LearnedVoice:
        """As `learn`, remembered by the sound of the recording."""
        recordings = await asyncio.to_thread(digest, (reference,))
        key = self._key_for(recordings)
        voice = await self._cached(key)
        if voice is None:
            voice = await self._learn((reference,), recordings)
            await self._cache.set(key, voice.pack(), _CACHE_SECONDS, current_user.get())
        return voice

    async def learn_message(self, reference: Audio) -> tuple[LearnedVoice, tuple[str, ...]]:
        """As `learn_cached`; where there is too little voice to learn, the engine's own, and that is said.

        Raises ReferenceTooShort for an engine without a voice of its own.
        """
        try:
            return await self.learn_cached(reference), ()
        except ReferenceTooShort:
            measuring = self._analyzer.analyze(reference)
            own = LearnedVoice(*await run_both(self._engine.condition(()), measuring), recordings="")
            return own, (_UNCONVERTED,)

    async def unlearn(self, reference: Audio) -> None:
        """Forget what `learn_cached` remembers of this recording."""
        recordings = await asyncio.to_thread(digest, (reference,))
        await self._cache.delete(self._key_for(recordings), current_user.get())

    async def recall(self, path: str) -> LearnedVoice | None:
        """The voice that is stored at `path`, if it was used in the last minute."""
        return await self._cached(self._key_of(path))

    async def remember(self, path: str, voice: LearnedVoice) -> None:
        await self._cache.set(self._key_of(path), voice.pack(), _STORED_CACHE_SECONDS, current_user.get())

    async def forget(self, path: str, user_id: str) -> None:
        """Where that is not possible now, it ends by itself within a minute."""
        await self._cache.delete(self._key_of(path), user_id)

    def _key_for(self, recordings: str) -> str:
        return f"voice:{self._engine.name}:{recordings}"

    def _key_of(self, path: str) -> str:
        return f"stored-voice:{self._engine.name}:{path}"

    async def _cached(self, key: str) -> LearnedVoice | None:
        packed = await self._cache.get(key, current_user.get())
        try:
            return None if packed is None else LearnedVoice.unpack(packed)
        except DamagedVoice:
            logger.warning("a voice in the cache is damaged: going on without it")
            return None

    async def _learn(self, references: tuple[Audio, ...], recordings: str) -> LearnedVoice:
        measuring = self._analyzer.analyze(join(references))
        return LearnedVoice(*await run_both(self._engine.condition(references), measuring), recordings)

    async def speak(self, request: SpeechRequest, voice: LearnedVoice) -> Speech:
        """All of `in_pieces`, as one; `degraded` names what could not be said. Raises as `joined` does."""
        async with aclosing(self.in_pieces(at_once(request.texts), request, voice)) as pieces:
            return joined([piece async for piece in pieces])

    async def in_pieces(
        self, texts: AsyncGenerator[tuple[str, ...]], request: SpeechRequest, voice: LearnedVoice
    ) -> AsyncGenerator[Speech]:
        """Say texts, as they are written, as they come, with `voice`: 24 kHz mono, pauses included. Those of `request`
        do not count, but all else in it does.

        The first sentence is said alone, to be heard soon; then as many at once as were said before, up to 8, which
        takes an engine that batches little longer. High quality is listened to, and the best of several takes is
        chosen, if the engine's takes differ; there, texts that come together are said together. Raises
        UnsupportedLanguage.
        """
        say = partial(self._say, replace(request, speaker=voice.voice_print.embedding), voice)
        groups = _groups(texts, request.language, together=request.quality is Quality.HIGH)
        async with aclosing(in_order(groups, say, at_once=_AT_ONCE, first_alone=True)) as spoken:
            said = False
            async for speech in spoken:
                follows, said = said and bool(speech.sentences), said or bool(speech.sentences)
                yield replace(speech, audio=_after_pause(speech.audio)) if follows else speech

    async def _say(self, request: SpeechRequest, voice: LearnedVoice, text: SpokenText) -> Speech:
        if not text.sentences:
            return Speech(Audio(np.zeros(0, np.float32), OUTPUT_SAMPLE_RATE), (), degraded=_left_out(text))
        request = replace(request, texts=text.sentences)
        if request.quality is not Quality.HIGH:
            speech = Speech(await self._engine.speak(request), text.sentences)
        else:
            choice = await self._candidates.best(request, voice.voice_print)
            speech = Speech(choice.candidate.audio, text.sentences, choice.candidate.match, degraded=choice.degraded)
        return replace(speech, lost=_lost(speech), degraded=(*speech.degraded, *_left_out(text)))

    async def match(self, voice: LearnedVoice, spoken: Speech) -> VoiceMatch:
        """How near `spoken` is to the voice that it was to be spoken with."""
        if spoken.match is not None:
            return spoken.match
        return compare(voice.voice_print, await self._analyzer.analyze(spoken.audio))


def require_sayable(texts: tuple[str, ...], language: str) -> None:
    """Raises RequestInvalid for texts of which nothing can be said. Looks no further than the first that can."""
    if not any(spoken(text, language).sentences for text in texts):
        raise RequestInvalid(_NOTHING_TO_SAY)


def joined(pieces: Sequence[Speech]) -> Speech:
    """What was said of a message in pieces, as one: the samples of all, one after the other.

    Raises RequestInvalid when nothing could be said of it, and EngineUnavailable when the engine made no sound.
    """
    said = [piece for piece in pieces if piece.sentences]
    if not said:
        raise RequestInvalid(_NOTHING_TO_SAY)
    if all(piece.silent for piece in said):
        raise EngineUnavailable("The voice engine made no sound of the text.")
    before, lost = 0, list[int]()
    for piece in said:
        lost += [before + index for index in piece.lost]
        before += len(piece.sentences)
    return Speech(
        join(piece.audio for piece in said),
        tuple(sentence for piece in said for sentence in piece.sentences),
        _mean([(piece.match, piece.audio.duration_seconds) for piece in said if piece.match is not None]),
        tuple(lost),
        tuple(dict.fromkeys((*(note for piece in pieces for note in piece.degraded), *_lost_note(lost, before)))),
    )


def _mean(matches: Sequence[tuple[VoiceMatch, float]]) -> VoiceMatch | None:
    """Each by its length."""
    if len(matches) < 2:
        return matches[0][0] if matches else None
    total = sum(seconds for _, seconds in matches)
    heard = [(match.heard, seconds) for match, seconds in matches if match.heard is not None]
    return VoiceMatch(
        sum(match.similarity * seconds for match, seconds in matches) / total,
        sum(match.pitch_agreement * seconds for match, seconds in matches) / total,
        sum(match.timbre_agreement * seconds for match, seconds in matches) / total,
        sum(share * seconds for share, seconds in heard) / total if len(heard) == len(matches) else None,
    )


async def at_once(texts: tuple[str, ...]) -> AsyncGenerator[tuple[str, ...]]:
    """Texts that are all there."""
    yield texts


async def _groups(
    texts: AsyncGenerator[tuple[str, ...]], language: str, *, together: bool
) -> AsyncGenerator[SpokenText]:
    """Sentences that are said in one call; for texts of which nothing can be said, what they have."""
    said = 0
    async with aclosing(texts):
        async for some in texts:
            text = await asyncio.to_thread(_said, some, language)
            left, unsaid = text.sentences, text.unsaid
            while left or unsaid:
                count = len(left) if together else max(1, min(said, _MOST_SENTENCES))
                yield SpokenText(left[:count], unsaid)
                said, left, unsaid = said + len(left[:count]), left[count:], ()


def _said(texts: tuple[str, ...], language: str) -> SpokenText:
    """What is said of texts, one after the other."""
    parts = [spoken(text, language) for text in texts]
    sentences = tuple(sentence for part in parts for sentence in part.sentences)
    return SpokenText(sentences, tuple(dict.fromkeys(sign for part in parts for sign in part.unsaid)))


def _after_pause(audio: Audio) -> Audio:
    pause = np.zeros(round(_PAUSE_SECONDS * audio.sample_rate), np.float32)
    return replace(audio, samples=np.concatenate((pause, audio.samples)))


def _left_out(text: SpokenText) -> tuple[str, ...]:
    if not text.unsaid:
        return ()
    named = " ".join(text.unsaid[:_MOST_NAMED]) + (" …" if len(text.unsaid) > _MOST_NAMED else "")
    return (f"What cannot be spoken was left out: {named}",)


def _lost(speech: Speech) -> tuple[int, ...]:
    if not isinstance(speech.audio, SpokenAudio):
        return ()
    pairs = zip(speech.sentences, speech.audio.seconds, strict=True)
    return tuple(index for index, (sentence, seconds) in enumerate(pairs) if seconds < least_seconds(sentence))


def _lost_note(lost: Sequence[int], sentences: int) -> tuple[str, ...]:
    if not lost:
        return ()
    numbers = ", ".join(str(index + 1) for index in lost[:_MOST_NAMED])
    return (f"Less was spoken than the text has: words are missing in sentence {numbers} of {sentences}.",)
