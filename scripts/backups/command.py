"""What both commands do with their work: a deadline, an end by signals, and words or JSON with an exit code."""

import asyncio
import json
import signal
import sys
from argparse import ArgumentParser
from collections.abc import Awaitable, Callable

from pydantic import ValidationError

from scripts.backups.errors import BackupError
from scripts.backups.work import Report
from src.config.settings import Settings

INTERRUPTED, TERMINATED = 130, 143

Say = Callable[[str], None]


def add_common(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("--json", action="store_true", help="one JSON object on standard output, also when it fails")
    add("--timeout", type=float, default=6 * 3600, metavar="SECONDS", help="give up after this (%(default)s)")


def execute(work: Callable[[Settings, Say], Awaitable[Report]], *, as_json: bool, timeout: float) -> int:
    """Do `work` and say what came of it. Returns the exit code."""
    try:
        settings = Settings()
    except ValidationError as error:
        return _failed(_of_settings(error), 2, as_json=as_json)
    say = _say if sys.stderr.isatty() and not as_json else _silent
    try:
        report = asyncio.run(_bounded(work(settings, say), timeout))
    except BackupError as error:
        return _failed(str(error), error.exit_code, as_json=as_json)
    except TimeoutError:
        return _failed(f"It was not done in {timeout:g} s (--timeout).", 1, as_json=as_json)
    except KeyboardInterrupt:
        return _failed("Stopped.", INTERRUPTED, as_json=as_json)
    except asyncio.CancelledError:
        return _failed("Stopped by a signal.", TERMINATED, as_json=as_json)
    print(json.dumps({"ok": not report.exit_code, **report.facts}) if as_json else "\n".join(report.lines))
    return report.exit_code


async def _bounded(work: Awaitable[Report], timeout: float) -> Report:  # noqa: ASYNC109 - the option of the command
    """A SIGTERM ends it as Ctrl-C does, so that nothing is left in temporary folders."""
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    async with asyncio.timeout(timeout):
        return await work


def _failed(message: str, code: int, *, as_json: bool) -> int:
    print(message, file=sys.stderr)
    if as_json:
        print(json.dumps({"ok": False, "error": message}))
    return code


def _of_settings(error: ValidationError) -> str:
    """Without the values: they may be secrets."""
    lines = []
    for problem in error.errors(include_input=False, include_url=False):
        name = ".".join(str(part) for part in problem["loc"]).upper() or "settings"
        lines.append(f"{name}: {problem['msg'].removeprefix('Value error, ')}")
    return "\n".join(lines)


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _silent(_text: str) -> None:
    pass
