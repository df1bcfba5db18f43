"""Callbacks over real connections: what receivers get, what counts as taken, and where no connection is made."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from src.adapters.callbacks.http_sender import HttpCallbackSender, Resolve, SystemResolver
from src.config.values import signing_keys
from src.domain.callbacks import Callback, Receipt
from src.utils.public_addresses import AddressRules
from tests.providers.provider_server import Answer, deaf_address
from tests.servers.certificates import self_signed
from tests.servers.ports import free_port
from tests.servers.receiver import SECRET, Receiver, verified

LOOPBACK = ("127.0.0.0/8", "::1/128")
DATA = {"job_id": "j", "status": "completed", "target_language": "日本"}


def callback(url: str) -> Callback:
    return Callback("msg_1", "j", "ann", url, "job.completed", DATA, 1)


class Names:
    """A name server of the test's: each look-up of a name gives the next of its answers, and then the last again."""

    def __init__(self, **answers: Sequence[Sequence[str]]) -> None:
        self.answers = {name.replace("_", "."): list(each) for name, each in answers.items()}
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        if host not in self.answers:
            raise OSError("no such name")
        answers = self.answers[host]
        return answers.pop(0) if len(answers) > 1 else answers[0]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


@asynccontextmanager
async def sending(
    allowed: Sequence[str] = LOOPBACK,
    resolve: Resolve | None = None,
    certificate: Path | None = None,
    connect_seconds: float = 3.0,
    total_seconds: float = 10.0,
) -> AsyncIterator[HttpCallbackSender]:
    tls = ssl.create_default_context(cafile=certificate)
    sender = HttpCallbackSender(
        signing_keys(SECRET),
        AddressRules(allowed),
        resolve or Names(),
        tls,
        user_agent="voice-translation/test",
        connect_seconds=connect_seconds,
        total_seconds=total_seconds,
    )
    try:
        yield sender
    finally:
        await sender.close()


async def send(url: str, **options: object) -> Receipt:
    async with sending(**options) as sender:  # type: ignore[arg-type]
        return await sender.send(callback(url))


async def test_a_receiver_gets_a_signed_message_about_the_job(receiver: Receiver) -> None:
    assert await send(receiver.at("127.0.0.1", "/hook?key=value")) == Receipt(204)
    (request,) = receiver.requests
    message = verified(request)
    assert (request.method, request.path) == ("POST", "/hook?key=value")
    assert (message["type"], message["data"]) == ("job.completed", DATA)
    headers = {name.lower(): value for name, value in request.headers.items()}
    assert headers["host"] == f"127.0.0.1:{receiver.port}"
    assert headers["content-type"] == "application/json"
    assert headers["user-agent"] == "voice-translation/test"
    assert headers["webhook-id"] == "msg_1"


async def test_each_attempt_is_signed_with_its_own_time(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    async with sending() as sender:
        event = callback(receiver.at("127.0.0.1"))
        await sender.send(event)
        real = time.time
        monkeypatch.setattr(time, "time", lambda: real() + 60)
        await sender.send(event)
    monkeypatch.undo()
    one, two = receiver.requests
    verified(one), verified(two)
    assert one.body == two.body
    assert int(two.headers["webhook-timestamp"]) - int(one.headers["webhook-timestamp"]) >= 60


@pytest.mark.parametrize(
    ("answer", "receipt"),
    [
        (Answer(200, b"thanks"), Receipt(200)),
        (Answer(299), Receipt(299)),
        (Answer(500), Receipt(500, "status 500")),
        (Answer(404), Receipt(404, "status 404")),
        (Answer(304), Receipt(304, "status 304")),
        (Answer(410), Receipt(410, "status 410", final=True)),
        (Answer(429, headers={"Retry-After": "17"}), Receipt(429, "status 429", retry_after_seconds=17)),
        (Answer(503, headers={"Retry-After": "soon"}), Receipt(503, "status 503")),
        (Answer(reset=True), Receipt(error="connection failed (ReadError)")),
    ],
    ids=lambda value: str(value.status) if isinstance(value, Answer) else None,
)
async def test_only_2xx_takes_the_message(receiver: Receiver, answer: Answer, receipt: Receipt) -> None:
    receiver.always = answer
    assert await send(receiver.at("127.0.0.1")) == receipt


async def test_a_redirect_is_not_followed(receiver: Receiver) -> None:
    receiver.faults.append(Answer(307, headers={"Location": receiver.at("127.0.0.1", "/other")}))
    assert await send(receiver.at("127.0.0.1")) == Receipt(307, "status 307")
    assert [request.path for request in receiver.requests] == ["/hook"]


@pytest.mark.parametrize("status", [200, 500])
async def test_the_answer_counts_when_its_head_is_there(receiver: Receiver, status: int) -> None:
    receiver.always = Answer(status, b"x" * 1000, drip=1)  # longer than a test may take
    assert (await send(receiver.at("127.0.0.1"))).status == status


async def test_a_receiver_that_says_nothing_is_left(receiver: Receiver) -> None:
    receiver.always = Answer(delay=1000)
    assert await send(receiver.at("127.0.0.1"), total_seconds=0.3) == Receipt(error="no answer in time")


async def test_a_host_that_does_not_take_the_connection_is_left() -> None:
    with deaf_address() as url:
        assert await send(url, connect_seconds=0.3) == Receipt(error="no answer in time")


async def test_a_port_where_nobody_listens_is_a_failure() -> None:
    receipt = await send(f"http://127.0.0.1:{free_port()}/")
    assert receipt == Receipt(error="connection failed (ConnectError)")


async def test_what_is_no_http_is_a_failure() -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    async with server:
        receipt = await send(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
    assert receipt.status is None
    assert "connection failed" in (receipt.error or "")


REFUSED = Receipt(error="its address is not of the public internet", final=True)


@pytest.mark.parametrize("host", ["127.0.0.1", "inside.test", "mixed.test", "mapped.test", "last.test"])
async def test_an_address_inside_is_not_connected_to(receiver: Receiver, host: str) -> None:
    names = Names(
        inside_test=[["127.0.0.1"]],
        mixed_test=[["127.0.0.1", "8.8.8.8"]],
        mapped_test=[["::ffff:127.0.0.1"]],
        last_test=[["8.8.8.8", "2606:4700::1111", "127.0.0.1"]],
    )
    assert await send(receiver.at(host), allowed=(), resolve=names) == REFUSED
    assert (receiver.connections, receiver.requests) == (0, [])


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f000001", "localhost"])
async def test_the_machines_own_look_up_leads_nobody_inside(receiver: Receiver, host: str) -> None:
    """With real getaddrinfo, which takes numbers of all kinds for addresses."""
    resolver = SystemResolver(1)
    assert await send(receiver.at(host), allowed=(), resolve=resolver) == REFUSED
    assert receiver.connections == 0
    resolver.close()


async def test_a_name_of_the_machine_is_found_where_it_is_allowed(receiver: Receiver) -> None:
    resolver = SystemResolver(1)
    assert await send(receiver.at("localhost"), resolve=resolver) == Receipt(204)
    assert receiver.requests[0].headers["Host"] == f"localhost:{receiver.port}"
    resolver.close()


async def test_a_name_that_changes_its_address_gains_nothing(receiver: Receiver) -> None:
    """First an address that may be reached, where nobody listens; for whoever asked again, one inside."""
    names = Names(rebinding_test=[["127.0.0.2"], ["127.0.0.1"]])
    receipt = await send(receiver.at("rebinding.test"), allowed=("127.0.0.2/32",), resolve=names)
    assert receipt == Receipt(error="connection failed (ConnectError)")
    assert (names.asked, receiver.connections) == (["rebinding.test"], 0)


async def test_addresses_are_tried_in_turn(receiver: Receiver) -> None:
    names = Names(several_test=[["127.0.0.2", "127.0.0.1"]])
    assert await send(receiver.at("several.test"), resolve=names) == Receipt(204)


async def test_a_silent_address_leaves_time_for_the_next() -> None:
    with deaf_address() as deaf, Receiver(address="127.0.0.3", port=int(deaf.rpartition(":")[2])) as receiver:
        names = Names(several_test=[["127.0.0.1", "127.0.0.3"]])
        assert await send(receiver.at("several.test"), resolve=names, connect_seconds=1.0) == Receipt(204)


async def test_a_name_that_is_not_known_is_a_failure() -> None:
    assert await send("http://nowhere.test/") == Receipt(error="connection failed (ConnectError)")


async def test_a_look_up_that_hangs_is_left() -> None:
    async def hang(host: str, port: int) -> Sequence[str]:
        await asyncio.sleep(60)
        return []

    assert await send("http://hanging.test/", resolve=hang, connect_seconds=0.2) == Receipt(error="no answer in time")


async def test_tls_is_for_the_name_and_not_for_the_address(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path, "receiver.test")
    names = Names(receiver_test=[["127.0.0.1"]], other_test=[["127.0.0.1"]])
    with Receiver((certificate, key)) as receiver:
        async with sending(resolve=names, certificate=certificate) as sender:
            assert await sender.send(callback(receiver.at("receiver.test"))) == Receipt(204)
            assert receiver.server_names == ["receiver.test"]
            assert receiver.requests[0].headers["Host"] == f"receiver.test:{receiver.port}"
            refused = Receipt(error="its certificate or TLS was not accepted")
            assert await sender.send(callback(receiver.at("other.test"))) == refused
        assert await send(receiver.at("receiver.test"), resolve=names) == refused
    assert len(receiver.requests) == 1


async def test_proxies_of_the_environment_are_not_used(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    with Receiver() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.at("127.0.0.1", ""))
        assert await send(receiver.at("127.0.0.1")) == Receipt(204)
        assert proxy.connections == 0


async def test_many_at_a_time_take_their_turns(receiver: Receiver) -> None:
    receiver.always = Answer(204, delay=0.05)
    async with sending() as sender:
        receipts = await asyncio.gather(*(sender.send(callback(receiver.at("127.0.0.1"))) for _ in range(40)))
    assert receipts == [Receipt(204)] * 40


async def test_attempts_that_end_badly_leave_room_for_others(receiver: Receiver) -> None:
    names = Names(inside_test=[["10.0.0.1"]], silent_test=[["127.0.0.1"]])
    receiver.always = Answer(204, delay=1.0)
    async with sending(resolve=names) as sender:
        for _ in range(20):
            assert await sender.send(callback(receiver.at("inside.test"))) == REFUSED
            cancelled = asyncio.create_task(sender.send(callback(receiver.at("silent.test"))))
            await asyncio.sleep(0.01)
            cancelled.cancel()
            await asyncio.gather(cancelled, return_exceptions=True)
            assert (await sender.send(callback(receiver.at("nowhere.test")))).error
        receiver.always = None
        assert await sender.send(callback(receiver.at("127.0.0.1"))) == Receipt(204)


async def test_nothing_of_the_address_is_logged(receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    await send(receiver.at("127.0.0.1", "/hook/path-secret?key=query-secret"))
    assert len(receiver.requests) == 1
    assert "-secret" not in caplog.text
