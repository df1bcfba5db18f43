"""`domain.provenance.Watermark` for a model whose `embed` and `detect` run in a Runner."""

from typing import cast

from src.domain.audio import Audio
from src.domain.ports import Runner
from src.domain.provenance import WatermarkFinding


class RemoteWatermark:
    def __init__(self, runner: Runner, name: str, message: str) -> None:
        self._runner = runner
        self.name = name
        self.message = message

    async def embed(self, audio: Audio) -> Audio:
        return cast("Audio", await self._runner.run("embed", audio))

    async def detect(self, audio: Audio) -> WatermarkFinding:
        return cast("WatermarkFinding", await self._runner.run("detect", audio))
