"""Deletions from the request to the last file, and what else is to be erased in time.

The rows are the truth. The process that takes a request begins to erase at once; when it dies, or the storage fails,
the loop of any process goes on.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from src.domain.accounts import DELETIONS, Deletion, DeletionKind, DeletionRepository
from src.domain.errors import Unavailable, VoiceServiceError
from src.domain.jobs import now
from src.domain.ports import Cache, JobEvents, Storage
from src.utils.concurrency import for_each
from src.utils.tracing import where

logger = logging.getLogger(__name__)

_PATIENCE_SECONDS = 3.0
"""How long the caller is held while files are erased; the rest is done behind its back."""
_LOOK_SECONDS = 5.0
_BLIND_SECONDS = 45.0
_BATCH = 200
_AT_ONCE = 8
_SWEEP_SECONDS = 600.0
_GRACE_SECONDS = 600.0
"""Between the writing of a file and that of its row there is less."""
_SWEPT = ("inputs", "results", "references", "embeddings")


async def _nothing() -> None: ...


@dataclass(eq=False)
class Deletions:
    """Implements the use cases. `request` may be called by any number of callers; `run` is to be run once.

    `expire_others` deletes other rows whose time is over.
    """

    rows: DeletionRepository
    storage: Storage
    cache: Cache
    events: JobEvents
    expire_others: Callable[[], Awaitable[object]] = _nothing
    _under_way: set[asyncio.Task[None]] = field(default_factory=set, init=False)
    _looked_at: float = field(default_factory=time.monotonic, init=False)
    _next_sweep: float = field(default_factory=time.monotonic, init=False)

    async def request(self, kind: DeletionKind, subject: str, owner: str, by: str) -> None:
        """When this returns nobody finds it any more, and what is left will be gone within a minute, whatever happens
        to this process. Raises NotFound, Overloaded, EngineUnavailable: then nothing was deleted.
        """
        deletion = await self.rows.request(kind, subject, owner, by)
        for job_id in deletion.jobs:
            await self.events.publish(job_id)
        await self.events.publish(DELETIONS)
        task = asyncio.create_task(self._attempt(deletion))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        await asyncio.wait({task}, timeout=_PATIENCE_SECONDS)

    async def run(self) -> None:
        """For ever: forget what others deleted, and go on where others were stopped."""
        try:
            with self.events.listening(DELETIONS) as wake:
                while True:
                    try:
                        await self._look()
                    except VoiceServiceError as error:
                        logger.warning("deletions wait: %s", error.code)
                    except Exception as error:  # noqa: BLE001 - a defect must not end the deletions of this process
                        logger.error("the loop that deletes failed, and goes on\n%s", where(error))
                    await self._forget_when_blind()
                    await wake.wait(_LOOK_SECONDS)
        finally:
            for task in self._under_way:
                task.cancel()
            await asyncio.gather(*self._under_way, return_exceptions=True)

    async def _look(self) -> None:
        for owner in await self.rows.open_owners():
            await self.cache.forget_here(owner)
        self._looked_at = time.monotonic()
        while (deletion := await self.rows.claim()) is not None:
            await self._attempt(deletion)
        while paths := await self.rows.due_paths(_BATCH):
            await self._erase(paths)
            await self.rows.erased(paths)
        if time.monotonic() >= self._next_sweep:
            self._next_sweep = time.monotonic() + _SWEEP_SECONDS
            await self.rows.expire()
            await self.expire_others()
            for folder in _SWEPT:
                await self._sweep(folder, _GRACE_SECONDS)

    async def _forget_when_blind(self) -> None:
        """Who cannot see what was deleted holds nothing that may have been."""
        if time.monotonic() - self._looked_at > _BLIND_SECONDS:
            await self.cache.forget_here()

    async def _attempt(self, deletion: Deletion) -> None:
        """Errors are logged: the deletion is due again after a while."""
        try:
            await self._go_on(deletion)
        except VoiceServiceError as error:
            logger.warning("deletion %s of a %s goes on later: %s", deletion.id, deletion.kind, error.code)
        except Exception as error:  # noqa: BLE001 - as above
            logger.error("deletion %s of a %s failed, and goes on later\n%s", deletion.id, deletion.kind, where(error))

    async def _go_on(self, deletion: Deletion) -> None:
        settled = now() >= deletion.settles_at
        passes = 2 if settled else 1
        while paths := await self.rows.paths(deletion, passes, _BATCH):
            await self._erase(paths)
            await self.rows.passed(deletion, paths)
        await self.cache.forget(deletion.owner)
        if not settled:
            await self.rows.settle(deletion)
            return
        if deletion.kind is DeletionKind.USER:  # of requests whose process was killed before there was a row
            with suppress(Unavailable):
                await self._sweep("inputs", (now() - deletion.requested_at).total_seconds())
        await self.rows.finish(deletion)
        logger.info("deletion %s of a %s is done", deletion.id, deletion.kind)

    async def _erase(self, paths: Sequence[str]) -> None:
        await for_each(paths, self.storage.erase, at_once=_AT_ONCE)

    async def _sweep(self, folder: str, older_than_seconds: float) -> None:
        """Erase files that no row refers to: of processes that were killed between the two."""
        async for keys in self.storage.pages_under(folder, older_than_seconds):
            if strays := await self.rows.without_row(keys):
                logger.warning("%d files in %s belonged to nothing, and are erased", len(strays), folder)
                await self._erase(strays)
