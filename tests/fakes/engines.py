"""A service on fake engines."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from src.bootstrap.engines import Engines, decoder_pool
from src.config.settings import Settings
from src.main import create_app
from src.workers.engines import RemoteDecoder
from tests.conftest import serving
from tests.fakes.fakes import (
    FakeAnalyzer,
    FakeDecoder,
    FakeTranscriber,
    FakeTranslator,
    FakeVoice,
    FakeVoiceActivity,
)


def fake_engines(**given: Any) -> Engines:
    """Fakes, but for what is given."""
    fakes: dict[str, Any] = {
        "decoder": FakeDecoder(),
        "transcriber": FakeTranscriber(),
        "translators": (FakeTranslator(),),
        "voice": FakeVoice(),
        "analyzer": FakeAnalyzer(),
        "activity": FakeVoiceActivity(),
        "runners": {},
    }
    return Engines(**fakes | given)


def with_real_decoder(settings: Settings, **given: Any) -> Engines:
    pool = decoder_pool(settings)
    return fake_engines(decoder=RemoteDecoder(pool), runners={"decoder": pool}, **given)


@contextmanager
def served(settings: Settings, engines: Engines | None = None) -> Iterator[httpx.Client]:
    """Over HTTP, on fake engines where none are given."""
    app = create_app(settings, engines or fake_engines())
    with serving(app) as url, httpx.Client(base_url=url, timeout=60) as client:
        yield client


@contextmanager
def serve(folder: Path, engines: Engines | None = None, /, **settings: Any) -> Iterator[httpx.Client]:
    """As `served`, with these settings, its data in `folder`, and nothing of a `.env`."""
    with served(Settings(_env_file=None, data_dir=folder, **settings), engines) as client:
        yield client
