"""XTTS's GPT-2 as the decode loop runs it: the stock weights, our own cache, positions given from outside."""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from src.models.xtts.linear import Block, Norm, PlainLinear, Precision
from src.models.xtts.quantisation import Quantiser
from src.utils.memory import give_back_freed

_TYPICAL_TEXT, _TYPICAL_CODES = 48, 128
"""Tokens and codes of the sequences from which int8 learns what its matrices are given."""


class Cache:
    """Keys and values of every slot: [layers, slots, capacity, 2, heads, D / heads]. Allocated once.

    A position's key and value lie together, as the projection gives them, so that one copy stores both.
    """

    def __init__(self, layers: int, slots: int, heads: int, capacity: int, head_width: int, like: Tensor) -> None:
        self._store = _zeros((layers, slots, capacity, 2, heads, head_width), like)
        self._flat = self._store.view(layers, slots * capacity, 2 * heads * head_width)
        self._first = torch.arange(slots, device=like.device) * capacity  # where each slot begins in `_flat`
        self._columns = torch.arange(capacity, device=like.device)

    def fill(self, layer: int, slot: int, mixed: Tensor) -> None:
        """Store a prefix, of projections mixed [1, T, 3 D]."""
        length = mixed.shape[1]
        self._flat[layer, slot * len(self._columns) :][:length] = mixed[0, :, mixed.shape[2] // 3 :]

    def addresses(self, positions: Tensor) -> Tensor:
        """Of positions [B] in the first B slots, for `put`."""
        return self._first[: len(positions)] + positions

    def put(self, layer: int, addresses: Tensor, mixed: Tensor) -> None:
        """Store one position of each of the first B slots, of projections mixed [B, 1, 3 D]."""
        self._flat[layer].index_copy_(0, addresses, mixed[:, 0, mixed.shape[2] // 3 :])

    def get(self, layer: int, batch: int, longest: int) -> tuple[Tensor, Tensor]:
        """Keys and values, [B, heads, longest, D / heads] each."""
        keys, values = self._store[layer, :batch, :longest].permute(2, 0, 3, 1, 4)
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


class Network:
    """Embeddings, blocks and heads of a stock `GPT` in one precision. Takes the blocks away from the stock model.

    voices: conditioning latents [V, 32, D] of a few speakers, on which int8 learns what its matrices are given.
    """

    def __init__(self, gpt: Any, precision: Precision, device: torch.device, voices: Tensor | None = None) -> None:
        self.width: int = gpt.model_dim
        self.heads: int = gpt.heads
        self.codes: int = gpt.num_audio_tokens
        self.start_code: int = gpt.start_audio_token
        self.stop_code: int = gpt.stop_audio_token
        self.max_codes: int = gpt.max_gen_mel_tokens
        self._text_ends = (gpt.start_text_token, gpt.stop_text_token)
        self._device, self._precision = device, precision
        self._text, self._text_position = (
            self._copy(gpt.text_embedding.weight),
            self._copy(gpt.text_pos_embedding.emb.weight),
        )
        self._code, self._code_position = (
            self._copy(gpt.mel_embedding.weight),
            self._copy(gpt.mel_pos_embedding.emb.weight),
        )
        self.blocks: list[Block] = []
        quantise = Quantiser(self._run, None if voices is None else self._typical(voices))
        while len(gpt.gpt.h):
            block = self._block(gpt.gpt.h[0])
            self.blocks.append(quantise(block) if precision is Precision.INT8 else block)
            del gpt.gpt.h[0]  # so that two copies of the weights are never held
        give_back_freed()  # the blocks of the stock model
        self._last_norm, self._final_norm = self._norm(gpt.gpt.ln_f), self._norm(gpt.final_norm)
        self._head = self._linear(gpt.mel_head.weight, gpt.mel_head.bias)
        self.capacity: int = gpt.max_prompt_tokens + gpt.max_mel_tokens + gpt.max_text_tokens

    def new_cache(self, slots: int) -> Cache:
        return Cache(len(self.blocks), slots, self.heads, self.capacity, self.width // self.heads, self._code[:0])

    def prefix(self, conditioning: Tensor, text_tokens: Tensor) -> Tensor:
        """What stands before the first audio code, with the start code: [1, 32 + T + 3, D] of [1, 32, D] and [T]."""
        start, stop = self._text_ends
        tokens = functional.pad(functional.pad(text_tokens, (1, 0), value=start), (0, 1), value=stop).to(self._device)
        text = self._text[tokens] + self._text_position[: len(tokens)]
        first = self._code[self.start_code] + self._code_position[0]
        return torch.cat((conditioning.to(text), text[None], first[None, None]), dim=1)

    def embed(self, codes: Tensor, counts: Tensor) -> Tensor:
        """[B, D] of the last codes [B], each the counts-th [B] of its sentence; the start code is number 0."""
        return self._code[codes] + self._code_position[counts]

    def prefill(self, x: Tensor, cache: Cache, slot: int) -> Tensor:
        """Run prefix x [1, T, D] into `slot`. Returns the latents of all its positions [T, D]."""
        for layer, block in enumerate(self.blocks):
            mixed = block.attention_in(block.norm_1(x))  # [1, T, 3 D]
            cache.fill(layer, slot, mixed)
            x = block.finish(x, self._attend(mixed))
        return self._final_norm(self._last_norm(x))[0]

    def step(self, x: Tensor, cache: Cache, positions: Tensor, longest: int, *, alone: bool = False) -> Tensor:
        """Run one input x [B, D] for the first B slots, each at its own position [B] below `longest`: latents [B, D].

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
            query = mixed[..., : self.width].view(batch, 1, self.heads, -1).transpose(1, 2)  # [B, H, 1, D / H]
            attended = functional.scaled_dot_product_attention(query, *cache.get(layer, batch, longest), attn_mask=seen)
            x = block.finish(x, attended)
        return self._final_norm(self._last_norm(x))[:, 0]

    def logits(self, latents: Tensor) -> Tensor:
        """Float32 [B, V] of latents [B, D]."""
        return self._head(latents).float()

    def _attend(self, mixed: Tensor) -> Tensor:
        """What each position sees of those up to it: [B, H, T, D / H] of projections [B, T, 3 D]."""
        query, key, value = mixed.view(*mixed.shape[:2], 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        return functional.scaled_dot_product_attention(query, key, value, is_causal=True)

    def _run(self, block: Block, x: Tensor) -> Tensor:
        """[B, T, D] through one block."""
        return block.finish(x, self._attend(block.attention_in(block.norm_1(x))))

    def _typical(self, voices: Tensor) -> Tensor:
        """[V, 32 + T + 3 + C, D]: any text and any codes in the given voices."""
        random = torch.Generator().manual_seed(0)
        sequences = []
        for voice in voices:
            text = torch.randint(0, len(self._text), (_TYPICAL_TEXT,), generator=random)
            codes = torch.randint(0, self.start_code, (_TYPICAL_CODES,), generator=random)
            spoken = self.embed(codes.to(self._device), torch.arange(1, _TYPICAL_CODES + 1, device=self._device))
            sequences.append(torch.cat((self.prefix(voice[None], text), spoken[None]), dim=1))
        return torch.cat(sequences)

    def _copy(self, tensor: Tensor) -> Tensor:
        return tensor.detach().to(self._device, self._precision.dtype)

    def _norm(self, norm: Any) -> Norm:
        return Norm(self._copy(norm.weight), self._copy(norm.bias), norm.eps)

    def _linear(self, weight: Tensor, bias: Tensor) -> PlainLinear:
        return PlainLinear(self._copy(weight), self._copy(bias))

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
