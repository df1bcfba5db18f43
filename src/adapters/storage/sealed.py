"""Storage whose files are sealed on their way in, and opened on their way out."""

import asyncio
from collections.abc import AsyncIterator, Collection

from src.adapters.storage.keyring import Keyring
from src.domain.ports import Storage


class SealedStorage:
    """Implements Storage over another one, which never sees what is in the files.

    `unsealed`: folders whose files callers fetch past this service, at signed addresses of a bucket.
    """

    def __init__(self, inner: Storage, keyring: Keyring, unsealed: Collection[str] = ()) -> None:
        self._inner = inner
        self._keyring = keyring
        self._unsealed = frozenset(unsealed)

    async def put(self, key: str, data: bytes) -> None:
        """Raises as the other's."""
        if self._seals(key):
            data = await asyncio.to_thread(self._keyring.seal, key, data)
        await self._inner.put(key, data)

    async def get(self, key: str) -> bytes:
        """Raises DamagedFile for what does not open, and as the other's."""
        return await self._opened(key, await self._inner.get(key))

    async def delete(self, key: str) -> None:
        await self._inner.delete(key)

    async def delete_under(self, prefix: str, older_than_seconds: float = 0.0) -> int:
        return await self._inner.delete_under(prefix, older_than_seconds)

    async def erase(self, path: str) -> None:
        await self._inner.erase(path)

    def pages_under(self, prefix: str, older_than_seconds: float = 0.0) -> AsyncIterator[list[str]]:
        return self._inner.pages_under(prefix, older_than_seconds)

    def notices(self) -> tuple[str, ...]:
        return self._inner.notices()

    def url(self, key: str) -> str:
        return self._inner.url(key)

    async def get_signed(self, key: str, query: dict[str, str]) -> bytes:
        """Raises DamagedFile, NotFound."""
        return await self._opened(key, await self._inner.get_signed(key, query))

    async def _opened(self, key: str, data: bytes) -> bytes:
        return await asyncio.to_thread(self._keyring.open, key, data) if self._seals(key) else data

    def _seals(self, key: str) -> bool:
        return key.partition("/")[0] not in self._unsealed
