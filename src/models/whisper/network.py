"""The Whisper network laid out for inference: the stock module's weights cast once, projections joined, static caches.

In float32 its logits equal the stock module's but for rounding. Shapes: B clips, R rows (hypotheses; R = B times the
group size), T encoder frames of 20 ms, H heads, d width.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from src.domain.errors import JobCancelled


class Precision(StrEnum):
    """FLOAT32: on CPUs; tokens equal openai-whisper's. FLOAT16: on GPUs."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"

    @property
    def dtype(self) -> torch.dtype:
        """Of weights and activations."""
        return torch.float16 if self is Precision.FLOAT16 else torch.float32


Linear = Callable[[Tensor], Tensor]


class Norm:
    """Layer norm in float32, whatever comes in."""

    def __init__(self, module: Any, device: torch.device) -> None:
        self._weight, self._bias = module.weight.to(device, torch.float32), module.bias.to(device, torch.float32)

    def __call__(self, x: Tensor) -> Tensor:
        return functional.layer_norm(x.float(), self._weight.shape, self._weight, self._bias).to(x.dtype)


class _Build:
    """Turns stock modules into products of one precision on one device."""

    def __init__(self, precision: Precision, device: torch.device) -> None:
        self.dtype, self.device = precision.dtype, device

    def linear(self, *modules: Any) -> Linear:
        """One product for the outputs of all `modules` side by side."""
        weight = torch.cat([module.weight for module in modules]).to(self.device, self.dtype)
        biases = [torch.zeros(len(m.weight)) if m.bias is None else m.bias for m in modules]
        bias = torch.cat(biases).to(self.device, self.dtype)
        return lambda x: functional.linear(x, weight, bias)

    def convolution(self, module: Any) -> Linear:
        weight, bias = module.weight.to(self.device, self.dtype), module.bias.to(self.device, self.dtype)
        return lambda x: functional.conv1d(x, weight, bias, stride=module.stride, padding=module.padding)

    def norm(self, module: Any) -> Norm:
        return Norm(module, self.device)


class Mlp:
    def __init__(self, block: Any, build: _Build) -> None:
        self._norm = build.norm(block.mlp_ln)
        self._up, self._down = build.linear(block.mlp[0]), build.linear(block.mlp[2])

    def __call__(self, x: Tensor) -> Tensor:
        return self._down(functional.gelu(self._up(self._norm(x))))


class SelfAttention:
    def __init__(self, block: Any, build: _Build) -> None:
        attention = block.attn
        self._heads = attention.n_head
        self._norm = build.norm(block.attn_ln)
        self._qkv = build.linear(attention.query, attention.key, attention.value)
        self._out = build.linear(attention.out)

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Query, key and value, each [R, H, n, d / H]."""
        q, k, v = self._qkv(self._norm(x)).chunk(3, dim=-1)
        return _split(q, self._heads), _split(k, self._heads), _split(v, self._heads)

    def attend(self, q: Tensor, k: Tensor, v: Tensor, *, causal: bool) -> Tensor:
        return self._out(_join(functional.scaled_dot_product_attention(q, k, v, is_causal=causal)))


class CrossAttention:
    def __init__(self, block: Any, build: _Build) -> None:
        attention = block.cross_attn
        self._heads = attention.n_head
        self._norm = build.norm(block.cross_attn_ln)
        self._query, self._out = build.linear(attention.query), build.linear(attention.out)
        self._kv = build.linear(attention.key, attention.value)

    def remember(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values [B, H, T, d / H] of encoded audio [B, T, d]."""
        k, v = self._kv(features).chunk(2, dim=-1)
        return _split(k, self._heads).contiguous(), _split(v, self._heads).contiguous()

    def attend(self, x: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """The rows of one clip look at one copy of its keys and values, as so many queries."""
        rows, length, width = x.shape
        q = _split(self._query(self._norm(x)).view(len(k), -1, width), self._heads)
        return self._out(_join(functional.scaled_dot_product_attention(q, k, v)).view(rows, length, width))

    def scores(self, x: Tensor, k: Tensor) -> Tensor:
        """What the attention's softmax is taken of: float32 [B, H, n, T]."""
        q = _split(self._query(self._norm(x)), self._heads)
        scale = q.shape[-1] ** -0.25
        scores: Tensor = (q * scale) @ (k * scale).transpose(-1, -2)
        return scores.float()


def _split(x: Tensor, heads: int) -> Tensor:
    return x.view(*x.shape[:2], heads, -1).transpose(1, 2)


def _join(x: Tensor) -> Tensor:
    return x.transpose(1, 2).flatten(start_dim=2)


class EncoderBlock:
    def __init__(self, block: Any, build: _Build) -> None:
        self._attention, self._mlp = SelfAttention(block, build), Mlp(block, build)

    def __call__(self, x: Tensor) -> Tensor:
        x = x + self._attention.attend(*self._attention.project(x), causal=False)
        return x + self._mlp(x)


@dataclass(slots=True, eq=False)
class LayerCache:
    """Keys and values of one decoder block: of the tokens so far, in place [R, H, n_ctx, d / H], and of the audio."""

    self_k: Tensor
    self_v: Tensor
    cross_k: Tensor
    cross_v: Tensor

    def append(self, k: Tensor, v: Tensor, position: int) -> tuple[Tensor, Tensor]:
        """Write new tokens at `position`; returns all up to their end."""
        end = position + k.shape[2]
        self.self_k[:, :, position:end], self.self_v[:, :, position:end] = k, v
        return self.self_k[:, :, :end], self.self_v[:, :, :end]

    def reorder(self, rows: Tensor, end: int) -> None:
        for cache in (self.self_k, self.self_v):
            cache[:, :, :end] = cache[rows, :, :end]


class DecoderBlock:
    def __init__(self, block: Any, build: _Build) -> None:
        self.attention, self.cross = SelfAttention(block, build), CrossAttention(block, build)
        self._mlp = Mlp(block, build)

    def __call__(self, x: Tensor, cache: LayerCache, position: int) -> Tensor:
        q, k, v = self.attention.project(x)
        k, v = cache.append(k, v, position)
        x = x + self.attention.attend(q, k, v, causal=q.shape[2] > 1)
        x = x + self.cross.attend(x, cache.cross_k, cache.cross_v)
        return x + self._mlp(x)


class Network:
    """Encoder and decoder. `dims` are the stock module's; `encoded` counts windows that the encoder saw."""

    def __init__(self, model: Any, device: torch.device, precision: Precision) -> None:
        self.dims, self.device, self.precision = model.dims, device, precision
        self.encoded = 0
        self._cancelled: Callable[[], bool] = lambda: False
        build, dtype = _Build(precision, device), precision.dtype
        encoder, decoder = model.encoder, model.decoder
        self._convolutions = [build.convolution(module) for module in (encoder.conv1, encoder.conv2)]
        self._audio_positions = encoder.positional_embedding.to(device, dtype)
        self._encoder = [EncoderBlock(block, build) for block in encoder.blocks]
        self._encoder_norm = build.norm(encoder.ln_post)
        self._tokens = decoder.token_embedding.weight.to(device, dtype)
        self._positions = decoder.positional_embedding.to(device, dtype)
        self._decoder = [DecoderBlock(block, build) for block in decoder.blocks]
        self._decoder_norm = build.norm(decoder.ln)
        self._timing_heads = [(int(layer), int(head)) for layer, head in model.alignment_heads.indices().T]

    @contextmanager
    def stoppable(self, cancelled: Callable[[], bool]) -> Iterator[None]:
        """Within it `cancelled` is asked before every block of the encoder and every token; at its first yes
        JobCancelled is raised, and the network is ready for the next caller.
        """
        self._cancelled = cancelled
        try:
            yield
        finally:
            self._cancelled = lambda: False

    def go_on(self) -> None:
        """Raises JobCancelled when nobody wants the result any more."""
        if self._cancelled():
            raise JobCancelled("The transcription was cancelled.")

    @torch.inference_mode()
    def encode(self, mel: Tensor) -> Tensor:
        """[B, n_mels, 2 T] -> [B, T, d], T up to n_audio_ctx: fewer frames than the full 30 s cost less."""
        self.encoded += len(mel)
        x = mel.to(self.device, self.precision.dtype)
        for convolve in self._convolutions:
            x = functional.gelu(convolve(x))
        x = x.permute(0, 2, 1)
        x = x + self._audio_positions[: x.shape[1]]
        for block in self._encoder:
            self.go_on()
            x = block(x)
        return self._encoder_norm(x)

    def listen(self, features: Tensor, group: int = 1) -> "Listening":
        """Begin to decode encoded clips [B, T, d], `group` hypotheses each."""
        return Listening(self, features, group)

    def caches(self, features: Tensor, rows: int) -> list[LayerCache]:
        heads, width = self.dims.n_text_head, self.dims.n_text_state
        shape = (rows, heads, self.dims.n_text_ctx, width // heads)
        return [
            LayerCache(features.new_zeros(shape), features.new_zeros(shape), *block.cross.remember(features))
            for block in self._decoder
        ]

    def decode(self, tokens: Tensor, caches: list[LayerCache], position: int) -> Tensor:
        """Tokens [R, n] that follow `position` earlier ones -> hidden states [R, n, d]."""
        x = self._embed(tokens, position)
        for block, cache in zip(self._decoder, caches, strict=True):
            x = block(x, cache, position)
        return self._decoder_norm(x)

    def logits(self, hidden: Tensor) -> Tensor:
        """float32 [..., n_vocab]."""
        return functional.linear(hidden, self._tokens).float()

    @torch.inference_mode()
    def align(self, tokens: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        """One pass over known tokens [n] of one clip [1, T, d]: hidden states [n, d], and the scores [heads, n, T] of
        the attention heads that follow the speech.
        """
        self.go_on()
        x, scores = self._embed(tokens[None].to(self.device), 0), {}
        for index, (block, cache) in enumerate(zip(self._decoder, self.caches(features, 1), strict=True)):
            q, k, v = block.attention.project(x)
            attended = x + block.attention.attend(q, k, v, causal=True)
            if any(layer == index for layer, _ in self._timing_heads):
                scores[index] = block.cross.scores(attended, cache.cross_k)[0]
            x = block(x, cache, 0)
        return self._decoder_norm(x)[0], torch.stack([scores[layer][head] for layer, head in self._timing_heads])

    def _embed(self, tokens: Tensor, position: int) -> Tensor:
        embedded: Tensor = self._tokens[tokens] + self._positions[position : position + tokens.shape[1]]
        return embedded


class Listening:
    """Decoding in progress: which tokens were seen, with their keys and values."""

    def __init__(self, network: Network, features: Tensor, group: int) -> None:
        self._network = network
        self._caches = network.caches(features, len(features) * group)
        self.position = 0

    @torch.inference_mode()
    def step(self, tokens: Tensor) -> Tensor:
        """The next tokens [R, n] -> logits float32 [R, n, n_vocab]."""
        self._network.go_on()
        hidden = self._network.decode(tokens, self._caches, self.position)
        self.position += tokens.shape[1]
        return self._network.logits(hidden)

    @torch.inference_mode()
    def reorder(self, rows: list[int]) -> None:
        """Row i goes on as a copy of `rows[i]`."""
        if rows != list(range(len(rows))):
            order = torch.tensor(rows, device=self._network.device)
            for cache in self._caches:
                cache.reorder(order, self.position)
