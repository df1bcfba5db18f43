"""The demo: one real message through a service of its own, and nothing left behind."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile as sf

from scripts.parts.demo import PROMPTS
from src.utils.words import words
from tests.conftest import ROOT
from tests.support.readmes import DEMO, prints_what_is_shown

COMMAND = [sys.executable, str(ROOT / "scripts" / "parts" / "demo.py")]


def _data_folders(temporary: Path) -> list[Path]:
    return list(temporary.glob("voice-demo-*"))


def _group_is_running(leader: int) -> bool:
    try:
        os.killpg(leader, 0)
    except ProcessLookupError:
        return False
    return True


def test_it_prints_what_the_readme_shows(tmp_path: Path) -> None:
    prints_what_is_shown(DEMO, tmp_path)


def test_it_translates_what_was_spoken_and_stops_the_service(tmp_path: Path) -> None:
    # Settings of the person at the terminal do not reach the demo's service: with these it would refuse to start.
    environment = os.environ | {"TMPDIR": str(tmp_path), "AUTH_MODE": "jwt", "HOST": "0.0.0.0"}
    done = subprocess.run(
        [*COMMAND, "--from", "es", "--to", "en", "--format", "m4a"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout[done.stdout.index("{") : done.stdout.rindex("}") + 1])
    assert answer["status"] == "completed"
    assert words(answer["original_text"]) == words(PROMPTS["es"])
    assert (answer["source_language"], answer["target_language"]) == ("es", "en")
    assert "person" in answer["translated_text"]
    again = re.search(r"^Heard again: (.+)$", done.stdout, re.MULTILINE)
    assert again is not None
    assert set(re.findall(r"^(\w+) +[\d.]+$", done.stdout, re.MULTILINE)) == {
        name.removesuffix("_ms") for name in answer["timestamps"]
    }
    saved = re.search(r"^Saved (.+)$", done.stdout, re.MULTILINE)
    assert saved is not None
    assert sf.info(saved[1]).duration == pytest.approx(answer["duration_seconds"], abs=0.01)
    assert _data_folders(tmp_path) == []


def test_a_refused_message_is_explained_and_fails(tmp_path: Path) -> None:
    message = tmp_path / "noise.wav"
    message.write_bytes(b"not a recording at all, whatever its name says")
    done = subprocess.run([*COMMAND, "--input", str(message)], capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 1
    assert "The demo failed: " in done.stderr
    assert re.search(r"\((format_mismatch|unsupported_audio_format|audio_undecodable)\)", done.stderr)


def test_interrupting_it_leaves_nothing(tmp_path: Path) -> None:
    demo = subprocess.Popen(
        COMMAND, env=os.environ | {"TMPDIR": str(tmp_path)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert demo.stdout is not None
    for line in demo.stdout:
        if line.startswith("Starting the service"):
            break
    service = _children(demo.pid)
    assert service, "the demo started no service"
    demo.send_signal(signal.SIGINT)
    _, complaint = demo.communicate(timeout=60)
    assert demo.returncode == 130
    assert complaint.strip() == "Interrupted; the service is stopped."
    assert not any(_group_is_running(pid) for pid in service)
    assert _data_folders(tmp_path) == []


def test_a_language_without_a_recording_asks_for_one() -> None:
    done = subprocess.run([*COMMAND, "--from", "tr"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "no recording in 'tr'" in done.stderr
    assert "--input FILE" in done.stderr


def _children(pid: int) -> list[int]:
    found = subprocess.run(["ps", "-o", "pid=,comm=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    rows = (line.split() for line in found.stdout.splitlines())
    return [int(child) for child, name in rows if name.startswith("python")]
