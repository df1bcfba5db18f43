"""CUDA graphs of the decode loop's step: one launch instead of about a thousand."""

from collections.abc import Callable

import torch

_LENGTH_UNIT = 128
"""Lengths are rounded up to this many positions, so that a sentence meets few graphs."""


class StepGraphs:
    """Captures `decode(batch, longest)` once for each batch and rounded length, and replays it from then on.

    `decode` must read and write tensors at fixed addresses only, and ask the device nothing.
    """

    def __init__(self, decode: Callable[[int, int], None]) -> None:
        self._decode = decode
        self._graphs: dict[tuple[int, int], torch.cuda.CUDAGraph] = {}

    def __call__(self, batch: int, longest: int, capacity: int) -> None:
        """Run the step, for at least `longest` positions and at most `capacity`."""
        key = (batch, min(capacity, -(-longest // _LENGTH_UNIT) * _LENGTH_UNIT))
        if key in self._graphs:
            self._graphs[key].replay()
            return
        self._decode(*key)  # this step, uncaptured: it also makes the libraries allocate what they need
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):  # records, does not run
            self._decode(*key)
        self._graphs[key] = graph
