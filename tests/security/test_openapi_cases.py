"""Ten thousand cases made from the served OpenAPI document, with every check of schemathesis."""

from pathlib import Path

import pytest

from tests.attacks.openapi_run import OF_WHOLE_USERS, run_cases
from tests.attacks.process_watch import Watch
from tests.servers.fuzzed_service import fuzzed_service
from tests.support.reporting import say

pytestmark = pytest.mark.timeout(1500)

CASES = 10_000
EXAMPLES = 500
"""For each operation, in each round of as many as CASES takes: some operations have only a few that differ."""
MEGABYTES = 200


def test_cases_that_end_users_and_tokens(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with fuzzed_service(tmp_path) as service:
        outcome = run_cases(
            service, tmp_path, examples=EXAMPLES, seed=20261121, user="root", scope="voice admin", only=OF_WHOLE_USERS
        )
    say(capsys, f"{outcome.cases} cases as an administrator in {outcome.seconds:.0f} s\n{outcome.table()}")
    assert outcome.failures == [], outcome.output
    assert outcome.server_errors == 0


def test_ten_thousand_cases(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with fuzzed_service(tmp_path) as service:
        outcome = run_cases(service, tmp_path, examples=1, seed=0)
        with Watch(service.process.pid, service.url) as watch:
            while outcome.cases < CASES:
                seed = 20261121 + outcome.cases
                outcome += run_cases(service, tmp_path, examples=EXAMPLES, seed=seed, phases=("fuzzing", "stateful"))
        assert service.process.poll() is None
    say(
        capsys,
        f"{outcome.cases} cases in {outcome.seconds:.0f} s: {len(outcome.failures)} failures, "
        f"{outcome.server_errors} answers of 500 or more; {watch}\n{outcome.table()}",
    )
    assert outcome.failures == [], outcome.output
    assert outcome.server_errors == 0
    # a challenge is met by saying its words, which the stand-in for a recogniser never hears
    assert set(outcome.never_served) <= {"POST /api/v1/voice/profile/{profile_id}/verification"}
    assert watch.unanswered == 0
    assert watch.growth <= MEGABYTES
