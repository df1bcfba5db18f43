"""XTTS's GPT-2 as ONNX Runtime runs it on a CPU, in 8 bits. The same methods as `torch_network.TorchNetwork`."""

import mmap
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from torch import Tensor

from src.models.xtts.network import Embeddings

_FLOATS = NDArray[np.float32]


class OnnxCache:
    """Keys and values of every slot, [slots, heads, capacity, D / heads] for each layer, and what a step reads and
    writes besides. Allocated once, so that a step of B slots is bound to its addresses once.
    """

    def __init__(self, names: list[str], slots: int, heads: int, capacity: int, width: int, codes: int) -> None:
        self._store = _untouched((len(names), slots, heads, capacity, width // heads))
        self._names = names
        self.x = np.zeros((slots, 1, width), np.float32)
        self.ends = np.zeros(slots, np.int32)
        self.total = np.zeros(1, np.int32)
        self.latents = np.zeros((slots, 1, width), np.float32)
        self.logits = np.zeros((slots, 1, codes), np.float32)
        self.steps: dict[int, ort.IOBinding] = {}

    def rows(self, kind: str, first: int, count: int) -> dict[str, _FLOATS]:
        """The graph's caches of `count` slots from `first` on; kind: past or present."""
        return {f"{kind}_{name}": self._store[index, first : first + count] for index, name in enumerate(self._names)}

    def move(self, source: int, target: int, length: int) -> None:
        """Let slot `target` hold the first `length` positions of slot `source`."""
        self._store[:, target, :, :length] = self._store[:, source, :, :length]


def _untouched(shape: tuple[int, ...]) -> _FLOATS:
    """Zeros that take up room only where something is written: a cache is for the longest sentences, and most are
    short. In huge pages, which Linux would choose, one position of each head would take up the whole slot.
    """
    pages = mmap.mmap(-1, int(np.prod(shape)) * 4)
    pages.madvise(mmap.MADV_NOHUGEPAGE)
    return np.frombuffer(pages, np.float32).reshape(shape)


class OnnxNetwork(Embeddings):
    """session: of the graph that `onnx_graph` writes of the same `gpt`."""

    def __init__(self, gpt: Any, session: ort.InferenceSession) -> None:
        super().__init__(gpt, torch.float32, torch.device("cpu"))
        self._session = session
        self._caches = [each.name.removeprefix("past_") for each in session.get_inputs() if "past_" in each.name]

    def new_cache(self, slots: int) -> OnnxCache:
        return OnnxCache(self._caches, slots, self.heads, self.capacity, self.width, self.codes)

    def prefill(self, x: Tensor, cache: OnnxCache, slot: int, known: int = 0) -> tuple[Tensor, Tensor]:
        """Run prefix x [1, T, D] into `slot`, behind its first `known` positions: latents [1, D] and logits [1, V] of
        the last position.
        """
        count = x.shape[1]
        total = known + count
        latents, logits = (np.empty((1, count, size), np.float32) for size in (self.width, self.codes))
        binding = self._bound(
            {"x": x.numpy(), "ends": np.array([total - 1], np.int32), "total": np.array([total], np.int32)}
            | cache.rows("past", slot, 1),
            {"latents": latents, "logits": logits} | cache.rows("present", slot, 1),
        )
        self._session.run_with_iobinding(binding)
        return torch.from_numpy(latents[:, -1]), torch.from_numpy(logits[:, -1])

    def step(
        self, x: Tensor, cache: OnnxCache, positions: Tensor, longest: int, *, alone: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Run one input x [B, D] for the first B slots, each at its own position [B] below `longest`: latents [B, D]
        and logits [B, V], which the next step writes over.
        """
        batch = len(x)
        if batch not in cache.steps:
            cache.steps[batch] = self._bound(
                {"x": cache.x[:batch], "ends": cache.ends[:batch], "total": cache.total} | cache.rows("past", 0, batch),
                {"latents": cache.latents[:batch], "logits": cache.logits[:batch]} | cache.rows("present", 0, batch),
            )
        cache.x[:batch, 0], cache.ends[:batch], cache.total[0] = x, positions, longest
        self._session.run_with_iobinding(cache.steps[batch])
        return torch.from_numpy(cache.latents[:batch, 0]), torch.from_numpy(cache.logits[:batch, 0])

    def _bound(self, inputs: Mapping[str, NDArray[Any]], outputs: Mapping[str, NDArray[Any]]) -> ort.IOBinding:
        """To the memory of the arrays, which nothing copies: it must stay for as long as the binding is used."""
        binding = self._session.io_binding()
        for bind, arrays in ((binding.bind_input, inputs), (binding.bind_output, outputs)):
            for name, array in arrays.items():
                bind(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)
        return binding
