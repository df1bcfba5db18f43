"""XTTS's GPT-2 as torch runs it, on a GPU or exactly: the stock weights, our own cache, positions from outside."""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from src.models.processor import give_back_freed
from src.models.xtts.network import Block, Embeddings, Linear, Norm, Precision


class Cache:
    """Keys and values of every slot: [layers, slots, capacity, 2, heads, D / heads]. Allocated once.

    A position's key and value lie together, as the projection gives them, so that one copy stores both.
    """

    def __init__(self, layers: int, slots: int, heads: int, capacity: int, head_width: int, like: Tensor) -> None:
        self._store = _zeros((layers, slots, capacity, 2, heads, head_width), like)
        self._flat = self._store.view(layers, slots * capacity, 2 * heads * head_width)
        self._first = torch.arange(slots, device=like.device) * capacity  # where each slot begins in `_flat`
        self._columns = torch.arange(capacity, device=like.device)

    def fill(self, layer: int, slot: int, known: int, mixed: Tensor) -> None:
        """Store positions from `known` on, of projections mixed [1, T, 3 D]."""
        first = slot * len(self._columns) + known
        self._flat[layer, first : first + mixed.shape[1]] = mixed[0, :, mixed.shape[2] // 3 :]

    def addresses(self, positions: Tensor) -> Tensor:
        """Of positions [B] in the first B slots, for `put`."""
        return self._first[: len(positions)] + positions

    def put(self, layer: int, addresses: Tensor, mixed: Tensor) -> None:
        """Store one position of each of the first B slots, of projections mixed [B, 1, 3 D]."""
        self._flat[layer].index_copy_(0, addresses, mixed[:, 0, mixed.shape[2] // 3 :])

    def get(self, layer: int, slots: slice, longest: int) -> tuple[Tensor, Tensor]:
        """Keys and values, [B, heads, longest, D / heads] each."""
        keys, values = self._store[layer, slots, :longest].permute(2, 0, 3, 1, 4)
        return keys, values

    def seen(self, positions: Tensor, longest: int, dtype: torch.dtype) -> Tensor:
        """0 where the rows at positions [B] may look, of `longest`, and -inf elsewhere: [B, 1, 1, longest]."""
        hidden = self._columns[:longest] > positions[:, None]
        return torch.zeros_like(hidden, dtype=dtype).masked_fill_(hidden, -torch.inf)[:, None, None]

    def move(self, source: int, target: int, length: int) -> None:
        """Let slot `target` hold the first `length` positions of slot `source`."""
        self._store[:, target, :length] = self._store[:, source, :length]


def _zeros(shape: tuple[int, ...], like: Tensor) -> Tensor:
    """Of the type and device of `like`. In main memory numpy's take up room only where something is written, which
    torch's do not: a cache is for sentences of the greatest length, and most are short.
    """
    if like.device.type != "cpu":
        return like.new_zeros(shape)
    return torch.from_numpy(np.zeros((*shape[:-1], shape[-1] * like.element_size()), np.uint8)).view(like.dtype)


class TorchNetwork(Embeddings):
    """Embeddings, blocks and heads of a stock `GPT` in one precision. Takes the blocks away from the stock model."""

    def __init__(self, gpt: Any, precision: Precision, device: torch.device) -> None:
        super().__init__(gpt, precision.dtype, device)
        self._device, self._precision = device, precision
        self.blocks: list[Block] = []
        while len(gpt.gpt.h):
            self.blocks.append(self._block(gpt.gpt.h[0]))
            del gpt.gpt.h[0]  # so that two copies of the weights are never held
        give_back_freed()  # the blocks of the stock model
        self._last_norm, self._final_norm = self._norm(gpt.gpt.ln_f), self._norm(gpt.final_norm)
        self._head = self._linear(gpt.mel_head.weight, gpt.mel_head.bias)

    def new_cache(self, slots: int) -> Cache:
        return Cache(len(self.blocks), slots, self.heads, self.capacity, self.width // self.heads, self._code[:0])

    def prefill(self, x: Tensor, cache: Cache, slot: int, known: int = 0) -> tuple[Tensor, Tensor]:
        """Run prefix x [1, T, D] into `slot`, behind its first `known` positions: latents [1, D] and logits [1, V] of
        the last position.
        """
        total = known + x.shape[1]
        seen = torch.ones(x.shape[1], total, dtype=torch.bool, device=x.device).tril(known)
        for layer, block in enumerate(self.blocks):
            mixed = block.attention_in(block.norm_1(x))  # [1, T, 3 D]
            cache.fill(layer, slot, known, mixed)
            query = self._query(mixed)
            held = cache.get(layer, slice(slot, slot + 1), total)
            x = block.finish(x, functional.scaled_dot_product_attention(query, *held, attn_mask=seen))
        return self._said(x[:, -1])

    def step(
        self, x: Tensor, cache: Cache, positions: Tensor, longest: int, *, alone: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Run one input x [B, D] for the first B slots, each at its own position [B] below `longest`: latents [B, D]
        and logits [B, V].

        `longest` is known on the host, so that the device need not be asked; positions above a row's own are masked.
        alone: there is one row, at position `longest` - 1, so that nothing need be masked.
        """
        batch = x.shape[0]
        addresses = cache.addresses(positions)
        seen = None if alone else cache.seen(positions, longest, x.dtype)
        x = x[:, None]  # [B, 1, D]
        for layer, block in enumerate(self.blocks):
            mixed = block.attention_in(block.norm_1(x))  # [B, 1, 3 D]
            cache.put(layer, addresses, mixed)
            held = cache.get(layer, slice(batch), longest)
            attended = functional.scaled_dot_product_attention(self._query(mixed), *held, attn_mask=seen)
            x = block.finish(x, attended)
        return self._said(x[:, 0])

    def _query(self, mixed: Tensor) -> Tensor:
        """[B, H, T, D / H] of projections mixed [B, T, 3 D]."""
        return mixed[..., : self.width].reshape(*mixed.shape[:2], self.heads, -1).transpose(1, 2)

    def _said(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Latents [B, D] and logits [B, V], float32, of what the last block gives [B, D]."""
        latents = self._final_norm(self._last_norm(x))
        return latents, self._head(latents).float()

    def _copy(self, tensor: Tensor) -> Tensor:
        return tensor.detach().to(self._device, self._precision.dtype)

    def _norm(self, norm: Any) -> Norm:
        return Norm(self._copy(norm.weight), self._copy(norm.bias), norm.eps)

    def _linear(self, weight: Tensor, bias: Tensor) -> Linear:
        return Linear(self._copy(weight), self._copy(bias))

    def _block(self, block: Any) -> Block:
        attention, mlp = block.attn, block.mlp
        return Block(
            norm_1=self._norm(block.ln_1),
            attention_in=self._linear(attention.c_attn.weight.t(), attention.c_attn.bias),
            attention_out=self._linear(attention.c_proj.weight.t(), attention.c_proj.bias),
            norm_2=self._norm(block.ln_2),
            mlp_in=self._linear(mlp.c_fc.weight.t(), mlp.c_fc.bias),
            mlp_out=self._linear(mlp.c_proj.weight.t(), mlp.c_proj.bias),
        )
