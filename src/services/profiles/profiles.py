"""Voice profiles: a voice learned once, kept with the speaker's consent, spoken with often."""

import asyncio
import logging
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from uuid import uuid4

from src.domain.accounts import audio_counted
from src.domain.audio import Audio, AudioFormat
from src.domain.consent import Consent, ConsentMethod
from src.domain.errors import (
    AudioTooLong,
    ConsentRequired,
    DamagedFile,
    NotFound,
    ReferenceTooShort,
    RequestInvalid,
    Unavailable,
    about,
)
from src.domain.identity import CLOCK_LEEWAY_SECONDS, current_user
from src.domain.jobs import VoiceProfile, now
from src.domain.ports import AudioDecoder, Storage
from src.domain.repositories import ProfileRepository
from src.domain.speech import DecodedSpeech
from src.services.profiles.verification import SpokenAnswer, Verification
from src.services.voice_cloning import DamagedVoice, LearnedVoice, VoiceCloning

logger = logging.getLogger(__name__)

CLONES = "clones"
"""Where the answers of `clone` lie in storage."""

MAX_ADDITIONAL_REFERENCES = 4
"""Recordings of a voice beside the main one. XTTS takes the manner of speaking from the first 30 s of all together, and
the sound of the voice from 30 s of each."""

_PLANNED_SECONDS = 600.0
"""Above the time that it takes to store a profile's files."""

_SEND_CONSENT = "Send `consent` with `given`: true, the `statement` that the speaker agreed to, and `recorded_at`."
_NONE_ON_RECORD = "No consent of the speaker is on record for this voice."


def clones_of(profile_id: str) -> str:
    """Where those lie that were spoken with this profile."""
    return f"{CLONES}/{profile_id}"


@dataclass(frozen=True, slots=True)
class NewProfile:
    """What a caller sends to make or replace a profile. `profile_id` None: make a new one.

    All recordings have the one `audio_format`. The service adds to `consent` which recordings it is for; None:
    nobody says that the speaker agreed.
    """

    user_id: str
    reference_audio: bytes
    audio_format: AudioFormat
    consent: Consent | None = None
    name: str | None = None
    profile_id: str | None = None
    additional_references: tuple[bytes, ...] = ()
    verification: SpokenAnswer | None = None

    @property
    def recordings(self) -> tuple[bytes, ...]:
        return (self.reference_audio, *self.additional_references)


@dataclass(eq=False)
class Profiles:
    """`min_reference_seconds` of speech are needed in each recording, `max_reference_seconds` are taken in all.
    `consent_required`: whether a voice is kept and spoken with only when a consent to it is on record.
    """

    profiles: ProfileRepository
    storage: Storage
    decoder: AudioDecoder
    voices: VoiceCloning
    verification: Verification
    _: KW_ONLY
    min_reference_seconds: float
    max_reference_seconds: float
    consent_required: bool = False

    async def save(self, new: NewProfile) -> VoiceProfile:
        """Learn the voice and keep it; not learned again when it replaces one of the same recordings.

        Raises RequestInvalid for a consent from the future, ConsentRequired where one is needed and not given, or must
        be verified and is not to be, ReferenceTooShort, AudioTooLong, NotFound for another's `profile_id`, decoding
        errors, and those of `Verification.confirm`.
        """
        began = now()
        current_user.set(new.user_id)
        self.verification.require(verified=new.verification is not None)
        if new.consent is not None:
            _require_past(new.consent)
        elif self.consent_required or new.verification is not None:
            raise ConsentRequired(_SEND_CONSENT)
        old = await self.profiles.get(new.profile_id, new.user_id) if new.profile_id else None
        speeches = await self._references(new)
        references = tuple(speech.audio for speech in speeches)
        method = ConsentMethod.DECLARED
        if new.verification is not None:
            await self.verification.confirm(new.user_id, new.verification, references)
            method = ConsentMethod.SPOKEN_CHALLENGE
        known = await self._stored_voice(old) if old is not None else None
        voice = await self.voices.learn(references, known)
        checksums = await asyncio.to_thread(_checksums, new.recordings)
        consent = new.consent and replace(new.consent, method=method, references=checksums)
        profile = self._describe(
            replace(new, consent=consent), old, voice, sum(reference.duration_seconds for reference in references)
        )
        await self._keep(profile, old, new.recordings, voice, began)
        return replace(profile, notes=tuple(note for speech in speeches for note in speech.notes))

    async def verify(self, profile_id: str, user_id: str, answer: SpokenAnswer, sent_by: str) -> VoiceProfile:
        """Verify a profile that is there: its consent is recorded anew, as one by spoken challenge.

        Raises NotFound, ConsentRequired when none is on record, decoding errors, and those of `Verification.confirm`.
        """
        current_user.set(user_id)
        profile = await self.profiles.get(profile_id, user_id)
        if profile.consent is None:
            raise ConsentRequired(f"{_NONE_ON_RECORD} Save the profile anew with `consent` and `verification`.")
        recordings = [await self.storage.get(path) for path in profile.audio_paths]
        references = [
            await self._recorded(path, recording)
            for path, recording in zip(profile.audio_paths, recordings, strict=True)
        ]
        await self.verification.confirm(user_id, answer, tuple(references))
        consent = Consent(
            profile.consent.statement,
            profile.consent.recorded_at,
            sent_by,
            ConsentMethod.SPOKEN_CHALLENGE,
            await asyncio.to_thread(_checksums, tuple(recordings)),
        )
        await self.profiles.add_consent(profile_id, user_id, consent, instead_of=profile.consent.id)
        return replace(profile, consent=consent, updated_at=consent.received_at)

    async def get(self, profile_id: str, user_id: str) -> VoiceProfile:
        """Raises NotFound, also for another user's profile."""
        return await self.profiles.get(profile_id, user_id)

    async def rename(self, profile_id: str, user_id: str, name: str) -> VoiceProfile:
        """Its voice and consent stay. Raises NotFound."""
        await self.profiles.rename(profile_id, user_id, name)
        return await self.profiles.get(profile_id, user_id)

    async def require_usable(self, profile_id: str, user_id: str) -> None:
        """Raises NotFound, and ConsentRequired where only profiles with consent, or verified ones, are spoken with and
        this one is not.
        """
        await self._usable(profile_id, user_id)

    def require_usable_recording(self) -> None:
        """Raises ConsentRequired where only verified voices are spoken with: nobody vouches for a recording."""
        self.verification.require(verified=False)

    async def of_user(self, user_id: str) -> list[VoiceProfile]:
        return await self.profiles.of_user(user_id)

    async def voice(self, profile_id: str, user_id: str) -> LearnedVoice:
        """The stored voice. Learned anew from the recordings, and stored, when what is stored cannot be used: another
        voice engine made it, it is damaged or not there. Raises as `require_usable` does.
        """
        profile = await self._usable(profile_id, user_id)
        voice = await self.voices.recall(profile.embedding_path)
        if voice is not None:
            return voice
        voice = await self._stored_voice(profile)
        if voice is None:
            references = [await self._recorded(path, await self.storage.get(path)) for path in profile.audio_paths]
            voice = await self.voices.learn(tuple(references))
            await self._replace_voice(profile, voice)
        await self.voices.remember(profile.embedding_path, voice)
        return voice

    async def _usable(self, profile_id: str, user_id: str) -> VoiceProfile:
        profile = await self.profiles.get(profile_id, user_id)
        self.verification.require(verified=profile.verified)
        if self.consent_required and profile.consent is None:
            raise ConsentRequired(f"{_NONE_ON_RECORD} Save the profile anew with `consent`.")
        return profile

    async def _references(self, new: NewProfile) -> tuple[DecodedSpeech, ...]:
        """The recordings of a new profile, each good enough by itself; errors and notes of further ones name them."""
        references = [await self._reference(new.reference_audio, new.audio_format)]
        for index, data in enumerate(new.additional_references):
            with about(field := f"additional_references[{index}]"):
                further = await self._reference(data, new.audio_format)
                references.append(replace(further, notes=tuple(f"{field}: {note}" for note in further.notes)))
                seconds, most = sum(each.audio.duration_seconds for each in references), self.max_reference_seconds
                if seconds > most:
                    raise AudioTooLong(f"With it the references have {seconds:.1f} s of speech; at most {most:g} s.")
        return tuple(references)

    async def _reference(self, data: bytes, audio_format: AudioFormat) -> DecodedSpeech:
        speech = await self.decoder.decode(data, audio_format)
        seconds, least = speech.audio.duration_seconds, self.min_reference_seconds
        if seconds < least:
            raise ReferenceTooShort(f"The reference has {seconds:.1f} s of speech; a voice needs at least {least:g} s.")
        return speech

    async def _recorded(self, path: str, recording: bytes) -> Audio:
        audio_counted.set(True)  # when it was sent
        declared = AudioFormat(path.rpartition(".")[2])
        return (await self.decoder.decode(recording, declared)).audio

    async def _stored_voice(self, profile: VoiceProfile) -> LearnedVoice | None:
        """None, and a line in the log: it cannot be used."""
        try:
            voice = LearnedVoice.unpack(await self.storage.get(profile.embedding_path))
        except NotFound:
            trouble = "is not there"
        except (DamagedVoice, DamagedFile):
            trouble = "is damaged"
        else:
            if voice.conditioning.engine == self.voices.engine_name:
                return voice
            trouble = f"was learned by {voice.conditioning.engine}"
        logger.warning("the stored voice of profile %s %s: it is learned again", profile.id, trouble)
        return None

    async def _replace_voice(self, profile: VoiceProfile, voice: LearnedVoice) -> None:
        """Store a voice that was learned again, unless the profile was deleted or replaced meanwhile."""
        await self.storage.put(profile.embedding_path, voice.pack())
        try:
            current = await self.profiles.get(profile.id, profile.user_id)
        except NotFound:
            await self.storage.delete(profile.embedding_path)
            raise
        if current.embedding_path != profile.embedding_path:
            await self.storage.delete(profile.embedding_path)

    def _describe(self, new: NewProfile, old: VoiceProfile | None, voice: LearnedVoice, seconds: float) -> VoiceProfile:
        measured = voice.voice_print
        version = uuid4().hex
        profile = VoiceProfile(
            id=version,
            user_id=new.user_id,
            name=new.name,
            pitch_hz=measured.pitch_hz,
            voice_type=measured.voice_type,
            brightness=measured.brightness,
            duration_seconds=seconds,
            embedding_path=f"embeddings/{version}.voice",
            reference_audio_path=f"references/{version}.{new.audio_format}",
            consent=new.consent,
            additional_audio_paths=tuple(
                f"references/{version}-{number}.{new.audio_format}"
                for number in range(1, len(new.additional_references) + 1)
            ),
        )
        if old is None:
            return profile
        return replace(profile, id=old.id, name=new.name or old.name, created_at=old.created_at, updated_at=now())

    async def _keep(
        self,
        profile: VoiceProfile,
        old: VoiceProfile | None,
        recordings: tuple[bytes, ...],
        voice: LearnedVoice,
        began: datetime,
    ) -> None:
        """That the files are to be erased is planned before they are written, and called off with the row: so they go
        when this process is killed in between. The old ones go from then on.
        """
        await self.profiles.plan(
            _files_of(profile), profile.user_id, old.id if old else None, _PLANNED_SECONDS, since=began
        )
        try:
            for path, recording in zip(profile.audio_paths, recordings, strict=True):
                await self.storage.put(path, recording)
            await self.storage.put(profile.embedding_path, voice.pack())
            await self.profiles.save(profile, old, planned=True)
        except BaseException:
            await self._erase(profile)
            raise
        if old is not None:
            with suppress(Unavailable):  # what is left is planned
                await self._erase(old)

    async def _erase(self, profile: VoiceProfile) -> None:
        await self.voices.forget(profile.embedding_path, profile.user_id)
        for path in _files_of(profile):
            await self.storage.delete(path)
        await self.profiles.erased(_files_of(profile))


def _files_of(profile: VoiceProfile) -> tuple[str, ...]:
    return (profile.embedding_path, *profile.audio_paths)


def _require_past(consent: Consent) -> None:
    """Nobody has agreed tomorrow. Raises RequestInvalid."""
    if consent.recorded_at > consent.received_at + timedelta(seconds=CLOCK_LEEWAY_SECONDS):
        raise RequestInvalid(
            "consent.recorded_at: It is in the future; say when the speaker agreed, with the offset from UTC."
        )


def _checksums(recordings: tuple[bytes, ...]) -> tuple[str, ...]:
    return tuple(sha256(recording).hexdigest() for recording in recordings)
