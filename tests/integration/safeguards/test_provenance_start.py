"""What the service starts with: its certificate and its watermark, or the reason why it does not start."""

import asyncio
import base64
import stat
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from src.bootstrap.engines import decoder_pool
from src.bootstrap.safeguards import start_provenance
from src.config.settings import Settings
from src.domain.errors import EngineUnavailable
from src.main import create_app
from src.workers.engines import RemoteDecoder
from tests.checkpoints.audioseal_checkpoint import HEARD, random_checkpoint
from tests.conftest import serving
from tests.fakes.engines import fake_engines
from tests.fakes.fakes import FakeDecoder, FakeVoice, tone
from tests.recordings.marked_files import issued
from tests.unit.safeguards.test_provenance_marks import KEYS


def _settings(folder: Path, **chosen: Any) -> Settings:
    values: dict[str, Any] = {"data_dir": folder / "data", "audioseal_dir": folder / "none", **chosen}
    return Settings(_env_file=None, **values)


def _written(folder: Path, chain: bytes, key: bytes) -> dict[str, Any]:
    (folder / "chain.pem").write_bytes(chain)
    (folder / "key.pem").write_bytes(key)
    return {"c2pa_certificate_file": folder / "chain.pem", "c2pa_private_key_file": folder / "key.pem"}


async def _start(settings: Settings) -> tuple[tuple[str, ...], tuple[str, ...]]:
    async with AsyncExitStack() as stack:
        started = await start_provenance(settings, FakeDecoder(), stack)
        await started.marks.marking.file_of(tone(0.2, 24_000))
        return started.marks.marking.names, started.notices()


async def test_without_settings_a_certificate_is_made_once(tmp_path: Path) -> None:
    assert await _start(_settings(tmp_path)) == (("riff_info", "c2pa: self-signed"), ())
    kept = tmp_path / "data" / "c2pa-self-signed.pem"
    first = kept.read_bytes()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    await _start(_settings(tmp_path))
    assert kept.read_bytes() == first
    kept.write_bytes(first[:300])
    with pytest.raises(EngineUnavailable, match="Delete the file, and a new one is made"):
        await _start(_settings(tmp_path))


async def test_services_that_start_together_have_one_certificate(tmp_path: Path) -> None:
    await asyncio.gather(*(_start(_settings(tmp_path)) for _ in range(8)))
    folder = tmp_path / "data"
    assert [file.name for file in folder.iterdir()] == ["c2pa-self-signed.pem"]


async def test_an_operators_certificate_is_named(tmp_path: Path) -> None:
    names, notices = await _start(_settings(tmp_path, **_written(tmp_path, *issued(KEYS["p384"][0]))))
    assert (names, notices) == (("riff_info", "c2pa: Operator"), ())
    _, notices = await _start(_settings(tmp_path, **_written(tmp_path, *issued(KEYS["p384"][0], days=20))))
    assert "expires on" in notices[0]
    assert not (tmp_path / "data" / "c2pa-self-signed.pem").exists()


@pytest.mark.parametrize(
    ("chain", "key", "reason"),
    [
        (issued(KEYS["p256"][0], days=-1)[0], issued(KEYS["p256"][0])[1], "expired on"),
        (issued(KEYS["p256"][0], days=2)[0], issued(KEYS["p256"][0])[1], "renew it"),
        (issued(KEYS["p256"][0])[0], issued(KEYS["rsa"][0])[1], "private key is not that"),
        (*issued(KEYS["p256"][0], usage=None), "C2PA does not accept"),
        (*issued(KEYS["p256"][0], usage=ExtendedKeyUsageOID.SERVER_AUTH), "C2PA does not accept"),
    ],
    ids=["expired", "nearly expired", "another's key", "no usage", "a server's"],
)
async def test_a_certificate_that_cannot_sign_keeps_the_service_from_starting(
    tmp_path: Path, chain: bytes, key: bytes, reason: str
) -> None:
    with pytest.raises(EngineUnavailable, match=f"C2PA_CERTIFICATE_FILE: .*{reason}"):
        await _start(_settings(tmp_path, **_written(tmp_path, chain, key)))


async def test_settings_that_miss_a_part_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="go together"):
        _settings(tmp_path, c2pa_certificate_file=tmp_path / "a.pem")
    with pytest.raises(EngineUnavailable, match=r"C2PA_CERTIFICATE_FILE: .*cannot be read"):
        await _start(
            _settings(tmp_path, c2pa_certificate_file=tmp_path / "a.pem", c2pa_private_key_file=tmp_path / "b.pem")
        )
    with pytest.raises(EngineUnavailable, match=r"WATERMARK=audioseal: .* has no generator_base\.pth"):
        await _start(_settings(tmp_path, watermark="audioseal"))


async def test_a_timestamp_authority_that_is_away_fails_the_answer_and_not_the_start(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable, match="could not be signed") as failed:
        await _start(_settings(tmp_path, c2pa_timestamp_url="http://127.0.0.1:9/"))
    assert failed.value.retryable


def test_a_service_with_the_watermark_says_so_applies_it_and_finds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("src.bootstrap.safeguards._message", lambda _: HEARD)  # what networks of noise hear everywhere
    settings = _settings(tmp_path, audioseal_dir=random_checkpoint(), engine_processes=1)
    decoder = decoder_pool(settings)
    runners = {"decoder": decoder}
    engines = fake_engines(decoder=RemoteDecoder(decoder), runners=runners)
    with serving(create_app(settings, engines)) as url, httpx.Client(base_url=url, timeout=100) as http:
        health = http.get("/health").json()
        assert health["provenance"] == ["watermark: audioseal", "riff_info", "c2pa: self-signed"]
        assert health["checks"]["watermark"]["status"] == "ok"
        reference = base64.b64encode(_reference()).decode()
        clone = {"text": "Hola.", "target_language": "es", "reference_audio": reference}
        spoken = http.post("/api/v1/voice/clone", json=clone).json()
        assert spoken["provenance"][0] == {"kind": "watermark", "model": "audioseal", "message": HEARD}
        file = spoken["audio_base64"]
        found = http.post("/api/v1/voice/detect", json={"audio": file}).json()
        assert found["c2pa"]["ours"]
        assert found["watermark"] == {
            "checked": True,
            "found": True,
            "model": "audioseal",
            "probability": 1.0,
            "message": HEARD,
            "ours": True,
        }
        plain = FakeVoice()
        assert asyncio.run(_said(plain)) != base64.b64decode(file)[44:24_044]


def _reference() -> bytes:
    from tests.recordings import audio_files  # noqa: PLC0415

    return audio_files.voice_message()


async def _said(voice: FakeVoice) -> bytes:
    """The samples that the service would have answered with, had it no watermark."""
    from src.domain.speech import SpeechRequest, VoiceConditioning  # noqa: PLC0415
    from src.utils.audio import encode_wav  # noqa: PLC0415

    audio = await voice.speak(SpeechRequest(("Hola.",), "es", VoiceConditioning("fake-voice", b"")))
    return encode_wav(audio)[44:24_044]
