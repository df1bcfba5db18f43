"""A tiny XTTS checkpoint, made once for a test run, and what the tests ask of the stock package."""

import atexit
import functools
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from scripts.checkpoints import xtts
from src.models.xtts.coqui import load_xtts


@functools.cache
def tiny_checkpoint(stop_bias: float | None = None) -> Path:
    """`stop_bias`: another than the usual one, so that sentences are shorter or longer."""
    size = xtts.SIZES["tiny"]
    if stop_bias is not None:
        size = replace(size, stop_bias=stop_bias)
    folder = Path(tempfile.mkdtemp(prefix="xtts-tiny-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with quiet():
        xtts.write(folder, size, seed=3)
    return folder


def load() -> Any:
    with quiet():
        return load_xtts(tiny_checkpoint(), licence_accepted=True)


@functools.cache
def stock() -> Any:
    """The stock model: nothing of ours touches it but folded weight norm."""
    return load()


def voice(seed: int = 0) -> tuple[Tensor, Tensor]:
    """Conditioning latents [1, 32, D] and speaker embedding [1, 512, 1] of nobody."""
    random = torch.Generator().manual_seed(seed)
    speaker = torch.randn(1, 512, 1, generator=random)
    return torch.randn(1, 32, 64, generator=random), speaker / speaker.norm()


@contextmanager
def quiet() -> Iterator[None]:
    """Without the warnings of the stock packages."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@torch.inference_mode()
def stock_codes(text_tokens: Tensor, conditioning: Tensor, max_codes: int | None = None) -> list[int]:
    """Greedy codes of the stock package, the stop code included."""
    limits = {} if max_codes is None else {"max_new_tokens": max_codes}
    with quiet():
        codes = stock().gpt.generate(
            conditioning, text_tokens[None], do_sample=False, num_beams=1, repetition_penalty=5.0, **limits
        )
    return [int(code) for code in codes[0]]


@torch.inference_mode()
def stock_latents(text_tokens: Tensor, conditioning: Tensor, codes: list[int]) -> Tensor:
    """[codes, D]: the stock package's second pass."""
    gpt = stock().gpt
    lengths = torch.tensor([len(text_tokens)]), torch.tensor([len(codes) * gpt.code_stride_len])
    with quiet():
        latents: Tensor = gpt(
            text_tokens[None],
            lengths[0],
            torch.tensor([codes]),
            lengths[1],
            cond_latents=conditioning,
            return_attentions=False,
            return_latent=True,
        )
    return latents[0]
