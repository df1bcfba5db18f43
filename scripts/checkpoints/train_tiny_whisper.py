"""Train a small network of the real Whisper class on two dozen synthetic sentences, for the tests.

    python -m scripts.checkpoints.train_tiny_whisper [--to tests/data/whisper_lessons.pt.xz] [--seed 0]

flite and espeak-ng read the sentences in English, French and Spanish with many voices; afterwards renderings by voices
that it has not heard must be right to the last token, with short and with full padding. The result is a checkpoint in
the published layout: compressed where the file's name ends in .xz, as the tests use it.

What makes it quick: only those rows of the embedding that occur are trained, clips are padded to 30 s in no more than
one batch of six, the encoder is also taught which token each of its frames belongs to, and attention where it is said.
"""

import argparse
import math
import random
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from whisper.audio import N_FRAMES
from whisper.model import Whisper
from whisper.tokenizer import get_tokenizer

from scripts.checkpoints.spoken_sentences import render_all
from scripts.checkpoints.trained_whisper import PACKED, pack
from scripts.checkpoints.whisper_lessons import (
    DIMENSIONS,
    FRAMES_PER_SECOND,
    IGNORED,
    Batch,
    Fixed,
    Lessons,
    Vocabulary,
)

STEPS = 700
_BATCH = 16
_PEAK_LEARNING_RATE = 3e-3
_RISING_SHARE = 0.15
"""Of the steps, in which the learning rate rises to its peak, from which it falls to almost nothing."""
_LONG_CONTEXT_EVERY = 6
_LONG_BATCH = 3
_FRAMES_WEIGHT = 0.5
_GUIDE_WEIGHT = 0.5
_GUIDE_SECONDS = 0.2
_REPORT_EVERY = 350


class Learner(nn.Module):
    """The network with an embedding of the vocabulary's rows only, and a reader of the encoder's single frames."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        super().__init__()
        self.vocabulary = vocabulary
        self.whisper = Whisper(DIMENSIONS)
        del self.whisper.decoder.token_embedding
        width = DIMENSIONS.n_text_state
        self.rows = nn.Parameter(torch.randn(len(vocabulary.ids) + 1, width) * width**-0.5)
        self.reader = nn.Linear(width, len(vocabulary.ids))
        nn.init.normal_(self.whisper.decoder.positional_embedding, std=0.02)

    def encode(self, mel: Tensor) -> Tensor:
        """[B, 80, 2 T] -> [B, T, d], T as long as the batch's longest recording needs."""
        encoder = self.whisper.encoder
        x = functional.gelu(encoder.conv2(functional.gelu(encoder.conv1(mel)))).permute(0, 2, 1)
        x = x + encoder.positional_embedding[: x.shape[1]]
        for block in encoder.blocks:
            x = block(x)
        encoded: Tensor = encoder.ln_post(x)
        return encoded

    def decode(self, inputs: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        """Logits [B, n, rows], and the attention [B, n, T] of the heads that time words."""
        decoder = self.whisper.decoder
        x = functional.embedding(inputs, self.rows) + decoder.positional_embedding[: inputs.shape[1]]
        weights = []
        for index, block in enumerate(decoder.blocks):
            x = x + block.attn(block.attn_ln(x), mask=decoder.mask)[0]
            heard, attention = _cross_attend(block.cross_attn, block.cross_attn_ln(x), features)
            x = x + heard
            x = x + block.mlp(block.mlp_ln(x))
            if index >= len(decoder.blocks) // 2:
                weights.append(attention.mean(dim=1))
        logits = decoder.ln(x) @ self.rows.T
        logits[..., -1] = logits[..., -1] + math.log(self.vocabulary.others)
        return logits, torch.stack(weights).mean(dim=0)

    def checkpoint(self) -> dict[str, Any]:
        """The published layout: `dims`, and `model_state_dict` in half precision."""
        rows = self.rows.detach()
        embedding = rows[-1].repeat(DIMENSIONS.n_vocab, 1)
        embedding[self.vocabulary.ids] = rows[:-1]
        weights = {**self.whisper.state_dict(), "decoder.token_embedding.weight": embedding}
        return {"dims": asdict(DIMENSIONS), "model_state_dict": {k: v.half() for k, v in weights.items()}}


def _cross_attend(attention: Any, x: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
    """What the stock module computes, and its weights [B, H, n, T]: those that it returns carry no gradient."""
    projected = (attention.query(x), attention.key(features), attention.value(features))
    q, k, v = (y.unflatten(-1, (attention.n_head, -1)).transpose(1, 2) for y in projected)
    weights = (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).softmax(dim=-1)
    return attention.out((weights @ v).transpose(1, 2).flatten(start_dim=2)), weights


def loss_of(learner: Learner, batch: Batch) -> Tensor:
    """Cross-entropy of the text and of the encoder's frames, and minus the logarithm of the share of attention that is
    where the token is said: it makes word times meaningful.
    """
    features = learner.encode(batch.mel)
    logits, weights = learner.decode(batch.inputs, features)
    loss = functional.cross_entropy(logits.flatten(0, 1), batch.targets.flatten(), ignore_index=IGNORED)
    frames = learner.reader(features).flatten(0, 1)
    loss = loss + _FRAMES_WEIGHT * functional.cross_entropy(frames, batch.spoken.flatten(), ignore_index=IGNORED)
    guided = batch.centres >= 0
    distance = torch.arange(weights.shape[-1]) - batch.centres[..., None]
    near = torch.exp(-0.5 * (distance / (FRAMES_PER_SECOND * _GUIDE_SECONDS)) ** 2)
    away = -(weights * near).sum(dim=-1).clamp(min=1e-4).log()
    total: Tensor = loss + _GUIDE_WEIGHT * (away * guided).sum() / guided.sum().clamp(min=1)
    return total


@torch.no_grad()
def wrong_tokens(learner: Learner, batch: Batch) -> int:
    """How many text tokens, languages and ends are wrong; times may be off by a step."""
    logits, _ = learner.decode(batch.inputs, learner.encode(batch.mel))
    tokenizer = learner.vocabulary.tokenizer
    ids = torch.tensor([*learner.vocabulary.ids, tokenizer.no_speech])
    taught = (batch.targets != IGNORED) & (ids[batch.targets.clamp(min=0)] < tokenizer.timestamp_begin)
    return int(((logits.argmax(dim=-1) != batch.targets) & taught).sum())


def train(seed: int, log: Callable[[str], object] = print) -> dict[str, Any]:
    """The checkpoint. Raises RuntimeError when it did not learn the sentences."""
    torch.manual_seed(seed)
    vocabulary = Vocabulary(get_tokenizer(True, num_languages=99, language="en", task="transcribe"))
    lessons, learner = Lessons(vocabulary, seed), Learner(vocabulary)
    clips = render_all(held_out=False)
    tests = _tests(lessons)
    optimiser = torch.optim.AdamW(learner.parameters(), lr=_PEAK_LEARNING_RATE, weight_decay=0.01, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, _PEAK_LEARNING_RATE, total_steps=STEPS, pct_start=_RISING_SHARE, cycle_momentum=False
    )
    order = random.Random(seed)  # noqa: S311
    wrong: list[int] = []
    for step in range(1, STEPS + 1):
        long = step % _LONG_CONTEXT_EVERY == 0
        chosen = order.sample(clips, _LONG_BATCH if long else _BATCH)
        loss = loss_of(learner, lessons.batch(chosen, context=N_FRAMES // 2 if long else None))
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(learner.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        if step % _REPORT_EVERY == 0 or step == STEPS:
            wrong = [wrong_tokens(learner, test) for test in tests]
            log(f"step {step}: loss {loss.item():.3f}, wrong tokens of held-out renderings {wrong}")
    if any(wrong):
        raise RuntimeError(f"The sentences were not learnt: {wrong} tokens of held-out renderings are wrong.")
    return learner.checkpoint()


def _tests(lessons: Lessons) -> list[Batch]:
    """Renderings by voices that are not taught: almost clean, noiseless, and at the full context."""
    held_out = render_all(held_out=True)
    return [
        lessons.batch(held_out, fixed=Fixed(0.1, 1e-4)),
        lessons.batch(held_out, fixed=Fixed(0.25, 0.0)),
        lessons.batch(held_out[::3], fixed=Fixed(0.2, 1e-3), context=N_FRAMES // 2),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--to", type=Path, default=PACKED, help="a .pt file, or .pt.xz for a compressed one")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    begun, cpu = time.monotonic(), time.process_time()
    checkpoint = train(arguments.seed)
    if arguments.to.suffix == ".xz":
        pack(checkpoint, arguments.to)
    else:
        torch.save(checkpoint, arguments.to)
    taken = f"{time.monotonic() - begun:.0f} s, {time.process_time() - cpu:.0f} s of processor time"
    print(f"{arguments.to}: {arguments.to.stat().st_size} bytes, trained in {taken}")


if __name__ == "__main__":
    main()
