"""What operators' commands share: errors in plain words, an end by signals, and words or JSON with an exit code."""

import asyncio
import json
import signal
import sqlite3
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy.exc import DBAPIError

from src.adapters.database import postgres
from src.bootstrap.process import load_settings
from src.config.settings import Settings
from src.domain.errors import VoiceServiceError


class BackupError(Exception):
    """It was not done. The text holds no password and nothing that people said."""

    exit_code = 1


class WrongUse(BackupError):
    """A setting or an option is wrong."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Report:
    """What was done: `facts` for programs, and in words, then `notes` for people. `exit_code`: not 0 when something is
    left to do.
    """

    facts: dict[str, object]
    notes: tuple[str, ...] = ()
    exit_code: int = 0

    @property
    def lines(self) -> list[str]:
        counted = {name: len(fact) if isinstance(fact, list | dict) else fact for name, fact in self.facts.items()}
        return [*(f"{name.replace('_', ' ')}: {fact}" for name, fact in counted.items()), *self.notes]


@contextmanager
def told_of(place: str) -> Iterator[None]:
    """Errors of storage, database and disk become BackupError. A database's own words may quote a row or a password."""
    try:
        yield
    except VoiceServiceError as error:
        raise BackupError(f"{place}: {error.detail}") from error
    except sqlite3.Error as error:
        raise BackupError(f"{place}: {type(error).__name__} ({error}).") from error
    except (DBAPIError, OSError) as error:
        of_disk = isinstance(error, OSError) and not isinstance(error, ConnectionError | TimeoutError)
        known = error.strerror if isinstance(error, OSError) and of_disk else None
        trouble = known or f"{postgres.failure_kind(error).value} ({postgres.cause_of(error)})"
        raise BackupError(f"{place}: {trouble}.") from error


def execute(work: Callable[[Settings], Awaitable[Report]], *, as_json: bool) -> int:
    """Do `work` and say what came of it. Returns the exit code: 0 done, 1 failed, 2 wrong usage or settings."""
    settings = load_settings()
    try:
        if settings is None:
            raise WrongUse("Settings are wrong: standard error says which.")
        report = asyncio.run(_stoppable(work(settings)))
    except BackupError as error:
        message, code = str(error), error.exit_code
    except (KeyboardInterrupt, asyncio.CancelledError) as error:
        message, code = "Stopped.", 130 if isinstance(error, KeyboardInterrupt) else 143
    else:
        ok = not report.exit_code
        print(json.dumps({"ok": ok, **report.facts}) if as_json else "\n".join(report.lines))
        return report.exit_code
    print(message, file=sys.stderr)
    if as_json:
        print(json.dumps({"ok": False, "error": message}))
    return code


async def _stoppable(work: Awaitable[Report]) -> Report:
    """SIGTERM ends it as Ctrl-C does, so that nothing is left in temporary folders."""
    if task := asyncio.current_task():
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await work
