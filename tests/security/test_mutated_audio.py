"""Damaged recordings over HTTP, to the real decoder, and damaged bodies round whole ones."""

from collections.abc import Iterator

import pytest

from tests.attacks.barrage import send_bodies, send_recordings
from tests.attacks.fuzzed_service import Fuzzed, fuzzed_service
from tests.attacks.mutations import json_bodies, recordings
from tests.attacks.process_watch import Watch
from tests.support.reporting import LONG, either, say

pytestmark = pytest.mark.timeout(1500)

RECORDINGS, BODIES = either((10_000, 2000), (190, 114))
MEGABYTES = 200
DECODER_MEGABYTES = 1074
"""1 GiB."""
DECODERS = 2


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fuzzed]:
    with fuzzed_service(tmp_path_factory.mktemp("mutated")) as running:
        yield running
        assert running.process.poll() is None


async def test_damaged_recordings_are_refused_and_nothing_else_happens(
    service: Fuzzed, capsys: pytest.CaptureFixture[str]
) -> None:
    await send_recordings(service, recordings(either(200, 20), seed=0))
    with Watch(service.process.pid, service.url) as watch:
        outcome = await send_recordings(service, recordings(RECORDINGS, seed=20261121))
    replaced = len(watch.children) - DECODERS
    say(
        capsys,
        f"{outcome.sent} damaged recordings in {outcome.seconds:.0f} s, the slowest in "
        f"{outcome.slowest_seconds:.1f} s; decoders: {replaced} replaced, {watch.child_peak:.0f} MB at most; {watch}\n"
        f"{outcome.table()}",
    )
    assert outcome.wrong == []
    assert outcome.sent == RECORDINGS
    assert set(outcome.of_damage["none"]) == {200}
    assert LONG or replaced <= 1
    assert watch.unanswered == 0
    assert watch.growth <= MEGABYTES
    assert watch.child_peak <= DECODER_MEGABYTES


async def test_damaged_bodies_are_refused_and_nothing_else_happens(
    service: Fuzzed, capsys: pytest.CaptureFixture[str]
) -> None:
    await send_bodies(service, json_bodies(either(100, 10), seed=0))
    with Watch(service.process.pid, service.url) as watch:
        outcome = await send_bodies(service, json_bodies(BODIES, seed=20261121))
    say(capsys, f"{outcome.sent} damaged bodies in {outcome.seconds:.0f} s; {watch}\n{outcome.table()}")
    assert outcome.wrong == []
    assert watch.unanswered == 0
    assert watch.growth <= MEGABYTES
