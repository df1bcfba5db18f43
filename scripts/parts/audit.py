"""Ask an advisory service about every pinned package: fails for a known vulnerability that nobody has looked at.

Without a reachable service it says so and passes: a train has no network, and the next run with one will tell.
"""

import json
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ("requirements.txt", "tests/requirements.txt")

ACCEPTED = {
    "CVE-2026-85394": "python-jose takes a DER public key as an HMAC secret when the allowed algorithms mix families;"
    " tokens are verified with exactly one algorithm family and keys in PEM or JWK.",
}
"""Vulnerabilities that do not reach this service: id -> why. An entry that no report names any more should go."""

PROBES = {
    "pypi": urllib.request.Request("https://pypi.org/pypi/python-jose/3.5.0/json"),
    "osv": urllib.request.Request(
        "https://api.osv.dev/v1/query",
        data=b'{"version": "3.5.0", "package": {"name": "python-jose", "ecosystem": "PyPI"}}',
    ),
}
PROBE_SECONDS = 5.0
AUDIT_SECONDS = 300.0


def main() -> int:
    service = next(filter(reachable, PROBES), None)
    if service is None:
        print("audit skipped: no advisory service reachable")
        return 0
    report = ask(service)
    if report is None:
        return 1
    lines, unaccepted = judge(report)
    print("\n".join(lines))
    return 1 if unaccepted else 0


def reachable(service: str) -> bool:
    try:
        with urllib.request.urlopen(PROBES[service], timeout=PROBE_SECONDS) as answer:  # noqa: S310 (a constant https address)
            return isinstance(json.load(answer), dict)
    except (OSError, ValueError):
        return False


def ask(service: str) -> dict[str, Any] | None:
    """pip-audit's report. None when it could not make one; then its own words are on stderr."""
    requirements = [argument for lock in LOCKS for argument in ("--requirement", lock)]
    command = [sys.executable, "-m", "pip_audit", "--vulnerability-service", service, "--format", "json"]
    options = ["--no-deps", "--disable-pip", "--progress-spinner", "off"]
    try:
        done = subprocess.run(
            [*command, *options, *requirements],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=AUDIT_SECONDS,
            check=False,
        )
        report: dict[str, Any] = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        print(f"pip-audit had not ended after {AUDIT_SECONDS:.0f} s", file=sys.stderr)
        return None
    except json.JSONDecodeError:
        print(done.stderr, file=sys.stderr)
        return None
    return report


def judge(report: dict[str, Any]) -> tuple[list[str], int]:
    """What to print, and how many vulnerabilities are not accepted."""
    lines: list[str] = []
    unaccepted = 0
    for package in report["dependencies"]:
        if "skip_reason" in package:
            lines.append(f"not audited: {package['name']}: {package['skip_reason']}")
        for vulnerability in package.get("vulns", []):
            names = [vulnerability["id"], *vulnerability["aliases"]]
            reason = next((ACCEPTED[name] for name in names if name in ACCEPTED), None)
            unaccepted += reason is None
            title = f"{package['name']} {package['version']}: {', '.join(names)}"
            fixed = ", ".join(vulnerability["fix_versions"]) or "no release"
            lines.append(f"VULNERABLE {title} (fixed in: {fixed})" if reason is None else f"accepted {title}: {reason}")
    audited = sum("skip_reason" not in package for package in report["dependencies"])
    return [*lines, f"{audited} packages audited, {unaccepted} unaccepted vulnerabilities"], unaccepted


if __name__ == "__main__":
    sys.exit(main())
