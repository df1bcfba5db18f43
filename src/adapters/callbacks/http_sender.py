"""POSTs a callback, once. httpcore and not httpx: that one logs every address with its query, and follows proxies.

Bodies and signatures are as https://www.standardwebhooks.com has them: receivers verify them with its libraries.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import math
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC
from ipaddress import ip_address

import httpcore

from src.domain.callbacks import Callback, Receipt
from src.utils.public_addresses import Address, AddressRules
from src.utils.retry_after import retry_after_seconds


def body_of(callback: Callback) -> bytes:
    """The same bytes at each attempt. `timestamp` is when the job ended."""
    at = callback.created_at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    message = {"type": callback.type, "timestamp": at, "data": callback.data}
    return json.dumps(message, separators=(",", ":"), ensure_ascii=False).encode()


def signed_headers(message_id: str, body: bytes, keys: Sequence[bytes], at: int) -> dict[str, str]:
    """`at`: seconds since 1970, when the attempt is made. A signature for each key, so that a receiver may change from
    one to the next when it likes.
    """
    signed = b".".join((message_id.encode(), str(at).encode(), body))
    signatures = (base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode() for key in keys)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(at),
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }


Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses of a name, for a port. Raises OSError when it has none."""

_MOST_ADDRESSES = 4
"""Of those that a name has, how many are tried."""


class AddressRefused(Exception):
    """The host has an address that is not of the public internet, and not allowed by a setting."""


class SystemResolver:
    """Asks as the machine is set up to: its hosts file, its name servers.

    The look-up blocks, and may take longer than anybody waits: so it has threads of its own, which others do not need.
    """

    def __init__(self, threads: int) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="callback-names")

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._threads, _look_up, host, port)
        return list(dict.fromkeys(found))

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


def _look_up(host: str, port: int) -> list[str]:
    try:
        return [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    except UnicodeError as error:  # a label that is too long
        raise OSError("not a name") from error


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """Connects to addresses that the rules permit. When a name has one that they refuse, none of the others is tried:
    whoever mixes them means no good.

    Between the check and the connection no name is looked up, so that a name which answers differently the second time
    gains nothing. TLS and the Host header keep the name, as httpcore takes those from the URL.
    """

    def __init__(self, resolve: Resolve, rules: AddressRules) -> None:
        self._resolve = resolve
        self._rules = rules
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the signature is httpcore's
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Look up, check and connect, within `timeout` seconds. Raises AddressRefused, and httpcore's ConnectError and
        ConnectTimeout.
        """
        try:
            async with asyncio.timeout(timeout):
                addresses = await self._checked(host, port)
                return await self._first(addresses, port, timeout, local_address, socket_options)
        except TimeoutError:
            raise httpcore.ConnectTimeout("no connection in time") from None

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109 - the signature is httpcore's
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Raises AddressRefused: a URL cannot name one."""
        raise AddressRefused

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def _checked(self, host: str, port: int) -> list[Address]:
        try:
            addresses = [ip_address(host)]
        except ValueError:
            addresses = await self._addresses_of(host, port)
        if not all(self._rules.permit(address) for address in addresses):
            raise AddressRefused
        return addresses

    async def _addresses_of(self, host: str, port: int) -> list[Address]:
        try:
            found = await self._resolve(host, port)
        except OSError as error:
            raise httpcore.ConnectError("the name was not found") from error
        if not found:
            raise httpcore.ConnectError("the name was not found")
        return [ip_address(address) for address in found]

    async def _first(
        self,
        addresses: list[Address],
        port: int,
        seconds: float | None,
        local_address: str | None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None,
    ) -> httpcore.AsyncNetworkStream:
        """The first that answers. Each has its share of the time, so that a silent one leaves some to the others."""
        tried = addresses[:_MOST_ADDRESSES]
        share = None if seconds is None else seconds / len(tried)
        failure: httpcore.ConnectError | httpcore.ConnectTimeout | None = None
        for address in tried:
            try:
                return await self._inner.connect_tcp(str(address), port, share, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure or httpcore.ConnectError("the name was not found")


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
