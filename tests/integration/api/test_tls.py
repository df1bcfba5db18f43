"""Encrypted connections to real servers, by settings: the right authority serves, every other one is refused."""

import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import ValidationError
from sqlalchemy import text

from src.adapters.redis_link import RedisLink
from src.adapters.storage.s3 import S3Storage
from src.bootstrap.database import open_database
from src.bootstrap.process import build_server
from src.bootstrap.storage import plain_connections, s3_options
from src.config.settings import Settings
from src.domain.errors import EngineUnavailable
from tests.conftest import free_port
from tests.integration.redis.test_redis_link import ask
from tests.servers.certificates import self_signed
from tests.servers.postgres import PostgresServer, running_postgres
from tests.servers.redis import RedisServer
from tests.servers.s3 import KEY_ID, REGION, SECRET, s3_running
from tests.support.edge_app import edge_app


@dataclass(frozen=True)
class Pair:
    certificate: Path
    key: Path


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return Pair(*self_signed(tmp_path_factory.mktemp("right")))


@pytest.fixture(scope="module")
def wrong(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return Pair(*self_signed(tmp_path_factory.mktemp("wrong")))


def made(**settings: Any) -> Settings:
    return Settings(_env_file=None, **settings)


# --- callers


@contextmanager
def served(**settings: Any) -> Iterator[str]:
    """`127.0.0.1:PORT` of the real server that these settings make."""
    port = free_port()
    server = build_server(edge_app(), made(port=port, **settings))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        deadline = time.monotonic() + 60
        while not server.started:
            assert thread.is_alive()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield f"127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(30)


def client_context(ca_file: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ca_file)


def test_callers(right: Pair, wrong: Pair) -> None:
    with served(tls_certificate_file=right.certificate, tls_private_key_file=right.key) as address:
        live = f"https://{address}/health/live"
        assert httpx.get(live, verify=client_context(right.certificate)).status_code == 200
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            httpx.get(live, verify=client_context(wrong.certificate))
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.get(f"http://{address}/health/live")


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
def test_callers_with_an_old_version(right: Pair) -> None:
    with served(tls_certificate_file=right.certificate, tls_private_key_file=right.key) as address:
        for version, works in ((ssl.TLSVersion.TLSv1_1, False), (ssl.TLSVersion.TLSv1_2, True)):
            old = client_context(right.certificate)
            old.minimum_version = old.maximum_version = version
            old.set_ciphers("ALL:@SECLEVEL=0")
            if works:
                assert httpx.get(f"https://{address}/health/live", verify=old).status_code == 200
            else:
                with pytest.raises(httpx.ConnectError):
                    httpx.get(f"https://{address}/health/live", verify=old)


def test_a_key_with_a_password(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path, password="open sesame")
    files = {"tls_certificate_file": certificate, "tls_private_key_file": key}
    with served(**files, tls_private_key_password="open sesame") as address:
        live = f"https://{address}/health/live"
        assert httpx.get(live, verify=client_context(certificate)).status_code == 200
    for password in ({}, {"tls_private_key_password": "wrong"}):
        with pytest.raises(EngineUnavailable, match="TLS_PRIVATE_KEY_FILE cannot be used"):
            build_server(edge_app(), made(**files, **password))


def test_a_certificate_of_another_key(right: Pair, wrong: Pair) -> None:
    with pytest.raises(EngineUnavailable, match="KEY_VALUES_MISMATCH"):
        build_server(edge_app(), made(tls_certificate_file=right.certificate, tls_private_key_file=wrong.key))


# --- Postgres


@pytest.fixture(scope="module")
def encrypted_postgres(right: Pair) -> Iterator[PostgresServer]:
    with running_postgres() as server:
        server.speak_tls(right.certificate, right.key)
        yield server


async def is_encrypted(**settings: Any) -> bool:
    database = open_database(made(**settings))
    try:
        await database.start()
        async with database.reading() as connection:
            used = text("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
            return bool((await connection.execute(used)).scalar_one())
    finally:
        await database.close()


async def test_postgres(encrypted_postgres: PostgresServer, right: Pair, wrong: Pair) -> None:
    url = encrypted_postgres.new_database()
    assert not await is_encrypted(database_url=url, database_tls="off")
    assert await is_encrypted(database_url=url)
    assert await is_encrypted(database_url=url, database_tls="require")
    assert await is_encrypted(database_url=url, database_tls="verify-full", database_ca_file=right.certificate)
    with pytest.raises(EngineUnavailable):
        await is_encrypted(database_url=url, database_tls="verify-full", database_ca_file=wrong.certificate)
    by_name = url.replace("127.0.0.1", "localhost")  # the certificate is the address's
    with pytest.raises(EngineUnavailable):
        await is_encrypted(database_url=by_name, database_tls="verify-full", database_ca_file=right.certificate)
    with pytest.raises(EngineUnavailable, match="DATABASE_CA_FILE has no certificates"):
        await is_encrypted(database_url=url, database_tls="verify-full", database_ca_file=right.key)


async def test_a_postgres_without_tls(postgres: PostgresServer, right: Pair) -> None:
    url = postgres.new_database()
    assert not await is_encrypted(database_url=url)
    with pytest.raises(EngineUnavailable):
        await is_encrypted(database_url=url, database_tls="require")
    with pytest.raises(EngineUnavailable):
        await is_encrypted(database_url=url, database_tls="verify-full", database_ca_file=right.certificate)


# --- Redis


async def is_up(**settings: Any) -> bool:
    url = made(**settings).effective_redis_url
    assert url is not None
    link = RedisLink(url.get_secret_value(), 5.0)
    await link.start()
    try:
        return link.up and await ask(link) == b"there"
    finally:
        await link.close()


async def test_redis(tmp_path: Path, right: Pair, wrong: Pair) -> None:
    port = free_port()
    options = {
        "tls-port": str(port),
        "tls-cert-file": str(right.certificate),
        "tls-key-file": str(right.key),
        "tls-ca-cert-file": str(right.certificate),
        "tls-auth-clients": "yes",
    }
    own = {"redis_certificate_file": right.certificate, "redis_private_key_file": right.key}
    other = {"redis_certificate_file": wrong.certificate, "redis_private_key_file": wrong.key}
    url = f"rediss://127.0.0.1:{port}/0?health_check_interval=30"
    with RedisServer(tmp_path, options=options) as server:
        assert await is_up(redis_url=url, redis_ca_file=right.certificate, **own)
        assert not await is_up(redis_url=url, redis_ca_file=wrong.certificate, **own)
        assert not await is_up(redis_url=url, redis_ca_file=right.certificate, **other)
        assert not await is_up(redis_url=url, redis_ca_file=right.certificate)
        assert not await is_up(redis_url=url, **own)
        plain = f"rediss://127.0.0.1:{server.port}/0"
        assert not await is_up(redis_url=plain, redis_ca_file=right.certificate)


# --- S3


async def is_stored(**settings: Any) -> bool:
    keys = {"s3_region": REGION, "s3_access_key_id": KEY_ID, "s3_secret_access_key": SECRET}
    storage = S3Storage(s3_options(made(storage="s3", s3_attempts=1, **keys, **settings)), 60)
    try:
        await storage.start()
        await storage.put("results/a.wav", b"audio")
        return await storage.get("results/a.wav") == b"audio"
    finally:
        await storage.close()


async def test_s3(tmp_path: Path, right: Pair, wrong: Pair) -> None:
    with s3_running(tmp_path, right.certificate, right.key) as server:
        bucket = {"s3_bucket": server.new_bucket(), "s3_endpoint_url": server.endpoint}
        assert await is_stored(**bucket, s3_ca_file=right.certificate)
        for ca_file in ({}, {"s3_ca_file": wrong.certificate}):
            with pytest.raises(EngineUnavailable):
                await is_stored(**bucket, **ca_file)
        plain = {**bucket, "s3_endpoint_url": server.endpoint.replace("https", "http")}
        with pytest.raises(EngineUnavailable):
            await is_stored(**plain)
        with pytest.raises(EngineUnavailable):
            await is_stored(**bucket, s3_ca_file=right.key)


# --- settings that cannot be meant


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"tls_certificate_file": "CERTIFICATE"}, "TLS_PRIVATE_KEY_FILE go together"),
        ({"tls_certificate_file": "/nowhere.pem"}, "cannot be read: No such file"),
        ({"database_tls": "verify-full", "database_url": "postgresql://h/d"}, "DATABASE_CA_FILE go together"),
        ({"database_tls": "require", "database_ca_file": "CERTIFICATE"}, "verify-full and DATABASE_CA_FILE go"),
        ({"database_tls": "require"}, "needs a DATABASE_URL of Postgres"),
        ({"redis_ca_file": "CERTIFICATE", "redis_url": "redis://h"}, "begins with rediss://"),
        ({"redis_certificate_file": "CERTIFICATE", "redis_url": "rediss://h"}, "REDIS_PRIVATE_KEY_FILE go together"),
        ({"s3_ca_file": "CERTIFICATE", "s3_endpoint_url": "http://h"}, "begins with https://"),
    ],
)
def test_settings_that_cannot_be_meant(right: Pair, settings: dict[str, str], said: str) -> None:
    given = {name: str(right.certificate) if value == "CERTIFICATE" else value for name, value in settings.items()}
    with pytest.raises(ValidationError, match=said):
        made(**given)


def test_hsts(right: Pair) -> None:
    files = {"tls_certificate_file": right.certificate, "tls_private_key_file": right.key}
    assert made().effective_hsts_seconds == 0
    assert made(**files).effective_hsts_seconds == 31_536_000
    assert made(**files, hsts_seconds=0).effective_hsts_seconds == 0
    assert made(hsts_seconds=600).effective_hsts_seconds == 600


def test_plain_connections_are_said_where_they_leave_the_machine(right: Pair) -> None:
    s3 = {"storage": "s3", "s3_bucket": "b"}
    far = plain_connections(
        made(
            **s3,
            s3_endpoint_url="http://s3.example.org",
            redis_url="redis://:secret@redis:6379/0",
            database_url="postgresql+asyncpg://u:secret@db/voice",
        )
    )
    assert [line.partition(":")[0] for line in far] == ["storage", "redis", "database"]
    assert "secret" not in "".join(far)
    near = {
        "s3_endpoint_url": "http://127.0.0.1:9000",
        "redis_url": "redis://localhost:6379/0",
        "database_url": "postgresql+asyncpg://u@[::1]/voice",
    }
    encrypted = {
        "s3_endpoint_url": "https://s3.example.org",
        "redis_url": "rediss://redis:6379/0",
        "database_url": "postgresql+asyncpg://u@db/voice",
        "database_tls": "verify-full",
        "database_ca_file": right.certificate,
    }
    for settings in (near, encrypted, {"redis_url": "unix:///run/redis.sock"}):
        assert plain_connections(made(**s3, **settings)) == ()
