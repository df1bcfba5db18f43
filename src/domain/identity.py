"""Who is calling."""

from dataclasses import dataclass
from typing import Self

SCOPE_VOICE = "voice"
SCOPE_SERVICE = "voice:service"
SCOPE_ADMIN = "admin"
ALL_SCOPES = frozenset({SCOPE_VOICE, SCOPE_SERVICE, SCOPE_ADMIN})


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
