"""Which backups are deleted after a new one was made."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from scripts.backups.manifest import FORMAT, Dump, Manifest, Source, new_name, time_of
from scripts.backups.shelf import UNFINISHED, Entry, to_delete

NOW = datetime(2026, 11, 21, 3, tzinfo=UTC)


def entry(hours_ago: float, trouble: str | None = None) -> Entry:
    began_at = NOW - timedelta(hours=hours_ago)
    name = new_name(began_at)
    if trouble is not None:
        return Entry(name, began_at, 1, trouble=trouble)
    source = Source(
        kind="sqlite", server_version="3", schema_revision="0001", schema_name="main", written_by="sqlite 3"
    )
    manifest = Manifest(
        format=FORMAT,
        name=name,
        created_at=began_at,
        service_version="0",
        source=source,
        dump=Dump(size=1, sha256="0" * 64),
        rows={},
        files_included=False,
        files={},
    )
    return Entry(name, began_at, 1, manifest)


def hours_deleted(found: list[Entry], keep_days: int, keep_last: int) -> list[int]:
    return sorted(
        round((NOW - gone.began_at).total_seconds() / 3600) for gone in to_delete(found, NOW, keep_days, keep_last)
    )


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
    gone = {entry.name for entry in to_delete(found, NOW, keep_days, keep_last)}
    good = sorted((entry for entry in found if entry.manifest), key=lambda entry: (entry.began_at, entry.name))
    newest, others = good[-keep_last:], good[:-keep_last]
    assert not gone & {entry.name for entry in newest}
    young = NOW - timedelta(days=keep_days)
    assert {entry.name for entry in others if entry.began_at < young} <= gone


def test_names_sort_by_their_time_and_are_read_back() -> None:
    assert time_of(new_name(NOW)) == NOW
    assert new_name(NOW) != new_name(NOW)
    assert new_name(NOW) < new_name(NOW + timedelta(seconds=1))
    assert [time_of(name) for name in ("latest", "../x", "20269999T000000Z-123456", new_name(NOW) + "/x")] == [None] * 4


def test_copied_files_are_picked_out_once() -> None:
    """A restore asks for each of perhaps 100,000 files whether the backup has it."""
    manifest = entry(1).manifest
    assert manifest is not None
    assert manifest.included is manifest.included
