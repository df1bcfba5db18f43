"""Sealed files in a folder and in a bucket, and the service over them: which key it takes, and what it gives out."""

import base64
import json
import stat
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from src.adapters.storage.sealed import is_sealed
from src.bootstrap.storage import key_file, load_keyring, new_key
from src.config.settings import Settings
from src.domain.errors import EngineUnavailable
from tests.fakes.engines import served
from tests.servers.s3 import KEY_ID, REGION, SECRET, S3Server
from tests.support.messages import CONSENT

MESSAGE = b"the recording of somebody's voice"


def settings_in(folder: Path, **more: object) -> Settings:
    return Settings.model_validate({"data_dir": folder, "min_reference_seconds": 1, **more})


def make_profile(http: httpx.Client) -> str:
    body = {"reference_audio": base64.b64encode(MESSAGE).decode(), "consent": CONSENT}
    return str(http.post("/api/v1/voice/profile", json=body).raise_for_status().json()["profile_id"])


def clone(http: httpx.Client, profile_id: str) -> httpx.Response:
    body = {"text": "good evening", "target_language": "es", "voice_profile_id": profile_id}
    return http.post("/api/v1/voice/clone", json=body)


def files(folder: Path) -> dict[str, bytes]:
    audio = folder / "audio"
    return {str(path.relative_to(audio)): path.read_bytes() for path in audio.rglob("*") if path.is_file()}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No `.env` of whoever runs the tests."""
    monkeypatch.chdir(tmp_path)


def test_all_that_lies_in_the_folder_is_sealed_and_private(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with served(settings_in(folder)) as http:
        profile_id = make_profile(http)
        answer = clone(http, profile_id).raise_for_status().json()
        stored = files(folder)
        assert {key.partition("/")[0] for key in stored} == {"references", "embeddings", "clones"}
        assert all(is_sealed(data) for data in stored.values())
        wav = base64.b64decode(answer["audio_base64"])
        for data in stored.values():
            assert MESSAGE not in data
            assert wav[44:144] not in data
        assert http.get("/health").json()["degraded"] == []
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in [folder, *folder.rglob("*")]}
    assert {mode for path, mode in modes.items() if path.is_dir()} == {0o700}
    assert {mode for path, mode in modes.items() if path.is_file()} == {0o600}


def test_ranges_of_a_sealed_answer_are_those_of_its_sound(tmp_path: Path) -> None:
    with served(settings_in(tmp_path / "data")) as http:
        body = {"audio": base64.b64encode(MESSAGE).decode(), "source_language": "en", "target_language": "es"}
        answer = http.post("/api/v1/voice/translate", json=body).raise_for_status().json()
        wav, path = base64.b64decode(answer["audio_base64"]), urlsplit(answer["audio_url"])
        address = f"{path.path}?{path.query}"
        assert http.get(address).content == wav
        some = http.get(address, headers={"Range": "bytes=10-99"})
        assert (some.status_code, some.content) == (206, wav[10:100])
        assert some.headers["content-range"] == f"bytes 10-99/{len(wav)}"
        last = http.get(address, headers={"Range": "bytes=-7"})
        assert last.content == wav[-7:]


def test_a_voice_that_was_changed_or_swapped_is_never_spoken_with(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with served(settings_in(folder)) as http:
        one, other = make_profile(http), make_profile(http)
        assert clone(http, one).status_code == clone(http, other).status_code == 200
    first, second = (sorted((folder / "audio" / part).iterdir()) for part in ("embeddings", "references"))
    for pair in (first, second):  # the voice of one user in the place of another's
        mine, theirs = pair[0].read_bytes(), pair[1].read_bytes()
        pair[0].write_bytes(theirs)
        pair[1].write_bytes(mine)
    with served(settings_in(folder)) as http:
        refused = clone(http, one)
    assert (refused.status_code, refused.json()["code"]) == (500, "internal_error")


def test_a_service_with_another_key_opens_nothing_and_one_with_both_opens_all(tmp_path: Path) -> None:
    folder, old, new = tmp_path / "data", new_key(), new_key()
    with served(settings_in(folder, storage_keys=old)) as http:
        profile_id = make_profile(http)
    assert not (folder / "storage.key").exists()
    with served(settings_in(folder, storage_keys=new)) as http:
        assert clone(http, profile_id).status_code == 500
    with served(settings_in(folder, storage_keys=f"{new},{old}")) as http:
        assert clone(http, profile_id).status_code == 200


def test_files_of_an_earlier_release_are_read_and_health_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    (folder / "audio" / "references").mkdir(parents=True)
    (folder / "audio" / "references" / "ab.wav").write_bytes(MESSAGE)
    settings = settings_in(folder)
    with served(settings) as http:
        (said,) = http.get("/health").json()["degraded"]
        assert "scripts/rotate_keys.py" in said
    assert load_keyring(settings).open("references/ab.wav", MESSAGE) == MESSAGE
    assert key_file(settings).read_text().splitlines()[1:] == ["plain"]


def test_what_somebody_wrote_into_a_folder_that_was_always_sealed_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with served(settings_in(folder)) as http:
        profile_id = make_profile(http)
        for path in (*(folder / "audio" / "embeddings").iterdir(), *(folder / "audio" / "references").iterdir()):
            path.write_bytes(MESSAGE)
    with served(settings_in(folder)) as http:
        assert clone(http, profile_id).status_code == 500


@pytest.mark.parametrize("workers", ["local", "remote"])
def test_services_that_share_a_database_need_a_key_of_their_own(tmp_path: Path, workers: str) -> None:
    shared = {"database_url": "postgresql+asyncpg://somewhere/x", "redis_url": "redis://somewhere", "workers": workers}
    with pytest.raises(EngineUnavailable, match="STORAGE_KEYS"):
        load_keyring(settings_in(tmp_path / "data", **shared))
    assert load_keyring(settings_in(tmp_path / "data", storage_keys=new_key(), **shared)).seals


@pytest.mark.parametrize("bad", [b"", b"\xff\xfe", b"not a key\n", b"plain\n"])
def test_a_key_file_that_is_none_keeps_the_service_from_starting(tmp_path: Path, bad: bytes) -> None:
    settings = settings_in(tmp_path)
    key_file(settings).write_bytes(bad)
    with pytest.raises(EngineUnavailable, match="no file of storage keys"):
        load_keyring(settings)


def test_in_a_bucket_voices_are_sealed_and_answers_fetched_from_it(tmp_path: Path, s3_server: S3Server) -> None:
    bucket = s3_server.new_bucket()
    s3 = {
        "storage": "s3",
        "s3_bucket": bucket,
        "s3_endpoint_url": s3_server.endpoint,
        "s3_region": REGION,
        "s3_access_key_id": KEY_ID,
        "s3_secret_access_key": SECRET,
    }
    with served(settings_in(tmp_path / "data", storage_keys=new_key(), **s3)) as http:
        profile_id = make_profile(http)
        answer = clone(http, profile_id).raise_for_status().json()
        stored = {
            key: s3_server.client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in s3_server.keys(bucket)
        }
        sealed = {key.partition("/")[0]: is_sealed(data) for key, data in stored.items()}
        assert sealed == {"references": True, "embeddings": True, "clones": False}
        assert httpx.get(answer["audio_url"]).content == base64.b64decode(answer["audio_base64"])
    with served(settings_in(tmp_path / "data", **s3)) as http:
        assert clone(http, profile_id).status_code == 500  # without the key
        assert MESSAGE.decode() not in json.dumps(http.get("/health").json())
