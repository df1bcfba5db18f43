"""The sampler against Hugging Face's own logits processors."""

import pytest
import torch
from transformers import (
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from src.models.xtts.sampling import SamplingOptions, candidates, next_codes

VOCABULARY = 1026


def reference(logits: torch.Tensor, ids: torch.Tensor, options: SamplingOptions) -> torch.Tensor:
    """Probabilities [B, V] by Hugging Face's processors in the order in which `generate` builds them."""
    processors = LogitsProcessorList(
        [
            RepetitionPenaltyLogitsProcessor(options.repetition_penalty),
            TemperatureLogitsWarper(options.temperature),
            TopKLogitsWarper(options.top_k),
            TopPLogitsWarper(options.top_p),
        ]
    )
    return processors(ids, logits).softmax(-1)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "options",
    [SamplingOptions(), SamplingOptions(0.3, 5, 0.99, 2.0), SamplingOptions(1.5, 2000, 1.0, 1.0)],
    ids=["published", "narrow", "wide"],
)
def test_probabilities_equal_hugging_faces(options: SamplingOptions) -> None:
    torch.manual_seed(0)
    logits, ids = 3 * torch.randn(16, VOCABULARY), torch.randint(0, VOCABULARY, (16, 40))
    seen = torch.zeros(16, VOCABULARY, dtype=torch.bool).scatter_(1, ids, value=True)
    codes, mass = candidates(logits, seen, options)
    ours = torch.zeros(16, VOCABULARY).scatter_(1, codes, mass / mass.sum(-1, keepdim=True))
    torch.testing.assert_close(ours, reference(logits, ids, options), atol=1e-6, rtol=1e-4)


def test_draws_follow_the_probabilities() -> None:
    torch.manual_seed(1)
    logits = 2 * torch.randn(1, VOCABULARY)
    seen = torch.zeros(1, VOCABULARY, dtype=torch.bool)
    uniform = (torch.arange(20_000) + 0.5) / 20_000
    drawn = next_codes(logits.expand(20_000, -1), seen.expand(20_000, -1), uniform, SamplingOptions())
    frequencies = torch.bincount(drawn, minlength=VOCABULARY) / 20_000
    expected = reference(logits, torch.zeros(1, 0, dtype=torch.long), SamplingOptions())[0]
    assert (frequencies - expected).abs().max() < 1e-3


def test_the_extremes_of_the_draw_are_codes_that_may_be_drawn() -> None:
    torch.manual_seed(2)
    logits, seen = torch.randn(2, VOCABULARY), torch.zeros(2, VOCABULARY, dtype=torch.bool)
    drawn = next_codes(logits, seen, torch.tensor([0.0, 1 - 2**-24]), SamplingOptions())
    codes, mass = candidates(logits, seen, SamplingOptions())
    assert drawn[0] == codes[0, 0]
    assert mass[1][codes[1] == drawn[1]] > 0


@pytest.mark.parametrize(
    "wrong", [{"temperature": 0}, {"top_k": 0}, {"top_p": 0}, {"top_p": 1.1}, {"repetition_penalty": 0}]
)
def test_options_are_checked_when_made(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SamplingOptions(**wrong)  # type: ignore[arg-type]
