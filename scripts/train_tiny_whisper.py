"""Train a small network of the real Whisper class on two dozen synthetic sentences, for the tests.

    python -m scripts.train_tiny_whisper [--folder checkpoints]

flite and espeak-ng read the sentences in English, French and Spanish with many voices; training ends when renderings by
voices that it has not heard are right to the last token, with short and with full padding. The file has the layout of
the published checkpoints and a name with the hash of this script and its lessons, so that a change trains again.
"""

import argparse
import hashlib
import math
import random
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from whisper.audio import N_FRAMES
from whisper.model import Whisper, disable_sdpa
from whisper.tokenizer import get_tokenizer

from scripts.checkpoints import whisper_lessons
from scripts.checkpoints.whisper_lessons import DIMENSIONS, IGNORED, Batch, Fixed, Lessons, Vocabulary, render_all

ROOT = Path(__file__).resolve().parents[1]

_SEED = 7
_BATCH = 16
_MAX_STEPS = 900
_CHECK_EVERY = 50
_PEAK_LEARNING_RATE = 2e-3
_WARM_UP_STEPS = 50
_LONG_CONTEXT_EVERY = 10
_LONG_BATCH = 3
_GUIDE_SECONDS = 0.35


class Learner(nn.Module):
    """The network with an embedding of the vocabulary's rows only."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        super().__init__()
        self.vocabulary = vocabulary
        self.whisper = Whisper(DIMENSIONS)
        del self.whisper.decoder.token_embedding
        width = DIMENSIONS.n_text_state
        self.rows = nn.Parameter(torch.randn(len(vocabulary.ids) + 1, width) * width**-0.5)
        nn.init.normal_(self.whisper.decoder.positional_embedding, std=0.02)

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Logits [B, n, rows], and the attention [B, n, context] of the heads that time words."""
        encoder, decoder = self.whisper.encoder, self.whisper.decoder
        features = self._encode(encoder, batch.mel)
        x = functional.embedding(batch.inputs, self.rows) + decoder.positional_embedding[: batch.inputs.shape[1]]
        weights = []
        for index, block in enumerate(decoder.blocks):
            x = x + block.attn(block.attn_ln(x), mask=decoder.mask)[0]
            with disable_sdpa():
                heard, scores = block.cross_attn(block.cross_attn_ln(x), features)
            x = x + heard
            x = x + block.mlp(block.mlp_ln(x))
            if index >= len(decoder.blocks) // 2:
                weights.append(scores.softmax(dim=-1).mean(dim=1))
        logits = decoder.ln(x) @ self.rows.T
        logits[..., -1] = logits[..., -1] + math.log(self.vocabulary.others)
        return logits, torch.stack(weights).mean(dim=0)

    @staticmethod
    def _encode(encoder: Any, mel: Tensor) -> Tensor:
        x = functional.gelu(encoder.conv2(functional.gelu(encoder.conv1(mel)))).permute(0, 2, 1)
        x = x + encoder.positional_embedding[: x.shape[1]]
        for block in encoder.blocks:
            x = block(x)
        encoded: Tensor = encoder.ln_post(x)
        return encoded

    def checkpoint(self) -> dict[str, Any]:
        """The published layout: `dims`, and `model_state_dict` in half precision."""
        rows = self.rows.detach()
        embedding = rows[-1].repeat(DIMENSIONS.n_vocab, 1)
        embedding[self.vocabulary.ids] = rows[:-1]
        weights = {**self.whisper.state_dict(), "decoder.token_embedding.weight": embedding}
        return {"dims": asdict(DIMENSIONS), "model_state_dict": {k: v.half() for k, v in weights.items()}}


def loss_of(learner: Learner, batch: Batch) -> Tensor:
    """Cross-entropy, and the share of attention that is not where the token is said: it makes word times meaningful."""
    logits, weights = learner(batch)
    loss = functional.cross_entropy(logits.flatten(0, 1), batch.targets.flatten(), ignore_index=IGNORED)
    guided = batch.centres >= 0
    frames = torch.arange(weights.shape[-1])
    distance = (frames - batch.centres[..., None]) / (50 * _GUIDE_SECONDS)
    away = (weights * (1 - torch.exp(-0.5 * distance**2))).sum(dim=-1)
    total: Tensor = loss + (away * guided).sum() / guided.sum().clamp(min=1)
    return total


@torch.no_grad()
def wrong_tokens(learner: Learner, batch: Batch) -> int:
    """How many text tokens, languages and ends are wrong; times may be off by a step."""
    logits, _ = learner(batch)
    tokenizer = learner.vocabulary.tokenizer
    ids = torch.tensor([*learner.vocabulary.ids, tokenizer.no_speech])
    taught = (batch.targets != IGNORED) & (ids[batch.targets.clamp(min=0)] < tokenizer.timestamp_begin)
    return int(((logits.argmax(dim=-1) != batch.targets) & taught).sum())


def train(log: Any = print) -> dict[str, Any]:
    """The checkpoint. Raises RuntimeError when it did not learn the sentences."""
    torch.manual_seed(_SEED)
    vocabulary = Vocabulary(get_tokenizer(True, num_languages=99, language="en", task="transcribe"))
    lessons, learner = Lessons(vocabulary, _SEED), Learner(vocabulary)
    clips, held_out = render_all(held_out=False), render_all(held_out=True)
    tests = [
        lessons.batch(held_out, fixed=Fixed(0.1, 1e-4)),
        lessons.batch(held_out, fixed=Fixed(0.25, 0.0)),
        lessons.batch(held_out[::3], fixed=Fixed(0.2, 1e-3), context=N_FRAMES // 2),
    ]
    optimiser = torch.optim.AdamW(learner.parameters(), lr=_PEAK_LEARNING_RATE, weight_decay=0.01, betas=(0.9, 0.98))
    order = random.Random(_SEED)  # noqa: S311
    for step in range(1, _MAX_STEPS + 1):
        for group in optimiser.param_groups:
            group["lr"] = _learning_rate(step)
        long = step % _LONG_CONTEXT_EVERY == 0
        chosen = order.sample(clips, _LONG_BATCH if long else _BATCH)
        loss = loss_of(learner, lessons.batch(chosen, context=N_FRAMES // 2 if long else None))
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(learner.parameters(), 1.0)
        optimiser.step()
        if step % _CHECK_EVERY == 0:
            wrong = [wrong_tokens(learner, test) for test in tests]
            log(f"step {step}: loss {loss.item():.3f}, wrong tokens of held-out renderings {wrong}")
            if not any(wrong):
                return learner.checkpoint()
    raise RuntimeError(f"The sentences were not learnt in {_MAX_STEPS} steps.")


def _learning_rate(step: int) -> float:
    warm_up = min(1.0, step / _WARM_UP_STEPS)
    return _PEAK_LEARNING_RATE * warm_up * (0.52 + 0.48 * math.cos(math.pi * min(1.0, step / _MAX_STEPS)))


def ensure(folder: Path, log: Any = print) -> Path:
    """The trained checkpoint in `folder`, made when this version of it is not there."""
    scripts = (Path(__file__), Path(whisper_lessons.__file__))
    version = hashlib.sha256(b"".join(script.read_bytes() for script in scripts)).hexdigest()[:12]
    path = folder / f"tiny-trained-{version}.pt"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        begun = time.monotonic()
        checkpoint = train(log)
        unfinished = path.with_suffix(".part")
        torch.save(checkpoint, unfinished)
        unfinished.rename(path)
        log(f"{path}: trained in {time.monotonic() - begun:.0f} s")
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=ROOT / "checkpoints", help="where the file goes")
    print(ensure(parser.parse_args().folder))


if __name__ == "__main__":
    main()
