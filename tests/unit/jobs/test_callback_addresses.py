"""Which `callback_url` a request may name."""

import pytest

from src.domain.errors import RequestInvalid
from src.services.jobs.callbacks import MAX_URL_LENGTH, CallbackAddresses
from src.utils.public_addresses import AddressRules


def addresses(*allowed: str, signed: bool = True, allow_http: bool = False) -> CallbackAddresses:
    return CallbackAddresses(AddressRules(allowed), signed=signed, allow_http=allow_http)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com",
        "https://EXAMPLE.com:8443/a/b?c=d&e=%20",
        "https://xn--bcher-kva.example./hook",
        "https://8.8.8.8/hook",
        "https://[2606:4700::1111]:444/hook",
        "https://a_b.example.com/",
        "https://localhost/",  # names are looked up when the callback is sent
        "https://example.com/" + "a" * (MAX_URL_LENGTH - 20),
    ],
)
def test_urls_of_the_public_internet_are_taken(url: str) -> None:
    addresses().check(url)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://example.com/", "begins with https://"),
        ("ftp://example.com/", "begins with https://"),
        ("//example.com/", "begins with https://"),
        ("example.com", "begins with https://"),
        ("", "ASCII"),
        ("https://example.com/a b", "ASCII"),
        ("https://bücher.example/", "ASCII"),
        ("https://example.com/\r\nHost: other", "ASCII"),
        ("https://example.com\\@other.example/", "ASCII"),
        ("https://example.com/" + "a" * MAX_URL_LENGTH, "2048"),
        ("https://ann@example.com/", "user name"),
        ("https://ann:secret@example.com/", "user name"),
        ("https://example.com@127.0.0.1/", "user name"),
        ("https://example.com/#part", "fragment"),
        ("https:///hook", "no host"),
        ("https://a..b/", "no host"),
        ("https://" + "a" * 64 + ".example/", "no host"),
        ("https://" + "a." * 130 + "example/", "no host"),
        ("https://-a.example/", "no host"),
        ("https://%31%32%37.0.0.1/", "no host"),
        ("https://127.1/", "no host"),
        ("https://2130706433/", "no host"),
        ("https://0x7f000001/", "no host"),
        ("https://0177.0.0.1/", "no host"),
        ("https://[v1.a]/", "cannot be read|no host"),
        ("https://[::1/", "cannot be read"),
        ("https://example.com:port/", "cannot be read"),
        ("https://example.com:65536/", "cannot be read"),
        ("https://example.com:0/", "Port 0"),
        ("https://127.0.0.1/", "not of the public internet"),
        ("https://127.0.0.1:8443/", "not of the public internet"),
        ("https://169.254.169.254/latest/meta-data", "not of the public internet"),
        ("https://[::1]/", "not of the public internet"),
        ("https://[::ffff:10.0.0.1]/", "not of the public internet"),
        ("https://[2606:4700::1111%25eth0]/", "not of the public internet"),
    ],
)
def test_other_urls_are_refused_with_the_reason(url: str, reason: str) -> None:
    with pytest.raises(RequestInvalid, match=reason) as refused:
        addresses().check(url)
    assert refused.value.detail.startswith("callback_url: ")
    assert "secret" not in refused.value.detail


def test_settings_allow_http_and_internal_networks() -> None:
    addresses("10.0.0.0/8", allow_http=True).check("http://10.1.2.3:8080/hook")
    with pytest.raises(RequestInvalid, match="https:// or http://"):
        addresses(allow_http=True).check("ftp://example.com")


def test_without_a_secret_none_is_taken() -> None:
    with pytest.raises(RequestInvalid, match="WEBHOOK_SECRET"):
        addresses(signed=False).check("https://example.com")
