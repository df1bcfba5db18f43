"""How the next audio code is drawn from the logits: Hugging Face's rules, on the device, for many sentences at once."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class SamplingOptions:
    """Checked once, when made. The defaults are those of the published config.json.

    greedy: the most likely code after the repetition penalty; the other options then have no effect.
    """

    temperature: float = 0.75
    top_k: int = 50
    top_p: float = 0.85
    repetition_penalty: float = 5.0
    greedy: bool = False

    def __post_init__(self) -> None:
        if self.temperature <= 0:
            raise ValueError(f"temperature is {self.temperature}; it must be above 0")
        if self.top_k < 1:
            raise ValueError(f"top_k is {self.top_k}; it must be 1 or more")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p is {self.top_p}; it must be in (0, 1]")
        if self.repetition_penalty <= 0:
            raise ValueError(f"repetition_penalty is {self.repetition_penalty}; it must be above 0")


def penalised(logits: Tensor, seen: Tensor, penalty: float) -> Tensor:
    """Logits [B, V] with those of codes `seen` [B, V] made less likely, whatever their sign."""
    return torch.where(seen, torch.where(logits < 0, logits * penalty, logits / penalty), logits)


def candidates(logits: Tensor, seen: Tensor, options: SamplingOptions) -> tuple[Tensor, Tensor]:
    """The codes that may be drawn, most likely first, and their probabilities not yet normalised: both [B, top_k].

    The order of the rules matters, and is Hugging Face's: penalty, temperature, top_k, top_p.
    """
    scores = penalised(logits, seen, options.repetition_penalty) / options.temperature
    scores, codes = scores.topk(min(options.top_k, scores.shape[-1]), dim=-1)  # sorted
    probabilities = scores.softmax(dim=-1)
    tail = probabilities.flip(-1).cumsum(-1).flip(-1)  # of this code and of all less likely ones
    kept = tail > 1 - options.top_p
    kept[:, 0] = True
    return codes, probabilities * kept


def next_codes(logits: Tensor, seen: Tensor, uniform: Tensor, options: SamplingOptions) -> Tensor:
    """One code [B] for each row of logits [B, V], float32.

    `uniform` [B] in [0, 1) decides the draw: a sentence that brings its own numbers gets the same codes in any company.
    """
    if options.greedy:
        return penalised(logits, seen, options.repetition_penalty).argmax(dim=-1)
    codes, mass = candidates(logits, seen, options)
    mass = mass.cumsum(-1)
    drawn = (mass <= uniform[:, None] * mass[:, -1:]).sum(-1, keepdim=True)  # the first code whose mass lies above
    return codes.gather(-1, drawn.clamp(max=codes.shape[-1] - 1)).squeeze(-1)
