"""Requests that are repeated with the same Idempotency-Key."""

from dataclasses import dataclass, field
from uuid import uuid4


@dataclass(frozen=True, slots=True)
class Claim:
    """One attempt to be the request that does the work of a key. `fingerprint` says what is asked: the operation and
    the body. `id` tells two attempts apart: who lost the claim cannot end it for the one who has it now.
    """

    user_id: str
    key: str
    fingerprint: str
    id: str = field(default_factory=lambda: uuid4().hex)
