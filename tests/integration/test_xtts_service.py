"""XTTS chosen by setting, over HTTP. The weights are small and random: it says sounds, not words."""

import base64
import io
import wave
from pathlib import Path

import httpx

from tests import audio_files
from tests.conftest import service_process
from tests.xtts_checkpoint import tiny_checkpoint


def test_a_message_is_spoken_by_xtts_when_it_is_chosen(tmp_path: Path) -> None:
    audio = base64.b64encode(audio_files.voice_message()).decode()
    settings = {"VOICE_ENGINE": "xtts", "XTTS_DIR": str(tiny_checkpoint()), "COQUI_TOS_AGREED": "1"}
    with service_process(tmp_path / "data", **settings) as (url, _), httpx.Client(base_url=url, timeout=100) as http:
        assert http.get("/health").json()["engines"]["voice"] == "xtts-v2"
        body = {"audio": audio, "source_language": "en", "target_language": "es"}
        response = http.post("/api/v1/voice/translate", json=body)
    answer = response.json()
    assert response.status_code == 200, answer
    assert answer["engines"]["voice"] == "xtts-v2"
    with wave.open(io.BytesIO(base64.b64decode(answer["audio_base64"]))) as file:
        assert (file.getframerate(), file.getnchannels()) == (24_000, 1)
        assert file.getnframes() > 2400
