"""`scripts/soak.py` for two minutes, on stand-in engines; at its full length it is run by hand, on the real ones."""

import pytest

from scripts import soak
from tests.support.reporting import say


@pytest.mark.timeout(600)
def test_mixed_traffic_fails_nothing_and_leaves_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--engines", "stand-in", "--minutes", "2", "--restarts", "4", "--pace", "0.5")
    code = soak.main([*arguments])
    say(capsys, capsys.readouterr().out)
    assert code == 0
