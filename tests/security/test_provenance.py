"""Marks of synthetic speech at full length, with the figures printed: `scripts/test security`."""

import random
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pytest

from src.adapters.decoding.pyav_decoder import PyAvDecoder
from src.adapters.provenance.mark_reading import MarkFiles
from src.adapters.provenance.riff_info import with_info
from src.bootstrap.engines import decoder_pool
from src.config.settings import Settings
from src.domain.audio import Audio, AudioFormat
from src.domain.errors import InvalidRequest
from src.domain.speech import Quality, compare
from src.models.speaker_analysis import SpeakerAnalysis
from src.models.whisper_model import WhisperModel, weights_file
from src.utils.audio import encode_wav
from src.workers.engines import RemoteDecoder
from tests.recordings import audio_files
from tests.recordings.marked_files import AT, FIELDS, identity, marked, mutated, signer, trust
from tests.support.reporting import say

pytestmark = pytest.mark.timeout(1500)

WAV = AudioFormat.WAV
POSITIONS = 2_000
MUTATIONS = 5_000


@dataclass
class Region:
    """Part of a file."""

    name: str
    begins: int
    ends: int
    tried: int = 0
    missed: list[int] = field(default_factory=list)


def _regions(file: bytes) -> list[Region]:
    info, manifest = file.index(b"LIST"), file.index(b"C2PA")
    borders = {"header": 0, "samples": 44, "INFO": info, "manifest": manifest, "end": len(file)}
    names = list(borders)
    return [Region(name, borders[name], borders[after]) for name, after in pairwise(names)]


def test_any_changed_byte_is_noticed(capsys: pytest.CaptureFixture[str]) -> None:
    file, reader, dice = marked().data, MarkFiles(), random.Random(1)
    regions = _regions(file)
    for count in range(POSITIONS):
        region = regions[count % len(regions)]
        place = dice.randrange(region.begins, region.ends)
        changed = bytearray(file)
        changed[place] ^= dice.randrange(1, 256)
        found = reader.c2pa(bytes(changed), WAV, trust())
        region.tried += 1
        if found.valid or found.ours or not found.changed:
            region.missed.append(place)
    lines = (f"{each.name}: {each.tried} changed, {len(each.missed)} not noticed" for each in regions)
    say(capsys, f"{POSITIONS} changes of one byte; " + "; ".join(lines))
    assert [each.missed for each in regions] == [[]] * len(regions)


async def test_damaged_files_never_end_the_decoder(capsys: pytest.CaptureFixture[str]) -> None:
    pool = decoder_pool(Settings(_env_file=None, engine_processes=2))
    decoder, dice, file, outcomes = RemoteDecoder(pool), random.Random(2), marked().data, Counter[str]()
    await pool.start()
    try:
        for _ in range(MUTATIONS):
            damaged = mutated(file, dice)
            try:
                found = await decoder.read_marks(damaged, WAV, trust(), with_audio=False)
            except InvalidRequest as error:
                outcomes[error.code] += 1
            else:
                whole = "the same bytes" if damaged == file else "taken for whole"
                outcomes[whole if found.c2pa.valid else "changed" if found.c2pa.changed else "nothing found"] += 1
    finally:
        await pool.close()
    say(capsys, f"{MUTATIONS} damaged files, decoders lost: 0; {dict(outcomes)}")
    assert sum(outcomes.values()) == MUTATIONS
    assert outcomes["taken for whole"] == 0
    assert outcomes["changed"] > MUTATIONS / 10


def test_marks_are_not_heard(capsys: pytest.CaptureFixture[str]) -> None:
    said = Audio(audio_files.speech(24_000, "go forward ten meters"), 24_000)
    plain, file = encode_wav(said), signer(identity()).sign_now(with_info(encode_wav(said), FIELDS), AT).data
    decoder = PyAvDecoder(0.0, 60.0)
    before, after = decoder.decode(plain, WAV).mixed, decoder.decode(file, WAV).mixed
    model = WhisperModel(weights_file("base", Settings().whisper_dir), "cpu", "float32")
    heard = [model.transcribe(each, "en", Quality.BALANCED).text for each in (before, after)]
    prints = [SpeakerAnalysis().analyze(each) for each in (before, after)]
    levels = [20 * np.log10(np.sqrt(np.mean(each.samples**2))) for each in (before, after)]
    say(
        capsys,
        f"without and with marks: {before.duration_seconds:.3f} and {after.duration_seconds:.3f} s, "
        f"{levels[0]:.3f} and {levels[1]:.3f} dB, heard {heard[0]!r} and {heard[1]!r}, "
        f"similarity of the voices {compare(*prints).similarity:.6f}",
    )
    assert np.array_equal(before.samples, after.samples)
    assert heard[0] == heard[1] != ""
