"""POSTs a callback, once. httpcore and not httpx: that one logs every address with its query, and follows proxies."""

import asyncio
import math
import ssl
import time
from collections.abc import Sequence

import httpcore

from src.adapters.callbacks.guard import AddressRefused, GuardedBackend, Resolve
from src.adapters.callbacks.signing import body_of, signed_headers
from src.domain.callbacks import Callback, Receipt
from src.utils.public_addresses import AddressRules
from src.utils.retry_after import retry_after_seconds

_GONE = 410


class HttpCallbackSender:
    """Implements CallbackSender. `keys` sign; at most `connections` attempts at a time.

    An attempt takes `total_seconds` at most, of which connecting, with the look-up of the name, `connect_seconds`, and
    TLS as long again. The answer counts when its head is there: its body is not read.
    """

    def __init__(
        self,
        keys: Sequence[bytes],
        rules: AddressRules,
        resolve: Resolve,
        tls: ssl.SSLContext,
        *,
        user_agent: str,
        connections: int = 16,
        connect_seconds: float = 3.0,
        total_seconds: float = 10.0,
    ) -> None:
        self._keys = tuple(keys)
        self._user_agent = user_agent
        self._total_seconds = total_seconds
        self._timeouts = {"connect": connect_seconds, "read": total_seconds, "write": total_seconds}
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls,
            max_connections=connections,
            max_keepalive_connections=0,  # minutes lie between two messages to one receiver
            network_backend=GuardedBackend(resolve, rules),
        )

    async def send(self, callback: Callback) -> Receipt:
        try:
            async with asyncio.timeout(self._total_seconds):
                return await self._post(callback)
        except AddressRefused:
            return Receipt(error="its address is not of the public internet", final=True)
        except (TimeoutError, httpcore.TimeoutException):
            return Receipt(error="no answer in time")
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol) as error:
            return Receipt(error=_reason(error))

    async def close(self) -> None:
        await self._pool.aclose()

    async def _post(self, callback: Callback) -> Receipt:
        body = body_of(callback)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": self._user_agent,
            **signed_headers(callback.id, body, self._keys, math.floor(time.time())),
        }
        extensions = {"timeout": self._timeouts}
        async with self._pool.stream(
            "POST", callback.url, headers=list(headers.items()), content=body, extensions=extensions
        ) as response:
            return _receipt(response)


def _receipt(response: httpcore.Response) -> Receipt:
    """Only 2xx takes the message. A redirect is not followed: the new address was not the caller's to give."""
    status = response.status
    if 200 <= status < 300:
        return Receipt(status)
    wait = next((value for name, value in response.headers if name.lower() == b"retry-after"), None)
    seconds = None if wait is None else retry_after_seconds(wait.decode("latin-1"))
    return Receipt(status, f"status {status}", final=status == _GONE, retry_after_seconds=seconds)


def _reason(error: Exception) -> str:
    """What failed, in one line without the words of the error, which may quote the address."""
    causes: list[BaseException] = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None:
        causes.append(cause)
    if any(isinstance(each, ssl.SSLError) for each in causes):
        return "its certificate or TLS was not accepted"
    return f"connection failed ({type(error).__name__})"
