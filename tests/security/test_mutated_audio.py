"""Ten thousand damaged recordings over HTTP, to the real decoder, and damaged bodies round whole ones."""

from pathlib import Path

import pytest

from tests.attacks.barrage import send_bodies, send_recordings
from tests.attacks.mutations import json_bodies, recordings
from tests.attacks.process_watch import Watch
from tests.servers.fuzzed_service import fuzzed_service
from tests.support.reporting import say

pytestmark = pytest.mark.timeout(1500)

MEGABYTES = 200
DECODER_MEGABYTES = 1074
"""1 GiB."""
DECODERS = 2


async def test_ten_thousand_damaged_recordings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with fuzzed_service(tmp_path) as service:
        await send_recordings(service, recordings(200, seed=0))
        with Watch(service.process.pid, service.url) as watch:
            outcome = await send_recordings(service, recordings(10_000, seed=20261121))
        assert service.process.poll() is None
    replaced = len(watch.children) - DECODERS
    say(
        capsys,
        f"{outcome.sent} damaged recordings in {outcome.seconds:.0f} s, the slowest in "
        f"{outcome.slowest_seconds:.1f} s; decoders: {replaced} replaced, {watch.child_peak:.0f} MB at most; {watch}\n"
        f"{outcome.table()}",
    )
    assert outcome.wrong == []
    assert outcome.sent == 10_000
    assert set(outcome.of_damage["none"]) == {200}
    assert watch.unanswered == 0
    assert watch.growth <= MEGABYTES
    assert watch.child_peak <= DECODER_MEGABYTES


async def test_two_thousand_damaged_bodies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with fuzzed_service(tmp_path) as service:
        await send_bodies(service, json_bodies(100, seed=0))
        with Watch(service.process.pid, service.url) as watch:
            outcome = await send_bodies(service, json_bodies(2000, seed=20261121))
        assert service.process.poll() is None
    say(capsys, f"{outcome.sent} damaged bodies in {outcome.seconds:.0f} s; {watch}\n{outcome.table()}")
    assert outcome.wrong == []
    assert watch.unanswered == 0
    assert watch.growth <= MEGABYTES
