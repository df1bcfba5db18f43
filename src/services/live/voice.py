"""Whose voice the translation is spoken in: the speaker's, learned from what was heard so far, or a profile's."""

from typing import Protocol

from src.domain.audio import Audio
from src.services.profiles.profiles import Profiles
from src.services.voice_cloning import LearnedVoice, VoiceCloning
from src.utils.audio import join

_ENOUGH_SECONDS = 6.0
"""Of speech: what is learned from them is kept. From less the voice is learned anew with each utterance."""
_MOST_SECONDS = 12.0


class SessionVoice(Protocol):
    async def after(self, speech: Audio) -> tuple[LearnedVoice, tuple[str, ...]]:
        """The voice to answer this speech in, and what could not be done."""

    async def forget(self) -> None:
        """What was said may not pass: nothing is kept that was learned of it."""


class SpeakerVoice:
    """The speaker's own. `always`: it follows the last seconds, also when somebody else takes the microphone."""

    def __init__(self, voices: VoiceCloning, *, always: bool) -> None:
        self._voices = voices
        self._always = always
        self._kept: LearnedVoice | None = None
        self._reference: Audio | None = None

    async def after(self, speech: Audio) -> tuple[LearnedVoice, tuple[str, ...]]:
        """Raises as `VoiceCloning.learn_message`."""
        if self._kept is not None:
            return self._kept, ()
        heard = speech if self._reference is None else join((self._reference, speech))
        self._reference = Audio(heard.samples[-int(_MOST_SECONDS * heard.sample_rate) :], heard.sample_rate)
        learned, notes = await self._voices.learn_message(self._reference)
        if not self._always and not notes and self._reference.duration_seconds >= _ENOUGH_SECONDS:
            self._kept, self._reference = learned, None
        return learned, notes

    async def forget(self) -> None:
        """The first seconds are taken anew."""
        if self._reference is not None:
            await self._voices.unlearn(self._reference)
            self._reference = None


class ProfileVoice:
    """A stored one. It is asked for each time, as it may be deleted meanwhile."""

    def __init__(self, profiles: Profiles, profile_id: str, user_id: str) -> None:
        self._profiles = profiles
        self._profile_id = profile_id
        self._user_id = user_id

    async def after(self, speech: Audio) -> tuple[LearnedVoice, tuple[str, ...]]:
        """Raises as `Profiles.voice`."""
        return await self._profiles.voice(self._profile_id, self._user_id), ()

    async def forget(self) -> None:
        """Nothing was learned."""
