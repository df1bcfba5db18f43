"""Cursors: what was written is read, and nothing else."""

import base64
from datetime import UTC, datetime, timedelta, timezone
from uuid import uuid4

import pytest

from src.api import cursor
from src.domain.jobs import Place


@pytest.mark.parametrize(
    "created_at",
    [
        datetime(2026, 11, 21, 12, 0, 0, 1, tzinfo=UTC),
        datetime(2026, 11, 21, 12, 0, 0, 999_999, tzinfo=timezone(timedelta(hours=-8))),
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(2999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    ],
)
def test_a_place_is_read_as_it_was_written(created_at: datetime) -> None:
    place = Place(created_at, uuid4().hex)
    text = cursor.encode(place)
    assert cursor.decode(text) == place
    assert cursor.checked(text) == text
    assert len(text) < cursor.MAX_LENGTH
    assert text.replace("-", "").replace("_", "").isalnum()


def test_the_longest_id_fits() -> None:
    assert len(cursor.encode(Place(datetime(9999, 1, 1, tzinfo=UTC), "x" * 64))) <= cursor.MAX_LENGTH


def encoded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "text",
    [
        *("", "=", "a", "abc", "????", "\ud800", "é", "a" * 200),
        encoded("1.1795230296154087"),
        encoded("2.1795230296154087.job"),
        encoded("1.-5.job"),
        encoded("1.007.job"),
        encoded("1.1795230296154087."),
        encoded("1.1795230296154087.../etc"),
        encoded("1.1795230296154087.job\n"),
        encoded("1.99999999999999999999.job"),
        encoded("1.١٢٣.job"),
        encoded("1.5.job") + "=",
        base64.urlsafe_b64encode(b"\xff\xfe").decode(),
    ],
)
def test_what_was_never_written_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no `next_cursor`"):
        cursor.decode(text)
