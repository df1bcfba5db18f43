"""Which backups are deleted after a new one was made."""

from datetime import UTC, datetime, timedelta

import pytest

from scripts.backups.archive import Manifest, Source, StoredFile, new_name, too_old

NOW = datetime(2026, 11, 21, 3, tzinfo=UTC)


@pytest.mark.parametrize(
    ("complete", "unfinished", "keep_days", "deleted"),
    [
        ([24 * day + 1 for day in range(10)], [], 7, [169, 193, 217]),
        ([24 * day + 1 for day in range(10)], [], 30, []),
        ([1, 25, 49, 73], [], 0, [73]),  # the newest three are kept, however old
        ([100, 200, 300, 400], [1, 25, 2000], 0, [25, 400, 2000]),  # one that began within a day may be under way
        ([], [1000, 2000], 0, []),  # none that counts would be left
        ([1], [25, 400], 14, [400]),
    ],
)
def test_old_backups_are_deleted_but_for_the_newest_three_that_count(
    complete: list[int], unfinished: list[int], keep_days: int, deleted: list[int]
) -> None:
    hours = {new_name(NOW - timedelta(hours=ago)): ago for ago in sorted(complete + unfinished)}
    found = {name: manifest(name) if ago in complete else None for name, ago in hours.items()}
    assert sorted(hours[name] for name in too_old(found, NOW, keep_days)) == deleted


def manifest(name: str) -> Manifest:
    source = Source(kind="sqlite", schema_revision="0001", schema_name="main")
    dump = StoredFile(size=1, sha256="0" * 64)
    return Manifest(name=name, created_at=NOW, service_version="0", source=source, dump=dump, files={})
