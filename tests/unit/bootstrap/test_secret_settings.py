"""No secret setting is shown: by the settings themselves, by what is said of wrong ones, or by a start that fails."""

import base64
import os
import subprocess
import sys
import traceback
from pathlib import Path

import pytest
from pydantic import ValidationError

from src.bootstrap.process import load_settings
from src.config.settings import Settings
from tests.conftest import ROOT
from tests.servers.ports import free_port

MARKER = "qplantedsecretzxwv"
KEY = base64.b64encode(MARKER.encode().ljust(32, b"x")).decode()
SECRETS = [name for name, kept in Settings.model_fields.items() if "SecretStr" in str(kept.annotation)]
VALID = {
    "database_url": f"postgresql+asyncpg://user:{MARKER}@127.0.0.1:1/none",
    "redis_url": f"redis://:{MARKER}@127.0.0.1:1/0",
    "storage_keys": KEY,
    "webhook_secret": f"whsec_{KEY}",
    "moderation_webhook_secret": f"whsec_{KEY}",
}
OTHERS = {"jwt_issuer": "me", "jwt_audience": "voice", "auth_mode": "jwt"}


def valid(name: str) -> str:
    return VALID.get(name, f"{MARKER}-{MARKER}")


def shows(text: str) -> bool:
    return MARKER in text or KEY[:20] in text


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.lower() in Settings.model_fields:
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def test_there_are_secrets() -> None:
    assert {"jwt_secret", "database_url", "redis_url", "s3_secret_access_key", "storage_keys"} <= set(SECRETS)


def test_settings_do_not_show_them(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SECRETS:
        monkeypatch.setenv(name.upper(), valid(name))
    for name, value in OTHERS.items():
        monkeypatch.setenv(name.upper(), value)
    settings = Settings()
    for name in SECRETS:
        assert shows(getattr(settings, name).get_secret_value()), name
    assert not shows(repr(settings) + str(settings) + str(settings.model_dump()) + settings.model_dump_json())
    assert not shows(repr(vars(settings)))


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize(
    ("wrong", "more"),
    [
        (MARKER, {}),
        (f"{MARKER} {MARKER}", {"auth_mode": "jwt"}),
        (f"redis://:{MARKER}@h:99999", {"port": "none"}),
        (f"whsec_{MARKER}", {"workers": "remote"}),
    ],
)
def test_what_is_said_of_wrong_settings_does_not_quote_them(
    name: str, wrong: str, more: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for setting, value in {**more, name: wrong}.items():
        monkeypatch.setenv(setting.upper(), value)
    load_settings()
    out, err = capsys.readouterr()
    assert not shows(out + err)
    if err:
        with pytest.raises(ValidationError) as refused:  # as whoever runs uvicorn with the factory sees it
            Settings()
        assert not shows("".join(traceback.format_exception(refused.value)) + repr(refused.value))


@pytest.mark.parametrize(
    ("program", "broken"),
    [
        (("-m", "src.main"), {}),
        (("-m", "src.worker"), {}),
        (("-c", "from src.main import create_app; create_app()"), {"STORAGE_KEYS": MARKER, "JWT_SECRET": MARKER}),
    ],
)
def test_a_start_that_fails_does_not_show_them(
    program: tuple[str, ...], broken: dict[str, str], tmp_path: Path
) -> None:
    secrets = {name.upper(): valid(name) for name in (*SECRETS,)} | {
        name.upper(): item for name, item in OTHERS.items()
    }
    ended = subprocess.run(
        [sys.executable, *program],
        cwd=tmp_path,
        env={
            **os.environ,
            **secrets,
            **broken,
            "PYTHONPATH": str(ROOT),
            "PORT": str(free_port()),
            "DATA_DIR": str(tmp_path / "data"),
            "LOG_LEVEL": "debug",
        },
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert ended.returncode != 0
    assert ended.stderr
    assert not shows(ended.stdout + ended.stderr)
