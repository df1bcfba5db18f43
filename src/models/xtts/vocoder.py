"""Latents to waveform, whole or in windows that join to the same waveform.

The stock package decodes *all* latents again for each streamed chunk. Here a window is decoded with just the
neighbours that its samples depend on. Three rates are in play: latents (21.5 a second), quarter latents (the first,
fourfold interpolation), and frames of 256 samples at 24 kHz, to which the second interpolation brings them. Both are
computed at global positions, so a frame has the same value in every window that holds it.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

HALO_FRAMES = 14
"""Frames a side that reach into a sample of the HiFi-GAN: 12.7 when measured, and one to spare."""


@dataclass(frozen=True, slots=True)
class Rates:
    quarter: int  # quarter latents in a latent
    ratio: float  # frames in a quarter latent
    frame_samples: int

    def frames(self, latents: int) -> int:
        """Frames of a whole sentence: torch's own rounding."""
        return math.floor(float(latents * self.quarter) * self.ratio)


class Vocoder:
    """A stock `HifiDecoder` whose weight norm is folded. `dtype` is the one that its convolutions run in."""

    def __init__(self, decoder: Any, dtype: torch.dtype = torch.float32) -> None:
        self.rates = Rates(
            decoder.ar_mel_length_compression // decoder.output_hop_length,
            decoder.output_sample_rate / decoder.input_sample_rate,
            decoder.output_hop_length,
        )
        self._dtype = dtype
        self._generator = decoder.waveform_decoder.to(dtype)
        if next(self._generator.parameters()).device.type == "cpu":
            lay_flat(self._generator)

    @torch.inference_mode()
    def decode(self, latents: Tensor, speaker: Tensor) -> Tensor:
        """Waveform [samples] of a whole sentence: latents [T, D], speaker embedding [1, 512, 1]."""
        return self.window(latents, speaker, 0, self.rates.frames(len(latents)), self.rates.frames(len(latents)))

    @torch.inference_mode()
    def window(self, latents: Tensor, speaker: Tensor, start: int, stop: int, available: int) -> Tensor:
        """Samples of frames `start` to `stop`, of which `available` can be computed from latents [T, D]."""
        first, last = max(0, start - HALO_FRAMES), min(available, stop + HALO_FRAMES)
        frames = interpolate(latents, self.rates, first, last).to(self._dtype)  # [1, D, last - first]
        speaker = speaker.to(frames)
        if isinstance(self._generator.conv_pre, nn.Conv2d):
            frames, speaker = frames[:, :, None], speaker[:, :, None]  # images one high; frames are channels-last
        samples: Tensor = self._generator(frames, g=speaker).float().flatten()
        size = self.rates.frame_samples
        return samples[(start - first) * size : (stop - first) * size]


def lay_flat(module: nn.Module) -> None:
    """Let the convolutions of `module` work on images [B, C, 1, T] instead of rows [B, C, T], channels last.

    That is the layout in which the CPU's kernels compute. torch cannot mark a row so, and copies each one to and fro.
    """
    for name, layer in module.named_children():
        if not isinstance(layer, nn.Conv1d | nn.ConvTranspose1d):
            lay_flat(layer)
            continue
        kind: type[nn.Conv2d | nn.ConvTranspose2d] = nn.Conv2d
        if isinstance(layer, nn.ConvTranspose1d):
            kind = nn.ConvTranspose2d
        flat = kind(
            layer.in_channels,
            layer.out_channels,
            (1, layer.kernel_size[0]),
            (1, layer.stride[0]),
            (0, int(layer.padding[0])),
            dilation=(1, layer.dilation[0]),
            bias=layer.bias is not None,
            device="meta",
        )
        weight = layer.weight.detach()[:, :, None].contiguous(memory_format=torch.channels_last)
        flat.weight, flat.bias = nn.Parameter(weight, requires_grad=False), layer.bias
        setattr(module, name, flat)


class Stream:
    """One sentence, vocoded as its latents come."""

    def __init__(self, vocoder: Vocoder, speaker: Tensor) -> None:
        self._vocoder, self._speaker = vocoder, speaker
        self._done = 0  # frames

    def push(self, latents: Tensor, *, final: bool) -> Tensor:
        """The samples that follow from all latents so far [T, D] and were not handed out yet; none may be ready."""
        rates = self._vocoder.rates
        available = rates.frames(len(latents)) if final else settled_frames(len(latents), rates)
        stop = available if final else available - HALO_FRAMES
        if stop <= self._done:
            return latents.new_zeros(0)
        samples = self._vocoder.window(latents, self._speaker, self._done, stop, available)
        self._done = stop
        return samples


def settled_frames(latents: int, rates: Rates) -> int:
    """How many first frames no later latent can change."""
    if rates.frames(latents) == rates.quarter * latents:
        return 0  # so short a sentence would be interpolated otherwise
    settled = rates.quarter * latents - rates.quarter // 2  # quarter latents; the last ones lean on the next latent
    return max(0, math.floor((settled - 0.5) * rates.ratio - 0.5))


def interpolate(latents: Tensor, rates: Rates, first: int, last: int) -> Tensor:
    """Frames [1, D, last - first] at global positions, from latents [T, D]: torch's linear interpolation, twice."""
    quarters = len(latents) * rates.quarter
    frames = torch.arange(first, last, device=latents.device)
    same = rates.frames(len(latents)) == quarters  # of one or two latents: torch then copies
    left, right, weight = _neighbours(frames, 1.0 if same else 1.0 / rates.ratio, quarters)
    values = torch.lerp(_quarter(latents, left, rates), _quarter(latents, right, rates), weight[:, None])  # [frames, D]
    return values.t()[None]


def _quarter(latents: Tensor, index: Tensor, rates: Rates) -> Tensor:
    """Quarter latents [n, D] at global positions `index` [n]."""
    left, right, weight = _neighbours(index, 1.0 / rates.quarter, len(latents))
    return torch.lerp(latents[left], latents[right], weight[:, None])


def _neighbours(index: Tensor, step: float, length: int) -> tuple[Tensor, Tensor, Tensor]:
    """The two inputs between which output `index` [n] lies, and how far it is from the first: in float32, as torch."""
    position = (torch.tensor(step, dtype=torch.float32, device=index.device) * (index + 0.5) - 0.5).clamp(min=0)
    left = position.long().clamp(max=length - 1)
    return left, (left + 1).clamp(max=length - 1), position - left
