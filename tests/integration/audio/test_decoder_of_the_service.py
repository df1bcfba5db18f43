"""The decoder as bootstrap builds it: the limits that tests of the parts rely on are really put on."""

import resource
import sys
from pathlib import Path

import pytest

from src.bootstrap.engines import decoder_pool
from src.config.settings import Settings
from tests.fakes.process_children import children

SECRET = "PSEUDONYM_KEY"


def _environment(pid: int) -> str:
    return Path(f"/proc/{pid}/environ").read_text()


@pytest.mark.skipif(sys.platform != "linux", reason="limits that only Linux has")
async def test_its_processes_are_limited_and_know_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SECRET, "a secret that is none of the decoder's business")
    others = children()
    pool = decoder_pool(Settings(_env_file=None, engine_processes=2))
    try:
        await pool.start()
        decoders = children() - others
        assert len(decoders) == 2
        for pid in decoders:
            assert resource.prlimit(pid, resource.RLIMIT_AS)[0] <= 2**30
            assert resource.prlimit(pid, resource.RLIMIT_FSIZE)[0] == 0
            assert SECRET not in _environment(pid)
    finally:
        await pool.close()
