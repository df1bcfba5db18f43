"""python -m src.cli live against a service on fake engines, over its WebSocket."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from websockets.sync.client import connect

from src.cli import __main__ as cli
from src.config.settings import Settings
from src.main import create_app
from src.services.live.intake import RATE
from src.utils.audio import samples_of_wav
from tests.conftest import ROOT, serving
from tests.fakes.engines import fake_engines
from tests.fakes.live import ToneTranscriber, said, words_of
from tests.servers.ports import free_port
from tests.support.tokens import SECRET, WITH_TOKENS, claims, hs256

HEARD = words_of(3, 1.0)
TRANSLATED = HEARD[::-1]
PATIENCE = 120


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    settings = Settings(_env_file=None, data_dir=tmp_path_factory.mktemp("data"))
    with serving(create_app(settings, fake_engines(transcriber=ToneTranscriber()))) as url:
        yield url


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "out.wav"


def recording(path: Path, pcm: bytes) -> str:
    """At another rate and with two channels: the service takes neither."""
    samples = np.frombuffer(pcm, "<i2")[::2]
    soundfile.write(path, np.column_stack((samples, samples)), RATE // 2, "PCM_16", format="FLAC")
    return str(path)


def test_a_recording_is_sent_as_fast_as_it_was_spoken(
    server: str, tmp_path: Path, output: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = recording(tmp_path / "spoken.flac", said(3, pause=0.5) + said(5, pause=0.5))
    began = time.monotonic()
    assert cli.main(["live", file, "--to", "es", "-o", str(output), "--server", server]) == 0
    assert time.monotonic() - began > 2.5
    lines = capsys.readouterr().out.splitlines()
    assert {line[0] for line in lines[:-1]} == {"<", ">"}
    assert [line[2:] for line in lines if line[0] == ">"] != []
    assert lines[-1] == str(output)
    assert samples_of_wav(output.read_bytes()).duration_seconds > 0.1


@pytest.fixture
def spoken_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Three seconds of speech on the standard input."""
    file = tmp_path / "stdin"
    file.write_bytes(said(3))
    with file.open("rb") as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        yield


@pytest.mark.usefixtures("spoken_in")
def test_the_whole_answer_is_printed_as_json(server: str, output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["live", "-", "--to", "es", "--json", "-o", str(output), "--server", server]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["original_text"], answer["translated_text"]) == (HEARD, TRANSLATED)
    assert answer["duration_seconds"] == pytest.approx(samples_of_wav(output.read_bytes()).duration_seconds, abs=0.01)
    assert answer["lag_seconds"] >= 0
    assert answer["errors"] == []


def test_a_microphone_is_heard_until_it_ends(
    server: str, tmp_path: Path, output: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["live", "--to", "es", "-o", str(output), "--server", server]
    monkeypatch.setenv("PATH", str(tmp_path))
    assert cli.main(words) == cli.REFUSED
    assert "arecord, which hears the microphone, is not installed" in capsys.readouterr().err
    (tmp_path / "sound").write_bytes(said(3))
    program = tmp_path / "arecord"
    program.write_text(f'#!/bin/sh\nexec /bin/cat "{tmp_path}/sound"\n')
    program.chmod(0o700)
    assert cli.main(words) == 0
    assert capsys.readouterr().out == f"< {HEARD}\n> {TRANSLATED}\n{output}\n"


def test_ctrl_c_ends_it_after_what_was_said(server: str, output: Path) -> None:
    program = [sys.executable, "-m", "src.cli", "live", "-", "--to", "es", "-o", str(output), "--server", server]
    with subprocess.Popen(program, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(said(3) + said(5, pause=0.2))
        process.stdin.flush()
        assert process.stdout.readline() == f"< {HEARD}\n".encode()
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
        assert process.wait(PATIENCE) == 0
    assert f"> {TRANSLATED}".encode() in rest
    assert rest.endswith(f"{output}\n".encode())


@pytest.mark.usefixtures("spoken_in")
def test_a_token_is_sent(tmp_path: Path, output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(_env_file=None, data_dir=tmp_path, **WITH_TOKENS)
    with serving(create_app(settings, fake_engines(transcriber=ToneTranscriber()))) as url:
        words = ["live", "-", "--to", "es", "-o", str(output), "--server", url]
        assert cli.main(words) == cli.REFUSED
        monkeypatch.setenv("VOICE_TOKEN", hs256(SECRET.encode()).token(claims("ann")))
        assert cli.main(words) == 0


def test_what_cannot_be_is_told_with_the_exit_code_of_every_command(
    server: str, tmp_path: Path, output: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoken, broken = recording(tmp_path / "spoken.flac", said(3)), tmp_path / "broken.wav"
    broken.write_bytes(b"no sound at all")
    rest = ["--to", "es", "-o", str(output), "--server", server]
    assert cli.main(["live", spoken, *rest, "--to", "hu"]) == cli.REFUSED
    assert "hu" in capsys.readouterr().err
    assert cli.main(["live", spoken, *rest, "--from", "hu"]) == cli.REFUSED
    assert "hu" in capsys.readouterr().err
    assert cli.main(["live", str(broken), *rest, "--json"]) == cli.REFUSED
    assert "The sound cannot be read" in json.loads(capsys.readouterr().err)["detail"]
    assert cli.main(["live", spoken, *rest, "--voice", "0" * 32]) == cli.REFUSED
    assert not output.exists()
    assert cli.main(["live", spoken, *rest, "--server", f"http://127.0.0.1:{free_port()}"]) == cli.UNREACHABLE
    with pytest.raises(SystemExit) as ended:
        cli.main(["live", "no-such-file.m4a", *rest])
    assert ended.value.code == 2


def test_a_session_that_the_service_ends_is_told(
    tmp_path: Path, output: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, writing = os.pipe()
    os.write(writing, said(3)[:48_000])
    settings = Settings(_env_file=None, data_dir=tmp_path, **WITH_TOKENS)
    words = ["live", "-", "--to", "es", "-o", str(output)]
    with os.fdopen(reading, "rb") as stdin, os.fdopen(writing, "wb"):
        monkeypatch.setattr(sys, "stdin", stdin)
        with serving(create_app(settings, fake_engines(transcriber=ToneTranscriber()))) as url:
            # clocks may differ by 30 s, so it holds for five; the token is made now, as a start takes its time
            ending = hs256(SECRET.encode()).token(claims("ann", exp=int(time.time()) - 25))
            monkeypatch.setenv("VOICE_TOKEN", ending)
            assert cli.main([*words, "--server", url]) == cli.REFUSED
    told = capsys.readouterr().err
    assert "note: The token has expired." in told
    assert "The service ended the session: token_ended" in told


@pytest.mark.usefixtures("spoken_in")
def test_a_service_that_takes_no_more_says_so(tmp_path: Path, output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = Settings(_env_file=None, data_dir=tmp_path, max_concurrent_requests_per_user=1)
    with serving(create_app(settings, fake_engines())) as url:
        address = url.replace("http", "ws") + "/v1/realtime/translations"
        with connect(address, open_timeout=PATIENCE, proxy=None) as first:
            first.recv(PATIENCE)
            assert cli.main(["live", "-", "--to", "es", "-o", str(output), "--server", url]) == cli.REFUSED
    assert "You have 1 live sessions here." in capsys.readouterr().err
