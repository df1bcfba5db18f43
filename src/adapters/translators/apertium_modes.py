"""Which pairs of languages the installed Apertium packages can translate, and the programs that do it."""

import asyncio
import contextlib
import os
import re
import shutil
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path

import langcodes

from src.domain.languages import LANGUAGES
from src.utils.concurrency import run_both

Pair = tuple[str, str]

_QUOTED = re.compile(r"'([^']+)'")
_PREFIXES = ("/usr/share", "/usr/local/share", "/opt/homebrew/share", "/opt/local/share")


def modes_directories() -> Iterator[Path]:
    """Where packages put their mode files, by precedence."""
    if named := os.environ.get("APERTIUM_DATADIR"):
        yield Path(named, "modes")
    for prefix in _PREFIXES:
        yield Path(prefix, "apertium", "modes")


def installed_modes(directories: Iterable[Path]) -> dict[Pair, Path]:
    """The mode file of every pair that can run, in the order of the pairs' names.

    A mode is named `eng-spa` or, for a variety of the target language, `spa-eng_US`. The plain one is preferred; names
    of three parts are experiments of a pair's authors and are left out.
    """
    found: dict[Pair, Path] = {}
    files = [file for directory in directories for file in sorted(directory.glob("*.mode"), key=_plain_names_first)]
    for file in files:
        pair = _pair(file.stem)
        if pair is not None and pair not in found and _can_run(file):
            found[pair] = file
    return dict(sorted(found.items()))


def shortest_routes(pairs: Iterable[Pair], max_hops: int) -> dict[Pair, tuple[str, ...]]:
    """The shortest way between every two of the service's languages; of two equally short ones the first by name.

    Middle languages may be others than the service's own (Catalan, say).
    """
    neighbours: dict[str, list[str]] = {}
    for source, target in sorted(pairs):
        neighbours.setdefault(source, []).append(target)
    routes: dict[Pair, tuple[str, ...]] = {}
    for source in LANGUAGES:
        for path in _paths_from(source, neighbours, max_hops):
            if path[-1] in LANGUAGES:
                routes[source, path[-1]] = path
    return routes


def _paths_from(source: str, neighbours: dict[str, list[str]], max_hops: int) -> Iterator[tuple[str, ...]]:
    """Breadth first, so that the first path to a language is a shortest one."""
    seen = {source}
    queue: deque[tuple[str, ...]] = deque([(source,)])
    while queue:
        path = queue.popleft()
        if len(path) > max_hops:
            continue
        for following in neighbours.get(path[-1], ()):
            if following not in seen:
                seen.add(following)
                longer = (*path, following)
                queue.append(longer)
                yield longer


def _plain_names_first(file: Path) -> tuple[bool, str]:
    return "_" in file.stem, file.stem


def _pair(mode: str) -> Pair | None:
    parts = mode.split("-")
    if len(parts) != 2:
        return None
    source, target = (_code(part) for part in parts)
    return (source, target) if source and target and source != target else None


def _code(name: str) -> str | None:
    """`eng`, `en` and `eng_US` are `en`."""
    try:
        return langcodes.Language.get(name.partition("_")[0]).language
    except (ValueError, LookupError):
        return None


def _can_run(mode: Path) -> bool:
    """Whether every program and data file that a mode names is there."""
    stages = mode.read_text(encoding="utf-8").split("|")
    programs = [stage.split()[0] for stage in stages if stage.split()]
    data = [name for stage in stages for name in _QUOTED.findall(stage)]
    return bool(programs) and all(map(shutil.which, programs)) and all(Path(name).is_file() for name in data)


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
    """One mode kept running: a chain of some twelve small programs that answers each text in milliseconds, and takes a
    quarter of a second to start. Texts are separated by NUL, which makes every program flush: this is what aligns
    answers with texts one to one. One text at a time: hold `lock` from a batch's first text to its last.

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
