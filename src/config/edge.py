"""What the service does about whoever is at the other end of a connection; `Settings` has these among its own."""

import re
from ipaddress import ip_network
from typing import Annotated

from pydantic import AfterValidator
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

    trusted_proxies: Annotated[CommaList, AfterValidator(_networks)] = []
    """Addresses or networks (comma-separated) whose X-Forwarded-For is believed."""
    cors_origins: Annotated[CommaList, AfterValidator(_origins)] = []
    """Origins (comma-separated) that may call from a browser. Empty: only the page that this server serves. `*`: any,
    with AUTH_MODE=jwt; browsers send cookies and client certificates to none of them."""
