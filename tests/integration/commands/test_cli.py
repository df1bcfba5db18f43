"""python -m src.cli against a service on fake engines."""

import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from src.cli import __main__ as cli
from src.utils.audio import samples_of_wav
from tests.fakes.engines import fake_engines, serve
from tests.fakes.fakes import FakeVoice
from tests.servers.ports import free_port


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serve(tmp_path_factory.mktemp("data"), min_reference_seconds=0.5) as http:
        yield str(http.base_url)


@pytest.fixture
def message(tmp_path: Path) -> str:
    path = tmp_path / "message.m4a"
    path.write_bytes(b"any bytes: the decoder is a fake")
    return str(path)


def test_a_message_is_translated_into_a_file(
    server: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out.wav"
    assert cli.main(["translate", message, "--to", "es", "-o", str(output), "--server", server]) == 0
    assert samples_of_wav(output.read_bytes()).duration_seconds > 0.1
    said = capsys.readouterr()
    assert said.out == f"gninrom doog etal si niart eht\n{output}\n"
    assert "note: The language was not detected" in said.err


def test_a_kept_voice_says_a_text_and_a_recording_is_written_down(
    server: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out.wav"
    assert cli.main(["profile", message, "--name", "Ana", "--server", server]) == 0
    profile = capsys.readouterr().out.strip()
    assert re.fullmatch(r"[0-9a-f]{32}", profile)
    words = ["clone", "Hola.", "--to", "es", "-o", str(output), "--server", server]
    for voice in (["--voice", profile], ["--reference", message]):
        output.unlink(missing_ok=True)
        assert cli.main([*words, *voice]) == 0
        assert output.stat().st_size > 1000
    capsys.readouterr()
    assert cli.main(["transcribe", message, "--from", "en", "--json", "--server", server]) == 0
    assert json.loads(capsys.readouterr().out)["text"] == "good morning the train is late"


def test_a_job_that_outlasts_the_call_is_followed(
    message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    voice, output = FakeVoice(), tmp_path / "out.wav"
    voice.gate.opened.clear()
    threading.Timer(2.0, voice.gate.opened.set).start()
    with serve(tmp_path / "data", fake_engines(voice=voice), sync_timeout_seconds=0.5) as http:
        words = ["clone", "One. " * 80, "--to", "es", "--reference", message, "-o", str(output)]
        assert cli.main([*words, "--server", str(http.base_url)]) == 0
    assert samples_of_wav(output.read_bytes()).duration_seconds > 0.1
    assert capsys.readouterr().out == f"{output}\n"


def test_exit_codes_tell_refusals_from_wrong_usage_and_from_no_service(
    server: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["translate", message, "--to", "xx", "--server", server]) == cli.REFUSED
    assert "'xx' is not one of the service's languages" in capsys.readouterr().err
    assert cli.main(["transcribe", message, "--server", f"http://127.0.0.1:{free_port()}"]) == cli.UNREACHABLE
    for wrong in (
        ["translate", "no-such-file.m4a", "--to", "es"],
        ["translate", message, "--to", "es", "-o", "no-such-folder/out.wav"],
        ["transcribe", message, "--server", "127.0.0.1:8000"],
    ):
        with pytest.raises(SystemExit) as ended:
            cli.main(wrong)
        assert ended.value.code == 2
