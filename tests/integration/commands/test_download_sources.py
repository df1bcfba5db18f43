"""Every kind of source against a server that behaves like it: Whisper's host, the hub, a mirror, S3."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.downloads.catalogue import File
from scripts.downloads.command import Origin, opened
from scripts.downloads.errors import Corrupted, DownloadError, Refused, Unreachable
from scripts.downloads.http import Http
from scripts.downloads.sources import Hub, Mirror, Prefix, Source, WhisperHost
from tests.providers.download_server import DownloadServer, Fault, HubServer, S3Server
from tests.providers.downloading import BODY, OTHER, QUICK, Remembered, fetch, sha256, whisper_file

MODEL = File("xtts", "model.pth")
CONFIG = File("xtts", "config.json")
ON_HUB = "/coqui/XTTS-v2/resolve/v2/"


@pytest.fixture
def server() -> Iterator[DownloadServer]:
    with DownloadServer() as running:
        yield running


@pytest.fixture
def hub(server: DownloadServer) -> Iterator[HubServer]:
    with HubServer(server) as running:
        running.publish(f"{ON_HUB}model.pth", BODY, large=True)
        running.publish(f"{ON_HUB}config.json", OTHER[:700], large=False)
        yield running


@pytest.fixture
def http() -> Iterator[Http]:
    client = Http(QUICK)
    yield client
    client.close()


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[S3Server]:
    with S3Server() as running:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            monkeypatch.delenv(name)
        for name, value in {
            "AWS_ENDPOINT_URL": running.url,
            "AWS_ACCESS_KEY_ID": S3Server.KEY,
            "AWS_SECRET_ACCESS_KEY": S3Server.SECRET,
            "AWS_REGION": S3Server.REGION,
            "AWS_DEFAULT_REGION": S3Server.REGION,
            "AWS_CONFIG_FILE": str(tmp_path / "none"),
            "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
            "AWS_EC2_METADATA_DISABLED": "true",
        }.items():
            monkeypatch.setenv(name, value)
        yield running


@pytest.fixture
def bucket(s3: S3Server) -> Iterator[Source]:
    with opened(Origin("s3://the-bucket/some/models/"), QUICK) as source:
        yield source


def put_mirror(server: DownloadServer, prefix: str, **files: bytes) -> None:
    """Files by name in xtts/, dots as underscores, and the manifest."""
    lines = []
    for name, body in files.items():
        path = f"xtts/{name.replace('_', '.')}"
        server.put(f"{prefix}/{path}", body)
        lines.append(f"{sha256(body).digest}  {path}\n")
    server.put(f"{prefix}/SHA256SUMS", "".join(lines).encode())


class TestHub:
    def test_a_large_file_comes_from_where_it_redirects(
        self, http: Http, hub: HubServer, server: DownloadServer, tmp_path: Path
    ) -> None:
        source = Hub(http, hub.url, "v2")
        assert source.describe(MODEL).checksum == sha256(BODY)
        assert source.describe(MODEL).size == len(BODY)
        assert server.requests == []
        fetch(source, MODEL, tmp_path / "model.pth")
        assert (tmp_path / "model.pth").read_bytes() == BODY

    def test_a_break_there_goes_on_there(
        self, http: Http, hub: HubServer, server: DownloadServer, tmp_path: Path
    ) -> None:
        server.faults.append(Fault(cut_at=100_000))
        fetch(Hub(http, hub.url, "v2"), MODEL, tmp_path / "model.pth")
        assert (tmp_path / "model.pth").read_bytes() == BODY
        assert server.begun() == [None, "bytes=100000-"]
        content = next(iter(server.files.values()))
        assert server.requests[-1].headers["If-Range"] == content.etag, "the ETag of the content network, not the hub's"

    def test_a_small_file_is_verified_by_its_id_in_git(self, http: Http, hub: HubServer, tmp_path: Path) -> None:
        source = Hub(http, hub.url, "v2")
        assert source.describe(CONFIG).checksum.kind == "git-blob"
        assert source.describe(CONFIG).size == 700
        # A redirect takes a fault as well as the answer after it.
        hub.faults.extend([Fault(), Fault(corrupt_at=3)] * 2)
        with pytest.raises(Corrupted):
            fetch(source, CONFIG, tmp_path / "config.json")
        fetch(source, CONFIG, tmp_path / "config.json")
        assert (tmp_path / "config.json").read_bytes() == OTHER[:700]

    def test_a_refusal_shows_no_signature(
        self, http: Http, hub: HubServer, server: DownloadServer, tmp_path: Path
    ) -> None:
        server.faults.append(Fault(status=403))
        with pytest.raises(Refused, match="403") as caught:
            fetch(Hub(http, hub.url, "v2"), MODEL, tmp_path / "model.pth")
        assert "secret" not in str(caught.value)

    def test_a_file_without_checksum_is_refused(self, http: Http, server: DownloadServer) -> None:
        server.put(f"{ON_HUB}model.pth", BODY, etag='"of another kind"')
        with pytest.raises(Refused, match="verified"):
            Hub(http, server.url, "v2").describe(MODEL)


class TestMirror:
    def test_the_manifest_gives_the_checksum(self, http: Http, server: DownloadServer, tmp_path: Path) -> None:
        put_mirror(server, "/models", model_pth=BODY, config_json=OTHER)
        source = Mirror(http, Prefix(f"{server.url}/models/"))
        server.faults.extend([Fault(), Fault(cut_at=100_000)])
        fetch(source, MODEL, tmp_path / "model.pth")
        assert (tmp_path / "model.pth").read_bytes() == BODY
        assert server.begun() == [None, None, "bytes=100000-"]

    def test_a_file_that_changed_on_the_way_is_described_anew(
        self, http: Http, server: DownloadServer, tmp_path: Path
    ) -> None:
        put_mirror(server, "", model_pth=BODY)
        server.faults.extend(
            [Fault(), Fault(cut_at=100_000), Fault(before=lambda: put_mirror(server, "", model_pth=OTHER[:200_000]))]
        )
        fetch(Mirror(http, Prefix(server.url)), MODEL, tmp_path / "model.pth")
        assert (tmp_path / "model.pth").read_bytes() == OTHER[:200_000]
        assert [path.name for path in tmp_path.iterdir()] == ["model.pth"]

    def test_what_one_source_began_another_ends(self, http: Http, server: DownloadServer, tmp_path: Path) -> None:
        file, target = whisper_file(), tmp_path / "tiny.pt"
        path = f"/main/whisper/models/{sha256(BODY).digest}/tiny.pt"
        server.put(path, BODY)
        server.faults.extend([Fault(cut_at=100_000), *[Fault(status=503)] * 3])
        with pytest.raises(DownloadError):
            fetch(WhisperHost(http, server.url), file, target)
        server.put("/mirror/tiny.pt", BODY)
        fetch(Mirror(http, Prefix(f"{server.url}/mirror")), file, target)
        assert target.read_bytes() == BODY
        assert server.begun()[-1] == "bytes=100000-"

    def test_a_mirror_cannot_give_other_weights_under_a_published_name(
        self, http: Http, server: DownloadServer, tmp_path: Path
    ) -> None:
        server.put("/tiny.pt", OTHER)
        server.put("/SHA256SUMS", f"{sha256(OTHER).digest}  tiny.pt\n".encode())
        with pytest.raises(Corrupted):
            fetch(Mirror(http, Prefix(server.url)), whisper_file(BODY), tmp_path / "tiny.pt")

    def test_without_a_manifest_it_says_how_to_make_one(self, http: Http, server: DownloadServer) -> None:
        server.put("/xtts/model.pth", BODY)
        with pytest.raises(Refused, match=r"has no SHA256SUMS.*sha256sum \*\.pt xtts/\* audioseal/\* > SHA256SUMS"):
            Mirror(http, Prefix(server.url)).describe(MODEL)
        put_mirror(server, "", config_json=BODY)
        with pytest.raises(Refused, match=r"no line for xtts/model\.pth"):
            Mirror(http, Prefix(server.url)).describe(MODEL)

    def test_a_password_in_the_address_is_used_and_not_shown(self, http: Http, server: DownloadServer) -> None:
        address = server.url.replace("http://", "http://name:secret@")
        with pytest.raises(Refused) as caught:
            Mirror(http, Prefix(address)).describe(MODEL)
        assert server.requests[0].headers["Authorization"].startswith("Basic ")
        assert "secret" not in str(caught.value)


class TestS3:
    def test_a_broken_download_goes_on_under_a_condition(self, bucket: Source, s3: S3Server, tmp_path: Path) -> None:
        put_mirror(s3, "/the-bucket/some/models", model_pth=BODY)
        s3.faults.extend([Fault(), Fault(cut_at=100_000)])
        fetch(bucket, MODEL, tmp_path / "model.pth")
        assert (tmp_path / "model.pth").read_bytes() == BODY
        assert s3.begun() == [None, None, "bytes=100000-"]
        assert s3.requests[-1].headers["If-Match"] == s3.files["/the-bucket/some/models/xtts/model.pth"].etag

    def test_an_object_that_changed_is_begun_anew(self, bucket: Source, s3: S3Server, tmp_path: Path) -> None:
        put_mirror(s3, "/the-bucket/some/models", model_pth=BODY)
        swap = Fault(before=lambda: put_mirror(s3, "/the-bucket/some/models", model_pth=OTHER))
        s3.faults.extend([Fault(), Fault(cut_at=100_000), swap])
        progress = Remembered()
        fetch(bucket, MODEL, tmp_path / "model.pth", progress=progress)
        assert (tmp_path / "model.pth").read_bytes() == OTHER
        assert any("412" in text for text in progress.said)

    def test_a_wrong_key_is_refused_without_showing_it(self, s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
        put_mirror(s3, "/the-bucket", model_pth=BODY)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
        with opened(Origin("s3://the-bucket"), QUICK) as source, pytest.raises(Refused, match="403") as caught:
            source.describe(MODEL)
        assert "X-Amz" not in str(caught.value)

    def test_without_credentials_it_names_the_settings(self, s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        with opened(Origin("s3://the-bucket"), QUICK) as source, pytest.raises(Refused, match="AWS_ACCESS_KEY_ID"):
            source.describe(MODEL)
        assert s3.requests == []

    def test_an_endpoint_that_is_not_there_is_unreachable(self, s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        with opened(Origin("s3://the-bucket"), QUICK) as source, pytest.raises(Unreachable, match=r"127\.0\.0\.1:9"):
            source.describe(MODEL)

    @pytest.mark.parametrize("address", ["s3://", "s3:///prefix", "s3://B", "s3://bucket_name/x"])
    def test_an_address_of_another_form_is_refused(self, address: str) -> None:
        with pytest.raises(Refused, match="s3://bucket/prefix"), opened(Origin(address), QUICK):
            pass


class TestPlainHttp:
    """Weights run as part of the service, so nobody on the way may replace them."""

    def test_it_is_for_this_machine_only(self) -> None:
        with (
            opened(Origin("http://mirror.invalid/models"), QUICK) as source,
            pytest.raises(Refused, match=r"not https://"),
        ):
            source.describe(whisper_file())

    def test_a_redirect_does_not_lead_there(self, http: Http, hub: HubServer, tmp_path: Path) -> None:
        path = f"{ON_HUB}model.pth"
        moved = hub.files[path]
        hub.files[path] = type(moved)(b"", None, moved.headers, "http://content.invalid/blob?signature=secret")
        with pytest.raises(Refused, match=r"http://content\.invalid/blob is not https://"):
            fetch(Hub(http, hub.url, "v2"), MODEL, tmp_path / "model.pth")


def test_a_proxy_that_refuses_is_named_without_its_password(
    server: DownloadServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_PROXY", "no_proxy", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", server.url.replace("http://", "http://name:secret@"))
    with opened(Origin("https://mirror.invalid"), QUICK) as source, pytest.raises(Unreachable, match="proxy") as caught:
        source.describe(whisper_file())
    address = server.url.removeprefix("http://")
    assert f"mirror.invalid through the proxy {address}" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_redirects_without_end_are_left(http: Http, hub: HubServer) -> None:
    path = f"{ON_HUB}model.pth"
    hub.files[path] = type(hub.files[path])(location=path)
    with pytest.raises(Refused, match="without end"):
        Hub(http, hub.url, "v2").describe(MODEL)
