"""Which backups are deleted after a new one was made."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from scripts.backups.shelf import UNFINISHED, Entry, Manifest, Source, StoredFile, new_name, to_delete

NOW = datetime(2026, 11, 21, 3, tzinfo=UTC)


def entry(hours_ago: float, trouble: str | None = None) -> Entry:
    began_at = NOW - timedelta(hours=hours_ago)
    name = new_name(began_at)
    if trouble is not None:
        return Entry(name, began_at, trouble=trouble)
    manifest = Manifest(
        name=name,
        created_at=began_at,
        service_version="0",
        source=Source(kind="sqlite", schema_revision="0001", schema_name="main"),
        dump=StoredFile(size=1, sha256="0" * 64),
        rows={},
        files={},
    )
    return Entry(name, began_at, manifest)


def hours_deleted(found: list[Entry], keep_days: int, keep_last: int) -> list[int]:
    gone = to_delete(found, NOW, keep_days, keep_last)
    return sorted(round((NOW - each.began_at).total_seconds() / 3600) for each in found if each.name in gone)


def test_days_and_number_both_keep() -> None:
    daily = [entry(24 * day + 1) for day in range(10)]
    assert hours_deleted(daily, keep_days=7, keep_last=1) == [169, 193, 217]
    assert hours_deleted(daily, keep_days=7, keep_last=9) == [217]
    assert hours_deleted(daily, keep_days=30, keep_last=1) == []
    assert hours_deleted(daily, keep_days=0, keep_last=2) == [24 * day + 1 for day in range(2, 10)]


def test_what_does_not_count_is_not_among_the_last_and_never_the_only_one_left() -> None:
    found = [entry(1, "damaged"), entry(2, "damaged"), entry(100), entry(200)]
    assert hours_deleted(found, keep_days=0, keep_last=1) == [1, 2, 200]
    assert hours_deleted([entry(1000, "damaged"), entry(2000, UNFINISHED)], keep_days=0, keep_last=1) == []


def test_what_is_unfinished_goes_after_a_day_however_long_backups_are_kept() -> None:
    found = [entry(1), entry(23, UNFINISHED), entry(25, UNFINISHED)]
    assert hours_deleted(found, keep_days=0, keep_last=1) == [25]
    assert hours_deleted(found, keep_days=365, keep_last=1) == [25]


@given(
    st.lists(st.tuples(st.integers(0, 2000), st.sampled_from([None, "damaged", UNFINISHED])), max_size=20),
    st.integers(0, 100),
    st.integers(1, 10),
)
def test_the_newest_that_count_are_always_kept(
    made: list[tuple[int, str | None]], keep_days: int, keep_last: int
) -> None:
    found = [entry(hours, trouble) for hours, trouble in made]
    gone = set(to_delete(found, NOW, keep_days, keep_last))
    good = sorted((entry for entry in found if entry.manifest), key=lambda entry: (entry.began_at, entry.name))
    newest, others = good[-keep_last:], good[:-keep_last]
    assert not gone & {entry.name for entry in newest}
    young = NOW - timedelta(days=keep_days)
    assert {entry.name for entry in others if entry.began_at < young} <= gone
