"""What the service does about whoever is at the other end of a connection; `Settings` has these among its own."""

import re
from ipaddress import ip_network
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_settings import BaseSettings

from src.config.values import CommaList

_ORIGIN = re.compile(r"https?://(?:\[[0-9a-f:.]+\]|[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?)(?::[0-9]{1,5})?")


def _origins(values: list[str]) -> list[str]:
    for value in values:
        if value != "*" and not _ORIGIN.fullmatch(value):
            raise ValueError(f"{value!r} is no origin: scheme://host or scheme://host:port, in lower case, no path.")
    return values


def _networks(values: list[str]) -> list[str]:
    for value in values:
        ip_network(value)
    return values


class EdgeSettings(BaseSettings):
    """See `Settings`."""

    header_timeout_seconds: float = Field(10.0, gt=0)
    """For the head of a request to arrive, from the connecting or its first byte; then 408 `request_timeout`."""
    body_timeout_seconds: float = Field(60.0, gt=0)
    """For a whole request body to arrive; then 408 `request_timeout`."""
    send_timeout_seconds: float = Field(30.0, gt=0)
    """A caller that in such a time takes less than 16 KiB of an answer that waits for it is cut off."""
    keep_alive_seconds: int = Field(5, ge=1)
    """For the next request on a connection. Behind a proxy: longer than the proxy keeps connections."""
    max_connections: int = Field(1000, ge=1)
    """At a time; above it connections get 503 `overloaded`. As many open files must be allowed, and 256 more."""
    max_connections_per_address: int = Field(0, ge=0)
    """Of one client address (an IPv6 /64), but for TRUSTED_PROXIES. 0: no limit; on the internet, unproxied: 50."""
    trusted_proxies: Annotated[CommaList, AfterValidator(_networks)] = []
    """Addresses or networks (comma-separated) whose X-Forwarded-For is believed."""
    cors_origins: Annotated[CommaList, AfterValidator(_origins)] = []
    """Origins (comma-separated) that may call from a browser. Empty: only the page that this server serves. `*`: any,
    with AUTH_MODE=jwt; browsers send cookies and client certificates to none of them."""
