"""The command as a user runs it, against servers of the project's own; and what it brings is what the service loads."""

import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.checkpoints.whisper import make
from scripts.downloads import catalogue
from scripts.downloads.cli import main
from src.config.settings import Settings
from src.domain.errors import EngineUnavailable
from src.models import audioseal_files, whisper_model
from src.models.whisper import checkpoint
from src.models.xtts import coqui
from tests.checkpoints.xtts_checkpoint import quiet, tiny_checkpoint
from tests.providers.download_server import DownloadServer, Fault, HubServer
from tests.providers.downloading import BODY, OTHER, QUICK, sha256

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = ROOT / "scripts" / "download_models.py"


@pytest.fixture(autouse=True)
def in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the default folders and .env are looked for."""
    monkeypatch.chdir(tmp_path)
    for name in ("WHISPER_DIR", "XTTS_DIR", "WHISPER_MODEL", "WHISPER_MODEL_HIGH", "COQUI_TOS_AGREED", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def server() -> Iterator[DownloadServer]:
    with DownloadServer() as running:
        yield running


def mirror_of(folder: Path, server: DownloadServer) -> str:
    """A mirror as the help says how to make one: the folder, and what sha256sum prints in it."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    names = sorted(str(path.relative_to(folder)) for path in files)
    sums = subprocess.run(["sha256sum", *names], cwd=folder, check=True, capture_output=True, timeout=60)
    server.put("/mirror/SHA256SUMS", sums.stdout)
    for path in files:
        server.put(f"/mirror/{path.relative_to(folder)}", path.read_bytes())
    return f"{server.url}/mirror"


def xtts_like(folder: Path) -> Path:
    """Files with the names of XTTS-v2's, below `folder`."""
    (folder / "xtts").mkdir(parents=True)
    for number, name in enumerate(catalogue.XTTS_FILES):
        (folder / "xtts" / name).write_bytes(BODY[number * 1000 : number * 2000 + 500])
    return folder


def publish(model: str, body: bytes, server: DownloadServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the catalogue have this body for a published Whisper model, and the server too."""
    checksum = sha256(body)
    file = catalogue.File("whisper", f"{model}.pt", checksum)
    monkeypatch.setitem(catalogue.MODELS, f"whisper:{model}", catalogue.Model(f"whisper:{model}", (file,), 1))
    server.put(f"/main/whisper/models/{checksum.digest}/{model}.pt", body)


class TestWhatItBringsLoads:
    def test_xtts_from_a_mirror_into_the_default_folder(
        self, server: DownloadServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shutil.copytree(tiny_checkpoint(), tmp_path / "published" / "xtts")
        url = mirror_of(tmp_path / "published", server)
        monkeypatch.setenv("COQUI_TOS_AGREED", "1")
        server.faults.extend([Fault(), Fault(cut_at=100), Fault(), Fault(), Fault(), Fault(), Fault(cut_at=10_000)])
        assert main(["xtts", "--from", url], QUICK) == 0
        settings = Settings()
        with quiet():
            model = coqui.load_xtts(settings.xtts_dir, licence_accepted=settings.coqui_tos_agreed)
        assert model.gpt is not None

    def test_xtts_from_the_hub(self, server: DownloadServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("COQUI_TOS_AGREED", "1")
        with HubServer(server) as hub:
            for name in catalogue.XTTS_FILES:
                body = (tiny_checkpoint() / name).read_bytes()
                path = f"/coqui/XTTS-v2/resolve/main/{name}"
                hub.publish(path, body, large=name.endswith(".pth"))
            assert main(["xtts", "--hub", hub.url, "--revision", "main", "--to", "here"], QUICK) == 0
        with quiet():
            assert coqui.load_xtts(tmp_path / "here" / "xtts", licence_accepted=True).gpt is not None

    def test_audioseal_from_the_hub(self, server: DownloadServer, tmp_path: Path) -> None:
        with HubServer(server) as hub:
            for name in catalogue.AUDIOSEAL_FILES:
                hub.publish(f"/facebook/audioseal/resolve/main/{name}", BODY, large=True)
            assert main(["audioseal", "--hub", hub.url, "--to", "here"], QUICK) == 0
        names = {audioseal_files.GENERATOR_FILE, audioseal_files.DETECTOR_FILE}
        assert {path.name for path in (tmp_path / "here" / "audioseal").iterdir()} == names

    def test_whisper_in_the_folder_of_the_settings(
        self,
        server: DownloadServer,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        publish("tiny", make("tiny", tmp_path / "made.pt").read_bytes(), server, monkeypatch)
        (tmp_path / ".env").write_text("WHISPER_DIR=weights\nWHISPER_MODEL=tiny\n")
        server.faults.append(Fault(cut_at=30_000_000))
        assert main(["whisper:tiny", "--whisper-host", server.url], QUICK) == 0
        assert capsys.readouterr().out == "whisper:tiny is there.\n"
        settings = Settings()
        path = whisper_model.weights_file(settings.whisper_model, settings.whisper_dir)
        assert path == Path("weights/tiny.pt")
        assert checkpoint.load(path).dims.n_audio_state == 384

    def test_a_file_of_another_size_than_its_name_says_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(EngineUnavailable, match=r"base\.pt is not a Whisper checkpoint"):
            checkpoint.load(make("unit", tmp_path / "base.pt"))


class TestTheCommand:
    def test_several_at_once_and_nothing_twice(
        self, server: DownloadServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        publish("tiny", BODY, server, monkeypatch)
        publish("large-v3-turbo", OTHER, server, monkeypatch)
        order = ["whisper:turbo", "whisper:tiny", "whisper:large-v3-turbo", "--whisper-host", server.url, "--to", "a"]
        assert main(order, QUICK) == 0
        assert Path("a/large-v3-turbo.pt").read_bytes() == OTHER
        assert Path("a/tiny.pt").read_bytes() == BODY
        assert len(server.begun()) == 2
        said = capsys.readouterr().out
        assert "whisper:tiny is there. For the service to take it: WHISPER_DIR=a WHISPER_MODEL=tiny\n" in said

        server.requests.clear()
        assert main(order, QUICK) == 0
        assert server.requests == [], "files with published checksums are compared without a network"
        assert "already there" in capsys.readouterr().err

    def test_files_of_a_mirror_that_are_there_are_not_fetched(
        self, server: DownloadServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        url = mirror_of(xtts_like(tmp_path / "published"), server)
        monkeypatch.setenv("COQUI_TOS_AGREED", "1")
        assert main(["xtts", "--from", url, "--to", "a"], QUICK) == 0
        server.requests.clear()
        Path("a/xtts/vocab.json").unlink()
        assert main(["xtts", "--from", url, "--to", "a"], QUICK) == 0
        assert [request.path for request in server.requests if request.method == "GET"] == [
            "/mirror/SHA256SUMS",
            "/mirror/xtts/vocab.json",
        ]

    def test_another_file_in_the_way_is_kept_unless_told(
        self, server: DownloadServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        publish("tiny", BODY, server, monkeypatch)
        own = Path("checkpoints/tiny.pt")
        own.parent.mkdir()
        own.write_bytes(OTHER)
        order = ["whisper:tiny", "--whisper-host", server.url]
        assert main(order, QUICK) == 1
        assert own.read_bytes() == OTHER
        assert server.begun() == []
        assert "--replace" in capsys.readouterr().err
        assert main([*order, "--replace"], QUICK) == 0
        assert own.read_bytes() == BODY

    def test_a_full_disk_is_seen_before_the_first_byte(
        self, server: DownloadServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        publish("tiny", BODY, server, monkeypatch)
        server.head_faults.append(Fault(content_length=10**15))
        assert main(["whisper:tiny", "--whisper-host", server.url], QUICK) == 4
        assert server.begun() == []
        assert "1000000 GB are needed" in capsys.readouterr().err

    def test_xtts_needs_its_licence(self, server: DownloadServer, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["whisper:tiny", "xtts", "--from", server.url], QUICK) == 5
        assert "set COQUI_TOS_AGREED=1" in capsys.readouterr().err
        assert server.requests == []

    def test_a_refusal_ends_it(
        self, server: DownloadServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        publish("tiny", BODY, server, monkeypatch)
        server.files.clear()
        assert main(["whisper:tiny", "--whisper-host", server.url], QUICK) == 1
        assert "404" in capsys.readouterr().err

    @pytest.mark.parametrize("address", ["http://127.0.0.1:9", "https://openaipublic.invalid"])
    def test_without_a_network_it_says_what_could_not_be_reached_and_what_to_do(
        self, address: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("NO_PROXY", "*")
        assert main(["whisper:tiny", "--whisper-host", address], QUICK) == 3
        said = capsys.readouterr().err
        assert f"Cannot reach {address.split('/')[2]}" in said
        assert "scripts/download_models.py whisper:tiny --from https://" in said
        assert "SHA256SUMS" in said
        assert main(["whisper:tiny", "--from", address], QUICK) == 3
        assert "Is the mirror's address right" in capsys.readouterr().err

    def test_names_and_addresses_that_are_none(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["whisper:huge"], QUICK) == 2
        assert main(["base"], QUICK) == 2
        assert "whisper:base" in capsys.readouterr().err
        assert main(["whisper:base", "--from", "ftp://x"], QUICK) == 1
        with pytest.raises(SystemExit) as caught:
            main([], QUICK)
        assert caught.value.code == 2

    def test_wrong_settings_are_named_without_their_values(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / ".env").write_text("PORT=secret\n")
        assert main(["whisper:base"], QUICK) == 2
        said = capsys.readouterr().err
        assert said.startswith("PORT: ")
        assert "secret" not in said

    def test_the_list_says_what_is_there(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "checkpoints").mkdir()
        (tmp_path / "checkpoints" / "base.pt").write_bytes(b"")
        assert main(["--list"], QUICK) == 0
        lines = capsys.readouterr().out.splitlines()
        assert [line.split()[0] for line in lines] == list(catalogue.MODELS)
        assert [line.split()[0] for line in lines if line.endswith("there")] == ["whisper:base"]


def test_ctrl_c_keeps_what_came_and_the_next_run_goes_on(server: DownloadServer, tmp_path: Path) -> None:
    published = xtts_like(tmp_path / "published")
    (published / "xtts" / "model.pth").write_bytes(BODY)
    url = mirror_of(published, server)
    order = [sys.executable, str(SCRIPT), "xtts", "--from", url, "--to", "a"]
    environment = {**os.environ, "COQUI_TOS_AGREED": "1"}
    server.faults.extend([*[Fault()] * 5, Fault(cut_at=100_000, hang=5)])  # the manifest, four small files, model.pth
    with subprocess.Popen(order, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            deadline = time.monotonic() + 30
            while not sum(path.stat().st_size for path in tmp_path.glob("a/xtts/model.pth.*.part")):
                assert time.monotonic() < deadline
                assert process.poll() is None
                time.sleep(0.02)
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == 130
    assert "Traceback" not in said
    assert "run the same command again to go on" in said
    (part,) = tmp_path.glob("a/xtts/model.pth.*.part")
    kept = part.stat().st_size
    assert kept > 0

    again = subprocess.run(
        order, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert again.returncode == 0, again.stderr
    assert server.begun()[-1] == f"bytes={kept}-"
    assert again.stdout.startswith("xtts is there.")


def test_a_terminal_gets_bars_even_when_it_does_not_say_its_size(server: DownloadServer, tmp_path: Path) -> None:
    url = mirror_of(xtts_like(tmp_path / "published"), server)
    order = [sys.executable, str(SCRIPT), "xtts", "--from", url, "--to", "a"]
    ours, terminal = pty.openpty()  # 0 columns and 0 rows
    try:
        subprocess.run(
            order, cwd=tmp_path, env={**os.environ, "COQUI_TOS_AGREED": "1"}, stderr=terminal, check=True, timeout=60
        )
        said = os.read(ours, 2**16).decode()
    finally:
        os.close(ours)
        os.close(terminal)
    assert "xtts/model.pth: 100%" in said
