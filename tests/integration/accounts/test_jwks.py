"""An issuer's keys over real HTTP: rotation, an issuer that is away or talks nonsense, and made-up `kid`s."""

import asyncio
import gzip
import json
import logging
from pathlib import Path

import pytest

from src.adapters.tokens.jwks import JwksKeys
from src.domain.errors import EngineUnavailable
from tests.providers.provider_server import Answer, as_json, deaf_address
from tests.servers.certificates import self_signed
from tests.servers.issuer import Issuer
from tests.support.tokens import ec_key, rsa_key
from tests.support.waiting import until

A, B = rsa_key(), ec_key()


class Clock:
    """Moves only when told to; what is waited for with asyncio.sleep is not of this clock."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def keys_of(issuer: Issuer | str, clock: Clock, *, ttl: float = 300, timeout: float = 5) -> JwksKeys:
    url = issuer if isinstance(issuer, str) else issuer.jwks_url
    return JwksKeys(url, ttl_seconds=ttl, stale_seconds=600, refetch_seconds=10, timeout_seconds=timeout, clock=clock)


async def algorithm(keys: JwksKeys, kid: object) -> str | None:
    key = await keys.key_for(kid)
    return None if key is None else key.algorithm


async def test_a_new_key_is_known_when_a_token_names_it() -> None:
    clock = Clock()
    with Issuer() as issuer:
        issuer.add("a", A)
        keys = keys_of(issuer, clock)
        async with keys.running():
            assert [await algorithm(keys, kid) for kid in ("a", "a", None, 7, ["a"])] == ["RS256", "RS256", *[None] * 3]
            assert len(issuer.requests) == 1
            issuer.add("b", B)
            clock.now += 10
            assert await algorithm(keys, "b") == "ES256"
            assert len(issuer.requests) == 2
            assert keys.notices() == ()


async def test_many_tokens_with_unknown_keys_cause_one_fetch() -> None:
    clock = Clock()
    with Issuer() as issuer:
        issuer.add("a", A)
        keys = keys_of(issuer, clock)
        async with keys.running():
            clock.now += 10
            issuer.faults.append(Answer(200, b'{"keys": []}', delay=0.2))
            found = await asyncio.gather(*(keys.key_for(f"random {number}") for number in range(500)))
            assert found == [None] * 500
            assert len(issuer.requests) == 2
            for number in range(500):
                assert await keys.key_for(f"more {number}") is None
            assert len(issuer.requests) == 2
            clock.now += 10
            assert await algorithm(keys, "a") == "RS256"
            assert len(issuer.requests) == 3


async def test_a_caller_who_leaves_does_not_end_the_fetch_that_others_wait_for() -> None:
    clock = Clock()
    with Issuer() as issuer:
        keys = keys_of(issuer, clock)
        async with keys.running():
            clock.now += 10
            issuer.add("a", A)
            issuer.faults.append(as_json(json.loads(issuer.answer(issuer.requests[0]).body)))
            issuer.faults[0] = Answer(200, issuer.faults[0].body, delay=0.3)
            first = asyncio.create_task(keys.key_for("a"))
            await asyncio.sleep(0.05)
            second = asyncio.create_task(keys.key_for("a"))
            await asyncio.sleep(0.05)
            first.cancel()
            assert await second is not None
            assert len(issuer.requests) == 2


async def test_a_withdrawn_key_is_forgotten_by_itself() -> None:
    with Issuer() as issuer:
        issuer.add("a", A)
        issuer.add("b", B)
        keys = keys_of(issuer, Clock(), ttl=0.05)
        async with keys.running():
            assert await algorithm(keys, "a") == "RS256"
            del issuer.keys["a"]
            async with asyncio.timeout(60):
                while await algorithm(keys, "a") is not None:
                    await asyncio.sleep(0.02)
            assert await algorithm(keys, "b") == "ES256"


async def test_while_the_issuer_is_away_the_last_keys_are_believed_for_a_time(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    caplog.set_level(logging.INFO, "src.adapters.tokens.jwks")
    with Issuer() as issuer:
        issuer.add("a", A)
        keys = keys_of(issuer, clock)
        async with keys.running():
            issuer.always = Answer(503)
            clock.now += 20
            with pytest.raises(EngineUnavailable) as refused:
                await keys.key_for("b")
            assert refused.value.retry_after_seconds == 10
            clock.now += 880  # 900 s since the keys came: as long as they are believed
            assert await algorithm(keys, "a") == "RS256"
            await keys.check()
            (notice,) = keys.notices()
            assert "status 503" in notice
            assert "last ones are believed" in notice
            clock.now += 1
            with pytest.raises(EngineUnavailable):
                await keys.key_for("a")
            with pytest.raises(EngineUnavailable, match="status 503"):
                await keys.check()
            assert "no token can be checked" in keys.notices()[0]
            issuer.always = None
            clock.now += 10
            assert await algorithm(keys, "a") == "RS256"
            assert keys.notices() == ()
    said = [record.getMessage() for record in caplog.records]
    assert [line.partition("127.0.0.1")[2] for line in said] == [
        " has 1 keys that can be used",
        " cannot be fetched: status 503",
        " has 1 keys that can be used",
    ]


async def test_the_service_starts_before_its_issuer() -> None:
    clock = Clock()
    with Issuer() as issuer:
        issuer.add("a", A)
        issuer.faults.append(Answer(reset=True))
        keys = keys_of(issuer, clock)
        async with keys.running():
            assert "no token can be checked" in keys.notices()[0]
            with pytest.raises(EngineUnavailable):
                await keys.key_for("a")
            assert len(issuer.requests) == 1
            clock.now += 10
            assert await algorithm(keys, "a") == "RS256"


LARGE = json.dumps({"keys": [], "padding": "x" * 300_000}).encode()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(404), "status 404"),
        (Answer(302, b"", {"Location": "/elsewhere"}), "status 302"),
        (Answer(200, b"<html>"), "not JSON"),
        (Answer(200, b"\xff"), "not JSON"),
        (Answer(200, b"[" * 100_000), "not JSON"),
        (Answer(200, b"[]"), "no JSON Web Key Set"),
        (Answer(200, b'{"keys": {}}'), "no JSON Web Key Set"),
        (as_json({"keys": [{}] * 101}), "101 keys"),
        (Answer(200, LARGE), "more than 262144 bytes"),
        (Answer(200, gzip.compress(b"0" * 10_000_000), {"Content-Encoding": "gzip"}), "compressed"),
        (Answer(reset=True), "Error"),
        (Answer(200, b'{"keys": []}' + b" " * 100, drip=0.1), "Time"),
        (Answer(200, b"{}", delay=3), "Time"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_nonsense_replaces_no_key(answer: Answer, reason: str) -> None:
    clock = Clock()
    with Issuer() as issuer:
        issuer.add("a", A)
        keys = keys_of(issuer, clock, timeout=1)
        async with keys.running():
            issuer.always = answer
            clock.now += 10
            with pytest.raises(EngineUnavailable):
                await keys.key_for("b")
            assert reason in keys.notices()[0]
            assert await algorithm(keys, "a") == "RS256"


async def test_an_issuer_without_keys_is_believed() -> None:
    clock = Clock()
    with Issuer() as issuer:
        issuer.more.append({"kty": "oct", "k": "c2VjcmV0", "kid": "a", "use": "sig"})
        keys = keys_of(issuer, clock)
        async with keys.running():
            assert await algorithm(keys, "a") is None
            assert "every token is refused" in keys.notices()[0]


async def test_a_host_that_does_not_answer_holds_the_start_no_longer_than_its_time() -> None:
    with deaf_address() as url:
        keys = keys_of(f"{url}/jwks", Clock(), timeout=0.5)
        async with asyncio.timeout(60), keys.running():
            assert "Time" in keys.notices()[0]


async def test_over_tls_the_issuer_must_be_who_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = self_signed(tmp_path)
    with Issuer(certificate=certificate) as issuer:
        issuer.add("a", A)
        strangers = keys_of(issuer, Clock())
        async with strangers.running():
            assert "ConnectError" in strangers.notices()[0]
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
        trusted = keys_of(issuer, Clock())
        async with trusted.running():
            assert await algorithm(trusted, "a") == "RS256"


async def test_it_is_asked_again_by_itself_after_a_failure() -> None:
    with Issuer() as issuer:
        issuer.add("a", A)
        issuer.faults.extend([Answer(500), Answer(500)])
        keys = keys_of(issuer, Clock(), ttl=0.05)
        async with keys.running():
            await until(lambda: keys.notices() == ())
            assert len(issuer.requests) >= 3
