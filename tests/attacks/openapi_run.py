"""Runs schemathesis against a service, in a process of its own, with all its checks."""

import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.attacks.fuzzed_service import Fuzzed, token
from tests.conftest import ROOT

PHASES = ("examples", "coverage", "fuzzing", "stateful")
OF_WHOLE_USERS = r"^/api/v1/(admin/|me\b)"
"""What ends a user's tokens, or all that a user has: in one run with the rest it would leave nothing to be found."""
FOR_USERS = rf"(?!{OF_WHOLE_USERS})^/"


@dataclass(frozen=True)
class Outcome:
    cases: int
    seconds: float
    failures: list[str]
    """What is wrong, each once, with the operations where it is."""
    answers: Counter[tuple[str, int]]
    """By operation and status."""
    declared: frozenset[str]
    """Operations that the document has, among those that were asked for."""
    output: str
    """What schemathesis said, with a curl command for each failure."""

    def __add__(self, other: "Outcome") -> "Outcome":
        return Outcome(
            self.cases + other.cases,
            self.seconds + other.seconds,
            self.failures + other.failures,
            self.answers + other.answers,
            self.declared | other.declared,
            self.output + other.output,
        )

    @property
    def server_errors(self) -> int:
        return sum(count for (_, status), count in self.answers.items() if status >= 500)

    @property
    def never_served(self) -> list[str]:
        """Operations that no case came through: there nothing but refusals was tried."""
        served = {operation for operation, status in self.answers if 200 <= status < 300}
        return sorted(self.declared - served)

    def table(self) -> str:
        """A line for each operation: how many answers of each status."""
        lines = []
        for operation in sorted(self.declared):
            of_it = sorted((status, n) for (name, status), n in self.answers.items() if name == operation)
            lines.append(f"  {operation:<46}" + "  ".join(f"{status}: {n}" for status, n in of_it))
        others = sum(n for (operation, _), n in self.answers.items() if operation not in self.declared)
        return "\n".join([*lines, f"  methods that an address does not take: {others}"])


def run_cases(
    service: Fuzzed,
    folder: Path,
    *,
    examples: int,
    seed: int,
    phases: tuple[str, ...] = PHASES,
    user: str = "ann",
    scope: str = "voice",
    only: str = FOR_USERS,
) -> Outcome:
    """`examples`: at most so many for each operation in the phases that generate. `only`: the paths that match.

    One worker: in several threads Python 3.11.7 fails to parse schemathesis's own lambdas now and then.
    """
    report, counts = folder / "report.json", folder / "counts.json"
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{service.url}/openapi.json"),
        *("--header", f"Authorization: Bearer {token(user, scope)}", "--include-path-regex", only),
        *("--checks", "all", "--phases", ",".join(phases), "--continue-on-failure"),
        *("--max-examples", str(examples), "--seed", str(seed), "--workers", "1"),
        *("--request-timeout", "60", "--suppress-health-check", "all", "--generation-database", "none", "--no-color"),
        *("--report", "json", "--report-json-path", str(report)),
    ]
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "SCHEMATHESIS_HOOKS": "tests.attacks.openapi_hooks",
        "STATUS_COUNTS": str(counts),
    }
    begun = time.monotonic()
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=1500
    )
    seconds = time.monotonic() - begun
    if not report.exists() or done.returncode not in (0, 1):
        raise RuntimeError(f"schemathesis ended with {done.returncode}:\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
    said = json.loads(report.read_text())
    wrong = [
        f"{item['title']}: {', '.join(map(str, item.get('operations', [])))}"
        for item in (*said["failures"], *said["errors"])
    ]
    answers = {
        (f"{method} {path}", int(status)): count
        for (method, path, status), count in ((key.split(), n) for key, n in json.loads(counts.read_text()).items())
    }
    document = httpx.get(f"{service.url}/openapi.json", timeout=60).json()
    declared = frozenset(
        f"{method.upper()} {path}"
        for path, methods in document["paths"].items()
        if re.search(only, path)
        for method in methods
    )
    return Outcome(said["test_cases"]["generated"], seconds, wrong, Counter(answers), declared, done.stdout)
