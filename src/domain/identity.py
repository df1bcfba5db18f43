"""Who is calling."""

from contextvars import ContextVar
from dataclasses import dataclass
from typing import Self

SCOPE_VOICE = "voice"
SCOPE_SERVICE = "voice:service"
SCOPE_ADMIN = "admin"
ALL_SCOPES = frozenset({SCOPE_VOICE, SCOPE_SERVICE, SCOPE_ADMIN})

current_user: ContextVar[str] = ContextVar("current_user", default="")
"""Whose work the running task does: queues in front of the engines let users take turns by it."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A caller: the user whose things it reads and writes, and what else it may do."""

    user_id: str
    scopes: frozenset[str] = frozenset()

    @classmethod
    def local(cls) -> Self:
        """The one user of a service that only this machine may call."""
        return cls("local", ALL_SCOPES)

    @property
    def may_act_for_others(self) -> bool:
        """Whether this is a gateway that may name another user."""
        return SCOPE_SERVICE in self.scopes
