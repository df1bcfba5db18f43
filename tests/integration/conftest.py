"""Fixtures that start real servers, or connect to them."""

import threading
from collections.abc import AsyncIterator, Iterator

import pytest
from sqlalchemy import make_url
from sqlalchemy.engine import URL

from src.adapters.database import migrate, sqlite
from src.adapters.database.engine import Database


@pytest.fixture(scope="session", autouse=True)
def copied_schema(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A new SQLite database is a copy of one with the newest schema. That migrations run has tests of its own."""
    template = tmp_path_factory.mktemp("schema") / "newest.db"
    migrate.migrate(make_url(f"sqlite+aiosqlite:///{template}"))
    copying = threading.Lock()

    def migrated(url: URL) -> None:
        if url.get_backend_name() == "sqlite":
            path = sqlite.file_of(url)
            sqlite.make_private_file(path)
            with copying:
                if not path.stat().st_size:
                    path.write_bytes(template.read_bytes())
        migrate.migrate(url)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("src.adapters.database.engine.migrate", migrated)
        yield


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """Without rows; the test runs once on SQLite and once on Postgres."""
    database = Database(database_url)
    await database.start()
    yield database
    await database.close()
