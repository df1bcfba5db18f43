"""Whisper and XTTS in one process, many callers at once: each gets what it would get alone. Small random weights,
greedy and exact.
"""

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import numpy as np
import pytest
import pytest_asyncio

from scripts.checkpoints.whisper import make
from src.domain.audio import Audio
from src.domain.errors import NoSpeechDetected, SpeechNotUnderstood
from src.domain.leases import Abilities
from src.domain.speech import Quality, SpeechRequest, Transcript
from src.models.whisper.batch import load_whisper
from src.models.xtts.conditioning import Voice
from src.models.xtts_model import load_xtts_batch
from src.workers.engines import RemoteTranscriber, RemoteVoice
from src.workers.gpu_worker import GpuWorker
from tests.checkpoints.xtts_checkpoint import tiny_checkpoint, voice
from tests.recordings import audio_files

CALLERS = 16
BRIEF = 1.6
"""Sentences of half a second: the vocoder of the small checkpoint is as large as the published one."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def worker(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[GpuWorker]:
    weights = make("unit", tmp_path_factory.mktemp("whisper") / "random.pt", seed=3)
    started = GpuWorker(
        partial(load_whisper, weights, "cpu", "float32", threads=1),
        partial(
            load_xtts_batch,
            tiny_checkpoint(BRIEF),
            licence_accepted=True,
            precision="exact",
            slots=6,  # fewer than callers: sentences come and go while others are in the middle
            greedy=True,
            threads=1,
        ),
        queue_size=64,
        in_flight=CALLERS,
        call_timeout_seconds=120,
        name="test",
    )
    try:
        await started.start()
        yield started
    finally:
        await started.close()


def requests() -> list[SpeechRequest]:
    """Distinct texts of one or two sentences, in distinct voices."""
    return [
        SpeechRequest(
            (f"Message {index}.", "It is late.")[: 1 + index % 2],
            "en",
            Voice(*voice(index)).to_bytes(),
            quality=Quality.FAST,
        )
        for index in range(CALLERS)
    ]


@pytest.mark.asyncio(loop_scope="module")
async def test_sixteen_distinct_messages_at_once_sound_as_each_alone(worker: GpuWorker) -> None:
    engine = RemoteVoice(worker, lambda: Abilities("xtts-v2", frozenset({"en"})))
    together = await asyncio.gather(*(engine.speak(request) for request in requests()))
    for request, mixed in zip(requests(), together, strict=True):
        alone = await engine.speak(request)
        assert mixed.samples.shape == alone.samples.shape
        assert np.abs(mixed.samples - alone.samples).max() <= 1e-4
    for first in range(CALLERS):
        for second in range(first):
            one, other = together[first].samples, together[second].samples
            assert one.shape != other.shape or np.abs(one - other).max() > 1e-3


def clips() -> list[Audio]:
    texts = ("The weather is nice.", "Where is the station?", "I have lost my key.", "We are going home now.")
    return [Audio(audio_files.speech(16_000, text, name), 16_000) for text in texts for name in ("rms", "slt")]


@pytest.mark.asyncio(loop_scope="module")
async def test_hearing_and_speaking_at_once_change_nothing_and_the_cancelled_disturb_nobody(
    worker: GpuWorker,
) -> None:
    ears, mouth = (
        RemoteTranscriber(worker, lambda: Abilities("whisper", frozenset({"en"}))),
        RemoteVoice(worker, lambda: Abilities("xtts-v2", frozenset({"en"}))),
    )

    async def hear(clip: Audio) -> str:
        try:
            transcript: Transcript = await ears.transcribe(clip, None, Quality.FAST)
        except (NoSpeechDetected, SpeechNotUnderstood) as error:
            return error.detail
        return transcript.text

    alone = [await hear(clip) for clip in clips()]
    request = requests()[0]
    spoken = await mouth.speak(request)
    gone = [asyncio.create_task(mouth.speak(each)) for each in requests()[3:6]]
    unheard = [asyncio.create_task(hear(clip)) for clip in clips()[:2]]
    speaking = asyncio.create_task(mouth.speak(request))
    hearing = [asyncio.create_task(hear(clip)) for clip in clips()]
    await asyncio.sleep(0.05)
    for task in (*gone, *unheard):
        task.cancel()
    again = await speaking
    assert [await task for task in hearing] == alone
    assert len(set(alone)) > 2
    assert np.abs(again.samples - spoken.samples).max() <= 1e-4
    assert all(task.cancelled() for task in (*gone, *unheard))
