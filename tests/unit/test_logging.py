"""What the log must not hold, whatever LOG_LEVEL says."""

import logging
from collections.abc import Iterator
from pathlib import Path

import aiosqlite
import pytest

from src.main import configure_logging


@pytest.fixture
def driver_log() -> Iterator[logging.Logger]:
    logger = logging.getLogger("aiosqlite")
    before = logger.level
    yield logger
    logger.setLevel(before)


@pytest.mark.usefixtures("driver_log")
async def test_stored_values_are_not_logged(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    configure_logging("debug")
    caplog.set_level(logging.DEBUG)
    async with aiosqlite.connect(tmp_path / "test.db") as database:
        await database.execute("CREATE TABLE said (words TEXT)")
        await database.execute("INSERT INTO said VALUES (?)", ("what somebody said",))
    assert "what somebody said" not in caplog.text
