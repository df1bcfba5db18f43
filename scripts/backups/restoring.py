"""Bringing a backup back: everything is checked before anything is touched."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncConnection

from scripts.backups import carried, files, making, shelf, target
from scripts.backups.contents import connected, profiles, read_contents
from scripts.backups.errors import BackupError, told_of_database
from scripts.backups.manifest import Manifest
from scripts.backups.places import Place, opened_backups, opened_files
from scripts.backups.restore_report import Restored, told
from scripts.backups.work import Report, described, private_folder
from src.adapters.database.engine import CONNECT_SECONDS
from src.adapters.database.migrate import migrate
from src.bootstrap.database import pseudonym_key
from src.config.settings import Settings
from src.domain.accounts import Pseudonyms
from src.services.profiles.profiles import clones_of

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """`name`: of a backup, or `latest`. `source` and `into` None: as the settings say."""

    name: str
    source: str | None = None
    into: str | None = None
    overwrite: bool = False
    with_files: bool = False
    erase_files: bool = False


@dataclass(frozen=True, slots=True)
class _State:
    """What the restored database refers to, after everything was carried over. `profiles`: their files, by id."""

    jobs_waiting_again: int
    replayed: carried.Replayed
    files: frozenset[str]
    profiles: dict[str, tuple[str, ...]]


async def restore(settings: Settings, wanted: Wanted, say: Say) -> Report:
    """Raises WrongUse, Damaged, BackupError: until the database is restored nothing has been changed."""
    url, seconds = target.chosen(settings, wanted.into), CONNECT_SECONDS
    async with opened_backups(settings, wanted.source, make=False) as place, private_folder() as folder:
        # 1. Is this the right backup, and the right database for it?
        manifest = await shelf.choose(place, wanted.name)
        await target.check(manifest, url, seconds, overwrite=wanted.overwrite)

        # 2. Is the dump whole?
        say(f"Reading {manifest.name} ...")
        await making.fetch_verified(place, manifest, folder / "dump")

        async with opened_files(settings) as storage:
            # 3. The database, in one transaction; then to this release's schema, with what must not be undone.
            kept = await target.to_carry(manifest, url, seconds)
            say(f"Restoring into {described(url)} ...")
            with told_of_database(described(url)):
                await target.fill(manifest, url, folder / "dump", folder, seconds)
                await asyncio.to_thread(migrate, url)
                state = await _carry_over(url, seconds, kept, Pseudonyms(pseudonym_key(settings)))

            # 4. The files that its rows refer to, and those that no row refers to.
            done = await _with_files(place, storage, manifest, state, wanted)
    return told(done, kept is not None, described(url), place, storage)


async def files_only(settings: Settings, wanted: Wanted, say: Say) -> Report:
    """Put back files that rows of the database refer to and that are missing, from a backup made with its files; or
    erase those that no row refers to. The database is not changed. Raises BackupError.
    """
    url, seconds = target.chosen(settings, wanted.into), CONNECT_SECONDS
    async with opened_backups(settings, wanted.source, make=False) as place, opened_files(settings) as storage:
        manifest = await shelf.choose(place, wanted.name)
        if not manifest.files_included and not wanted.erase_files:
            raise BackupError(f"{manifest.name} was made without --with-files: it has no files.")
        with told_of_database(described(url)):
            async with connected(url, seconds) as connection:
                contents = await read_contents(connection)
        if contents.revision is None:
            raise BackupError(f"The database {described(url)} holds no tables of this service: restore it first.")
        found = await files.look_up(storage, contents.files)
        missing = [key for key, file in found.items() if file.size is None]
        say(f"Putting back {len(missing)} files ...")
        count = await files.put_back(place, storage, manifest, missing)
        strays = await files.without_a_row(storage, contents.files) if wanted.erase_files else []
        await files.erase(storage, strays)
    left = [key for key in missing if key not in manifest.included]
    lines = [f"{count} files of {manifest.name} are back in {storage.described}."]
    if left:
        lines.append(f"Still missing, as the backup lacks them, too: {files.in_words(left)}.")
    if wanted.erase_files:
        lines.append(f"Erased, as no row refers to them: {files.in_words(strays)}.")
    facts = {"name": manifest.name, "files_put_back": count, "files_missing": left, "files_erased": strays}
    return Report(lines, facts)


async def _carry_over(url: URL, connect_seconds: float, kept: carried.Carried | None, pseudonyms: Pseudonyms) -> _State:
    """In one transaction."""
    async with connected(url, connect_seconds) as connection:
        waiting = await target.put_jobs_back_in_line(connection)
        replayed = await carried.apply(connection, kept, pseudonyms) if kept else carried.Replayed()
        state = await _state(connection, waiting, replayed)
        await connection.commit()
    return state


async def _state(connection: AsyncConnection, waiting: int, replayed: carried.Replayed) -> _State:
    contents = await read_contents(connection)
    return _State(waiting, replayed, contents.files, await profiles(connection))


async def _with_files(place: Place, storage: Place, manifest: Manifest, state: _State, wanted: Wanted) -> Restored:
    if state.replayed.profiles or state.replayed.jobs:
        # also where the storage, too, was brought back from before the deletion
        folders = [clones_of(profile) for profile in state.replayed.profiles]
        await files.erase(storage, set(manifest.files) - state.files, folders)
    found = await files.look_up(storage, state.files)
    missing = [key for key, file in found.items() if file.size is None]
    gone = frozenset(missing)
    put_back = await files.put_back(place, storage, manifest, missing) if wanted.with_files else 0
    strays = await files.without_a_row(storage, state.files)
    if wanted.erase_files:
        await files.erase(storage, strays)
    return Restored(
        manifest=manifest,
        revision=target.newest_revision(),
        jobs_waiting_again=state.jobs_waiting_again,
        replayed=state.replayed,
        files=len(state.files),
        missing=missing,
        put_back=put_back,
        profiles_without_files=[name for name, keys in state.profiles.items() if gone.issuperset(keys)],
        strays=strays,
        strays_erased=wanted.erase_files,
    )
