"""Marks of synthetic speech on files that were changed or damaged."""

import random
from collections import Counter
from itertools import pairwise

import pytest

from src.adapters.provenance.mark_reading import MarkFiles
from src.bootstrap.engines import decoder_pool
from src.config.settings import Settings
from src.domain.audio import AudioFormat
from src.domain.errors import InvalidRequest
from src.workers.engines import RemoteDecoder
from tests.recordings.marked_files import marked, mutated, trust
from tests.support.reporting import either, say

pytestmark = pytest.mark.timeout(1500)

WAV = AudioFormat.WAV
POSITIONS = either(2_000, 20)
MUTATIONS = either(5_000, 100)


def test_any_changed_byte_is_noticed(capsys: pytest.CaptureFixture[str]) -> None:
    """As many in each part of the file: header, samples, INFO, manifest."""
    file, reader, dice = marked().data, MarkFiles(), random.Random(1)
    parts = list(pairwise((0, 44, file.index(b"LIST"), file.index(b"C2PA"), len(file))))
    missed = []
    for number in range(POSITIONS):
        place = dice.randrange(*parts[number % len(parts)])
        changed = bytearray(file)
        changed[place] ^= dice.randrange(1, 256)
        found = reader.c2pa(bytes(changed), WAV, trust())
        if found.valid or found.ours or not found.changed:
            missed.append(place)
    say(capsys, f"{POSITIONS} changes of one byte, {len(missed)} not noticed")
    assert missed == []


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
    assert outcomes["taken for whole"] == 0
    assert outcomes["changed"] > MUTATIONS / 10
