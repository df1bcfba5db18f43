"""The programs behind the base voice: missing, failing or hanging, with stand-ins of a few lines on PATH."""

import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from src.domain.errors import DeadlineExceeded, EngineUnavailable
from src.models.embedded_voice import base_voice
from src.models.embedded_voice.engine import EmbeddedVoice


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An otherwise empty PATH."""
    forget()
    monkeypatch.setenv("PATH", str(tmp_path))
    yield tmp_path
    monkeypatch.undo()
    forget()


def forget() -> None:
    base_voice.spoken_languages.cache_clear()


def put(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\nPATH={os.defpath}\n{script}\n")
    path.chmod(0o755)


def test_without_espeak_no_language_is_spoken_and_the_package_is_named(programs: Path) -> None:
    assert base_voice.spoken_languages() == frozenset()
    with pytest.raises(EngineUnavailable, match="espeak-ng"):
        EmbeddedVoice()
    with pytest.raises(EngineUnavailable, match="Debian's espeak-ng"):
        base_voice.say("Hola.", "es")


def test_american_english_is_spoken(programs: Path) -> None:
    put(programs, "espeak-ng", 'printf "%s " "$@" >"$(dirname "$0")/arguments"; exit 3')
    with pytest.raises(EngineUnavailable, match="status 3"):
        base_voice.say("Hello.", "en")
    assert "-v en-us " in (programs / "arguments").read_text()


def test_only_languages_that_espeak_lists_are_spoken(programs: Path) -> None:
    put(programs, "espeak-ng", 'echo Header; for tag in fr-fr es ja cmn; do echo " 5 $tag --/M Name file"; done')
    assert base_voice.spoken_languages() == {"es", "fr", "ja"}


def test_a_program_that_writes_without_end_is_ended(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(base_voice._LIMITS, resource.RLIMIT_FSIZE, 1 << 20)
    put(programs, "espeak-ng", "exec cat /dev/zero")
    with pytest.raises(EngineUnavailable, match="status -25"):  # SIGXFSZ
        base_voice.espeak("Hola.", "es")


def test_a_program_that_takes_memory_without_end_is_ended(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(base_voice._LIMITS, resource.RLIMIT_AS, 64 << 20)
    put(programs, "espeak-ng", "sleep 0.2; exec dd if=/dev/zero of=/dev/null bs=256M count=1")
    with pytest.raises(EngineUnavailable, match="status 1"):
        base_voice.espeak("Hola.", "es")


def test_a_program_that_hangs_is_ended(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base_voice, "TIMEOUT_SECONDS", 0.2)
    put(programs, "espeak-ng", "exec sleep 1000")
    with pytest.raises(DeadlineExceeded):
        base_voice.espeak("Hola.", "es")


def test_an_answer_that_is_no_sound_is_an_error(programs: Path) -> None:
    put(programs, "espeak-ng", "echo nonsense")
    with pytest.raises(EngineUnavailable):
        base_voice.espeak("Hola.", "es")


def test_the_text_is_never_an_argument(programs: Path) -> None:
    put(programs, "espeak-ng", 'cat >"$(dirname "$0")/input"; printf "%s " "$@" >"$(dirname "$0")/arguments"; exit 1')
    with pytest.raises(EngineUnavailable):
        base_voice.espeak("--path=/etc $(touch x)", "es")
    assert "touch" not in (programs / "arguments").read_text()
    assert (programs / "input").read_text() == "--path=/etc $(touch x)"
