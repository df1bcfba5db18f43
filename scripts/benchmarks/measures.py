"""What several suites measure: elapsed time on a device, how fast memory is read, how much of it was used."""

import resource
import time
from collections.abc import Callable
from pathlib import Path

import torch

_BLOCK_BYTES = 2**30

WHISPER_END = 50257
"""The end token of multilingual models, suppressed so that random weights give as many tokens as are asked for."""


def require(found: int, wanted: int) -> None:
    """Raises RuntimeError unless as many tokens or codes were made as were asked for."""
    if found != wanted:
        raise RuntimeError(f"{found} instead of {wanted}: the contenders would not do the same work")


def timed(work: Callable[[], object], device: torch.device) -> float:
    """Seconds that `work` takes, until the device has finished it."""
    start = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def read_bandwidth(device: torch.device) -> float:
    """Bytes a second of a sum over 1 GiB: what this machine reads at most, the best of five."""
    block = torch.ones(_BLOCK_BYTES // 4, device=device)
    return float(max(block.nbytes / timed(block.sum, device) for _ in range(5)))


def peak_memory(device: torch.device) -> int:
    """Bytes that this process held at most: on the GPU where it uses one, else in main memory.

    Linux hands `ru_maxrss` on to the processes that one starts, so its own high-water mark is read instead.
    """
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    status = Path("/proc/self/status")
    if status.exists():
        fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(fields["VmHWM"].removesuffix("kB")) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # macOS counts in bytes
