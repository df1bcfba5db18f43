"""Cases made from the served OpenAPI document, with every check of schemathesis."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.attacks.fuzzed_service import Fuzzed, fuzzed_service
from tests.attacks.openapi_run import OF_WHOLE_USERS, run_cases
from tests.attacks.process_watch import Watch
from tests.support.reporting import long_only, say

pytestmark = pytest.mark.timeout(1500)

CASES = 10_000
EXAMPLES = 500
"""For each operation, in each round of as many as CASES takes: some operations have only a few that differ."""
MEGABYTES = 200


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fuzzed]:
    with fuzzed_service(tmp_path_factory.mktemp("openapi")) as running:
        yield running
        assert running.process.poll() is None


def test_what_the_document_says_is_so(service: Fuzzed, tmp_path: Path) -> None:
    with Watch(service.process.pid, service.url) as watch:
        outcome = run_cases(service, tmp_path, examples=1, seed=1, phases=("examples", "coverage"))
    assert outcome.failures == [], outcome.output
    assert outcome.server_errors == 0
    hollow = [each for each in outcome.never_served if "{" not in each]
    assert hollow == [], "nothing but refusals was tried"
    assert outcome.cases >= 300
    assert watch.unanswered == 0
    assert watch.growth <= MEGABYTES, watch


@long_only
def test_ten_thousand_cases(service: Fuzzed, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outcome = run_cases(service, tmp_path, examples=1, seed=0)
    with Watch(service.process.pid, service.url) as watch:
        while outcome.cases < CASES:
            seed = 20261121 + outcome.cases
            outcome += run_cases(service, tmp_path, examples=EXAMPLES, seed=seed, phases=("fuzzing", "stateful"))
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


@long_only
def test_cases_that_end_users_and_tokens(service: Fuzzed, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The last: nobody's token counts any more."""
    outcome = run_cases(
        service, tmp_path, examples=EXAMPLES, seed=20261121, user="root", scope="voice admin", only=OF_WHOLE_USERS
    )
    say(capsys, f"{outcome.cases} cases as an administrator in {outcome.seconds:.0f} s\n{outcome.table()}")
    assert outcome.failures == [], outcome.output
    assert outcome.server_errors == 0
