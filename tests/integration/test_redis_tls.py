"""rediss://: spoken with a Redis whose certificate is checked, and with no other."""

from pathlib import Path

from tests.conftest import free_port
from tests.integration.test_redis_link import ask, linked
from tests.servers.certificates import self_signed
from tests.servers.redis import RedisServer


async def test_a_certificate_is_checked(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    port = free_port()
    options = {
        "tls-port": str(port),
        "tls-cert-file": str(certificate),
        "tls-key-file": str(key),
        "tls-ca-cert-file": str(certificate),
        "tls-auth-clients": "no",
    }
    with RedisServer(tmp_path, options=options):
        async with linked(f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={certificate}") as link:
            assert await ask(link) == b"there"
        async with linked(f"rediss://127.0.0.1:{port}/0") as link:
            assert not link.up
