"""What a process without engines knows of those that have them."""

from dataclasses import dataclass, field, replace

import pytest

from src.domain.errors import EngineUnavailable, UnsupportedLanguage
from src.domain.leases import Abilities, WorkerState
from src.services.deployment.languages import LanguageCatalog
from src.workers.engines import NO_ENGINE, RemoteTranscriber, RemoteVoice
from src.workers.fleet import REMEMBERED_SECONDS, Fleet
from tests.fakes.fakes import FakeTranslator

LIVE_SECONDS = 30.0
WHISPER = Abilities("whisper", frozenset({"en", "fr", "hu"}))
XTTS = Abilities("xtts", frozenset({"en", "es", "fr"}), varies=True)
WORKER = WorkerState("one", "host", "cpu", slots=6, running=2, hears=WHISPER, speaks=XTTS)


@dataclass
class Registry:
    """Newest first, with the seconds since each was seen."""

    rows: dict[str, tuple[WorkerState, float]] = field(default_factory=dict)
    away: bool = False

    def put(self, worker: WorkerState, seconds_ago: float = 0.0) -> None:
        self.rows[worker.id] = (worker, seconds_ago)

    async def seen(self, worker: WorkerState) -> None:
        self.put(worker)

    async def within(self, seconds: float) -> list[WorkerState]:
        if self.away:
            raise EngineUnavailable("The database does not answer.")
        return [worker for worker, ago in self.rows.values() if ago <= seconds]


class NoRunner:
    alive = False

    async def run(self, method: str, *args: object) -> object:
        raise AssertionError

    async def start(self) -> None: ...

    async def close(self) -> None: ...


@dataclass
class Bench:
    registry: Registry = field(default_factory=Registry)
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self.fleet = Fleet(self.registry, LIVE_SECONDS, clock=lambda: self.seconds)
        self.transcriber = RemoteTranscriber(NoRunner(), lambda: self.fleet.hears)
        self.voice = RemoteVoice(NoRunner(), lambda: self.fleet.speaks)
        self.catalog = LanguageCatalog(self.transcriber, (FakeTranslator(),), self.voice)

    def pairs(self) -> list[str]:
        return [f"{pair.source}>{pair.target}" for pair in self.catalog.pairs]


async def test_the_engines_are_those_of_the_workers() -> None:
    bench = Bench()
    bench.registry.put(WORKER)
    await bench.fleet.look()
    assert (bench.transcriber.name, bench.transcriber.languages) == ("whisper", WHISPER.languages)
    assert (bench.voice.name, bench.voice.languages, bench.voice.varies) == ("xtts", XTTS.languages, True)
    assert bench.fleet.anyone()
    assert bench.fleet.counts() == {"live": 1, "slots": 6, "running": 2}
    assert bench.pairs() == ["en>fr", "en>es", "fr>en"]


async def test_only_what_every_worker_can_do_is_promised_and_a_mixture_is_told() -> None:
    bench = Bench()
    espeak = Abilities("espeak", frozenset({"en", "fr"}))
    bench.registry.put(replace(WORKER, id="new", speaks=espeak, notices=("no DeepL",)))
    bench.registry.put(replace(WORKER, notices=("no DeepL",)))
    await bench.fleet.look()
    assert (bench.voice.name, bench.voice.languages, bench.voice.varies) == ("espeak", espeak.languages, False)
    assert bench.pairs() == ["en>fr", "fr>en"]
    notice, mixture = bench.fleet.notices()
    assert notice == "worker: no DeepL"
    assert "whisper and espeak; whisper and xtts" in mixture


async def test_the_catalogue_follows_the_workers() -> None:
    bench = Bench()
    await bench.fleet.look()
    assert bench.pairs() == []
    bench.registry.put(WORKER)
    await bench.fleet.look()
    assert "en>es" in bench.pairs()


async def test_before_any_worker_nothing_is_promised_and_callers_are_told_to_try_again() -> None:
    bench = Bench()
    await bench.fleet.look()
    assert (bench.transcriber.name, bench.voice.name, bench.catalog.languages) == (NO_ENGINE, NO_ENGINE, ())
    assert bench.catalog.transcription.languages == ()
    with pytest.raises(EngineUnavailable) as refused:
        bench.catalog.require_pair(None, "es")
    assert refused.value.retry_after_seconds
    await bench.fleet.check()  # there is time to come


async def test_the_languages_of_the_last_worker_stand_for_a_while() -> None:
    bench = Bench()
    bench.registry.put(WORKER)
    await bench.fleet.look()
    bench.registry.put(WORKER, LIVE_SECONDS + 1)
    await bench.fleet.look()
    assert not bench.fleet.anyone()
    bench.catalog.require_pair("en", "es")
    with pytest.raises(UnsupportedLanguage):
        bench.catalog.require_pair("en", "hu")
    bench.registry.put(WORKER, REMEMBERED_SECONDS + 1)
    await bench.fleet.look()
    with pytest.raises(EngineUnavailable):
        bench.catalog.require_pair("en", "es")


async def test_a_worker_that_drains_is_not_counted_on() -> None:
    bench = Bench()
    bench.registry.put(replace(WORKER, draining=True))
    await bench.fleet.look()
    assert not bench.fleet.anyone()
    assert bench.fleet.counts()["live"] == 0
    assert bench.voice.name == "xtts"


async def test_a_service_without_workers_is_ready_as_long_as_one_may_be_replaced() -> None:
    bench = Bench()
    bench.registry.put(WORKER)
    await bench.fleet.look()
    bench.registry.rows.clear()
    bench.seconds = 100.0
    await bench.fleet.look()
    bench.registry.put(WORKER)
    await bench.fleet.look()
    await bench.fleet.check()
    bench.registry.rows.clear()
    await bench.fleet.look()
    bench.seconds += LIVE_SECONDS
    await bench.fleet.check()
    bench.seconds += 1
    with pytest.raises(EngineUnavailable, match="30 s"):
        await bench.fleet.check()


async def test_while_the_database_is_away_what_was_known_stays(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()
    bench.registry.put(WORKER)
    await bench.fleet.look()
    bench.registry.away = True
    await bench.fleet.look()
    assert bench.fleet.anyone()
    assert bench.voice.name == "xtts"
    assert "engine_unavailable" in caplog.text
