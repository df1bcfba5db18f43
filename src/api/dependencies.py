"""What routes receive, each as one annotated alias, so that a route reads as its signature."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlencode, urljoin

from fastapi import Depends, Header, Path, Query, Request
from fastapi.requests import HTTPConnection

from src.api.schemas.common import OwnerId
from src.domain.accounts import AuditTrail
from src.domain.identity import Identity, acting_service
from src.domain.ports import Storage
from src.domain.repositories import IdempotencyStore, UsageRepository
from src.services.accounts.audio_budget import AudioBudget
from src.services.accounts.audit import Audit
from src.services.accounts.deletions import Deletions
from src.services.accounts.export import Export
from src.services.accounts.sessions import Sessions
from src.services.deployment.health import Health
from src.services.deployment.languages import LanguageCatalog
from src.services.jobs.board import JobBoard
from src.services.jobs.callbacks import CallbackAddresses
from src.services.jobs.jobs import Jobs
from src.services.live.secrets import ClientSecrets
from src.services.live.sessions import LiveSessions
from src.services.on_demand import OnDemand
from src.services.profiles.challenges import Challenges
from src.services.profiles.profiles import Profiles

_WAIT = re.compile(r"^wait\s*=\s*\"?(\d{1,6})\"?$")


@dataclass(frozen=True, slots=True)
class Services:
    """What `bootstrap` builds for the API: the use cases, and the few limits that routes apply themselves."""

    jobs: Jobs
    board: JobBoard
    on_demand: OnDemand
    profiles: Profiles
    challenges: Challenges
    idempotency: IdempotencyStore
    languages: LanguageCatalog
    usage: UsageRepository
    storage: Storage
    health: Health
    sessions: Sessions
    audit: Audit
    audit_trail: AuditTrail
    deletions: Deletions
    export: Export
    callbacks: CallbackAddresses
    audio_budget: AudioBudget | None
    live: LiveSessions
    client_secrets: ClientSecrets
    sync_timeout_seconds: float
    public_base_url: str | None


def _services(request: HTTPConnection) -> Services:
    services: Services = request.state.services
    return services


def _ending(request: HTTPConnection) -> asyncio.Event:
    ending: asyncio.Event = request.app.state.ending
    return ending


def _caller(request: HTTPConnection) -> Identity:
    identity: Identity = request.state.identity
    return identity


async def on_behalf_of(user_id: str | None, caller: Identity, services: Services) -> Identity:
    """Whose request it is: the caller's, or that of a user whom its body or its address names, as by X-On-Behalf-Of.

    Raises Forbidden for callers who may not act for others, Unauthenticated where that user's sessions were revoked.
    """
    if user_id is None or user_id == caller.user_id:
        return caller
    user = caller.acting_for(user_id)
    await services.sessions.require(user)
    acting_service.set(user.by)
    return user


async def _owner(
    request: Request, services: Annotated[Services, Depends(_services)], user_id: Annotated[OwnerId, Query()] = None
) -> Identity:
    return await on_behalf_of(user_id, _caller(request), services)


@dataclass(frozen=True, slots=True)
class Links:
    """Addresses as the caller reaches this server."""

    base_url: str
    storage: Storage

    def audio(self, key: str) -> str:
        """A signed, expiring address of stored audio."""
        return urljoin(self.base_url, self.storage.url(key))

    def to(self, path: str, query: Sequence[tuple[str, str]]) -> str:
        """An address of this service."""
        return urljoin(self.base_url, f"{path}?{urlencode(query)}")


def _links(request: Request, services: Annotated[Services, Depends(_services)]) -> Links:
    return Links(services.public_base_url or str(request.base_url), services.storage)


@dataclass(frozen=True, slots=True)
class Prefer:
    """RFC 7240. `wait_seconds` is how long the caller will wait; None: as long as the server does."""

    respond_async: bool
    wait_seconds: float | None

    @property
    def applied(self) -> str | None:
        """The Preference-Applied header of a 202, or None."""
        parts = ["respond-async"] if self.respond_async else []
        if self.wait_seconds is not None:
            parts.append(f"wait={self.wait_seconds:g}")
        return ", ".join(parts) or None

    def patience(self, limit_seconds: float) -> float:
        """Seconds to hold the response: none for a bare `respond-async`, never more than the server's limit."""
        if self.wait_seconds is not None:
            return min(self.wait_seconds, limit_seconds)
        return 0.0 if self.respond_async else limit_seconds


def _prefer(
    prefer: Annotated[
        str | None,
        Header(description="`respond-async`: 202 and a job at once; `respond-async, wait=N`: after at most N seconds."),
    ] = None,
) -> Prefer:
    preferences = [part.strip().lower() for part in (prefer or "").split(",")]
    waits = [float(match[1]) for part in preferences if (match := _WAIT.match(part))]
    return Prefer("respond-async" in preferences, waits[0] if waits else None)


ServicesDep = Annotated[Services, Depends(_services)]
Ending = Annotated[asyncio.Event, Depends(_ending)]
"""Set when the server ends, and nobody can wait here any longer."""
Caller = Annotated[Identity, Depends(_caller)]
Owner = Annotated[Identity, Depends(_owner)]
"""The caller, or the user whom `user_id` in the query names."""
LinksDep = Annotated[Links, Depends(_links)]
PreferDep = Annotated[Prefer, Depends(_prefer)]
ItemId = Annotated[str, Path(max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        description="Repeating a request with the same key within 24 h gets the first answer and does no work twice.",
    ),
]
