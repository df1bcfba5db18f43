"""Suite `safeguards`: what the safeguards of a request cost in processor time, on one core.

The largest body that is taken, against the standard library's parser; sealing and opening of stored files; the marks of
an answer, and looking for them. AudioSeal's networks have random weights, which cost what trained ones do.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from scripts.checkpoints import audioseal
from src.adapters.provenance.c2pa_signing import C2paSigner
from src.adapters.provenance.certificates import load_identity, make_self_signed
from src.adapters.provenance.mark_reading import MarkFiles
from src.adapters.provenance.riff_info import info_fields, with_info
from src.adapters.storage.keyring import KEY_BYTES, Keyring
from src.api.requests import parse
from src.domain.audio import OUTPUT_SAMPLE_RATE, Audio, AudioFormat
from src.domain.provenance import Trust
from src.models.audioseal_watermark import AudioSealWatermark
from src.utils.audio import encode_wav
from tests.recordings import audio_files

_BODY_BYTES = 64 * 1000**2
_FILE_BYTES = 50 * 1000**2
_SECONDS_OF_SPEECH = (5, 60)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--repeats", type=int, default=15, help="the median of so many is told (suite safeguards)")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    torch.set_num_threads(1)
    repeats = arguments.repeats
    bodies, files = _bodies(repeats), _files(repeats)
    with tempfile.TemporaryDirectory() as folder:
        marks = {seconds: _marks(seconds, Path(folder), repeats) for seconds in _SECONDS_OF_SPEECH}
    return {"bodies": bodies, "files": files, "marks": marks}


def _median(work: Callable[[], object], repeats: int) -> float:
    """Milliseconds of processor time: others may use the machine."""
    took = []
    for _ in range(repeats):
        began = time.process_time()
        work()
        took.append((time.process_time() - began) * 1000)
    return float(np.median(took))


def _bodies(repeats: int) -> dict[str, float]:
    body = json.dumps({"audio": "UklG" * (_BODY_BYTES // 4), "target_language": "es"}).encode()
    stock, ours = _median(lambda: json.loads(body), repeats), _median(lambda: parse(body), repeats)
    print(
        f"{_BODY_BYTES / 1e6:.0f} MB of JSON: json {stock:.0f} ms, ours {ours:.0f} ms, {stock / ours:.1f} times as fast"
    )
    return {"json_ms": stock, "ours_ms": ours, "ratio": stock / ours}


def _files(repeats: int) -> dict[str, dict[str, float]]:
    keyring, measured = Keyring([bytes(range(KEY_BYTES))]), {}
    for name, size in {"10 s of speech": 10 * OUTPUT_SAMPLE_RATE * 2, "50 MB": _FILE_BYTES}.items():
        plain = bytes(size)
        sealed = keyring.seal("a", plain)
        seal = _median(lambda plain=plain: keyring.seal("a", plain), repeats)  # type: ignore[misc]
        opened = _median(lambda sealed=sealed: keyring.open("a", sealed), repeats)  # type: ignore[misc]
        print(f"{name}: sealed in {seal:.2f} ms ({size / seal / 1e6:.1f} GB/s)", end="")
        print(f", opened in {opened:.2f} ms ({size / opened / 1e6:.1f} GB/s)")
        measured[name] = {"seal_ms": seal, "open_ms": opened}
    return measured


def _marks(seconds: int, folder: Path, repeats: int) -> dict[str, float]:
    speech = _speech(seconds)
    wav, moment = encode_wav(speech), datetime.now(UTC)
    pem = make_self_signed()
    identity = load_identity(pem, pem, self_signed=True)
    signer = C2paSigner(identity, software="voice-translation", version="1")
    fields = info_fields("voice-translation 1", f"{moment:%Y-%m-%d}")
    informed = with_info(wav, fields)
    signed = signer.sign_now(informed, moment).data
    trust = Trust(identity.anchor, identity.serial_number)
    if not any(folder.iterdir()):
        audioseal.write(folder, seed=0)
    watermark = AudioSealWatermark(folder, "beef")
    few = max(1, repeats // 5)
    measured = {
        "info_ms": _median(lambda: with_info(wav, fields), repeats),
        "info_bytes": len(informed) - len(wav),
        "c2pa_ms": _median(lambda: signer.sign_now(informed, moment), repeats),
        "c2pa_bytes": len(signed) - len(informed),
        "c2pa_read_ms": _median(lambda: MarkFiles().c2pa(signed, AudioFormat.WAV, trust), repeats),
        "watermark_ms": _median(lambda: watermark.embed(speech), few),
        "watermark_heard_ms": _median(lambda: watermark.detect(speech), few),
    }
    print(f"Marks of {seconds} s: " + ", ".join(f"{name} {value:.1f}" for name, value in measured.items()), flush=True)
    return measured


def _speech(seconds: int) -> Audio:
    said = audio_files.speech(OUTPUT_SAMPLE_RATE)
    return Audio(np.resize(said, seconds * OUTPUT_SAMPLE_RATE).astype(np.float32), OUTPUT_SAMPLE_RATE)
