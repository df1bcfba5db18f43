"""The OpenAPI document holds: some hundred cases made from it, with every check of schemathesis. The long form is
`scripts/test security`.
"""

from pathlib import Path

import pytest

from tests.attacks.openapi_run import run_cases
from tests.attacks.process_watch import Watch
from tests.servers.fuzzed_service import fuzzed_service


@pytest.mark.timeout(400)
def test_what_the_document_says_is_so(tmp_path: Path) -> None:
    with fuzzed_service(tmp_path) as service, Watch(service.process.pid, service.url) as watch:
        outcome = run_cases(service, tmp_path, examples=1, seed=1, phases=("examples", "coverage"))
        assert service.process.poll() is None
    assert outcome.failures == [], outcome.output
    assert outcome.server_errors == 0
    hollow = [each for each in outcome.never_served if "{" not in each]
    assert hollow == [], "nothing but refusals was tried"
    assert outcome.cases >= 300
    assert watch.unanswered == 0
    assert watch.growth <= 200, watch
