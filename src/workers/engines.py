"""Engine ports over a Runner: the same call, made where the model lives."""

from typing import cast

from src.domain.audio import Audio
from src.domain.ports import Runner
from src.domain.speech import Quality, SpeechRequest, Transcript, VoiceConditioning, VoicePrint


class RemoteTranscriber:
    """`domain.ports.Transcriber` for a model whose `transcribe` runs in `runner`."""

    def __init__(self, runner: Runner, name: str, languages: frozenset[str]) -> None:
        self._runner = runner
        self.name = name
        self.languages = languages

    async def transcribe(self, audio: Audio, language: str | None, quality: Quality) -> Transcript:
        return cast("Transcript", await self._runner.run("transcribe", audio, language, quality))


class RemoteVoice:
    """`domain.ports.VoiceEngine` for a model whose `condition` and `speak` run in `runner`."""

    def __init__(self, runner: Runner, name: str, languages: frozenset[str], *, varies: bool = False) -> None:
        self._runner = runner
        self.name = name
        self.languages = languages
        self.varies = varies

    async def condition(self, references: tuple[Audio, ...]) -> VoiceConditioning:
        return cast("VoiceConditioning", await self._runner.run("condition", references))

    async def speak(self, request: SpeechRequest) -> Audio:
        return cast("Audio", await self._runner.run("speak", request))


class RemoteSpeakerAnalyzer:
    """`domain.ports.SpeakerAnalyzer` for a model whose `analyze` runs in `runner`."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    async def analyze(self, audio: Audio) -> VoicePrint:
        return cast("VoicePrint", await self._runner.run("analyze", audio))
