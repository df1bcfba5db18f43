"""Suite `pipeline`: a message of 10 s heard, and 5 s said in the speaker's voice: ours against the stock packages.

Both do what the service does with a message, without the translation, which is another company's time: read a WAV file,
find the language, transcribe, learn the voice from all of it, speak, write a WAV file. Stock is openai-whisper and
coqui-tts as their own documentation calls them, in float32; ours is the service's own engines. The weights are random,
of full size, and lengths are fixed by hand: 40 tokens of text, 108 codes of speech.

Each side lives in a process of its own, so that memory is counted apart; rounds alternate, after one that warms up.
Medians are printed.
"""

import argparse
import io
import logging
import multiprocessing
import os
import statistics
import subprocess
import tempfile
import time
import warnings
import wave
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch
import whisper
from whisper.audio import N_FRAMES, log_mel_spectrogram, pad_or_trim
from whisper.decoding import DecodingOptions

from scripts.benchmarks.measures import WHISPER_END, peak_memory, require
from scripts.benchmarks.xtts import TEXT
from scripts.checkpoints.whisper import make
from scripts.checkpoints.xtts import full_and_endless
from src.adapters.decoding.pyav_decoder import PyAvDecoder
from src.domain.audio import WORKING_SAMPLE_RATE, Audio, AudioFormat
from src.domain.speech import Quality, SpeechRequest
from src.models.silero_vad import SileroVad
from src.models.whisper.network import Precision as WhisperPrecision
from src.models.whisper.recogniser import ATTEMPTS, Recogniser
from src.models.xtts.coqui import load_xtts
from src.models.xtts_model import XttsModel
from src.services.audio_processing import AudioProcessing
from src.utils.audio import encode_wav, resample

ROOT = Path(__file__).resolve().parents[2]
SECONDS_IN, TOKENS, CODES = 10.0, 40, 108
_START_SECONDS, _ROUND_SECONDS = 300, 300


@dataclass(frozen=True)
class Plan:
    """What both sides are told."""

    recording: Path
    whisper: Path
    xtts: Path
    device: str
    exact: bool
    quality: Quality


Stages = dict[str, float]
"""Seconds by the name of the stage."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--checkpoint", type=Path, default=ROOT / "checkpoints/xtts-full", help="made unless it is there"
    )
    parser.add_argument("--whisper-size", default="base")
    parser.add_argument("--quality", choices=["fast", "balanced"], default="fast", help="ours; stock has one way")
    parser.add_argument("--exact", action="store_true", help="ours in float32 throughout, instead of int8 or bfloat16")
    parser.add_argument("--rounds", type=int, default=3)


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Seconds of each side by stage, their ratio, and the peak memory of each."""
    weights = ROOT / "checkpoints" / f"random-{args.whisper_size}.pt"
    if not weights.exists():
        make(args.whisper_size, weights)
    with tempfile.TemporaryDirectory() as folder:
        recording = Path(folder) / "message.wav"
        recording.write_bytes(_message(Path(folder)))
        plan = Plan(
            recording, weights, full_and_endless(args.checkpoint), args.device, args.exact, Quality(args.quality)
        )
        sides = {name: _Side(name, plan) for name in ("stock", "ours")}
        try:
            rounds: dict[str, list[Stages]] = {name: [] for name in sides}
            for number in range(args.rounds + 1):
                for name, side in sides.items():
                    stages = side.round()
                    if number:
                        rounds[name].append(stages)
            memory = {name: side.peak_memory() for name, side in sides.items()}
        finally:
            for side in sides.values():
                side.close()
    seconds = {name: _medians(stages) for name, stages in rounds.items()}
    result = {
        "device": args.device,
        "cores": os.cpu_count(),
        "quality": args.quality,
        "exact": args.exact,
        "seconds": seconds,
        "times_stock": seconds["stock"]["total"] / seconds["ours"]["total"],
        "peak_memory_gb": {name: value / 1e9 for name, value in memory.items()},
        "load_average": os.getloadavg()[0],
    }
    _print(result)
    return result


def _medians(rounds: list[Stages]) -> Stages:
    return {stage: statistics.median(item[stage] for item in rounds) for stage in rounds[0]}


def _message(folder: Path) -> bytes:
    """A WAV file of flite, said again and again until the time is over."""
    path = folder / "sentence.wav"
    subprocess.run(["flite", "-voice", "slt", "-t", TEXT, "-o", str(path)], check=True, timeout=60)
    samples = resample(_read_wav(path), WORKING_SAMPLE_RATE).samples
    return encode_wav(Audio(np.resize(samples, round(SECONDS_IN * WORKING_SAMPLE_RATE)), WORKING_SAMPLE_RATE))


class _Side:
    """A process with one of the two, built and ready."""

    def __init__(self, name: str, plan: Plan) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(name, plan, theirs), daemon=True)
        self._process.start()
        theirs.close()
        self._receive(_START_SECONDS)

    def round(self) -> Stages:
        self._connection.send("round")
        stages: Stages = self._receive(_ROUND_SECONDS)
        return stages

    def peak_memory(self) -> int:
        self._connection.send("memory")
        return int(self._receive(_ROUND_SECONDS))

    def close(self) -> None:
        self._connection.close()
        self._process.join(10)
        self._process.kill()

    def _receive(self, seconds: float) -> Any:
        if not self._connection.poll(seconds):
            raise RuntimeError(f"a side did not answer in {seconds} s")
        return self._connection.recv()


def _serve(name: str, plan: Plan, connection: Connection) -> None:
    logging.disable(logging.WARNING)  # of the stock packages
    warnings.simplefilter("ignore")
    once = {"stock": stock, "ours": ours}[name](plan)
    connection.send("ready")
    try:
        while True:
            if connection.recv() == "memory":
                connection.send(peak_memory(torch.device(plan.device)))
            else:
                connection.send(once())
    except EOFError:
        return


class _Clock:
    """Splits a round into stages."""

    def __init__(self, device: str) -> None:
        self.stages: Stages = {}
        self._cuda = device == "cuda"
        self._begun = self._last = time.perf_counter()

    def __call__(self, stage: str) -> None:
        if self._cuda:
            torch.cuda.synchronize()
        now = time.perf_counter()
        self.stages[stage], self._last = now - self._last, now
        self.stages["total"] = now - self._begun


def stock(plan: Plan) -> Callable[[], Stages]:
    """openai-whisper's `load_model`, `detect_language` and `decode`; coqui-tts's conditioning by the published config,
    and `Xtts.inference`.
    """
    recogniser = whisper.load_model(str(plan.whisper), device=plan.device)
    voice = load_xtts(plan.xtts, licence_accepted=True).to(plan.device)
    config = voice.config

    @torch.inference_mode()
    def once() -> Stages:
        clock = _Clock(plan.device)
        audio = _read_wav(plan.recording)
        clock("decode")
        mel = log_mel_spectrogram(resample(audio, 16_000).samples, recogniser.dims.n_mels, padding=16_000 * 30)
        window = pad_or_trim(mel, N_FRAMES).to(recogniser.device)
        _, languages = recogniser.detect_language(window)
        language = max(languages, key=lambda code: languages[code])
        options = DecodingOptions(language=language, fp16=False, sample_len=TOKENS, suppress_tokens=[-1, WHISPER_END])
        require(len(recogniser.decode(window, options).tokens), TOKENS)
        clock("transcribe")
        reference = torch.from_numpy(audio.samples)[None].to(plan.device)
        latents = voice.get_gpt_cond_latents(
            reference, audio.sample_rate, length=config.gpt_cond_len, chunk_length=config.gpt_cond_chunk_len
        )
        speaker = voice.get_speaker_embedding(reference, audio.sample_rate)
        clock("learn voice")
        spoken = voice.inference(
            TEXT, "en", latents, speaker, repetition_penalty=config.repetition_penalty, max_new_tokens=CODES
        )["wav"]
        clock("speak")
        encode_wav(Audio(np.asarray(spoken, np.float32), 24_000))
        clock("encode")
        return clock.stages

    return once


def _read_wav(path: Path) -> Audio:
    """16-bit mono, in the way that costs least."""
    with wave.open(io.BytesIO(path.read_bytes())) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float32) / np.float32(32_768)
        return Audio(samples, file.getframerate())


def ours(plan: Plan) -> Callable[[], Stages]:
    """The service's decoder with its speech detection, and its engines."""
    device = torch.device(plan.device)
    half = plan.device == "cuda" and not plan.exact
    recogniser = Recogniser(
        plan.whisper, device, WhisperPrecision.FLOAT16 if half else WhisperPrecision.FLOAT32, batch=1
    )
    model = XttsModel(plan.xtts, licence_accepted=True, device=plan.device, precision="exact" if plan.exact else "auto")
    decoder = AudioProcessing(PyAvDecoder(1.0, 300.0), SileroVad())
    short = ATTEMPTS[plan.quality][0].short

    def once() -> Stages:
        clock = _Clock(plan.device)
        decoder.decode(plan.recording.read_bytes(), AudioFormat.WAV)
        audio = _read_wav(
            plan.recording
        )  # all of it: what the detection cuts off would make the work less than stock's
        clock("decode")
        window = recogniser.window(resample(audio, 16_000).samples)
        (languages,) = recogniser.languages([window], short=short)
        language = max(languages, key=lambda code: languages[code])
        features = recogniser.encoded([window], short=short)
        (result,) = recogniser.decoder.decode(features, language, max_tokens=TOKENS, suppressed=(-1, WHISPER_END))
        require(len(result.tokens), TOKENS)
        clock("transcribe")
        voice = model.condition((audio,))
        clock("learn voice")
        utterance = model.begin(SpeechRequest((TEXT,), "en", voice, quality=Quality.FAST))
        (sentence,) = utterance.sentences
        sentence.max_codes = CODES
        while not utterance.finished:
            model.step()
        require(len(sentence.codes), CODES)
        spoken = model.audio(utterance)
        model.drop(utterance)
        clock("speak")
        encode_wav(spoken)
        clock("encode")
        return clock.stages

    return once


def _print(result: dict[str, Any]) -> None:
    seconds = result["seconds"]
    print(f"{SECONDS_IN:.0f} s in, {CODES} codes out, on {result['device']}, quality {result['quality']}")
    for stage in sorted(seconds["ours"], key="total".__eq__):
        print(f"  {stage:12} stock {seconds['stock'][stage]:7.3f} s   ours {seconds['ours'][stage]:7.3f} s")
    print(f"  {result['times_stock']:.2f} x stock")
    for name, value in result["peak_memory_gb"].items():
        print(f"  peak memory, {name:6} {value:.2f} GB")
