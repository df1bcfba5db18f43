"""Cursors: where a page of jobs ended, as text that callers hand back and do not read."""

import base64
import re
from datetime import UTC, datetime, timedelta

from src.domain.jobs import Place

_VERSION = "1"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_PLACE = re.compile(rf"{_VERSION}\.([0-9]{{1,17}})\.([A-Za-z0-9_-]{{1,64}})")

MAX_LENGTH = 128
"""Characters; a cursor has fewer."""


def encode(place: Place) -> str:
    """Version, microseconds since 1970 and job id, in base64 that needs no escaping in a URL."""
    text = f"{_VERSION}.{(place.created_at - _EPOCH) // _MICROSECOND}.{place.id}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode(cursor: str) -> Place:
    """Raises ValueError for what `encode` never wrote."""
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except ValueError:
        text = ""
    found = _PLACE.fullmatch(text)
    place = Place(_EPOCH + int(found[1]) * _MICROSECOND, found[2]) if found else None
    if place is None or encode(place) != cursor:
        raise ValueError("this is no `next_cursor` of this service; without one the first page is given")
    return place


def checked(cursor: str) -> str:
    """The cursor itself. Raises ValueError."""
    decode(cursor)
    return cursor
