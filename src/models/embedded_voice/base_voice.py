"""espeak-ng: speech before conversion, or how a text is said.

It runs as a process of its own (its licence is the GPL), without a shell, within limits of memory, output and time. The
text goes through standard input, so it can never be an option.
"""

import contextlib
import re
import resource
import shutil
import subprocess
import tempfile
import textwrap
from functools import cache

import numpy as np

from src.domain.audio import Audio
from src.domain.errors import DeadlineExceeded, EngineUnavailable
from src.domain.languages import LANGUAGES
from src.models.embedded_voice.japanese import kana

MAX_CHARACTERS = 1500
"""Of one call: about two minutes of speech."""

TIMEOUT_SECONDS = 20.0
"""For one call; a long one takes about half a second."""

_LIMITS = {
    resource.RLIMIT_AS: 1 << 30,
    resource.RLIMIT_FSIZE: 64 << 20,  # its output: 25 minutes of sound
    resource.RLIMIT_CPU: int(TIMEOUT_SECONDS),
}
"""Bytes of memory, bytes of a file, seconds."""
_LONGEST_CLAUSE = {"ko": 80, "cmn-latn-pinyin": 80}
"""Characters without a pause: espeak-ng loses what a Korean or Chinese clause has after 120 syllables or so."""
_CLAUSES = re.compile("(?<=[.,;:!?。，、！？；：])")
LONGEST_WORD = 40
"""Letters: espeak-ng drops the end of a word of some 200 bytes."""

ESPEAK_NAMES = {"en": "en-us", "pt": "pt-br", "zh": "cmn-latn-pinyin"}
"""espeak-ng's own name where it differs from the service's code. Its plain `cmn` reads pinyin as if it were English."""

_KANA_OR_HAN = re.compile("[\u3000-\u9fff]")
_WORDS_PER_MINUTE = 160
_MISSING = "espeak-ng is not installed: install Debian's espeak-ng."


@cache
def spoken_languages() -> frozenset[str]:
    """The service's languages that the installed espeak-ng speaks; empty when it is not installed."""
    try:
        listed = subprocess.run(["espeak-ng", "--voices"], capture_output=True, timeout=TIMEOUT_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return frozenset()
    lines = listed.stdout.decode(errors="replace").splitlines()[1:]
    tags = {columns[1] for line in lines if len(columns := line.split()) > 1}
    bases = tags | {tag.partition("-")[0] for tag in tags}
    return frozenset(code for code in LANGUAGES if ESPEAK_NAMES.get(code, code) in bases)


def require_espeak() -> None:
    """Raises EngineUnavailable when espeak-ng is not installed."""
    if shutil.which("espeak-ng") is None:
        raise EngineUnavailable(_MISSING)


def say(text: str, language: str) -> Audio:
    """`text` of `services.spoken_text` as espeak-ng says it, without samples when nothing can be said.

    Raises EngineUnavailable, and DeadlineExceeded when the program does not end.
    """
    name = ESPEAK_NAMES.get(language, language)
    if language == "ja":
        text = kana(_clean(text))  # espeak-ng calls each kanji "Chinese letter"
    return espeak(text, name)


def espeak(text: str, voice: str) -> Audio:
    """espeak-ng's own sound, int16 at its own rate. Raises EngineUnavailable, DeadlineExceeded."""
    command = ["espeak-ng", "-b", "1", "-v", voice, "-s", str(_WORDS_PER_MINUTE), "--stdin", "--stdout"]
    clauses = _CLAUSES.split(_clean(text))
    longest = _LONGEST_CLAUSE.get(voice, MAX_CHARACTERS)
    wav = _run(command, " ".join(", ".join(textwrap.wrap(clause, longest)) for clause in clauses))
    if not wav:  # nothing to say
        return Audio(np.zeros(0, np.float32), 22_050)
    # It writes to a pipe before it knows the length, so the header's lengths mean nothing.
    start = wav.find(b"data", 0, 256) + 8
    if start < 8 or wav[:4] != b"RIFF":
        raise EngineUnavailable("espeak-ng did not answer with sound.")
    pcm = np.frombuffer(wav[start : start + (len(wav) - start) // 2 * 2], "<i2")
    return Audio((pcm / np.float32(32768)).astype(np.float32), int.from_bytes(wav[24:28], "little"))


def espeak_ipa(text: str, voice: str) -> str:
    """How espeak-ng says a clause: IPA, two signs of one sound tied. Raises EngineUnavailable, DeadlineExceeded."""
    command = ["espeak-ng", "-b", "1", "-v", voice, "-q", "--ipa", "--tie=\u0361", "--stdin"]
    return _run(command, _clean(text)).decode(errors="replace")


def _clean(text: str) -> str:
    """One line without the brackets that make espeak-ng read phoneme codes, nor endless words; bounded."""
    words = text[:MAX_CHARACTERS].translate(dict.fromkeys(map(ord, "[]<>\0"), " ")).split()
    return " ".join(word if _KANA_OR_HAN.search(word) else _divided(word) for word in words)


def _divided(word: str) -> str:
    return " ".join(textwrap.wrap(word, LONGEST_WORD))


def _run(command: list[str], text: str) -> bytes:
    """What espeak-ng puts out; it ends at the first limit that it reaches."""
    with tempfile.TemporaryFile() as output:
        try:
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.DEVNULL)
        except FileNotFoundError:
            raise EngineUnavailable(_MISSING) from None
        with process:
            for limit, value in _LIMITS.items():
                with contextlib.suppress(ProcessLookupError):  # it has ended
                    resource.prlimit(process.pid, limit, (value, value))
            try:
                process.communicate(text.encode(errors="ignore"), timeout=TIMEOUT_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                raise DeadlineExceeded(f"espeak-ng did not end within {TIMEOUT_SECONDS:.0f} s.") from None
        if process.returncode:
            raise EngineUnavailable(f"espeak-ng ended with status {process.returncode}.")
        output.seek(0)
        return output.read()
