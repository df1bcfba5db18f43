"""The live sessions of a process, and how many there may be."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from src.domain.errors import Overloaded, RateLimited
from src.services.live.events import LiveLimits, LiveSettings
from src.services.live.session import LiveSession, require_possible
from src.services.live.stages import Parts
from src.utils import metrics

_RETRY_SECONDS = 10.0


class LiveSessions:
    """`most` at a time, of one user `most_of_user`; None: as many as there may be in all."""

    def __init__(
        self, parts: Parts, *, most: int, most_of_user: int | None = None, limits: LiveLimits | None = None
    ) -> None:
        self._parts = parts
        self._most = most
        self._most_of_user = most if most_of_user is None else most_of_user
        self._open: Counter[str] = Counter()
        self.limits = limits or LiveLimits()

    @property
    def count(self) -> int:
        return self._open.total()

    @property
    def most(self) -> int:
        return self._most

    async def require(self, user_id: str, wanted: LiveSettings) -> None:
        """Raises UnsupportedLanguage, NotFound, ConsentRequired for what no session can do."""
        await require_possible(self._parts, user_id, wanted)

    @contextmanager
    def opened(self, user_id: str, until: float, session_id: str | None = None) -> Iterator[LiveSession]:
        """A session that nobody runs yet. Raises Overloaded, RateLimited."""
        if self.count >= self._most:
            detail = f"This service has {self._most} live sessions, which is all that it takes."
            raise Overloaded(detail, retry_after_seconds=_RETRY_SECONDS)
        if self._open[user_id] >= self._most_of_user:
            detail = f"You have {self._most_of_user} live sessions here. Close one of them first."
            raise RateLimited(detail, retry_after_seconds=_RETRY_SECONDS)
        self._open[user_id] += 1
        try:
            with metrics.LIVE_SESSIONS.track_inprogress():
                yield LiveSession(self._parts, user_id, until, self.limits, session_id)
        finally:
            self._open[user_id] -= 1
            self._open += Counter()  # without those who have none
