"""How settings of several values are written."""

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Annotated
from urllib.parse import parse_qsl, urlencode

from pydantic import AfterValidator, BeforeValidator
from pydantic_settings import NoDecode


def split(value: object) -> object:
    """The parts between commas."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _address(value: str) -> str:
    if not value.startswith(("http://", "https://")):
        raise ValueError("It begins with http:// or https://.")
    return value.rstrip("/")


HttpAddress = Annotated[str, AfterValidator(_address)]

CommaList = Annotated[list[str], NoDecode, BeforeValidator(split)]


def with_query(url: str, parameters: Mapping[str, str]) -> str:
    """The address with these parameters, in place of those of the same name that it has."""
    base, _, query = url.partition("?")
    others = [(name, value) for name, value in parse_qsl(query, keep_blank_values=True) if name not in parameters]
    return f"{base}?{urlencode([*others, *parameters.items()])}"


def is_loopback(host: str) -> bool:
    """Whether only this machine is behind it. A name other than localhost may be anywhere."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
