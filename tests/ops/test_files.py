"""The files that an operator takes: rules and panels name what is there, and Kubernetes' are what its schemas say."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml

from src.config.settings import Settings

DOCKER = Path(__file__).resolve().parents[2] / "docker"
ALERTS = DOCKER / "observe" / "alerts.yml"
KUBERNETES = DOCKER / "kubernetes"
RELEASE = "1.37"


def run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def test_promtool_finds_nothing_wrong() -> None:
    run("promtool", "check", "rules", ALERTS)
    run("promtool", "check", "config", DOCKER / "observe" / "prometheus.yml")


def test_the_runbook_has_a_line_for_each_alert_and_no_other() -> None:
    lines = re.findall(r"^\| (Voice\w+) \|", (DOCKER / "RUNBOOK.md").read_text(), re.MULTILINE)
    assert lines == [rule["alert"] for rule in rules()]


def base() -> list[dict[str, Any]]:
    files = ("api.yaml", "worker.yaml")
    return [each for name in files for each in yaml.safe_load_all((KUBERNETES / "base" / name).read_text())]


def test_kubernetes_takes_the_base() -> None:
    for resource in base():
        kubernetes_validate.validate(resource, RELEASE, strict=True)


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl, which has kustomize, is not installed")
@pytest.mark.parametrize(("overlay", "kinds"), [("one-gpu", set()), ("scaled", {"ScaledObject"})])
def test_kubernetes_takes_an_overlay(overlay: str, kinds: set[str]) -> None:
    built = list(yaml.safe_load_all(run("kubectl", "kustomize", KUBERNETES / overlay)))
    named = {resource["kind"] for resource in built}
    assert {"ConfigMap", "Deployment", "Service", "PodDisruptionBudget"} | kinds == named
    for resource in built:
        if resource["kind"] != "ScaledObject":  # its schema is KEDA's
            kubernetes_validate.validate(resource, RELEASE, strict=True)
    if overlay == "scaled":
        (worker,) = [each for each in built if each["kind"] == "Deployment" and each["metadata"]["name"] == "worker"]
        assert "replicas" not in worker["spec"]


def test_processes_of_kubernetes_have_time_to_end_and_settings_that_exist() -> None:
    grace = float(Settings.model_fields["shutdown_grace_seconds"].default)
    for resource in base():
        if resource["kind"] == "Deployment":
            assert resource["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] >= 2 * grace + 10
    kustomization = yaml.safe_load((KUBERNETES / "base" / "kustomization.yaml").read_text())
    given = {line.split("=")[0] for line in kustomization["configMapGenerator"][0]["literals"]}
    assert {name.lower() for name in given if not name.startswith("OTEL_")} <= Settings.model_fields.keys()


def test_the_gateways_agree() -> None:
    (kong,) = yaml.safe_load((DOCKER / "gateway" / "kong.yml").read_text())["services"]
    nginx = (DOCKER / "gateway" / "nginx.conf").read_text()
    route, *_ = kong["routes"]
    plugins = {plugin["name"]: plugin["config"] for plugin in [*kong["plugins"], *route["plugins"]]}
    assert plugins.keys() == {"jwt", "rate-limiting", "cors", "request-size-limiting", "correlation-id", "http-log"}
    assert f"client_max_body_size {plugins['request-size-limiting']['allowed_payload_size']}m;" in nginx
    assert f"rate={plugins['rate-limiting']['minute']}r/m;" in nginx
    assert f"proxy_read_timeout {kong['read_timeout'] // 1000}s;" in nginx
    assert kong["read_timeout"] / 1000 > Settings.model_fields["sync_timeout_seconds"].default
    assert kong["retries"] == 0
    assert not any(route[name] for name in ("request_buffering", "response_buffering", "strip_path"))
