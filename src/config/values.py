"""How settings of several values are written."""

from ipaddress import ip_address
from typing import Annotated

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


def is_loopback(host: str) -> bool:
    """Whether only this machine is behind it. A name other than localhost may be anywhere."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
