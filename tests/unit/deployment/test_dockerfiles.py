"""The images' recipes, without making them: `./scripts/test image` does that."""

import asyncio
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path, PurePosixPath

import pytest

from src.config.settings import Settings
from src.domain.jobs import Job
from src.worker import ALIVE_FILE, show_life
from src.workers.job_worker import JobWorker
from tests.conftest import ROOT
from tests.image.dockerfile import Context, Copy, Stage, parse, substitute
from tests.servers.ports import free_port

NAMES = ("Dockerfile", "Dockerfile.gpu")
NOT_OURS = {"PATH", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "NUMBA_CACHE_DIR", "NUMBA_CPU_NAME"}
PROBE = ROOT / "docker" / "probe.py"


@pytest.fixture(params=NAMES)
def stages(request: pytest.FixtureRequest) -> list[Stage]:
    return parse(ROOT / "docker" / request.param)


def test_both_stages_begin_alike_and_name_one_release(stages: list[Stage]) -> None:
    built, final = stages
    assert built.base == final.base
    assert re.search(r":(\S*-)?\d[\d.]{3,}", final.base), "a tag that moves makes another image each week"


def test_the_image_runs_as_an_ordinary_user(stages: list[Stage]) -> None:
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", stages[-1].user or ""), "a number, so that an orchestrator can check it"


def test_the_image_is_made_without_build_tools(stages: list[Stage]) -> None:
    installed = " ".join(stages[-1].runs)
    assert re.findall(r"\b(gcc|g\+\+|make|python3-dev|python3-venv|pip)\b", installed) == []
    assert "pip uninstall --yes pip" in stages[0].runs[-1]


def test_each_list_of_packages_is_thrown_away_in_the_step_that_fetched_it(stages: list[Stage]) -> None:
    fetching = [command for command in stages[-1].runs if "apt-get update" in command]
    assert fetching
    assert all("rm -rf /var/lib/apt/lists/*" in command for command in fetching)


def test_what_is_copied_is_there(stages: list[Stage]) -> None:
    context = Context(ROOT)
    for stage in stages:
        for step in stage.steps:
            if isinstance(step, Copy) and step.stage is None:
                for source in step.sources:
                    assert context.files(source)


def test_its_variables_are_settings_of_the_service(stages: list[Stage]) -> None:
    named = set(stages[-1].environment) - NOT_OURS
    assert {"DATA_DIR", "WHISPER_DIR", "KOKORO_DIR", "XTTS_DIR", "AUDIOSEAL_DIR", "HOST", "PORT", "AUTH_MODE"} <= named
    assert {name.lower() for name in named} <= Settings.model_fields.keys()


def test_it_starts_and_is_watched(stages: list[Stage]) -> None:
    final = stages[-1]
    assert final.entrypoint == ["tini", "--"]
    assert any(" tini" in command for command in final.runs)
    assert final.command == ["python", "-m", "src.main"]
    assert final.health == ["python", "docker/probe.py"]
    assert final.ports == [final.environment["PORT"]]


def test_the_two_images_differ_in_nothing_but_their_base() -> None:
    cpu, gpu = (parse(ROOT / "docker" / name)[-1] for name in NAMES)
    assert [step for step in cpu.steps if isinstance(step, Copy)] == [
        step for step in gpu.steps if isinstance(step, Copy)
    ]
    assert cpu.runs == gpu.runs
    assert {**cpu.environment, "PATH": ""} == {**gpu.environment, "PATH": ""}


def test_the_packages_are_those_that_setup_installs() -> None:
    assert "scripts/parts/speech-packages.txt" in (ROOT / "scripts" / "setup").read_text()
    lines = (ROOT / "scripts" / "parts" / "speech-packages.txt").read_text().splitlines()
    assert {"espeak-ng", "apertium"} <= set(lines)
    assert all(re.fullmatch(r"#.*|[a-z0-9-]+", line) for line in lines)


# --- the context


@pytest.mark.parametrize(
    "path",
    [".env", "docker/.env", ".git/config", "var/voice.db", "checkpoints/base.pt", "tests/conftest.py", "README.md",
     "src/__pycache__/main.cpython-311.pyc", "src/api/__pycache__/x.pyc", "scripts/setup"],
)  # fmt: skip
def test_keys_data_and_what_python_left_behind_are_not_sent_to_a_build(path: str) -> None:
    assert not Context(ROOT).holds(PurePosixPath(path))


@pytest.mark.parametrize(
    "path", ["src/main.py", "src/api/web/index.html", "scripts/parts/model_sources.py", "requirements.txt"]
)
def test_the_service_is_sent_to_a_build(path: str) -> None:
    assert Context(ROOT).holds(PurePosixPath(path))


# --- the reader that `tests/image` builds with


def test_lines_that_go_on_are_one_and_comments_none(tmp_path: Path) -> None:
    file = tmp_path / "Dockerfile"
    file.write_text("# hello\nFROM a AS b\nRUN one \\\n    # why\n    && two\nENV A=1 \\\n    B='x y'\n")
    (stage,) = parse(file)
    assert (stage.base, stage.name, stage.runs) == ("a", "b", ["one && two"])
    assert stage.environment == {"A": "1", "B": "x y"}


@pytest.mark.parametrize(
    "line", ["ADD a b", "RUN --mount=type=cache,target=/x y", "COPY --chown=1 a b", "ONBUILD RUN x"]
)
def test_what_it_does_not_know_is_an_error(tmp_path: Path, line: str) -> None:
    file = tmp_path / "Dockerfile"
    file.write_text(f"FROM a\n{line}\n")
    with pytest.raises(ValueError, match="not known"):
        parse(file)


def test_a_command_of_another_user_than_root_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "Dockerfile"
    file.write_text("FROM a\nUSER 1:1\nRUN b\n")
    with pytest.raises(ValueError, match="RUN"):
        parse(file)


def test_variables_are_put_in() -> None:
    assert substitute("$A/${B}/$C", {"A": "1", "B": "2"}) == "1/2/"


# --- the health check


class _Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == self.server.good else 503)  # type: ignore[attr-defined]
        self.end_headers()

    def log_message(self, *_words: object) -> None:
        """Quiet."""


@contextmanager
def _server(good: str) -> Iterator[int]:
    server = HTTPServer(("127.0.0.1", 0), _Answer)
    server.good = good  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _probe(port: int = 0, *words: str, **settings: str) -> int:
    environment = {**os.environ, "PORT": str(port), **settings}
    return subprocess.run([sys.executable, PROBE, *words], env=environment, timeout=60, check=False).returncode


def test_the_probe_is_content_with_a_service_that_lives() -> None:
    with _server("/health/live") as port:
        assert _probe(port) == 0


def test_the_probe_tells_a_service_that_fails_or_is_gone() -> None:
    with _server("/elsewhere") as port:
        assert _probe(port) == 1
    assert _probe(free_port()) == 1


def test_the_probe_tells_a_worker_that_shows_no_life(tmp_path: Path) -> None:
    assert _probe(0, "worker", DATA_DIR=str(tmp_path)) == 1
    alive = tmp_path / ALIVE_FILE
    alive.touch()
    assert _probe(0, "worker", DATA_DIR=str(tmp_path)) == 0
    os.utime(alive, (0, time.time() - 60))
    assert _probe(0, "worker", DATA_DIR=str(tmp_path)) == 1


async def test_a_worker_shows_life_while_it_looks_for_jobs(tmp_path: Path) -> None:
    async def nothing() -> None:
        return None

    async def do(_job: Job) -> None:
        raise AssertionError

    worker: JobWorker[Job] = JobWorker(nothing, do, 1, lambda: 60.0)
    file = tmp_path / ALIVE_FILE
    life = asyncio.create_task(show_life(worker, file, 0.01))
    await asyncio.sleep(0.1)
    assert not file.exists()
    worker.start()
    async with asyncio.timeout(60):
        while not file.exists():
            await asyncio.sleep(0.01)
    await worker.close(1)
    await asyncio.sleep(0.1)
    file.unlink()
    await asyncio.sleep(0.1)
    assert not file.exists()
    life.cancel()
    await asyncio.gather(life, return_exceptions=True)
