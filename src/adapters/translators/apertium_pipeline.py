"""One Apertium mode kept running: a chain of about a dozen small programs that answers each text in milliseconds.

Starting the chain takes a quarter of a second, so it is kept. Texts are separated by NUL, which makes every program
flush: this is what aligns answers with texts one to one.
"""

import asyncio
import contextlib
import os
import re
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from pathlib import Path

from src.utils.concurrency import run_both

_LONGEST_ANSWER = 2**22  # bytes
_TAIL = ".[]"
"""Ends every text, because the tagger holds words back until a sentence ends; `[]` tells it from the text."""

_RESERVED = re.compile(r"([\\^$\[\]{}<>@/])")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_CONTROLS = re.compile(r"[\x00-\x1f\x7f\s]+")

_STAR = "\ue02a"
"""In the place of a star in the text: a star in the answer is Apertium's mark of an unknown word."""
_UNKNOWN = re.compile(r"\*([^\W\d_][\w'’-]*)")

_LOCALE = "en_US.UTF-8" if sys.platform == "darwin" else "C.UTF-8"


class PipelineFailedError(Exception):
    """A program of the chain is missing, died, or answered what cannot be read."""


class ApertiumPipeline:
    """Translates along one mode, one text at a time: hold `lock` from a batch's first text to its last.

    `users` counts those who hold or await the lock; only an idle pipeline may be stopped.
    """

    def __init__(self, mode: Path) -> None:
        self._mode = mode
        self._process: Process | None = None
        self._ending: list[Process] = []  # killed, and not yet seen to be gone
        self.lock = asyncio.Lock()
        self.users = 0

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def translate(self, text: str) -> tuple[str, tuple[str, ...]]:
        """The translation of `text`, and the words in it that are unknown. Raises PipelineFailedError.

        A caller that is cancelled here, or gets an error, must `kill`: an answer may still be on its way.
        """
        process = await self._started()
        if process.stdin is None or process.stdout is None:
            raise PipelineFailedError("no pipes")
        try:
            process.stdin.write(_to_stream(text))
            _, answer = await run_both(process.stdin.drain(), process.stdout.readuntil(b"\0"))
            return _from_stream(answer)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, UnicodeDecodeError) as error:
            raise PipelineFailedError(type(error).__name__) from error

    def kill(self) -> None:
        """End all programs of the chain now; the next text starts them anew."""
        process, self._process = self._process, None
        if process is None:
            return
        self._ending.append(process)
        if process.stdin is not None:
            process.stdin.close()
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)

    async def stop(self) -> None:
        """As `kill`, and wait for the end of this chain and of those killed before."""
        self.kill()
        while self._ending:
            await self._ending[-1].wait()
            self._ending.pop()

    async def _started(self) -> Process:
        if self._process is not None and self._process.returncode is None:
            return self._process
        await self.stop()
        try:
            command = await _null_flushing(self._mode)
            self._process = await _spawn("sh", "-c", command, "apertium", "-g", "", limit=_LONGEST_ANSWER)
        except OSError as error:
            raise PipelineFailedError(str(error)) from error
        return self._process


async def _null_flushing(mode: Path) -> str:
    """The mode's shell pipeline with the option that makes each program flush at NUL.

    In it `$1` stands for the generator's option (`-g`: a star before unknown words) and `$2` for one of the tagger's.
    """
    process = await _spawn("apertium-wblank-mode", "-z", str(mode))
    try:
        command, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise PipelineFailedError("apertium-wblank-mode")
    return command.decode()


async def _spawn(*command: str, limit: int = 2**16) -> Process:
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": _LOCALE}
    return await asyncio.create_subprocess_exec(
        *command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, env=environment, limit=limit, start_new_session=True
    )


def _to_stream(text: str) -> bytes:
    """Escape what the stream format reserves, so that no text can inject a command or an analysis."""
    escaped = _RESERVED.sub(r"\\\1", _CONTROLS.sub(" ", text.replace("*", _STAR)))
    return f"{escaped}{_TAIL}\0".encode(errors="replace")


def _from_stream(answer: bytes) -> tuple[str, tuple[str, ...]]:
    text = answer.decode().removesuffix("\0").strip().removesuffix(_TAIL)
    text = " ".join(_ESCAPED.sub(r"\1", text).split())
    unknown = tuple(_UNKNOWN.findall(text))
    return _UNKNOWN.sub(r"\1", text).replace(_STAR, "*"), unknown
