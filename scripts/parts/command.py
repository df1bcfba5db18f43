"""What operators' commands share: errors in plain words, an end by signals, and an answer in JSON with an exit code."""

import asyncio
import json
import signal
import sqlite3
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError

from src.adapters.database import postgres
from src.bootstrap.process import load_settings
from src.config.settings import Settings
from src.domain.errors import VoiceServiceError

Facts = dict[str, object]


class BackupError(Exception):
    """It was not done. The text holds no password and nothing that people said. `exit_code` 2: wrong usage."""

    def __init__(self, text: str, exit_code: int = 1) -> None:
        super().__init__(text)
        self.exit_code = exit_code


@contextmanager
def told_of(place: str) -> Iterator[None]:
    """Errors of storage, database and disk become BackupError. A database's own words may quote a row or a password."""
    try:
        yield
    except VoiceServiceError as error:
        raise BackupError(f"{place}: {error.detail}") from error
    except sqlite3.Error as error:
        raise BackupError(f"{place}: {type(error).__name__} ({error}).") from error
    except DBAPIError as error:
        raise BackupError(f"{place}: {postgres.failure_kind(error).value} ({postgres.cause_of(error)}).") from error
    except OSError as error:
        raise BackupError(f"{place}: {error.strerror or type(error).__name__}.") from error


def execute(work: Callable[[Settings], Awaitable[Facts]]) -> int:
    """Print what `work` returns, or what is wrong, as JSON. Returns the exit code: 0 done, 1 failed, 2 wrong usage or
    settings, 130 Ctrl-C, 143 SIGTERM, or the `exit_code` among the facts.
    """
    if (settings := load_settings()) is None:
        print('{"ok": false, "error": "Settings are wrong: standard error says which."}')
        return 2
    try:
        facts = asyncio.run(_stoppable(work(settings)))
        code = int(str(facts.pop("exit_code", 0)))
    except BackupError as error:
        facts, code = {"error": str(error)}, error.exit_code
    except (KeyboardInterrupt, asyncio.CancelledError) as error:
        facts, code = {"error": "Stopped."}, 130 if isinstance(error, KeyboardInterrupt) else 143
    print(json.dumps({"ok": code == 0, **facts}, indent=1))
    if "error" in facts:
        print(facts["error"], file=sys.stderr)
    return code


async def _stoppable(work: Awaitable[Facts]) -> Facts:
    """SIGTERM ends it as Ctrl-C does, so that nothing is left in temporary folders."""
    if task := asyncio.current_task():
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await work
