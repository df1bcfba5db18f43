"""What answers are marked with, in which order, and what a file's marks prove, over fakes."""

from dataclasses import replace

import pytest

from src.adapters.database.mapping import result_from_json, result_to_json
from src.domain.audio import Audio, AudioFormat
from src.domain.errors import EngineUnavailable, NotFound
from src.domain.jobs import Job, Stage
from src.domain.provenance import (
    SYNTHETIC_SOURCE,
    C2paFinding,
    C2paMark,
    FileMarks,
    InfoFinding,
    InfoMark,
    Trust,
    WatermarkFinding,
    WatermarkMark,
    marks_from_json,
)
from src.domain.speech import Quality
from src.services.on_demand import Spoken
from src.services.safeguards.provenance import MarkDetection
from src.services.saying import CloneRequest, RecordedSpeech
from tests.fakes.assembly import WANTED, Bench
from tests.fakes.fakes import FakeDecoder, FakeSigner, FakeWatermark

RECORDED = RecordedSpeech(b"bytes", AudioFormat.WAV)


async def _ignore(stage: Stage) -> None:
    return None


async def _job(bench: Bench) -> Job:
    await bench.storage.put("inputs/1.wav", b"bytes")
    return Job("1", "ann", WANTED, "inputs/1.wav")


async def test_a_translation_is_marked_from_the_inside_to_the_outside() -> None:
    bench = Bench(watermark=FakeWatermark())
    result = await bench.pipeline.run(await _job(bench), _ignore)
    watermark, info, manifest = result.provenance
    assert watermark == WatermarkMark("fake-watermark", "00ff")
    assert isinstance(info, InfoMark)
    assert isinstance(manifest, C2paMark)
    stored = bench.storage.files[result.audio_key]
    assert stored.endswith(b"INFOC2")  # the list, then the manifest over all of it
    assert bench.marks.marking.names == ("watermark: fake-watermark", "riff_info", "c2pa: fake-signer")


async def test_marks_are_kept_with_the_job_and_old_jobs_have_none() -> None:
    bench = Bench(watermark=FakeWatermark())
    result = await bench.pipeline.run(await _job(bench), _ignore)
    kept = result_to_json(result)
    assert result_from_json(kept) == result
    del kept["provenance"]
    assert result_from_json(kept) == replace(result, provenance=())
    assert marks_from_json([{"kind": "of a later release", "facts": 1}]) == ()


async def test_a_clone_is_marked_and_its_repetition_says_so_too() -> None:
    bench = Bench()
    service = bench.on_demand
    spoken = await service.clone("ann", CloneRequest("Hola.", "es", RECORDED, Quality.FAST))
    assert [mark.kind for mark in spoken.provenance] == ["riff_info", "c2pa"]
    assert bench.storage.files[spoken.audio_key] == spoken.wav
    assert await service.spoken_before(spoken.facts()) == spoken
    with pytest.raises(NotFound):
        await service.spoken_before(Spoken.facts(replace(spoken, audio_key="gone")))


@pytest.mark.parametrize(
    "bench",
    [
        Bench(signer=FakeSigner(error=EngineUnavailable("The answer could not be signed."))),
        Bench(watermark=FakeWatermark(error=EngineUnavailable("The watermark's process died."))),
    ],
    ids=["no manifest", "no watermark"],
)
async def test_an_answer_that_cannot_be_marked_is_not_given(bench: Bench) -> None:
    with pytest.raises(EngineUnavailable):
        await bench.pipeline.run(await _job(bench), _ignore)
    with pytest.raises(EngineUnavailable):
        await bench.on_demand.clone("ann", CloneRequest("Hola.", "es", RECORDED, Quality.FAST))
    assert set(bench.storage.files) == {"inputs/1.wav"}
    assert bench.usage.events[-1].outcome == "engine_unavailable"


async def test_looking_for_marks_is_counted() -> None:
    bench = Bench(watermark=FakeWatermark())
    found = await bench.on_demand.detect("ann", RECORDED)
    assert (found.c2pa.found, found.synthetic) == (False, None)
    assert found.watermark is not None
    (event,) = bench.usage.events
    assert (event.operation, event.outcome, event.seconds_in) == ("detect", "completed", 1.5)


SIGNED = C2paFinding(found=True, valid=True, trusted=True, ours=True, source_type=SYNTHETIC_SOURCE)
RECORDING = "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"
HEARD = WatermarkFinding("fake-watermark", 0.9, "00ff", ours=True)


@pytest.mark.parametrize(
    ("manifest", "info", "heard", "synthetic", "reason"),
    [
        (SIGNED, True, None, True, "this deployment's own"),
        (replace(SIGNED, ours=False), False, None, True, "trusts"),
        (replace(SIGNED, ours=False, trusted=False), True, None, None, "anyone can sign"),
        (replace(SIGNED, valid=False, trusted=False, ours=False, changed=True), True, None, None, "was changed"),
        (replace(SIGNED, valid=False, trusted=False, ours=False), True, None, None, "not valid"),
        (replace(SIGNED, source_type=RECORDING, ours=False), False, None, False, "recorded"),
        (replace(SIGNED, source_type=RECORDING, ours=False), False, HEARD, True, "watermark"),
        (replace(SIGNED, source_type=RECORDING, trusted=False), False, None, None, "anyone can sign"),
        (replace(SIGNED, source_type=None), False, None, None, "does not say"),
        (C2paFinding(found=False), True, None, None, "no proof"),
        (C2paFinding(found=False), False, None, None, "not searched"),
        (C2paFinding(found=False), False, replace(HEARD, probability=0.1), None, "proves nothing"),
        (C2paFinding(found=False), False, HEARD, True, "watermark"),
    ],
)
async def test_only_what_cannot_be_forged_is_taken_for_proof(
    manifest: C2paFinding, info: bool, heard: WatermarkFinding | None, synthetic: bool | None, reason: str
) -> None:
    class Reader:
        async def read_marks(self, data: bytes, declared: AudioFormat, trust: Trust, *, with_audio: bool) -> FileMarks:
            audio: Audio | None = (await FakeDecoder().decode(data, declared)).audio if with_audio else None
            return FileMarks(manifest, InfoFinding(info, {}), 1.0, audio)

    watermark = None if heard is None else FakeWatermark(finding=heard)
    found = await MarkDetection(Reader(), Trust("", 0), watermark).detect(b"", AudioFormat.WAV)
    assert found.synthetic is synthetic
    assert reason in found.reason
