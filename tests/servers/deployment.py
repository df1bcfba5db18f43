"""The service as an operator has it: nginx, API processes, workers, PgBouncer before Postgres, Redis, S3. All are real
but for the engines (`tests.fakes.stand_in`), and S3 (moto's server).
"""

import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.servers.fleet import Fleet
from tests.servers.gateway import Nginx, PgBouncer
from tests.servers.ports import free_port
from tests.servers.postgres import PostgresServer, name_of, running_postgres
from tests.servers.redis import RedisServer
from tests.servers.s3 import KEY_ID, REGION, SECRET, S3Server, s3_running
from tests.support.tokens import WITH_TOKENS, bearer, claims, hs256

PATIENCE = 120.0


class Deployment(Fleet):
    """`apis`: the processes behind the gateway, by their address."""

    def __init__(
        self, folder: Path, postgres: PostgresServer, redis: RedisServer, s3: S3Server, **settings: str
    ) -> None:
        super().__init__(folder, postgres, redis)
        self.s3, self.bucket = s3, s3.new_bucket()
        self.apis: dict[str, subprocess.Popen[bytes]] = {}
        self._metrics: dict[int, str] = {}
        for part in ("nginx", "pgbouncer"):
            (folder / part).mkdir()
        self.nginx, self.bouncer = Nginx(folder / "nginx"), PgBouncer(folder / "pgbouncer", postgres.port)
        pooled = f"127.0.0.1:{self.bouncer.port}/{name_of(self.database_url)}?pgbouncer=true"
        self.environment |= {
            **{name.upper(): str(value) for name, value in WITH_TOKENS.items()},
            "DATABASE_URL": f"postgresql+asyncpg://postgres:not-asked-for@{pooled}",
            "STORAGE": "s3",
            "S3_BUCKET": self.bucket,
            "S3_ENDPOINT_URL": s3.endpoint,
            "S3_REGION": REGION,
            "S3_ACCESS_KEY_ID": KEY_ID,
            "S3_SECRET_ACCESS_KEY": SECRET,
            "TRUSTED_PROXIES": "127.0.0.1",
            "PUBLIC_BASE_URL": self.nginx.url,
            **settings,
        }

    def start(self, workers: int) -> None:
        self.bouncer.start()
        self.start_workers(workers)
        self.add_api()
        self.nginx.serve(*self.apis)

    def close(self) -> None:
        self.nginx.close()
        super().close()
        self.bouncer.close()

    def add_api(self) -> None:
        process = self.start_api()
        self.apis[self.urls[-1].removeprefix("http://")] = process

    def client(self, user: str = "ann", **options: Any) -> httpx.AsyncClient:
        """Of a user, through the gateway."""
        limits = httpx.Limits(max_connections=None)
        return httpx.AsyncClient(
            base_url=self.nginx.url,
            verify=self.nginx.tls,
            headers=bearer(hs256().token(claims(user))),
            timeout=PATIENCE,
            limits=limits,
            **options,
        )

    def replace_api(self) -> None:
        """As an orchestrator does: the next is ready, and nobody is sent to the old one, before that is told to end."""
        self.add_api()
        oldest = next(iter(self.apis))
        old = self.apis.pop(oldest)
        self.nginx.serve(*self.apis)
        self.end(old, signal.SIGTERM)

    def replace_worker(self) -> None:
        self.start_workers(1)
        self.kill(self.workers[0], signal.SIGTERM)

    def scrapes(self) -> list[str]:
        """What Prometheus gets of each process that lives."""
        living = [process for process in self.processes if process.poll() is None]
        return [httpx.get(self._metrics[each.pid], timeout=10).raise_for_status().text for each in living]

    def _spawn(self, role: str, **settings: str) -> subprocess.Popen[bytes]:
        port = free_port()
        process = super()._spawn(role, OTEL_EXPORTER_PROMETHEUS_PORT=str(port), **settings)
        self._metrics[process.pid] = f"http://127.0.0.1:{port}/metrics"
        return process


@contextmanager
def deployment(settings: Mapping[str, str], *, workers: int = 2, real: bool = False) -> Iterator[Deployment]:
    """Ready. `real`: with the embedded engines."""
    with ExitStack() as stack:
        # nginx and PgBouncer are other users, who may not look into pytest's folders
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        folder.chmod(0o755)
        for part in ("redis", "s3", "fleet"):
            (folder / part).mkdir()
        postgres = stack.enter_context(running_postgres())
        redis = stack.enter_context(RedisServer(folder / "redis", durable=True))
        s3 = stack.enter_context(s3_running(folder / "s3"))
        made = Deployment(folder / "fleet", postgres, redis, s3, **settings)
        stack.callback(made.close)
        if real:
            made.programs = {"api": ("src.main",), "worker": ("src.worker",)}
        made.start(workers)
        yield made
