"""The image of docker/Dockerfile: that it is made, what it holds, and that it serves as the user that it names."""

import base64
import io
import os
import time
import wave
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.image.caller import SENTENCE, Caller
from tests.image.clean_root import Image
from tests.image.container import Container, running
from tests.servers.ports import free_port

pytestmark = pytest.mark.timeout(3600)

STOP_SECONDS = 40.0  # stop_grace_period in docker/docker-compose.yml
LARGEST_BYTES = 3_500_000_000
SECRET = "secret-of-the-image's-test-0123456789"
ISSUER, AUDIENCE = "https://id.example", "voice"


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def container(image: Image, port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    """One that is ready."""
    log = tmp_path_factory.mktemp("container") / "log"
    settings = {"PORT": str(port), "JWT_SECRET": SECRET, "JWT_ISSUER": ISSUER, "JWT_AUDIENCE": AUDIENCE}
    with running(image, log, settings) as container:
        Caller(port).await_ready(container, log)
        yield container


def test_its_size_and_the_time_that_it_took(image: Image, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(f"\n{image.bytes / 1e6:.0f} MB on disk, made in {sum(image.seconds.values()):.0f} s")  # noqa: T201
        for command, seconds in image.seconds.items():
            print(f"{seconds:6.1f} s  {command[:100]}")  # noqa: T201
    assert image.bytes < LARGEST_BYTES


def test_it_holds_no_build_tools_and_nothing_of_the_build(image: Image) -> None:
    programs = {path.name for folder in ("usr/bin", "opt/voice/bin") for path in (image.root / folder).iterdir()}
    assert programs & {"gcc", "g++", "cc", "make", "pip", "pip3", "git", "curl"} == set()
    assert not list((image.root / "opt/voice/lib").glob("python*/site-packages/pip"))
    assert list((image.root / "var/lib/apt/lists").iterdir()) == []
    assert list((image.root / "var/cache/apt/archives").glob("*.deb")) == []
    assert list((image.root / "tmp").iterdir()) == []
    assert not (image.root / "run/registries").exists()


def test_it_holds_the_service_and_none_of_its_tests(image: Image) -> None:
    assert {path.name for path in (image.root / "app").iterdir()} == {"src", "scripts", "docker"}
    assert (image.root / "app/src/api/web/index.html").is_file()


def test_its_packages_fit_together(container: Container) -> None:
    code = "import torch; print(torch.version.cuda)"
    assert container.exec("python", "-c", code).stdout == "None\n", "this is not a CPU build of torch"
    code = "import src.workers.gpu_worker, src.adapters.storage.s3, asyncpg, redis"
    if os.environ.get("PRODUCTION_ENGINES"):
        code += ", whisper, cutlet; from src.models.xtts.coqui import xtts_classes"
        code += "; assert xtts_classes() and cutlet.Cutlet().romaji('日本')"
    done = container.exec("python", "-c", code)
    assert done.returncode == 0, done.stderr


def test_it_is_an_ordinary_user_and_its_files_are_not_its_own(container: Container) -> None:
    status = Path(f"/proc/{container.pid}/status").read_text()
    assert "Uid:\t10001\t10001\t10001\t10001" in status
    assert "CapEff:\t0000000000000000" in status
    assert container.exec("sh", "-c", "echo x > /app/src/x").returncode != 0
    assert container.exec("touch", "/data/x", "/models/x", "/tmp/x").returncode == 0  # noqa: S108 - the container's own


def test_its_health_check_tells_a_service_that_answers_from_none(image: Image, container: Container) -> None:
    assert container.exec(*image.stage.health).returncode == 0
    assert container.exec(*image.stage.health, PORT=str(free_port())).returncode == 1


def test_it_asks_for_a_token(container: Container, port: int) -> None:
    assert httpx.post(f"http://127.0.0.1:{port}/api/v1/voice/translate", json={}).status_code == 401


def test_it_translates_a_message(container: Container, port: int) -> None:
    answer = Caller(port, SECRET, ISSUER, AUDIENCE).translate().json()
    assert answer["original_text"] == SENTENCE
    assert "hermana" in answer["translated_text"]
    assert answer["voice_similarity"] > 0.5
    with wave.open(io.BytesIO(base64.b64decode(answer["audio_base64"]))) as file:
        assert file.getnframes() / file.getframerate() > 1.0


def test_it_compiles_nothing_at_its_start(image: Image, container: Container) -> None:
    made = {path.name for path in (image.root / "var/cache/numba").rglob("*.nbc")}
    now = container.exec("find", "/var/cache/numba", "-name", "*.nbc", "-printf", "%f\\n").stdout.split()
    assert len(made) > 5
    assert set(now) == made


def test_models_can_be_fetched_with_it(container: Container) -> None:
    done = container.exec("python", "scripts/download_models.py", "--list")
    assert done.returncode == 0, done.stderr
    assert "whisper:base" in done.stdout


def test_it_ends_in_order_when_it_is_stopped(image: Image, tmp_path: Path) -> None:
    port = free_port()
    settings = {"PORT": str(port), "JWT_SECRET": SECRET, "JWT_ISSUER": ISSUER, "JWT_AUDIENCE": AUDIENCE}
    with running(image, tmp_path / "log", settings) as container:
        Caller(port).await_ready(container, tmp_path / "log")
        assert container.stop(STOP_SECONDS) in (0, 143)  # uvicorn ends by the signal that it got


def test_a_container_of_these_tests_leaves_nothing_behind(image: Image, tmp_path: Path) -> None:
    with running(image, tmp_path / "log", {}, ["sleep", "1000"]) as container:
        while not (children := Path(f"/proc/{container.pid}/task/{container.pid}/children").read_text()):
            time.sleep(0.01)
    assert not Path(f"/proc/{container.pid}").exists()
    assert not Path(f"/proc/{children.strip()}").exists()
    assert not any(str(image.root) in line for line in Path("/proc/self/mounts").read_text().splitlines())


def test_without_a_secret_it_refuses_to_start(image: Image, tmp_path: Path) -> None:
    with running(image, tmp_path / "log", {}) as container:
        deadline = time.monotonic() + 60
        while container.running and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not container.running
    assert "JWT_SECRET" in (tmp_path / "log").read_text()
