"""Settings of the edge that are refused at the start."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from src.bootstrap.process import load_settings
from src.config.settings import Settings

JWT = {"auth_mode": "jwt", "jwt_secret": "s" * 32, "jwt_issuer": "i", "jwt_audience": "a"}


def made(**settings: Any) -> Settings:
    return Settings(_env_file=None, **settings)


@pytest.mark.parametrize(
    "origins",
    [
        "https://app.example.org",
        "https://app.example.org:8443,http://localhost:3000",
        "http://127.0.0.1:3000",
        "http://[::1]:3000",
    ],
)
def test_origins(origins: str) -> None:
    assert made(cors_origins=origins).cors_origins == origins.split(",")


@pytest.mark.parametrize(
    "origin",
    [
        *(
            "app.example.org",
            "https://",
            "https://app.example.org/",
            "https://app.example.org/path",
            "null",
            "https://*",
        ),
        *("https://*.example.org", "https://App.example.org", "ftp://app.example.org", "https://user@app.example.org"),
        *("https://app.example.org:port", "https://app.example.org?x", "https://app.example.org\n"),
    ],
)
def test_what_is_no_origin(origin: str) -> None:
    with pytest.raises(ValidationError, match="is no origin"):
        made(cors_origins=[origin], **JWT)


def test_a_wildcard_only_where_callers_have_tokens() -> None:
    assert made(cors_origins="*", **JWT).cors_origins == ["*"]
    for settings in ({"cors_origins": "*"}, {"cors_origins": "*,https://app.example.org", **JWT}):
        with pytest.raises(ValidationError, match="stands alone, and needs AUTH_MODE=jwt"):
            made(**settings)


def test_proxies_are_addresses() -> None:
    assert made(trusted_proxies="10.0.0.0/8,::1").trusted_proxies == ["10.0.0.0/8", "::1"]
    with pytest.raises(ValidationError, match="does not appear to be an IPv4 or IPv6 network"):
        made(trusted_proxies="proxy.example.org")


def test_a_setting_of_before_that_made_something_safer_is_not_ignored(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("DATABASE_TLS=verify-full\n")
    assert load_settings() is None
    assert "DATABASE_URL: ?ssl=verify-full" in capsys.readouterr().err
    (tmp_path / ".env").write_text("DATABASE_TLS=\n")
    assert load_settings() is not None
