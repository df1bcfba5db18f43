"""Fixtures that start real servers, or connect to them."""

from collections.abc import AsyncIterator

import pytest

from src.adapters.database.engine import Database
from tests.servers.redis import redis_server, shared_redis

__all__ = ["redis_server", "shared_redis"]


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """Empty, with the newest schema; the test runs once on SQLite and once on Postgres."""
    database = Database(database_url)
    await database.start()
    yield database
    await database.close()
