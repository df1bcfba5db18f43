"""The graph of a checkpoint, kept beside it: made by the first process of a host, mapped by all of them."""

import fcntl
import hashlib
import logging
import tempfile
import zipfile
from pathlib import Path
from shutil import rmtree
from typing import Any

import onnxruntime as ort
import torch

from src.models.xtts.onnx_graph import write_step_graph
from src.models.xtts.onnx_network import OnnxNetwork

logger = logging.getLogger(__name__)

_FOLDER = ".converted"
"""In the checkpoint's folder; hidden, as it is no part of what is published."""
_UNFINISHED = "unfinished."
_GRAPH = "step.onnx"
_ERRORS_ONLY = 3
"""ONNX Runtime warns that a packed graph is for one kind of processor, which its name says here."""


def step_session(gpt: Any, directory: Path) -> ort.InferenceSession:
    """A session of the graph of the stock `gpt`, whose checkpoint `directory` holds.

    ONNX Runtime lays weights out as the processor's kernels want them. This form is kept, in a folder whose name has
    the processor, the version and the checkpoint's digest. Where `directory` cannot be written to, the graph is made at
    each start, in a folder for temporary files.
    """
    kept = directory / _FOLDER / _name(directory)
    try:
        _keep(gpt, kept)
        try:
            return _session(kept / _GRAPH)
        except Exception as error:  # noqa: BLE001 - ONNX Runtime's have no base of their own
            logger.warning("xtts: the converted network cannot be read, and is made again: %s", error)
            rmtree(kept)
            _keep(gpt, kept)
    except OSError as error:
        logger.warning("xtts: %s cannot keep the converted network (%s): each start converts it", directory, error)
        with tempfile.TemporaryDirectory() as folder:
            return _session(_packed(gpt, Path(folder)))
    return _session(kept / _GRAPH)


def _keep(gpt: Any, kept: Path) -> None:
    """Convert unless it is there, one process at a time. Earlier conversions for this processor go. Raises OSError."""
    kept.parent.mkdir(exist_ok=True)
    with (kept.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # falls with the process
        if kept.is_dir():
            return
        logger.info("xtts: converting the network to 8 bits, once")
        for left in kept.parent.glob(f"{_UNFINISHED}*"):  # by a process that was killed
            rmtree(left)
        with tempfile.TemporaryDirectory(dir=kept.parent, prefix=_UNFINISHED) as folder:
            _packed(gpt, Path(folder)).parent.rename(kept)
        for earlier in kept.parent.glob(kept.name.partition("-")[0] + "-*"):
            if earlier != kept:
                rmtree(earlier)


def _packed(gpt: Any, folder: Path) -> Path:
    """Write the graph below `folder`, packed for this processor. Returns its path."""
    plain, packed = folder / "plain" / _GRAPH, folder / "packed" / _GRAPH
    plain.parent.mkdir()
    packed.parent.mkdir()
    write_step_graph(gpt, plain)
    options = _options()
    options.optimized_model_filepath = str(packed)
    for name, value in {
        "session.save_external_prepacked_constant_initializers": "1",
        "session.optimized_model_external_initializers_file_name": packed.name + ".data",
        "session.optimized_model_external_initializers_min_size_in_bytes": "0",
    }.items():
        options.add_session_config_entry(name, value)
    expected = _said(gpt, ort.InferenceSession(plain, options, providers=["CPUExecutionProvider"]))
    if not torch.equal(_said(gpt, _session(packed)), expected):
        # ONNX Runtime 1.31 misreads packed weights that do not begin at a multiple of 64 bytes in the file
        logger.warning("xtts: the packed network computes otherwise; each process packs its own copy")
        rmtree(packed.parent)
        return plain
    rmtree(plain.parent)
    return packed


def _said(gpt: Any, session: ort.InferenceSession) -> torch.Tensor:
    """Logits [1, V] of some prefix."""
    network = OnnxNetwork(gpt, session)
    prefix = network.prefix(torch.ones(1, 1, network.width), torch.arange(8))
    return network.prefill(prefix, network.new_cache(1), 0)[1]


def _session(path: Path) -> ort.InferenceSession:
    options = _options()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC  # the file has the rest
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _options() -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = _ERRORS_ONLY
    return options


def _name(directory: Path) -> str:
    checkpoint = _digest(directory / "model.pth")
    instructions = sorted(name for name, has in torch.cpu.get_capabilities().items() if has is True)
    processor = hashlib.sha256(" ".join(instructions).encode()).hexdigest()
    return f"{processor[:8]}-{ort.__version__}-{checkpoint[:16]}"


def _digest(checkpoint: Path) -> str:
    """Of the checksums that a zip file has of its entries, as torch writes them: 2 GB need not be read for it."""
    if not zipfile.is_zipfile(checkpoint):
        with checkpoint.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    with zipfile.ZipFile(checkpoint) as archive:
        entries = [(entry.filename, entry.file_size, entry.CRC) for entry in archive.infolist()]
    return hashlib.sha256(repr(entries).encode()).hexdigest()
