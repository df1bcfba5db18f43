"""Storage whose files are sealed on their way in, and opened on their way out."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Collection, Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from src.domain.errors import DamagedFile
from src.domain.ports import Storage

logger = logging.getLogger(__name__)

KEY_BYTES = 32

_MAGIC = b"\x89VTS\x01"
_ID_BYTES = 8
_NONCE_BYTES = 12
_HEADER_BYTES = len(_MAGIC) + _ID_BYTES
_START = _HEADER_BYTES + _NONCE_BYTES


class Keyring:
    """AES-256-GCM under keys of this service, bound to the place where a file lies.

        magic and version (5 bytes) | id of the key (8) | nonce (12) | ciphertext | tag (16)

    The tag covers the header and the storage key as well: a file that was moved to another's place does not open.

    `keys` [32 bytes each]: the first seals, all open. `plain`: files that nobody sealed are given out as they are.
    Without keys nothing is sealed, and what was sealed does not open.

    One key may seal 2**32 files, as its nonces are random. What is sealed and opened is derived from a key, never the
    key itself. Every method may take a millisecond for each megabyte.
    """

    def __init__(self, keys: Sequence[bytes], *, plain: bool = False) -> None:
        if any(len(key) != KEY_BYTES for key in keys):
            raise ValueError(f"A keyring has keys of {KEY_BYTES} bytes.")
        self._ciphers = {_derived(key, b"id", _ID_BYTES): AESGCM(_derived(key, b"seal", KEY_BYTES)) for key in keys}
        self._newest = next(iter(self._ciphers), None)
        self.plain = plain or not keys

    @property
    def seals(self) -> bool:
        return self._newest is not None

    def seal(self, place: str, data: bytes) -> bytes:
        """`place`: the storage key."""
        if self._newest is None:
            return data
        header, nonce = _MAGIC + self._newest, os.urandom(_NONCE_BYTES)
        sealed = self._ciphers[self._newest].encrypt(nonce, data, header + place.encode())
        return b"".join((header, nonce, sealed))

    def open(self, place: str, data: bytes) -> bytes:
        """What was sealed for this place. Raises DamagedFile: then none of it is given out."""
        if not is_sealed(data):
            if self.plain:
                return data
            raise _does_not_open(place, "nobody sealed it")
        header = data[:_HEADER_BYTES]
        cipher = self._ciphers.get(header[len(_MAGIC) :])
        if cipher is None:
            raise _does_not_open(place, f"it was sealed under another key ({header[len(_MAGIC) :].hex()})")
        nonce, sealed = data[_HEADER_BYTES:_START], memoryview(data)[_START:]
        try:
            return cipher.decrypt(nonce, sealed, header + place.encode())
        except (InvalidTag, ValueError):  # ValueError: not even a nonce is left of it
            raise _does_not_open(place, "it was changed, cut or moved") from None

    def is_newest(self, data: bytes) -> bool:
        """Whether this was sealed, as its header says, under the key that seals now."""
        return self._newest is not None and data.startswith(_MAGIC + self._newest)


def is_sealed(data: bytes) -> bool:
    """Whether this begins as a sealed file does; no audio, and nothing else that the service stores, begins so."""
    return data.startswith(_MAGIC)


def _derived(key: bytes, purpose: bytes, size: int) -> bytes:
    return HKDF(SHA256(), size, salt=None, info=b"voice-translation storage 1 " + purpose).derive(key)


def _does_not_open(place: str, why: str) -> DamagedFile:
    logger.error("the stored file %s does not open: %s", place, why)
    return DamagedFile("A stored file is damaged. The log has more.")


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
