"""HTTP with deadlines: every failure is one of `errors`, and no message shows a password, a token or a signature."""

import re
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import httpx

from scripts.downloads.errors import Busy, Changed, DownloadError, Interrupted, Refused, Unreachable
from scripts.downloads.patience import Patience
from src.config.values import is_loopback

# Encoded bytes would have another length and checksum than the file.
_PLAIN = {"Accept-Encoding": "identity"}
_LONGEST_MANIFEST = 2**20  # bytes
_MAX_REDIRECTS = 5


class NotFound(Refused):
    """404."""


@dataclass(frozen=True, slots=True)
class Body:
    """`start`: the offset in the file of its first byte. `total`: bytes of the whole file, None when not said.

    `validator`: the strong ETag to resume this very file with, None when there is none.
    """

    start: int
    total: int | None
    validator: str | None
    chunks: Iterator[bytes]


def shown(url: httpx.URL | str) -> str:
    """The address without a user's name, password, or query: queries carry signatures."""
    parts = urlsplit(str(url))
    return f"{parts.scheme}://{_host(str(url))}{parts.path}"


def strong(etag: str | None) -> str | None:
    """The ETag when it identifies bytes (RFC 9110, 8.8.1); a weak one does not."""
    return None if etag is None or etag.startswith("W/") else etag


class Http:
    """One client for all requests; `close` it. `plain_host`: one that may be asked over http:// as well."""

    def __init__(self, patience: Patience, plain_host: str | None = None) -> None:
        self._patience = patience
        self._plain_host = plain_host
        limits = httpx.Timeout(patience.read_seconds, connect=patience.connect_seconds)
        self._client = httpx.Client(timeout=limits, headers=_PLAIN, event_hooks={"request": [self._only_tls]})

    def close(self) -> None:
        self._client.close()

    def head(self, url: str) -> httpx.Headers:
        """Headers of the file, after redirects."""
        with self._mapped(url):
            response = self._client.head(url, follow_redirects=True)
            _check(response)
            return response.headers

    def head_within_host(self, url: str) -> httpx.Headers:
        """Headers of all answers on this host, later ones winning: the last redirect, to another host, is not followed.

        The length of a redirect's own body is left out.
        """
        headers = httpx.Headers()
        host = _host(url)
        with self._mapped(url):
            for _ in range(_MAX_REDIRECTS):
                response = self._client.head(url)
                _check(response)
                if response.next_request is None:
                    headers.update(response.headers)
                    return headers
                headers.update({name: value for name, value in response.headers.items() if name != "content-length"})
                url = str(response.next_request.url)
                if _host(url) != host:
                    return headers
        raise Refused(f"{shown(url)} redirects without end.")

    def text(self, url: str) -> str:
        """A small text. Raises NotFound."""
        with self.get(url) as body:
            text = b""
            for chunk in body.chunks:
                text += chunk
                if len(text) > _LONGEST_MANIFEST:
                    raise Refused(f"{shown(url)} is too long for a manifest.")
            return text.decode(errors="replace")

    @contextmanager
    def get(self, url: str, start: int = 0, condition: dict[str, str] | None = None) -> Iterator[Body]:
        """The file from byte `start` on, or from 0 when the server ignores the range: see the Body's `start`.

        `condition`: If-Range or If-Match, sent along with a range. Raises Changed when it failed, or there is no such
        range.
        """
        headers = {"Range": f"bytes={start}-", **(condition or {})} if start else {}
        with (
            self._mapped(url),
            self._client.stream("GET", url, headers=headers, follow_redirects=True) as response,
        ):
            _check(response)
            if response.headers.get("Content-Encoding", "identity") != "identity":
                raise Refused(f"{shown(url)} comes compressed, although it was asked for as it is.")
            first, total = _extent(response, start)
            chunks = self._at_least_slowly(response)
            yield Body(first, total, strong(response.headers.get("ETag")), chunks)

    def _at_least_slowly(self, response: httpx.Response) -> Iterator[bytes]:
        """The body's chunks as they come. Raises Interrupted for a trickle, which no timeout between bytes ends."""
        since, came = time.monotonic(), 0
        for chunk in response.iter_raw():
            yield chunk
            came += len(chunk)
            elapsed = time.monotonic() - since
            if elapsed >= self._patience.read_seconds:
                if came < self._patience.slowest_bytes:
                    raise Interrupted(f"{_host(str(response.url))} sent only {came} bytes in {elapsed:.0f} s.")
                since, came = time.monotonic(), 0

    def _only_tls(self, request: httpx.Request) -> None:
        """Also asked for each redirect: weights that anyone on the way can replace are not fetched."""
        host = request.url.host
        if request.url.scheme != "https" and not is_loopback(host) and host != self._plain_host:
            raise Refused(f"{shown(request.url)} is not https://, and is not on this machine.")

    @contextmanager
    def _mapped(self, url: str) -> Iterator[None]:
        """Every httpx error as one of ours."""
        host = _host(url)
        try:
            yield
        except httpx.ProxyError as error:
            raise Unreachable(f"Cannot reach {host}{_by_proxy(url)}: the proxy says {error}.") from error
        except httpx.ConnectTimeout as error:
            seconds = self._patience.connect_seconds
            raise Unreachable(f"Cannot reach {host}{_by_proxy(url)}: no answer in {seconds:g} s.") from error
        except httpx.ConnectError as error:
            raise Unreachable(f"Cannot reach {host}{_by_proxy(url)}: {error}.") from error
        except httpx.TimeoutException as error:
            raise Interrupted(f"{host} sent nothing for {self._patience.read_seconds:g} s.") from error
        except (httpx.NetworkError, httpx.RemoteProtocolError) as error:
            raise Interrupted(f"The connection to {host} broke: {error or type(error).__name__}.") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Refused(f"{shown(url)} cannot be fetched: {error}.") from error


def _host(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2]


def _by_proxy(url: str) -> str:
    """` through the proxy …` when the environment names one for this address."""
    parts = urlsplit(url)
    proxies = urllib.request.getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if proxy is None or urllib.request.proxy_bypass(parts.hostname or ""):
        return ""
    return f" through the proxy {_host(proxy) or proxy.rpartition('@')[2]}"


def _check(response: httpx.Response) -> None:
    """Raises for a status that brings no file."""
    status, url = response.status_code, shown(response.url)
    if status in {200, 206} or response.is_redirect:
        return
    what = f"{url}: {status} {response.reason_phrase}."
    raise _error(status, what, response)


def _error(status: int, what: str, response: httpx.Response) -> DownloadError:
    if status in {408, 425, 429} or status >= 500:
        wait = _retry_after(response.headers.get("Retry-After"))
        return Busy(what if wait is None else f"{what} It asks to wait {wait:.0f} s.", wait)
    if status in {401, 403, 407}:
        return Refused(f"{what} The server does not let this machine have it.")
    if status == 404:
        return NotFound(f"{what} It is not there.")
    if status in {412, 416}:
        return Changed(f"{what} The file there is not the one that was begun.")
    return Refused(what)


def _retry_after(value: str | None) -> float | None:
    """Seconds from a number or a date (RFC 9110, 10.2.3). None: not said, or not readable."""
    if value is None:
        return None
    if value.isdigit():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None


def _extent(response: httpx.Response, asked: int) -> tuple[int, int | None]:
    """Offset of the first byte, and bytes of the whole file. Raises Changed for a range that was not asked for."""
    if response.status_code == 200:
        length = response.headers.get("Content-Length", "")
        return 0, int(length) if length.isdigit() else None
    said = response.headers.get("Content-Range", "")
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", said)
    if match is None or int(match[1]) != asked:
        raise Changed(f"{shown(response.url)} was asked for bytes from {asked} on, and sent {said or 'others'!r}.")
    return asked, None if match[2] == "*" else int(match[2])
