"""Speech from text: our decode loop and vocoder against stock coqui-tts, the same full-size random weights, in one run.

Rounds alternate between the two, so that both meet the same machine. The length is fixed by hand: the checkpoint never
draws the stop code. Stock is `Xtts.inference`: generate, the second pass for latents, vocoder; ours is the same text to
the same number of samples.

    .venv/bin/python scripts/benchmark.py --suite xtts
"""

import argparse
import logging
import multiprocessing
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from scripts.benchmarks.measures import peak_memory, read_bandwidth, timed
from scripts.checkpoints.xtts import full_and_endless
from src.domain.audio import WORKING_SAMPLE_RATE, Audio
from src.domain.speech import Quality, SpeechRequest
from src.models.xtts.coqui import load_xtts
from src.models.xtts.decode_loop import DecodeLoop, Sentence
from src.models.xtts.network import Precision
from src.models.xtts.onnx_graph import BLOCK
from src.models.xtts.sampling import SamplingOptions
from src.models.xtts.vocoder import Stream, Vocoder
from src.models.xtts_model import FIRST_CHUNK_CODES, XttsModel, make_network

ROOT = Path(__file__).resolve().parents[2]
TEXT = "The train to the north leaves at noon today, so please bring your passport and be at the platform early."
REFERENCE_SECONDS = 6
FORCED_SEQUENCES = 4
ALONE_SECONDS = 900
"""For the process that measures what our engine needs by itself."""
BYTES_PER_WEIGHT = {Precision.EXACT: 4, Precision.BF16: 2, Precision.INT8: 1 + 4 / BLOCK}
"""In 8 bits with a scale for each block."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--checkpoint", type=Path, default=ROOT / "checkpoints/xtts-full", help="made if missing")
    parser.add_argument("--precision", choices=["auto", *map(str, Precision)], default="auto")
    parser.add_argument("--codes", type=int, default=108, help="audio codes of a sentence; 108 are 5 s")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=8, help="sentences at once in the throughput measurement")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Measure, print a table, and return the figures: times in seconds. Raises SystemExit where stock is faster."""
    logging.disable(logging.WARNING)  # of the stock packages
    warnings.simplefilter("ignore")
    if args.codes < FIRST_CHUNK_CODES + 4:
        raise SystemExit(f"--codes must be {FIRST_CHUNK_CODES + 4} or more")
    full_and_endless(args.checkpoint)
    bench = Bench(args)
    bench.warm_up()
    rounds = []
    for number in range(args.rounds):
        rounds.append(bench.round())
        print(
            f"round {number + 1}: " + ", ".join(f"{key} {value:.3f} s" for key, value in rounds[-1].items()), flush=True
        )
    figures = {key: statistics.median(item[key] for item in rounds) for key in rounds[0]}
    figures |= bench.throughput() | alone(args)
    result = summary(figures, bench, args)
    for name, value in result.items():
        print(f"{name:36} {value:.3f}" if isinstance(value, float) else f"{name:36} {value}")
    if result["ratio"] < 1:
        raise SystemExit("slower than stock")
    return result


class Bench:
    """Both engines over one checkpoint, each with its own copy of the weights."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.codes, self.batch = args.codes, args.batch
        self.device = torch.device(args.device)
        self.precision = Precision.chosen(args.precision, self.device)
        self.stock = load_xtts(args.checkpoint, licence_accepted=True).to(self.device)
        source = load_xtts(args.checkpoint, licence_accepted=True).to(self.device)
        self.blocks = len(source.gpt.gpt.h)
        self.network = make_network(source.gpt, self.precision, self.device, args.checkpoint)
        self.vocoder = Vocoder(source.hifigan_decoder, self.precision.vocoder_dtype(self.device))
        self.options = SamplingOptions()
        self.alone = DecodeLoop(self.network, self.options, self.device, slots=1)
        random = torch.Generator().manual_seed(0)
        self.latents = torch.randn(1, 32, self.network.width, generator=random).to(self.device)
        self.speaker = torch.nn.functional.normalize(torch.randn(1, 512, 1, generator=random), dim=1).to(self.device)
        self.tokens = torch.tensor(source.tokenizer.encode(TEXT.lower(), lang="en"))

    def warm_up(self) -> None:
        codes, self.codes = self.codes, FIRST_CHUNK_CODES + 4
        self.round()
        self.codes = codes

    def round(self) -> dict[str, float]:
        stock = self._timed(self._stock)
        steps, first, ours = self._ours()
        return {"stock": stock, "ours": ours, "first_audio": first, "step": steps}

    def throughput(self) -> dict[str, float]:
        """Seconds for `batch` sentences at once, vocoder included."""
        loop = DecodeLoop(self.network, self.options, self.device, slots=self.batch)

        def speak() -> None:
            sentences = [self._sentence(seed) for seed in range(self.batch)]
            for sentence in sentences:
                loop.admit(sentence)
            while loop.running:
                loop.step()
            for sentence in sentences:
                self.vocoder.decode(_kept(sentence), self.speaker)

        return {"ours_batch": self._timed(speak)}

    @torch.inference_mode()
    def agreement(self) -> tuple[float, float]:
        """In forced sequences of random codes: the share of positions at which our most likely code is the stock
        package's, and how far our logits are from its, relative to their size.

        Ours go through the step, as in service: the sequences are its batch.
        """
        random = torch.Generator().manual_seed(0)
        codes = torch.randint(0, 1024, (FORCED_SEQUENCES, self.codes), generator=random).to(self.device)
        ours, stock = self._forced_ours(codes), torch.stack([self._forced_stock(row) for row in codes])
        alike = (ours.argmax(-1) == stock.argmax(-1)).float().mean()
        stop = self.network.stop_code  # endless: its logit says nothing
        ours, stock = (torch.cat((each[..., :stop], each[..., stop + 1 :]), dim=-1) for each in (ours, stock))
        return float(alike), float((ours - stock).norm() / stock.norm())

    def _forced_stock(self, codes: Tensor) -> Tensor:
        """Logits [T, V] at each position of codes [T]."""
        gpt, text = self.stock.gpt, self.tokens.to(self.device)
        lengths = torch.tensor([len(text)]), torch.tensor([len(codes) * gpt.code_stride_len])
        latents = gpt(text[None], lengths[0], codes[None], lengths[1], cond_latents=self.latents, return_latent=True)
        logits: Tensor = gpt.mel_head(latents)[0]
        return logits

    def _forced_ours(self, codes: Tensor) -> Tensor:
        """Logits [B, T, V] at each position of codes [B, T]."""
        network, (batch, count) = self.network, codes.shape
        cache: Any = network.new_cache(batch)
        prefix = network.prefix(self.latents, self.tokens)
        logits = [torch.cat([network.prefill(prefix, cache, slot)[1] for slot in range(batch)])]
        counts = torch.zeros(batch, dtype=torch.long, device=self.device)
        for number in range(1, count):
            position = prefix.shape[1] - 1 + number
            x = network.embed(codes[:, number - 1], counts + number)
            logits.append(network.step(x, cache, counts + position, position + 1)[1].clone())
        return torch.stack(logits, dim=1)

    @property
    def step_bytes(self) -> float:
        """Of weights that a step reads."""
        width = self.network.width
        weights = self.blocks * 12 * width * width + width * self.network.codes
        return weights * BYTES_PER_WEIGHT[self.precision]

    def _stock(self) -> None:
        self.stock.inference(TEXT, "en", self.latents, self.speaker, repetition_penalty=5.0, max_new_tokens=self.codes)

    def _ours(self) -> tuple[float, float, float]:
        """Median step, time to the first streamed chunk, and time to the whole waveform, the latter two each alone."""
        start, steps = time.perf_counter(), []
        sentence = self._sentence(0)
        self.alone.admit(sentence)
        while self.alone.running:
            before = time.perf_counter()
            self.alone.step()
            steps.append(time.perf_counter() - before)
        self.vocoder.decode(_kept(sentence), self.speaker).cpu()
        whole = time.perf_counter() - start
        return statistics.median(steps), self._timed(self._first_chunk), whole

    def _first_chunk(self) -> None:
        sentence, stream = self._sentence(0), Stream(self.vocoder, self.speaker)
        self.alone.admit(sentence)
        while len(sentence.codes) < FIRST_CHUNK_CODES:
            self.alone.step()
        if not len(stream.push(_kept(sentence), final=False).cpu()):
            raise RuntimeError("the first chunk is empty")
        sentence.cancelled = True
        self.alone.step()

    def _sentence(self, seed: int) -> Sentence:
        return Sentence(self.tokens, self.latents, seed=seed, max_codes=self.codes)

    def _timed(self, work: Callable[[], object]) -> float:
        return timed(work, self.device)


def _kept(sentence: Sentence) -> Tensor:
    if sentence.latents is None:
        raise RuntimeError("the sentence has no latents")
    return sentence.latents


def alone(args: argparse.Namespace) -> dict[str, float]:
    """Our engine in a process of its own, as the service has it: a voice learned, `batch` sentences said at once."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply_async(_alone, (args,)).get(timeout=ALONE_SECONDS)


def _alone(args: argparse.Namespace) -> dict[str, float]:
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    device, start = torch.device(args.device), time.perf_counter()
    model = XttsModel(
        args.checkpoint, licence_accepted=True, device=args.device, precision=args.precision, slots=args.batch
    )
    loading = time.perf_counter() - start
    noise = np.random.default_rng(0).normal(0, 0.1, REFERENCE_SECONDS * WORKING_SAMPLE_RATE).astype(np.float32)
    reference = (Audio(noise, WORKING_SAMPLE_RATE),)
    voice = model.condition(reference)  # the first one also warms up
    seconds = timed(lambda: model.condition(reference), device)
    utterances = [model.begin(SpeechRequest((TEXT,), "en", voice, quality=Quality.FAST)) for _ in range(args.batch)]
    for sentence in (sentence for utterance in utterances for sentence in utterance.sentences):
        sentence.max_codes = args.codes
    while not all(utterance.finished for utterance in utterances):
        model.step()
    for utterance in utterances:
        model.audio(utterance)
    return {"loading": loading, "conditioning": seconds, "memory": peak_memory(device)}


def summary(figures: dict[str, float], bench: Bench, args: argparse.Namespace) -> dict[str, Any]:
    seconds = bench.vocoder.rates.frames(args.codes) * bench.vocoder.rates.frame_samples / 24_000
    bandwidth = read_bandwidth(bench.device)
    alike, error = bench.agreement()
    return {
        "precision": str(bench.precision),
        "device": f"{bench.device}, {torch.get_num_threads()} threads",
        "seconds of speech": seconds,
        "stock, s": figures["stock"],
        "ours, s": figures["ours"],
        "ratio": figures["stock"] / figures["ours"],
        "real-time factor, stock": figures["stock"] / seconds,
        "real-time factor, ours": figures["ours"] / seconds,
        "codes per second, ours": 1 / figures["step"],
        "first audio, s": figures["first_audio"],
        f"{args.batch} at once, s": figures["ours_batch"],
        "throughput over stock": args.batch * figures["stock"] / figures["ours_batch"],
        "top-1 agreement with stock": alike,
        "error of the logits against stock": error,
        "read bandwidth, GB/s": bandwidth / 1e9,
        "share of the limit, a step": bench.step_bytes / bandwidth / figures["step"],
        f"conditioning on {REFERENCE_SECONDS} s, ours, s": figures["conditioning"],
        "ready with the imports, ours alone, s": figures["loading"],
        "peak memory, ours alone, GB": figures["memory"] / 1e9,
    }
