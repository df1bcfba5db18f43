"""Voice profiles: a voice learned once, kept with the speaker's consent, spoken with often."""

import logging
from dataclasses import dataclass, replace
from uuid import uuid4

from src.domain.audio import AudioFormat
from src.domain.errors import ReferenceTooShort
from src.domain.jobs import Consent, VoiceProfile, now
from src.domain.ports import AudioDecoder, ProfileRepository, Storage
from src.services.voice_cloning import LearnedVoice, VoiceCloning

logger = logging.getLogger(__name__)

CLONES = "clones"
"""Where the answers of `clone` lie in storage."""


def clones_of(profile_id: str) -> str:
    """Where those lie that were spoken with this profile."""
    return f"{CLONES}/{profile_id}"


@dataclass(frozen=True, slots=True)
class NewProfile:
    """What a caller sends to make or replace a profile. `profile_id` None: make a new one."""

    user_id: str
    reference_audio: bytes
    audio_format: AudioFormat
    consent: Consent
    name: str | None = None
    profile_id: str | None = None


class Profiles:
    def __init__(
        self,
        profiles: ProfileRepository,
        storage: Storage,
        decoder: AudioDecoder,
        voices: VoiceCloning,
        min_reference_seconds: float,
    ) -> None:
        self._profiles = profiles
        self._storage = storage
        self._decoder = decoder
        self._voices = voices
        self._min_reference_seconds = min_reference_seconds

    async def save(self, new: NewProfile) -> VoiceProfile:
        """Learn the voice and keep it. Raises ReferenceTooShort, NotFound for another's `profile_id`, and decoding
        errors.
        """
        old = await self._profiles.get(new.profile_id, new.user_id) if new.profile_id else None
        speech = await self._decoder.decode(new.reference_audio, new.audio_format)
        seconds = speech.audio.duration_seconds
        if seconds < self._min_reference_seconds:
            least = self._min_reference_seconds
            raise ReferenceTooShort(f"The reference has {seconds:.1f} s of speech; a voice needs at least {least:g} s.")
        voice = await self._voices.learn(speech.audio)
        profile = self._describe(new, old, voice, seconds)
        await self._keep(profile, new.reference_audio, voice)
        if old is not None:
            await self._delete_files(old)
        return profile

    async def get(self, profile_id: str, user_id: str) -> VoiceProfile:
        """Raises NotFound, also for another user's profile."""
        return await self._profiles.get(profile_id, user_id)

    async def of_user(self, user_id: str) -> list[VoiceProfile]:
        return await self._profiles.of_user(user_id)

    async def delete(self, profile_id: str, user_id: str) -> None:
        """Files first, row last: a deletion that is cut short can be asked for again. Raises NotFound."""
        profile = await self._profiles.get(profile_id, user_id)
        await self._storage.delete_under(clones_of(profile_id))
        await self._delete_files(profile)
        await self._profiles.delete(profile_id)

    async def voice(self, profile_id: str, user_id: str) -> LearnedVoice:
        """The stored voice, learned anew when another voice engine made it. Raises NotFound."""
        profile = await self._profiles.get(profile_id, user_id)
        voice = LearnedVoice.unpack(await self._storage.get(profile.embedding_path))
        if voice.conditioning.engine == self._voices.engine_name:
            return voice
        logger.info("profile %s was learned by %s: learning it again", profile.id, voice.conditioning.engine)
        reference = await self._storage.get(profile.reference_audio_path)
        declared = AudioFormat(profile.reference_audio_path.rpartition(".")[2])
        voice = await self._voices.learn((await self._decoder.decode(reference, declared)).audio)
        await self._storage.put(profile.embedding_path, voice.pack())
        return voice

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
            embedding_path=f"profiles/{version}.voice",
            reference_audio_path=f"profiles/{version}.{new.audio_format}",
            consent=new.consent,
        )
        if old is None:
            return profile
        return replace(profile, id=old.id, name=new.name or old.name, created_at=old.created_at, updated_at=now())

    async def _keep(self, profile: VoiceProfile, reference_audio: bytes, voice: LearnedVoice) -> None:
        try:
            await self._storage.put(profile.reference_audio_path, reference_audio)
            await self._storage.put(profile.embedding_path, voice.pack())
            await self._profiles.save(profile)
        except BaseException:
            await self._delete_files(profile)
            raise

    async def _delete_files(self, profile: VoiceProfile) -> None:
        await self._storage.delete(profile.embedding_path)
        await self._storage.delete(profile.reference_audio_path)
