"""What the log must not hold, whatever LOG_LEVEL says."""

import logging
from collections.abc import Iterator
from pathlib import Path

import aiosqlite
import pytest

from src.bootstrap_process import configure_logging


@pytest.fixture
def levels_as_before() -> Iterator[None]:
    """What the service quiets is loud again for the tests that follow."""
    loggers = [logging.getLogger(name) for name in ("aiosqlite", "boto3", "botocore", "urllib3")]
    before = [logger.level for logger in loggers]
    yield
    for logger, level in zip(loggers, before, strict=True):
        logger.setLevel(level)


@pytest.mark.usefixtures("levels_as_before")
async def test_stored_values_are_not_logged(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    configure_logging("debug")
    caplog.set_level(logging.DEBUG)
    async with aiosqlite.connect(tmp_path / "test.db") as database:
        await database.execute("CREATE TABLE said (words TEXT)")
        await database.execute("INSERT INTO said VALUES (?)", ("what somebody said",))
    assert "what somebody said" not in caplog.text
