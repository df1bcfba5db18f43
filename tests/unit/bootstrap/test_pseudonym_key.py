"""The key of the deleted's pseudonyms: what an operator is told of it."""

from src.bootstrap.stores import pseudonym_notices
from src.config.settings import Settings

SCALED_OUT = {
    "workers": "remote",
    "redis_url": "redis://127.0.0.1/0",
    "database_url": "postgresql+asyncpg://127.0.0.1/voice",
}


def settings(**values: str) -> Settings:
    return Settings(_env_file=None, **values)  # type: ignore[arg-type]


def test_processes_that_would_each_make_a_key_say_so() -> None:
    (notice,) = pseudonym_notices(settings(**SCALED_OUT))
    assert "PSEUDONYM_KEY" in notice
    assert pseudonym_notices(settings(**SCALED_OUT, pseudonym_key="k" * 32)) == ()
    assert pseudonym_notices(settings()) == ()
