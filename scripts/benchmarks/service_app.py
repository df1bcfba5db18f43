"""The server that suite `service` measures: `scripts/benchmark.py.service_app PORT DATA_DIR`."""

import sys
from pathlib import Path

import uvicorn

from src.bootstrap.engines import Engines, decoder_pool
from src.config.settings import Settings
from src.domain.audio import OUTPUT_SAMPLE_RATE, Audio
from src.domain.speech import SpeechRequest
from src.main import create_app
from src.workers.engines import RemoteDecoder
from tests.fakes.fakes import FakeAnalyzer, FakeTranscriber, FakeTranslator, FakeVoice, FakeVoiceActivity, tone

ANSWER_SECONDS = 10.0


class PreparedVoice(FakeVoice):
    """Answers with speech made beforehand, as long as the message: sending it is overhead, making it is not."""

    def __init__(self) -> None:
        super().__init__()
        self._spoken = tone(ANSWER_SECONDS, OUTPUT_SAMPLE_RATE)

    async def speak(self, request: SpeechRequest) -> Audio:
        return self._spoken


def main(port: int, data_dir: Path) -> None:
    settings = Settings(port=port, data_dir=data_dir, log_level="warning")
    decoder = decoder_pool(settings)
    engines = Engines(
        decoder=RemoteDecoder(decoder),
        transcriber=FakeTranscriber(),
        translators=(FakeTranslator(),),
        voice=PreparedVoice(),
        analyzer=FakeAnalyzer(),
        activity=FakeVoiceActivity(),
        runners={"decoder": decoder},
    )
    uvicorn.run(
        create_app(settings, engines), host=settings.host, port=settings.port, log_level="warning", access_log=False
    )


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
