"""Each precision of our Whisper network: how near to openai-whisper, and how near its decoder comes to the limit.

A token reads all of the decoder's weights and the keys and values of what is heard: at best it takes the time in which
memory delivers them.
"""

import math
import statistics
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
import whisper
from torch import Tensor
from whisper.audio import N_FRAMES, N_SAMPLES
from whisper.tokenizer import get_tokenizer

from scripts.benchmarks.measures import peak_memory, read_bandwidth, timed
from scripts.parts import people
from src.config.settings import Settings
from src.domain.audio import Audio, Samples
from src.models.whisper.network import Network
from src.models.whisper.precision import Precision
from src.models.whisper.recogniser import Recogniser
from src.models.whisper_model import weights_file
from src.utils.audio import resample

SEQUENCES = 4
_PROMPTS = 8

Forced = Sequence[tuple[Samples, Tensor]]
"""Recordings, and the tokens [n] that are forced upon the decoder while it hears them."""


def measure(checkpoint: Path, device: torch.device, clip: Samples, tokens: int) -> dict[str, dict[str, float]]:
    """For each precision the agreement with openai-whisper, tokens per second, share of the limit, peak memory; printed
    as they come.

    Random weights see hardly a difference between the best two tokens, so that rounding swaps them far more often than
    in a trained network. So two figures stand beside the agreement at all positions: that where openai-whisper's
    best token is at least twice as likely as its next, and that of Whisper base on people's prompts.
    """
    figures: dict[str, dict[str, float]] = {}

    def found(name: str, measured: dict[str, float]) -> None:
        figures[name] = measured
        print(f"  {name:32} " + ", ".join(f"{key} {value:.3f}" for key, value in measured.items()), flush=True)

    bandwidth = read_bandwidth(device)
    found("machine", {"read bandwidth, GB/s": bandwidth / 1e9})
    random = [(clip, sequence) for sequence in sequences(tokens)]
    trained = weights_file("base", Settings().whisper_dir)
    for precision in [Precision.FLOAT32] + [Precision.FLOAT16] * (device.type == "cuda"):
        step, read = _decoder_speed(checkpoint, device, precision, random[0])
        everywhere, clear = agreement(checkpoint, device, precision, random)
        measured = {
            "top-1 agreement": everywhere,
            "where one is twice as likely": clear,
            "trained": agreement(trained, device, precision, prompts())[0],
            "tokens per second": 1 / step,
            "share of the limit": read / bandwidth / step,
            "peak memory, GB": _peak_alone(checkpoint, device, precision, clip, tokens) / 1e9,
        }
        found(str(precision), measured)
    return figures


def agreement(checkpoint: Path, device: torch.device, precision: Precision, forced: Forced) -> tuple[float, float]:
    """Share of positions at which our most likely token is openai-whisper's, which computes in float32: of all, and of
    those at which its best token is at least twice as likely as its next.
    """
    stock = whisper.load_model(str(checkpoint), device=str(device))
    recogniser = Recogniser(checkpoint, device, precision, batch=1)
    equal, clear = [], []
    for clip, tokens in forced:
        features = recogniser.encoded([recogniser.window(clip)], short=False)
        best = _stock_logits(stock, clip, tokens).topk(2)
        equal.append(_ours_best(recogniser.network, features, tokens) == best.indices[:, 0])
        clear.append(best.values[:, 0] - best.values[:, 1] > math.log(2))
    same = torch.cat(equal).float()
    return float(same.mean()), float(same[torch.cat(clear)].mean())


def sequences(tokens: int) -> list[Tensor]:
    """Seeded tokens [n]: text of no language, the same for all."""
    random = torch.Generator().manual_seed(0)
    return [torch.randint(0, 50_000, (tokens,), generator=random) for _ in range(SEQUENCES)]


def prompts() -> Forced:
    """The first of each language, and what is said in them."""
    forced = []
    for language in people.LANGUAGES:
        tokenizer = get_tokenizer(True, num_languages=99, language=language, task="transcribe")
        for clip in people.clips(language)[:_PROMPTS]:
            tokens = [*tokenizer.sot_sequence_including_notimestamps, *tokenizer.encode(f" {clip.text}")]
            audio = resample(Audio(clip.samples, people.RATE), 16_000)
            forced.append((np.ascontiguousarray(audio.samples, np.float32), torch.tensor(tokens)))
    return forced


def _decoder_speed(
    checkpoint: Path, device: torch.device, precision: Precision, forced: tuple[Samples, Tensor]
) -> tuple[float, int]:
    """Median seconds per token, and the bytes that one reads."""
    recogniser = Recogniser(checkpoint, device, precision, batch=1)
    listening = recogniser.network.listen(recogniser.encoded([recogniser.window(forced[0])], short=False))
    inputs = [token.view(1, 1).to(device) for token in forced[1]]
    seconds = statistics.median(timed(partial(listening.step, token), device) for token in inputs)
    return seconds, step_bytes(recogniser.network, precision)


def step_bytes(network: Network, precision: Precision) -> int:
    """That one token reads: weights, and keys and values of 30 s."""
    dims = network.dims
    width = dims.n_text_state
    weights = dims.n_text_layer * 14 * width * width + dims.n_vocab * width
    heard = dims.n_text_layer * 2 * dims.n_audio_ctx * width
    return int((weights + heard) * precision.dtype.itemsize)


@torch.inference_mode()
def _stock_logits(stock: Any, clip: Samples, tokens: Tensor) -> Tensor:
    mel = whisper.log_mel_spectrogram(clip, stock.dims.n_mels, padding=N_SAMPLES)[:, :-N_FRAMES]
    logits: Tensor = stock(whisper.pad_or_trim(mel, N_FRAMES)[None].to(stock.device), tokens[None].to(stock.device))
    return logits[0].cpu()


def _ours_best(network: Network, features: Tensor, tokens: Tensor) -> Tensor:
    """Token by token, as the service decodes."""
    listening = network.listen(features)
    steps = [listening.step(token.view(1, 1).to(features.device)) for token in tokens]
    return torch.cat(steps, dim=1)[0].argmax(dim=-1).cpu()


def _peak_alone(checkpoint: Path, device: torch.device, precision: Precision, clip: Samples, tokens: int) -> int:
    """Of a process that holds nothing but this network, over one clip."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(_hear_once, checkpoint, device, precision, clip, tokens).result(timeout=600)


def _hear_once(checkpoint: Path, device: torch.device, precision: Precision, clip: Samples, tokens: int) -> int:
    recogniser = Recogniser(checkpoint, device, precision, batch=1)
    features = recogniser.encoded([recogniser.window(clip)], short=False)
    _ours_best(recogniser.network, features, sequences(tokens)[0])
    return peak_memory(device)
