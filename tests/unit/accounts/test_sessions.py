"""Revoked tokens over fakes: which are refused, for how long that is kept, and who is told."""

import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from src.domain.errors import EngineUnavailable, Unauthenticated
from src.domain.identity import Identity, Token
from src.domain.jobs import AuditEvent
from src.services.accounts.audit import Audit
from src.services.accounts.sessions import Sessions
from tests.fakes.fake_stores import MemoryAuditLog, MemoryRevocations

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = 86_400.0
TOKEN = "t-1"


def caller(issued_at: float = 0.0, token_id: str | None = TOKEN, user_id: str = "ann") -> Identity:
    """`issued_at`: seconds from noon."""
    return Identity(user_id, token=Token(token_id, NOON.timestamp() + issued_at))


@dataclass
class Bench:
    revocations: MemoryRevocations = field(default_factory=MemoryRevocations)
    log: MemoryAuditLog = field(default_factory=MemoryAuditLog)

    def __post_init__(self) -> None:
        self.sessions = Sessions(self.revocations, Audit(self.log, 60), token_lifetime_seconds=DAY, clock=lambda: NOON)

    async def lets_in(self, identity: Identity) -> bool:
        try:
            await self.sessions.require(identity)
        except Unauthenticated:
            return False
        return True


async def test_a_revoked_token_is_refused_and_the_users_others_are_not() -> None:
    bench = Bench()
    await bench.sessions.revoke_token("t-1", "operator")
    assert not await bench.lets_in(caller(-5))
    assert await bench.lets_in(caller(-5, "t-2"))
    assert await bench.lets_in(caller(-5, None))
    assert await bench.lets_in(caller(-5, "ann"))  # an id that is another's name


async def test_all_tokens_of_a_user_are_refused_but_those_issued_later() -> None:
    bench = Bench()
    await bench.sessions.revoke_user("ann", "operator")
    for issued_at in (-DAY, -5, 0, 30):  # 30 s: the issuer's clock may be ahead
        assert not await bench.lets_in(caller(issued_at))
        assert not await bench.lets_in(caller(issued_at, None))
    assert await bench.lets_in(caller(31))
    assert await bench.lets_in(caller(-5, user_id="bob"))


async def test_a_revocation_is_kept_until_the_last_of_its_tokens_has_expired() -> None:
    bench = Bench()
    kept = await bench.sessions.revoke_user("ann", "operator")
    last_issued, leeway = timedelta(seconds=30), timedelta(seconds=30)
    assert kept.expires_at == NOON + last_issued + timedelta(days=1) + leeway


async def test_a_caller_without_a_token_is_not_looked_up() -> None:
    bench = Bench(MemoryRevocations(error=EngineUnavailable("no database")))
    await bench.sessions.require(Identity.local())


async def test_what_is_done_stays_done_when_the_audit_log_cannot_be_written(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench(log=MemoryAuditLog(error=EngineUnavailable("no database")))
    await bench.sessions.revoke_token("t-1", "operator")
    assert not await bench.lets_in(caller())
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "token.revoke of token:t-1 by operator" in record.getMessage()


async def test_the_audit_keeps_what_it_is_given() -> None:
    log = MemoryAuditLog()
    await Audit(log, 60).record("gateway", "profile.save", "profile:p", owner="ann")
    (event,) = log.events
    assert event == AuditEvent("gateway", "profile.save", "profile:p", details={"owner": "ann"}, at=event.at)


async def test_the_audit_forgets_what_is_old_but_not_at_every_event() -> None:
    log = MemoryAuditLog()
    audit = Audit(log, 3600)
    for _ in range(3):
        await audit.record("ann", "job.delete", "job:j")
    assert log.forgotten == [3600]
