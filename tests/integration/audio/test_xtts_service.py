"""XTTS chosen by setting, over HTTP. The weights are small and random: it says sounds, not words."""

import base64
import io
import re
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import safetensors.torch

from src.adapters.storage.sealed import Keyring
from src.config.values import storage_keys
from tests.checkpoints.xtts_checkpoint import tiny_checkpoint
from tests.conftest import service_process
from tests.recordings import audio_files

BRIEF = 1.6
"""Sentences of half a second: the vocoder of the small checkpoint is as large as the published one."""


@dataclass
class Service:
    http: httpx.Client
    data: Path
    log: Path

    def translate(self, **fields: object) -> dict[str, Any]:
        audio = base64.b64encode(audio_files.voice_message()).decode()
        body = {"audio": audio, "source_language": "en", "target_language": "es", **fields}
        response = self.http.post("/api/v1/voice/translate", json=body)
        answer: dict[str, Any] = response.json()
        assert response.status_code == 200, answer
        return answer

    def latents_in(self, stored: Path) -> set[str]:
        keys, _ = storage_keys((self.data / "storage.key").read_text())
        place = str(stored.relative_to(self.data / "audio"))
        _checksum, _measured, latents = Keyring(keys).open(place, stored.read_bytes()).split(b"\n", 2)
        return set(safetensors.torch.load(latents))


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    data = tmp_path_factory.mktemp("xtts") / "data"
    settings = {"VOICE_ENGINE": "xtts", "XTTS_DIR": str(tiny_checkpoint(BRIEF)), "COQUI_TOS_AGREED": "1"}
    with service_process(data, **settings) as (url, _), httpx.Client(base_url=url, timeout=100) as http:
        yield Service(http, data, data.parent / "data.log")


def test_a_message_is_spoken_by_xtts_when_it_is_chosen(service: Service) -> None:
    engines = service.http.get("/health").json()["engines"]
    assert re.fullmatch(r"xtts-v2 \(cpu in (exact|int8)\)", engines["voice"])
    assert re.fullmatch(r"whisper \(base on cpu in float32\)", engines["transcription"])
    answer = service.translate()
    assert answer["engines"]["voice"] == "xtts-v2"
    assert answer["degraded"] == []
    assert re.search(r"xtts: \S+ on cpu in (exact|int8)", service.log.read_text())
    with wave.open(io.BytesIO(base64.b64decode(answer["audio_base64"]))) as file:
        assert (file.getframerate(), file.getnchannels()) == (24_000, 1)
        assert file.getnframes() > 2400


def test_high_quality_chooses_among_takes_by_their_words_too(service: Service) -> None:
    answer = service.translate(quality="high", options={"return_base64": False})
    understood = [note for note in answer["degraded"] if note.startswith("The speech may be hard to understand")]
    assert bool(understood) is (answer["voice_match"]["heard"] < 0.5), "random weights say sounds, not words"
    assert 0 <= answer["voice_similarity"] <= 1


def test_a_profile_is_kept_as_safetensors_and_learned_again_when_its_file_is_damaged(service: Service) -> None:
    texts = (audio_files.SENTENCE, "Two trains leave the old station every hour, and both are usually full.")
    first, second = (
        base64.b64encode(audio_files.encode(audio_files.speech(16_000, text, "slt"), 16_000)).decode() for text in texts
    )
    consent = {"given": True, "statement": "I agree.", "recorded_at": "2025-11-21T10:00:00Z"}
    body = {"reference_audio": first, "additional_references": [second], "consent": consent, "name": "Ann"}
    saved = service.http.post("/api/v1/voice/profile", json=body)
    assert saved.status_code == 200, saved.json()
    identity = saved.json()["profile_id"]
    (stored,) = (service.data / "audio" / "embeddings").glob("*.voice")
    assert len(list((service.data / "audio" / "references").iterdir())) == 2
    assert service.latents_in(stored) == {"gpt_cond_latent", "speaker_embedding"}

    whole = stored.read_bytes()
    stored.write_bytes(whole[: len(whole) // 2])
    service.translate(voice_profile_id=identity, preserve_emotion=False)
    assert service.latents_in(stored) == {"gpt_cond_latent", "speaker_embedding"}
    assert f"profile {identity} is damaged" in service.log.read_text()
    assert "Ann" not in service.log.read_text()

    assert service.http.delete(f"/api/v1/voice/profile/{identity}").status_code == 204
    left = [path for kind in ("embeddings", "references") for path in (service.data / "audio").glob(f"{kind}/*")]
    assert left == []
