"""What a bucket does beyond the contract: checksums, encryption, paging, lifecycle rules, and a network that fails."""

import asyncio
import hashlib
import logging
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from src.adapters.storage.s3 import S3Storage
from src.adapters.storage.s3_calls import S3Options
from src.adapters.storage.s3_objects import PART_BYTES
from src.domain.errors import DamagedFile, DeadlineExceeded, EngineUnavailable, NotFound
from tests.servers.proxy import NO_FAULT, Fault, FaultyProxy
from tests.servers.s3 import KEY_ID, SECRET, S3Server
from tests.support.storage_options import s3_options

SOUND = bytes(range(256)) * 1000
QUICK: dict[str, Any] = {"connect_timeout_seconds": 1.0, "timeout_seconds": 2.5}
PATIENT = pytest.mark.parametrize(
    "limits", [{"connect_timeout_seconds": 10.0, "timeout_seconds": 60.0}], ids=["patient"]
)


@pytest.fixture
def bucket(s3_server: S3Server) -> str:
    return s3_server.new_bucket()


async def started(options: S3Options) -> S3Storage:
    storage = S3Storage(options, 60)
    try:
        await storage.start()
    except BaseException:
        await storage.close()
        raise
    return storage


@pytest.fixture
async def storage(s3_server: S3Server, bucket: str) -> AsyncIterator[S3Storage]:
    storage = await started(s3_options(s3_server, bucket=bucket))
    yield storage
    await storage.close()


@pytest.fixture
def proxy(s3_server: S3Server) -> Iterator[FaultyProxy]:
    with FaultyProxy(s3_server.port) as proxy:
        yield proxy


@pytest.fixture
def limits() -> dict[str, Any]:
    return QUICK


@pytest.fixture
async def far(s3_server: S3Server, bucket: str, proxy: FaultyProxy, limits: dict[str, Any]) -> AsyncIterator[S3Storage]:
    """The same bucket over a network that the test makes bad."""
    endpoint = f"http://127.0.0.1:{proxy.port}"
    storage = await started(s3_options(s3_server, bucket=bucket, endpoint_url=endpoint, **limits))
    yield storage
    proxy.fault = NO_FAULT
    await storage.close()


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# --- content


async def test_objects_have_their_type_and_a_checksum_that_the_store_verified(
    storage: S3Storage, s3_server: S3Server, bucket: str
) -> None:
    await storage.put("results/a.wav", SOUND)
    await storage.put("embeddings/b.voice", b"x" * (PART_BYTES + 1))
    head = s3_server.client.head_object(Bucket=bucket, Key="results/a.wav", ChecksumMode="ENABLED")
    assert head["ContentType"] == "audio/wav"
    assert head["Metadata"]["sha256"] == hashlib.sha256(SOUND).hexdigest()
    assert head["ChecksumSHA256"]
    large = s3_server.client.head_object(Bucket=bucket, Key="embeddings/b.voice")
    assert large["ETag"].endswith('-2"')  # two parts
    assert large["Metadata"]["sha256"] == hashlib.sha256(b"x" * (PART_BYTES + 1)).hexdigest()


@pytest.mark.parametrize("size", [1000, PART_BYTES + 1000])
async def test_a_damaged_file_is_an_error_and_not_audio(
    storage: S3Storage, s3_server: S3Server, bucket: str, size: int
) -> None:
    data = b"x" * size
    digest = hashlib.sha256(data).hexdigest()
    damaged = data[:-1] + b"y"
    s3_server.client.put_object(Bucket=bucket, Key="a.wav", Body=damaged, Metadata={"sha256": digest})
    with pytest.raises(DamagedFile) as refusal:
        await storage.get("a.wav")
    assert not refusal.value.retryable
    s3_server.client.put_object(Bucket=bucket, Key="a.wav", Body=data, Metadata={"sha256": digest})
    assert await storage.get("a.wav") == data


async def test_a_file_without_a_checksum_is_not_believed(storage: S3Storage, s3_server: S3Server, bucket: str) -> None:
    s3_server.client.put_object(Bucket=bucket, Key="a.wav", Body=b"whose?")
    with pytest.raises(DamagedFile):
        await storage.get("a.wav")


async def test_large_files_go_from_disk_to_disk(storage: S3Storage, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(bytes(range(256)) * 70_000)  # three parts
    await storage.upload("backups/db.dump", source)
    await storage.download("backups/db.dump", target)
    assert target.read_bytes() == source.read_bytes()
    with pytest.raises(NotFound):
        await storage.download("backups/none", tmp_path / "none")
    assert _names(tmp_path) == ["source", "target"]


async def test_a_damaged_download_leaves_no_file(
    storage: S3Storage, s3_server: S3Server, bucket: str, tmp_path: Path
) -> None:
    s3_server.client.put_object(Bucket=bucket, Key="models/a.pt", Body=b"x", Metadata={"sha256": "0" * 64})
    with pytest.raises(DamagedFile):
        await storage.download("models/a.pt", tmp_path / "a.pt")
    assert _names(tmp_path) == []


# --- deleting


@pytest.mark.parametrize("files", [3, 7])
async def test_deleting_under_a_prefix_goes_through_all_pages(s3_server: S3Server, bucket: str, files: int) -> None:
    storage = await started(s3_options(s3_server, bucket=bucket, page_keys=3))
    for number in range(files):
        await storage.put(f"clones/p/{number}.wav", b"x")
    await storage.put("clones/q.wav", b"y")
    assert await storage.delete_under("clones/p", older_than_seconds=3600) == 0
    assert await storage.delete_under("clones/p") == files
    assert s3_server.keys(bucket) == ["clones/q.wav"]
    await storage.close()


# --- lifecycle rules

OTHERS: dict[str, Any] = {
    "ID": "somebody's own",
    "Status": "Enabled",
    "Filter": {"Prefix": "logs/"},
    "Expiration": {"Days": 365},
}


def rules(server: S3Server, bucket: str) -> dict[str, dict[str, Any]]:
    found = server.client.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    return {rule["ID"]: rule for rule in found}


async def test_lifecycle_rules_are_set_once_and_others_stay(
    storage: S3Storage, s3_server: S3Server, bucket: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    s3_server.client.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [OTHERS]})
    wanted = {"inputs": 1, "results": 7, "embeddings": None}
    await storage.put_lifecycle(wanted)
    found = rules(s3_server, bucket)
    assert found.pop("somebody's own")["Expiration"] == {"Days": 365}
    assert {
        rule["Filter"]["Prefix"]: rule["Expiration"]["Days"] for rule in found.values() if "Expiration" in rule
    } == {
        "inputs/": 1,
        "results/": 7,
    }
    assert {rule["Filter"]["Prefix"] for rule in found.values() if "NoncurrentVersionExpiration" in rule} == {
        "inputs/",
        "results/",
        "embeddings/",
    }
    assert [rule for rule in found.values() if "AbortIncompleteMultipartUpload" in rule]
    assert "were set" in caplog.text
    caplog.clear()
    await storage.put_lifecycle(wanted)
    assert "as they should be" in caplog.text


async def test_lifecycle_rules_follow_the_settings_and_the_prefix(s3_server: S3Server, bucket: str) -> None:
    for prefix in ("one", "two"):
        storage = await started(s3_options(s3_server, bucket=bucket, prefix=prefix))
        await storage.put_lifecycle({"results": 7})
        if prefix == "two":
            await storage.put_lifecycle({"results": 3})
        await storage.close()
    days = {
        rule["Filter"]["Prefix"]: rule["Expiration"]["Days"]
        for rule in rules(s3_server, bucket).values()
        if "Expiration" in rule
    }
    assert days == {"one/results/": 7, "two/results/": 3}


# --- the start


async def test_a_bucket_that_is_not_there_stops_the_start(s3_server: S3Server) -> None:
    with pytest.raises(EngineUnavailable, match="bucket"):
        await started(s3_options(s3_server, bucket="no-such-bucket"))


async def test_missing_credentials_stop_the_start(
    s3_server: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(EngineUnavailable, match="S3_ACCESS_KEY_ID"):
        await started(s3_options(s3_server, access_key_id=None, secret_access_key=None))


async def test_the_environment_credentials_of_boto3_are_found(
    s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAFROMENVIRONMENT1")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "also secret")
    storage = await started(s3_options(s3_server, access_key_id=None, secret_access_key=None))
    assert "AKIAFROMENVIRONMENT1" in storage.url("a.wav")
    await storage.close()


async def test_an_address_that_is_none_stops_the_start(s3_server: S3Server) -> None:
    with pytest.raises(EngineUnavailable, match="S3_ENDPOINT_URL"):
        await started(s3_options(s3_server, bucket="b", endpoint_url="http://[half"))


# --- a network that fails


async def test_a_store_that_is_down_is_unavailable_and_comes_back(far: S3Storage, proxy: FaultyProxy) -> None:
    await far.put("a.wav", SOUND)
    proxy.fault = Fault(reset_after=0)
    proxy.cut()
    for call in (far.get("a.wav"), far.put("b.wav", b"x"), far.delete("a.wav"), far.delete_under("a"), far.ping()):
        with pytest.raises((EngineUnavailable, DeadlineExceeded)) as refusal:
            await call
        assert refusal.value.retryable
        assert refusal.value.retry_after_seconds
    proxy.fault = NO_FAULT
    assert await far.get("a.wav") == SOUND


@pytest.mark.parametrize("fault", [Fault(blackhole=True), Fault(drip=0.02)], ids=["silent", "slow"])
async def test_a_slow_or_silent_store_is_given_up_at_the_deadline_and_the_event_loop_goes_on(
    far: S3Storage, proxy: FaultyProxy, fault: Fault
) -> None:
    await far.put("a.wav", SOUND)
    proxy.fault = fault
    reading = asyncio.create_task(far.get("a.wav"))
    turns = 0
    while not reading.done():
        await asyncio.sleep(0.005)
        turns += 1
    with pytest.raises(DeadlineExceeded) as refusal:
        await reading
    assert turns > 3
    assert refusal.value.retry_after_seconds
    proxy.fault = NO_FAULT
    assert await far.get("a.wav") == SOUND


async def test_threads_are_free_again_soon_after_the_deadline(far: S3Storage, proxy: FaultyProxy) -> None:
    await far.put("a.wav", SOUND)
    proxy.fault = Fault(drip=0.0005)  # the headers arrive in time, the body would take minutes
    with pytest.raises(DeadlineExceeded):
        await far.get("a.wav")
    await far.close()
    assert [thread for thread in threading.enumerate() if thread.name.startswith("s3_")] == []


@PATIENT
@pytest.mark.parametrize("after", [10_000, 200_000])
async def test_a_connection_cut_in_the_middle_is_made_again(far: S3Storage, proxy: FaultyProxy, after: int) -> None:
    await far.put("a.wav", SOUND)
    proxy.fault = Fault(reset_after=after, resets=2)
    assert await far.get("a.wav") == SOUND


@PATIENT
async def test_a_connection_cut_each_time_gives_an_error_and_never_half_a_file(
    far: S3Storage, proxy: FaultyProxy
) -> None:
    await far.put("a.wav", SOUND)
    proxy.fault = Fault(reset_after=100_000)
    with pytest.raises(EngineUnavailable):
        await far.get("a.wav")


async def test_an_upload_that_is_cut_leaves_no_file(
    far: S3Storage, s3_server: S3Server, bucket: str, proxy: FaultyProxy
) -> None:
    upload = asyncio.create_task(far.put("a.wav", b"x" * (3 * PART_BYTES)))
    while not proxy.accepted or not s3_server.client.list_multipart_uploads(Bucket=bucket).get("Uploads"):
        await asyncio.sleep(0.01)
    proxy.fault = Fault(blackhole=True)
    with pytest.raises((DeadlineExceeded, EngineUnavailable)):
        await upload
    assert s3_server.keys(bucket) == []
    with pytest.raises(NotFound):
        await (fresh := await started(s3_options(s3_server, bucket=bucket))).get("a.wav")
    await fresh.close()


async def test_a_cancelled_upload_leaves_nothing(storage: S3Storage, s3_server: S3Server, bucket: str) -> None:
    upload = asyncio.create_task(storage.put("a.wav", b"x" * (3 * PART_BYTES)))
    while not s3_server.client.list_multipart_uploads(Bucket=bucket).get("Uploads"):
        await asyncio.sleep(0.01)
    upload.cancel()
    with pytest.raises(asyncio.CancelledError):
        await upload
    assert not s3_server.client.list_multipart_uploads(Bucket=bucket).get("Uploads")
    assert s3_server.keys(bucket) == []


async def test_nothing_secret_is_logged(far: S3Storage, proxy: FaultyProxy, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    url = far.url("results/my-file.wav")
    proxy.fault = Fault(reset_after=0)
    proxy.cut()
    with pytest.raises((EngineUnavailable, DeadlineExceeded)) as refusal:
        await far.put("results/my-file.wav", b"words that were said")
    assert "S3 put" in caplog.text
    for said in (caplog.text, refusal.value.detail, repr(far._options)):
        for secret in (SECRET, KEY_ID, "words that were said", "my-file", url.rpartition("=")[2]):
            assert secret not in said
