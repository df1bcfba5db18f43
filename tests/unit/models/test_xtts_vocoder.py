"""The vocoder against the stock decoder, whole and in windows."""

import functools

import pytest
import torch
from torch import Tensor

from src.models.xtts.vocoder import HALO_FRAMES, Rates, Stream, Vocoder, interpolate, settled_frames
from tests.checkpoints.xtts_checkpoint import load, quiet, stock, voice

RATES = Rates(4, 24000 / 22050, 256)


@functools.cache
def vocoder() -> Vocoder:
    return Vocoder(load().hifigan_decoder)


def latents(count: int) -> Tensor:
    return torch.randn(count, 64, generator=torch.Generator().manual_seed(count))


@torch.inference_mode()
def stock_waveform(sentence: Tensor, speaker: Tensor) -> Tensor:
    with quiet():
        waveform: Tensor = stock().hifigan_decoder(sentence[None], g=speaker)
    return waveform[0, 0]


@pytest.mark.parametrize("count", [1, 2, 37])
def test_the_whole_equals_the_stock_decoder(count: int) -> None:
    expected = stock_waveform(latents(count), voice()[1])
    assert expected.abs().max() > 0.1
    torch.testing.assert_close(vocoder().decode(latents(count), voice()[1]), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize(("chunk", "length"), [(1, 25), (7, 43), (20, 43)])
def test_windows_join_to_the_whole(chunk: int, length: int) -> None:
    sentence, stream = latents(length), Stream(vocoder(), voice()[1])
    pieces = [stream.push(sentence[:end], final=False) for end in range(chunk, length, chunk)]
    pieces.append(stream.push(sentence, final=True))
    joined = torch.cat(pieces)
    expected = stock_waveform(sentence, voice()[1])
    assert joined.shape == expected.shape
    assert (joined - expected).abs().max() <= 1e-4
    assert sum(len(piece) > 0 for piece in pieces) > length // (chunk + 10)


def test_interpolation_equals_torchs_over_the_longest_sentence() -> None:
    sentence = latents(602)
    quarters = torch.nn.functional.interpolate(sentence.t()[None], scale_factor=[4.0], mode="linear")
    expected = torch.nn.functional.interpolate(quarters, scale_factor=[24000 / 22050], mode="linear")
    assert expected.shape[-1] == RATES.frames(602)
    torch.testing.assert_close(
        interpolate(sentence, RATES, 0, RATES.frames(602)), expected, atol=2e-4, rtol=0
    )  # one float32 step
    torch.testing.assert_close(interpolate(sentence, RATES, 2000, 2100), expected[..., 2000:2100], atol=2e-4, rtol=0)


@pytest.mark.parametrize("count", [1, 2, 3, 50, 601])
def test_settled_frames_do_not_change_with_what_follows(count: int) -> None:
    sentence, settled = latents(602), settled_frames(count, RATES)
    now = interpolate(sentence[:count], RATES, 0, settled)
    later = interpolate(sentence, RATES, 0, settled)
    torch.testing.assert_close(now, later, atol=0, rtol=0)
    assert settled >= RATES.frames(count) - (8 if count < 3 else 5)  # no more is held back than must be


@torch.inference_mode()
def test_the_halo_covers_all_that_reaches_into_a_sample_and_little_more() -> None:
    """One frame out of all measure, in float64: no sample further from it than the halo may change at all."""
    generator, size, at = load().hifigan_decoder.waveform_decoder.double(), RATES.frame_samples, 17
    frames = torch.randn(1, 64, 2 * at + 1, dtype=torch.double, generator=torch.Generator().manual_seed(0))
    loud = frames.clone()
    loud[:, :, at] += 1e6
    quiet_wave, loud_wave = (generator(each, g=voice()[1].double())[0, 0] for each in (frames, loud))
    changed = (quiet_wave != loud_wave).nonzero().flatten()
    before, after = at * size - int(changed.min()), int(changed.max()) + 1 - (at + 1) * size
    assert 12 * size < max(before, after) <= HALO_FRAMES * size


@pytest.mark.parametrize(("halo", "enough"), [(11, False), (HALO_FRAMES, True)])
def test_a_shorter_halo_would_be_heard(monkeypatch: pytest.MonkeyPatch, halo: int, *, enough: bool) -> None:
    """A latent out of all measure stands in for the rare loud frame on the edge of a window."""
    sentence = latents(24)
    start, stop, available, size = 30, 34, RATES.frames(24), RATES.frame_samples
    sentence[10] *= 1e7  # heard in frames 40 to 47
    whole = vocoder().decode(sentence, voice()[1])[start * size : stop * size]
    monkeypatch.setattr("src.models.xtts.vocoder.HALO_FRAMES", halo)
    window = vocoder().window(sentence, voice()[1], start, stop, available)
    assert bool((window - whole).abs().max() <= 1e-4) is enough
