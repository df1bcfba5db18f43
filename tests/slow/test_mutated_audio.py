"""Some hundred damaged recordings over HTTP, to the real decoder. The long form is `scripts/test security`."""

from pathlib import Path

import pytest

from tests.attacks.barrage import send_bodies, send_recordings
from tests.attacks.mutations import json_bodies, recordings
from tests.attacks.process_watch import Watch
from tests.servers.fuzzed_service import fuzzed_service


@pytest.mark.timeout(400)
async def test_damaged_recordings_and_bodies_are_refused_and_nothing_else_happens(tmp_path: Path) -> None:
    with fuzzed_service(tmp_path) as service, Watch(service.process.pid, service.url) as watch:
        heard = await send_recordings(service, recordings(190, seed=1))
        read = await send_bodies(service, json_bodies(114, seed=1))
        assert service.process.poll() is None
    assert heard.wrong + read.wrong == []
    assert (heard.sent, read.sent) == (190, 114)
    assert heard.of_damage["none"] == {200: 10}
    assert watch.unanswered == 0
    assert watch.growth <= 200, watch
    assert len(watch.children) <= 3, "the decoder's processes had to be replaced"
