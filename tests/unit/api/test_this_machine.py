"""Without tokens: which names and listening addresses are this machine's own."""

import pytest

from src.api.middleware import Edge
from src.api.middleware.this_machine import ThisMachine
from src.domain.errors import Forbidden
from tests.support.edge_app import client, edge_app

HERE = ThisMachine(frozenset({"voice.example"}))


def _scope(*hosts: str, listening: str = "127.0.0.1") -> dict[str, object]:
    return {"type": "http", "headers": [(b"host", host.encode()) for host in hosts], "server": (listening, 8000)}


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:8000",
        "localhost",
        "LOCALHOST:8000",
        "127.8.8.8",
        "[::1]:8000",
        "app.localhost:1",
        "voice.example:443",
    ],
)
def test_own_names_may_call(host: str) -> None:
    HERE.require(_scope(host))


@pytest.mark.parametrize(
    "host",
    [
        *("rebound.example:8000", "192.0.2.7", "127.0.0.1.example", "localhost.example", "notlocalhost", "[::2]", ""),
        *("[::1", "127.0.0.1@rebound.example", "rebound.example#localhost", "voice.example.rebound.example"),
    ],
)
def test_any_other_name_is_refused(host: str) -> None:
    with pytest.raises(Forbidden):
        HERE.require(_scope(host))


def test_exactly_one_name() -> None:
    with pytest.raises(Forbidden):
        HERE.require(_scope())
    with pytest.raises(Forbidden):
        HERE.require(_scope("localhost", "rebound.example"))


@pytest.mark.parametrize("listening", ["192.0.2.7", "10.0.0.1", "::ffff:10.0.0.1", "2001:db8::1"])
def test_a_server_that_listens_elsewhere_serves_nobody_however_it_is_called(listening: str) -> None:
    with pytest.raises(Forbidden):
        HERE.require(_scope("localhost", listening=listening))


@pytest.mark.parametrize("listening", ["::1", "::ffff:127.0.0.1", "/run/voice.sock"])
def test_loopback_and_sockets_in_files_are_this_machine(listening: str) -> None:
    HERE.require(_scope("localhost", listening=listening))


async def test_the_edge_refuses_a_page_that_calls_under_a_name_of_its_own() -> None:
    async with client(edge_app(Edge(max_body_bytes=1000, loopback_only=HERE))) as http:
        refused = await http.get("/api/v1/whoami/x", headers={"Host": "rebound.example"})
        assert refused.status_code == 403
        assert refused.json()["code"] == "forbidden"
        assert (await http.get("/api/v1/whoami/x", headers={"Host": "127.0.0.1:8000"})).json()["user"] == "local"
        assert (await http.get("/health/live", headers={"Host": "rebound.example"})).status_code == 200
