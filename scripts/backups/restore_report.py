"""What a restore says at its end: to the operator in words, to programs as facts."""

from dataclasses import dataclass

from scripts.backups import files
from scripts.backups.carried import Replayed
from scripts.backups.manifest import Manifest
from scripts.backups.places import Place
from scripts.backups.work import Report


@dataclass(frozen=True, slots=True)
class Restored:
    """`files`: how many the rows refer to. `missing`: those of them that were not in the storage; `put_back`: how many
    of these are now. `strays`: files that no row refers to.
    """

    manifest: Manifest
    revision: str
    jobs_waiting_again: int
    replayed: Replayed
    files: int
    missing: list[str]
    put_back: int
    profiles_without_files: list[str]
    strays: list[str]
    strays_erased: bool


def told(done: Restored, carried_over: bool, database: str, place: Place, storage: Place) -> Report:
    """`carried_over`: whether the overwritten database could be asked for what must not be undone."""
    manifest = done.manifest
    lines = [
        f"Restored {manifest.name} into {database}: {sum(manifest.rows.values())} rows in {len(manifest.rows)}"
        f" tables, schema {manifest.source.schema_revision}, now {done.revision}."
    ]
    if done.jobs_waiting_again:
        lines.append(f"{done.jobs_waiting_again} jobs were running: they wait again, and run when the service starts.")
    lines += _about_files(done, storage)
    lines += _about_deletions(done, carried_over)
    return Report(
        lines,
        {
            "name": manifest.name,
            "backups": place.described,
            "database": database,
            "backup_made_at": manifest.created_at.isoformat(),
            "rows": manifest.rows,
            "schema_revision": done.revision,
            "jobs_waiting_again": done.jobs_waiting_again,
            "carried_over": carried_over,
            "profiles_deleted_again": list(done.replayed.profiles),
            "jobs_deleted_again": done.replayed.jobs,
            "revocations_carried_over": done.replayed.revocations,
            "files_missing": done.missing,
            "files_put_back": done.put_back,
            "profiles_without_files": done.profiles_without_files,
            "files_without_a_row": done.strays,
            "files_without_a_row_erased": done.strays_erased,
        },
    )


def _about_files(done: Restored, storage: Place) -> list[str]:
    lines = []
    if done.missing:
        lines.append(f"Missing in {storage.described}: {files.in_words(done.missing)} (--json names them).")
        copies = [key for key in done.missing if key in done.manifest.included]
        if done.put_back:
            lines.append(f"Put back from the backup: {done.put_back}.")
        elif copies:
            lines.append(f"The backup has {len(copies)} of them: scripts/restore.py {done.manifest.name} --files-only")
    elif done.files:
        lines.append(f"All {done.files} files that it refers to are in {storage.described}.")
    if done.strays:
        what = "They are erased." if done.strays_erased else "--files-only --erase-files erases them."
        lines.append(
            f"Files that no row refers to, as they came after the backup: {files.in_words(done.strays)}. {what}"
        )
    return lines


def _about_deletions(done: Restored, carried_over: bool) -> list[str]:
    lines, again = [], done.replayed
    since = f"{done.manifest.created_at:%Y-%m-%d %H:%M} UTC"
    if carried_over:
        lines.append(
            f"Carried over from the database that was there: {len(again.profiles)} profiles and {again.jobs} jobs"
            f" deleted since {since} were deleted again, {again.revocations} revocations are in force again."
        )
    else:
        lines.append(
            f"What users deleted after {since} is back, and tokens revoked since are valid again. Do it anew before"
            " callers are let in: DELETE /api/v1/voice/profile/ID, /api/v1/voice/job/ID, scripts/revoke.py. The old"
            " database's table audit_log, where there still is one, says what."
        )
    if done.profiles_without_files:
        lines.append("All files of these profiles were gone, so that they may be among the deleted:")
        lines += [f"  profile:{profile}" for profile in done.profiles_without_files]
    return lines
