"""`scripts/make_token.py`: tokens that a running service takes, and what is said of those that it would not."""

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from scripts import make_token
from tests.conftest import ROOT
from tests.fakes.engines import serve
from tests.servers.issuer import Issuer
from tests.support.tokens import SECRET, PrivateKey, ec_key, private_pem, public_pem, rsa_key

BASE = {"AUTH_MODE": "jwt", "JWT_ISSUER": "us", "JWT_AUDIENCE": "voice"}


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


Run = Callable[..., Done]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """The command, in this process: with options, and settings by their names."""

    def run(*options: str, **settings: str) -> Done:
        with monkeypatch.context() as patch:
            patch.chdir(tmp_path)
            patch.setattr(sys, "argv", ["make_token.py", *options])
            for name, value in {**BASE, **settings}.items():
                patch.setenv(name, value)
            code = make_token.main()
        return Done(code, *capsys.readouterr())

    return run


def service(folder: Path, **settings: str) -> AbstractContextManager[httpx.Client]:
    return serve(folder, **{name.lower(): value for name, value in {**BASE, **settings}.items()})


def user_of(http: httpx.Client, made: Done) -> str:
    assert made.returncode == 0, made.stderr
    assert made.stdout.count("\n") == 1
    answer = http.get("/api/v1/usage", headers={"Authorization": f"Bearer {made.stdout.strip()}"})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["user_id"])


def test_with_a_secret(run: Run, tmp_path: Path) -> None:
    with service(tmp_path, JWT_SECRET=SECRET) as http:
        assert user_of(http, run("--user", "anna", "--jti", "t-1", JWT_SECRET=SECRET)) == "anna"
        admin = run("--user", "root", "--scope", "admin", "--hours", "0.1", JWT_SECRET=SECRET).stdout.strip()
        bearer = {"Authorization": f"Bearer {admin}"}
        assert http.post("/api/v1/admin/revocations", json={"token_id": "t-1"}, headers=bearer).status_code == 200
        assert http.get("/api/v1/usage", headers=bearer).status_code == 403


@pytest.mark.parametrize("key", [rsa_key(), ec_key()], ids=["RS256", "ES256"])
def test_with_a_private_key(run: Run, key: PrivateKey, tmp_path: Path) -> None:
    private, public = tmp_path / "private.pem", tmp_path / "public.pem"
    private.write_bytes(private_pem(key))
    public.write_bytes(public_pem(key))
    with service(tmp_path, JWT_PUBLIC_KEY_FILE=str(public)) as http:
        assert user_of(http, run("--user", "anna", "--key", str(private), JWT_PUBLIC_KEY_FILE=str(public))) == "anna"


def test_with_an_issuers_key_set(run: Run, tmp_path: Path) -> None:
    (tmp_path / "private.pem").write_bytes(private_pem(key := rsa_key()))
    with Issuer() as issuer:
        issuer.add("k-1", key)
        with service(tmp_path, JWT_JWKS_URL=issuer.jwks_url) as http:
            options = ("--user", "anna", "--key", str(tmp_path / "private.pem"))
            assert user_of(http, run(*options, "--kid", "k-1", JWT_JWKS_URL=issuer.jwks_url)) == "anna"
            unnamed = run(*options, JWT_JWKS_URL=issuer.jwks_url)
    assert (unnamed.returncode, unnamed.stdout) == (1, "")
    assert "would refuse it" in unnamed.stderr


def test_as_a_command_with_the_settings_of_its_folder() -> None:
    command = [sys.executable, "scripts/make_token.py", "--user", "anna"]
    environment = {**os.environ, **BASE, "JWT_SECRET": SECRET}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=100, check=True)
    assert done.stdout.count(".") == 2


@pytest.mark.parametrize(
    ("options", "settings", "code", "said"),
    [
        ((), {"AUTH_MODE": "off"}, 2, "AUTH_MODE is off"),
        ((), {}, 2, "exactly one of"),
        (("--scope", "voice everything"), {"JWT_SECRET": SECRET}, 2, "no scope everything"),
        (("--hours", "9000"), {"JWT_SECRET": SECRET}, 1, "lives longer"),
        (("--hours", "-1"), {"JWT_SECRET": SECRET}, 1, "has expired"),
        (("--jti", ""), {"JWT_SECRET": SECRET}, 1, "`jti`"),
        (("--key", "/dev/null"), {"JWT_SECRET": SECRET}, 2, "JWT_SECRET signs"),
        ((), {"JWT_PUBLIC_KEY_FILE": "key.pem"}, 2, "--key names"),
        (("--key", "/dev/null"), {"JWT_PUBLIC_KEY_FILE": "key.pem"}, 2, "cannot be read as a private key"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_is_said(
    run: Run, options: tuple[str, ...], settings: dict[str, str], code: int, said: str
) -> None:
    done = run("--user", "anna", *options, **settings)
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert said in done.stderr
    assert SECRET not in done.stderr


def test_a_key_that_the_service_does_not_know_is_found_out(run: Run, tmp_path: Path) -> None:
    (tmp_path / "private.pem").write_bytes(private_pem(rsa_key()))
    (tmp_path / "public.pem").write_bytes(public_pem(rsa_key()))
    settings = {"JWT_PUBLIC_KEY_FILE": str(tmp_path / "public.pem")}
    done = run("--user", "anna", "--key", str(tmp_path / "private.pem"), **settings)
    assert (done.returncode, done.stdout) == (1, "")
    assert "would refuse it" in done.stderr
