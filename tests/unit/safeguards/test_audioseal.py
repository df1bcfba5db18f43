"""The watermark, on files in the published layout with random weights: what is loaded, what is added, what is heard."""

import copy
import pickle
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from src.domain.audio import Audio
from src.domain.errors import EngineUnavailable
from src.models import audioseal_files
from src.models.audioseal_watermark import AudioSealWatermark, quiet, uncompiled
from src.utils.audio import resample
from tests.checkpoints.audioseal_checkpoint import HEARD, random_checkpoint
from tests.fakes.fakes import tone

SPOKEN = tone(0.3, 24_000)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """On a busy machine the threads of torch wait for each other longer than they work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def watermark() -> AudioSealWatermark:
    return AudioSealWatermark(random_checkpoint(), HEARD)


@pytest.fixture(scope="module")
def of_another(watermark: AudioSealWatermark) -> AudioSealWatermark:
    """The same networks with another deployment's message."""
    other = copy.copy(watermark)
    other._own = "1234"
    return other


def test_the_weights_are_those_that_the_packages_own_loader_reads(watermark: AudioSealWatermark) -> None:
    with quiet():
        from audioseal import AudioSeal  # noqa: PLC0415

        for load, ours, name in (
            (AudioSeal.load_generator, watermark._generator, audioseal_files.GENERATOR_FILE),
            (AudioSeal.load_detector, watermark._detector, audioseal_files.DETECTOR_FILE),
        ):
            theirs = load(str(random_checkpoint() / name)).state_dict()
            assert len(theirs) >= 40
            for key, weight in ours.state_dict().items():
                assert torch.equal(weight, theirs[key])


def test_only_the_watermark_is_added_and_it_is_the_networks(watermark: AudioSealWatermark) -> None:
    marked = watermark.embed(SPOKEN)
    assert marked.sample_rate == 24_000
    assert len(marked.samples) == len(SPOKEN.samples)
    speech = torch.from_numpy(resample(SPOKEN, 16_000).samples)[None, None]
    bits = torch.tensor([[int(bit) for bit in f"{0xBEEF:016b}"]])
    with torch.inference_mode(), uncompiled():
        expected = watermark._generator.get_watermark(speech, message=bits)[0, 0].numpy()
    added = resample(Audio(expected, 16_000), 24_000).samples
    assert np.abs(added).max() > 0.001
    assert np.allclose(marked.samples - SPOKEN.samples, added, atol=1e-5)
    high = np.fft.rfft(marked.samples - SPOKEN.samples)[round(0.3 * 8300) :]
    assert np.abs(high).max() < 0.02 * np.abs(np.fft.rfft(added)).max()  # above 8 kHz the speech is as it was


def test_another_message_is_another_watermark(watermark: AudioSealWatermark, of_another: AudioSealWatermark) -> None:
    short = tone(0.2, 24_000)
    assert not np.allclose(of_another.embed(short).samples, watermark.embed(short).samples, atol=1e-4)


def test_what_is_heard_is_told_with_whose_it_is(watermark: AudioSealWatermark, of_another: AudioSealWatermark) -> None:
    heard = watermark.detect(tone(0.3, 22_050))
    assert (heard.probability, heard.message, heard.ours, heard.found) == (1.0, HEARD, True, True)
    assert not of_another.detect(SPOKEN).ours
    assert watermark.detect(Audio(np.zeros(0, np.float32), 24_000)).probability == 0.0
    assert len(watermark.embed(Audio(np.zeros(0, np.float32), 24_000)).samples) == 0
    assert len(watermark.embed(tone(0.01, 24_000)).samples) == 240


def test_long_speech_goes_through_in_pieces_without_a_seam(
    watermark: AudioSealWatermark, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = tone(0.5, 24_000)
    whole = watermark.embed(sound).samples
    monkeypatch.setattr("src.models.audioseal_watermark._PIECE", 4_000)
    monkeypatch.setattr("src.models.audioseal_watermark._AROUND", 1_000)
    pieces = watermark.embed(sound).samples
    assert len(pieces) == len(whole)
    steps = np.abs(np.diff(pieces - sound.samples))
    assert steps[5_900:6_100].max() <= 1.5 * steps[1_000:5_000].max()
    assert watermark.detect(sound).probability == 1.0


class Harmful:
    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (Path("harm"),))


@pytest.mark.parametrize("damage", ["cut", "other", "missing weight", "harmful"])
def test_files_that_are_not_audioseals_are_refused_and_do_nothing(
    tmp_path: Path, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (audioseal_files.GENERATOR_FILE, audioseal_files.DETECTOR_FILE):
        shutil.copy(random_checkpoint() / name, tmp_path)
    file = tmp_path / audioseal_files.GENERATOR_FILE
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:1_000_000])
    elif damage == "other":
        torch.save({"model": {"a": torch.zeros(3)}}, file)
    elif damage == "missing weight":
        checkpoint = torch.load(file, weights_only=False)
        del checkpoint["model"]["decoder.model.0.conv.conv.bias"]
        torch.save(checkpoint, file)
    else:
        torch.save({"model": Harmful()}, file, pickle_module=pickle)
    with pytest.raises(EngineUnavailable, match="not the published file of AudioSeal"):
        AudioSealWatermark(tmp_path, HEARD)
    assert not (tmp_path / "harm").exists()


def test_missing_files_are_named(tmp_path: Path) -> None:
    assert audioseal_files.missing(random_checkpoint()) is None
    assert "no generator_base.pth and no detector_base.pth" in str(audioseal_files.missing(tmp_path))
