"""Encrypted connections to real servers: the right authority serves, every other one is refused."""

import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from pydantic import ValidationError
from sqlalchemy import make_url, text

from src.adapters.redis.link import RedisLink
from src.adapters.storage.s3 import S3Storage
from src.bootstrap.process import build_server
from src.bootstrap.storage import plain_connections, s3_options
from src.bootstrap.stores import open_database
from src.config.settings import Settings
from src.domain.errors import EngineUnavailable
from src.main import create_app
from tests.integration.redis.test_redis_link import ask
from tests.servers.certificates import self_signed
from tests.servers.ports import free_port
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


def with_query(url: str, **parameters: object) -> str:
    query = {name: str(value) for name, value in parameters.items()}
    return make_url(url).update_query_dict(query).render_as_string(hide_password=False)


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


def test_a_key_with_a_password_is_refused_and_not_asked_for(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path, password="open sesame")
    with pytest.raises(EngineUnavailable, match="TLS_PRIVATE_KEY_FILE cannot be used"):
        build_server(edge_app(), made(tls_certificate_file=certificate, tls_private_key_file=key))


def test_a_certificate_of_another_key(right: Pair, wrong: Pair) -> None:
    with pytest.raises(EngineUnavailable, match="KEY_VALUES_MISMATCH"):
        build_server(edge_app(), made(tls_certificate_file=right.certificate, tls_private_key_file=wrong.key))


# --- Postgres


@pytest.fixture(scope="module")
def encrypted_postgres(right: Pair) -> Iterator[PostgresServer]:
    with running_postgres() as server:
        server.speak_tls(right.certificate, right.key)
        yield server


async def is_encrypted(url: str, **tls: object) -> bool:
    """`tls` as libpq names it."""
    database = open_database(made(database_url=with_query(url, **tls)))
    try:
        await database.start()
        async with database._writer.begin() as connection:
            used = text("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
            return bool((await connection.execute(used)).scalar_one())
    finally:
        await database.close()


async def test_postgres(encrypted_postgres: PostgresServer, right: Pair, wrong: Pair) -> None:
    url = encrypted_postgres.new_database()
    assert not await is_encrypted(url, sslmode="disable")
    assert await is_encrypted(url)
    assert await is_encrypted(url, sslmode="require")
    assert await is_encrypted(url, sslmode="verify-full", sslrootcert=right.certificate)
    with pytest.raises(EngineUnavailable):
        await is_encrypted(url, sslmode="verify-full", sslrootcert=wrong.certificate)
    by_name = url.replace("127.0.0.1", "localhost")  # the certificate is the address's
    with pytest.raises(EngineUnavailable):
        await is_encrypted(by_name, sslmode="verify-full", sslrootcert=right.certificate)
    with pytest.raises(EngineUnavailable, match="sslrootcert names no file of certificates"):
        await is_encrypted(url, sslmode="verify-full", sslrootcert=right.key)


async def test_a_postgres_without_tls(postgres: PostgresServer, right: Pair) -> None:
    url = postgres.new_database()
    assert not await is_encrypted(url)
    with pytest.raises(EngineUnavailable):
        await is_encrypted(url, sslmode="require")
    with pytest.raises(EngineUnavailable):
        await is_encrypted(url, sslmode="verify-full", sslrootcert=right.certificate)


# --- Redis


async def is_up(url: str, /, seconds: float = 5.0, **tls: Any) -> bool:
    """`tls` as redis-py names it."""
    link = RedisLink(with_query(url, **tls), seconds)
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
    own: dict[str, Any] = {"ssl_certfile": right.certificate, "ssl_keyfile": right.key}
    other: dict[str, Any] = {"ssl_certfile": wrong.certificate, "ssl_keyfile": wrong.key}
    url = f"rediss://127.0.0.1:{port}/0?health_check_interval=30"
    with RedisServer(tmp_path, options=options) as server:
        assert await is_up(url, ssl_ca_certs=right.certificate, **own)
        assert not await is_up(url, ssl_ca_certs=wrong.certificate, **own)
        assert not await is_up(url, ssl_ca_certs=right.certificate, **other)
        assert not await is_up(url, ssl_ca_certs=right.certificate)
        assert not await is_up(url, **own)
        plain = f"rediss://127.0.0.1:{server.port}/0"
        assert not await is_up(plain, seconds=1.0, ssl_ca_certs=right.certificate)  # it waits for more


# --- S3


async def is_stored(**settings: Any) -> bool:
    keys = {"s3_region": REGION, "s3_access_key_id": KEY_ID, "s3_secret_access_key": SECRET}
    options = replace(s3_options(made(storage="s3", **keys, **settings)), attempts=1)
    storage = S3Storage(options, 60)
    try:
        await storage.start()
        await storage.put("results/a.wav", b"audio")
        return await storage.get("results/a.wav") == b"audio"
    finally:
        await storage.close()


async def test_s3(tmp_path: Path, right: Pair, wrong: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    with s3_running(tmp_path, right.certificate, right.key) as server:
        bucket = {"s3_bucket": server.new_bucket(), "s3_endpoint_url": server.endpoint}
        with pytest.raises(EngineUnavailable):
            await is_stored(**bucket)
        monkeypatch.setenv("AWS_CA_BUNDLE", str(right.certificate))
        assert await is_stored(**bucket)
        plain = {**bucket, "s3_endpoint_url": server.endpoint.replace("https", "http")}
        with pytest.raises(EngineUnavailable):
            await is_stored(**plain)
        for file in (wrong.certificate, right.key):
            monkeypatch.setenv("AWS_CA_BUNDLE", str(file))
            with pytest.raises(EngineUnavailable):
                await is_stored(**bucket)


# --- settings that cannot be meant


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"tls_certificate_file": "CERTIFICATE"}, "TLS_PRIVATE_KEY_FILE go together"),
        ({"tls_certificate_file": "/nowhere.pem"}, "cannot be read: No such file"),
    ],
)
def test_settings_that_cannot_be_meant(right: Pair, settings: dict[str, str], said: str) -> None:
    given = {name: str(right.certificate) if value == "CERTIFICATE" else value for name, value in settings.items()}
    with pytest.raises(ValidationError, match=said):
        made(**given)


def test_browsers_are_told_to_come_back_over_tls_where_this_server_has_it(tmp_path: Path, right: Pair) -> None:
    files = {"tls_certificate_file": right.certificate, "tls_private_key_file": right.key}
    for settings, told in (({}, None), (files, "max-age=31536000")):
        http = TestClient(create_app(made(data_dir=tmp_path, **settings)))
        assert http.get("/health/live", headers={"Host": "127.0.0.1"}).headers.get("strict-transport-security") == told


def test_plain_connections_are_said_where_they_leave_the_machine() -> None:
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
        "database_url": "postgresql+asyncpg://u@db/voice?ssl=verify-full&sslrootcert=ca.pem",
    }
    for settings in (near, encrypted, {"redis_url": "unix:///run/redis.sock"}):
        assert plain_connections(made(**s3, **settings)) == ()
