"""docker/docker-compose.yml: by the published schema, and by what this project asks of it."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from src.config.settings import Settings
from tests.conftest import ROOT
from tests.image.container import VOLUMES
from tests.image.dockerfile import parse

FILE = ROOT / "docker" / "docker-compose.yml"
OURS = ("translator", "worker", "worker-gpu")
SECRETS = {
    name: f"{name.replace('_', '').lower()}0123456789abcdef0123456789"
    for name in (
        *("POSTGRES_PASSWORD", "REDIS_PASSWORD", "S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY"),
        *("JWT_SECRET", "PSEUDONYM_KEY"),
    )
}
VARIABLE = re.compile(r"\$(?:(\$)|\{(\w+)(?::([-?])([^}]*))?\})")


class Refused(Exception):
    """Compose would not start, with these words."""


def interpolated(text: str, values: dict[str, str]) -> str:
    """As compose does it: an empty value counts as none."""

    def value(match: re.Match[str]) -> str:
        escaped, name, kind, rest = match.groups()
        if escaped:
            return "$"
        if values.get(name) or kind == "-":
            return values.get(name) or str(rest)
        raise Refused(f"{name}: {rest}")

    return VARIABLE.sub(value, text)


def compose(values: dict[str, str]) -> dict[str, Any]:
    """Its services as compose would start them."""

    def walk(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: walk(value) for key, value in node.items()}
        if isinstance(node, list):
            return [walk(value) for value in node]
        return interpolated(node, values) if isinstance(node, str) else node

    read: dict[str, Any] = walk(YAML(typ="safe").load(FILE.read_text()))
    return read


SERVICES: dict[str, Any] = compose(SECRETS)["services"]


def test_it_keeps_to_the_published_schema() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*command, FILE], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout


# --- secrets


@pytest.mark.parametrize("name", SECRETS)
def test_without_a_secret_nothing_starts(name: str) -> None:
    with pytest.raises(Refused, match=f"{name}: set it in docker/.env"):
        compose({key: value for key, value in SECRETS.items() if key != name})


def test_nothing_that_lets_in_has_a_default() -> None:
    for name, kind, rest in re.findall(r"\$\{(\w+)(?::([-?])([^}]*))?", FILE.read_text()):
        if re.search(r"PASSWORD|SECRET|ACCESS_KEY", name):
            assert kind == "?" or (kind, rest) == ("-", ""), f"{name} works without anyone having set it"


def test_no_secret_is_on_a_command_line() -> None:
    for service in SERVICES.values():
        words = str(service.get("command")) + str(service["healthcheck"])
        assert [secret for secret in SECRETS.values() if secret in words] == []


def test_no_service_has_a_secret_that_it_does_not_need() -> None:
    holders = {
        secret: {name for name, service in SERVICES.items() if value in str(service)}
        for secret, value in SECRETS.items()
    }
    assert holders["JWT_SECRET"] == {"translator"}
    assert holders["PSEUDONYM_KEY"] == {*OURS}
    assert holders["POSTGRES_PASSWORD"] == {*OURS, "postgres"}
    assert holders["REDIS_PASSWORD"] == {*OURS, "redis"}
    assert holders["S3_ACCESS_KEY_ID"] == holders["S3_SECRET_ACCESS_KEY"] == {*OURS, "s3"}


def test_it_asks_for_consent_unless_told_otherwise() -> None:
    for name in OURS:
        assert SERVICES[name]["environment"]["PROFILE_CONSENT"] == "required"


# --- health, starts and stops


@pytest.mark.parametrize("name", SERVICES)
def test_its_health_is_checked(name: str) -> None:
    check = SERVICES[name]["healthcheck"]
    assert check["test"][0] in {"CMD", "CMD-SHELL"}
    assert {"interval", "timeout", "retries", "start_period"} <= check.keys()
    assert SERVICES[name]["restart"] == "unless-stopped"
    assert SERVICES[name]["logging"]["options"]["max-size"], "logs without a bound fill the disk"


@pytest.mark.parametrize("name", OURS)
def test_it_waits_for_its_stores(name: str) -> None:
    waited = SERVICES[name]["depends_on"]
    assert {store: condition["condition"] for store, condition in waited.items()} == dict.fromkeys(
        ("postgres", "redis", "s3"), "service_healthy"
    )


@pytest.mark.parametrize("name", OURS)
def test_it_has_time_to_end(name: str) -> None:
    grace = float(
        SERVICES[name]["environment"].get(
            "SHUTDOWN_GRACE_SECONDS", Settings.model_fields["shutdown_grace_seconds"].default
        )
    )
    assert int(SERVICES[name]["stop_grace_period"].removesuffix("s")) >= 2 * grace + 10


@pytest.mark.parametrize("name", SERVICES)
def test_its_data_outlives_it(name: str) -> None:
    named = compose(SECRETS)["volumes"]
    assert all(volume.split(":")[0] in named for volume in SERVICES[name].get("volumes", []))


# --- what it may do


@pytest.mark.parametrize("name", OURS)
def test_it_may_write_where_the_test_of_the_image_lets_it(name: str) -> None:
    assert tuple(volume.split(":")[1] for volume in SERVICES[name]["volumes"]) == VOLUMES
    assert [place.split(":")[0] for place in SERVICES[name]["tmpfs"]] == ["/tmp", "/data"]  # noqa: S108 - in the container


@pytest.mark.parametrize("name", SERVICES)
def test_its_image_is_of_one_release(name: str) -> None:
    assert name in OURS or re.search(r":v?\d+\.\d+", SERVICES[name]["image"])
    assert ("build" in SERVICES[name]) == (name in OURS)


@pytest.mark.parametrize("name", SERVICES)
def test_it_gets_no_more_rights(name: str) -> None:
    assert SERVICES[name]["security_opt"] == ["no-new-privileges:true"]
    if name != "s3":  # starts as root, to take over its folder, and then drops to its user
        assert SERVICES[name]["cap_drop"] == ["ALL"]
        assert SERVICES[name]["read_only"] is True


def test_what_can_be_reached_can_be_so_from_this_machine_alone() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {
        "translator": ["127.0.0.1:8000:8000"],
        "s3": ["127.0.0.1:8333:8333"],
        "gateway": ["127.0.0.1:8443:8443"],
        "grafana": ["127.0.0.1:3000:3000"],
    }


def test_every_file_that_is_given_is_there() -> None:
    for given in compose(SECRETS)["configs"].values():
        assert (FILE.parent / given["file"]).is_file()


def test_databases_have_no_way_out() -> None:
    assert compose(SECRETS)["networks"]["state"] == {"internal": True}
    assert SERVICES["postgres"]["networks"] == SERVICES["redis"]["networks"] == ["state"]


# --- what the service is told


@pytest.mark.parametrize("name", OURS)
def test_its_variables_are_settings_and_they_fit_together(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    environment = SERVICES[name]["environment"]
    settings_of = {variable.lower() for variable in environment if not variable.startswith("OTEL_")}
    assert settings_of <= Settings.model_fields.keys()
    dockerfile = ROOT / SERVICES[name]["build"]["dockerfile"]
    monkeypatch.chdir(tmp_path)
    for variable in Settings.model_fields:
        monkeypatch.delenv(variable.upper(), raising=False)
    for variable, value in (parse(dockerfile)[-1].environment | environment).items():
        if variable != "PATH":
            monkeypatch.setenv(variable, value)
    settings = Settings()
    assert settings.storage == "s3"
    assert settings.effective_database_url.startswith("postgresql+asyncpg://voice:")


def test_every_service_names_the_same_stores() -> None:
    translator, worker, gpu = (SERVICES[name]["environment"] for name in OURS)
    assert worker == gpu
    for variable in ("DATABASE_URL", "REDIS_URL", "S3_ENDPOINT_URL", "S3_BUCKET", "WORKERS"):
        assert translator[variable] == worker[variable]
    assert SERVICES["s3"]["environment"]["S3_BUCKET"] == translator["S3_BUCKET"]
